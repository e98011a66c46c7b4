/* Vocabularies of any form with anything in them, and text of any bytes through
 * byte pairs and back.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/tokenizer-private.h"
#include "tokenizer/utf8.h"
#include "transcript/cue-text.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

/* How a file may begin, so that what follows is looked at as its kind. */
static const char *const heads[] = {"", "{\"", "{\"model\": {\"vocab\": {\"",
    "{\"added_tokens\": [{\"id\": 50257, \"content\": \"", "[\"", "IQ== 0\n",
    "!\n\"\n#\n", "{\"!\": 0, \"\\u0120\": 220, \"\\ud800"};

static void
read_vocabulary (guint n_vocab, const char *head, const guint8 *rest, gsize n)
{
  NpuSpecialTokens special;
  g_autoptr (GString) text = g_string_new (head);
  g_autoptr (NpuVocabulary) vocabulary = NULL;
  g_autoptr (GError) error = NULL;

  g_string_append_len (text, (const char *) rest, (gssize) n);
  npu_special_tokens_init (&special, n_vocab);
  vocabulary = npu_vocabulary_new (&special, "input");
  if (npu_vocabulary_read (vocabulary, text->str, text->len, &error) &&
      npu_vocabulary_finish (vocabulary, &error))
    return;
  if (!error || !g_utf8_validate (error->message, -1, NULL))
    abort ();
}

/* What is encoded comes back, made valid. */
static void
go_round (const guint8 *data, gsize size)
{
  static NpuTokenizer *tokenizer;
  g_autoptr (GArray) tokens = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autoptr (GString) valid = g_string_new (NULL);
  g_autofree char *text = NULL;
  gsize n;

  if (!tokenizer) {
    NpuSpecialTokens special;

    npu_special_tokens_init (&special, 51865);
    tokenizer = npu_tokenizer_new_of_vocabulary (
        npu_vocabulary_new_synthetic (&special, "input"));
  }
  npu_utf8_append_valid (valid, data, size);
  npu_tokenizer_encode (tokenizer, (const char *) data, (gssize) size, tokens);
  text = npu_tokenizer_decode (
      tokenizer, (guint32 *) tokens->data, tokens->len, &n);
  if (n != valid->len || memcmp (text, valid->str, n) != 0)
    abort ();
}

static void
make_cue (const guint8 *data, gsize size)
{
  g_autoptr (GString) valid = g_string_new (NULL);
  g_autoptr (GString) cue = g_string_new (NULL);

  npu_utf8_append_valid (valid, data, size);
  npu_cue_text_append (cue, valid->str, valid->len);
  if (strlen (cue->str) != cue->len || strstr (cue->str, "-->") ||
      strpbrk (cue->str, "\r\n") || !g_utf8_validate (cue->str, -1, NULL))
    abort ();
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  if (size == 0)
    return 0;
  if (*data < 128) {
    read_vocabulary (51864u + *data % 3,
        heads[*data / 3 % G_N_ELEMENTS (heads)], data + 1, size - 1);
  } else {
    go_round (data + 1, size - 1);
    make_cue (data + 1, size - 1);
  }
  return 0;
}
