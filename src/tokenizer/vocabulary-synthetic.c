/* Words for models whose weights are random.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "vocabulary.h"

/* Appends what says @id in syllables: " bakedo". */
static void
append_word (GString *word, guint id)
{
  static const char consonants[] = "bdfghjklmnprstvz";
  static const char vowels[] = "aeiouy";

  g_string_append_c (word, ' ');
  for (; id > 0; id /= 96) {
    g_string_append_c (word, consonants[id % 96 / 6]);
    g_string_append_c (word, vowels[id % 6]);
  }
}

NpuVocabulary *
npu_vocabulary_new_synthetic (const NpuSpecialTokens *special, const char *name)
{
  NpuVocabulary *vocabulary = npu_vocabulary_new (special, name);

  for (guint32 id = 0; id < vocabulary->n_text; id++) {
    const guint8 byte = (guint8) (id + '!'); /* the first, as in GPT-2 */
    g_autoptr (GString) word = g_string_new (NULL);

    if (id < 256)
      g_string_append_len (word, (const char *) &byte, 1);
    else if (!special->is_multilingual || id + 1 < special->eot)
      append_word (word, id);
    npu_vocabulary_add (
        vocabulary, id, (const guint8 *) word->str, word->len, NULL);
  }
  return vocabulary;
}
