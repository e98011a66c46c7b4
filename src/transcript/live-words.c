/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "live-words.h"

#include <string.h>

#include "decoding/alignment.h"
#include "decoding/words.h"

#define POSITION_NS ((guint64) NPU_TIMESTAMP_NS) /* of the encoder's output */

#define SENTENCE_ENDS ".?!。？！…।؟"

/* What a row looks at: where the way through the matrix comes to it, where it
 * looks most, and from where on it looks at that. */
typedef struct {
  guint *starts; /* [n_rows] */
  guint *peaks;  /* [n_rows] */
  guint *onsets; /* [n_rows] */
} Looks;

/* In the pause before a word it looks less, by this part of the most. */
#define ONSET 0.75f

static guint
find_peak (const float *row, guint n)
{
  guint best = 0;

  for (guint i = 1; i < n; i++) {
    if (row[i] > row[best])
      best = i;
  }
  return best;
}

/* From the way's start of it, up to where the next one's is. */
static guint
find_onset (const float *row, guint start, guint end)
{
  const guint peak = start + find_peak (row + start, end - start);

  for (guint i = start; i < peak; i++)
    if (row[i] >= ONSET * row[peak])
      return i;
  return peak;
}

/* The silence behind the audio counts: the answer's end is heard there. */
static void
looks_init (
    Looks *looks, const NpuHeard *heard, guint n_heads, guint n_positions)
{
  const gsize size = (gsize) n_heads * n_positions;
  const guint n = heard->n_rows - heard->first_row;
  g_autofree const float **scores = g_new (const float *, heard->n_rows);
  g_autofree float *matrix = g_new (float, (gsize) heard->n_rows *n_positions);
  const float *first = matrix + (gsize) heard->first_row * n_positions;

  for (guint i = 0; i < heard->n_rows; i++)
    scores[i] = heard->attention + i * size;
  npu_alignment_matrix (
      scores, heard->n_rows, n_heads, n_positions, n_positions, matrix);
  looks->starts = g_new0 (guint, n);
  looks->peaks = g_new0 (guint, n);
  npu_alignment_starts (first, n, n_positions, looks->starts);
  looks->onsets = g_new0 (guint, n);
  for (guint i = 0; i < n; i++) {
    const float *row = first + (gsize) i * n_positions;
    const guint end = i + 1 < n ? looks->starts[i + 1] : n_positions;

    looks->peaks[i] = find_peak (row, n_positions);
    looks->onsets[i] =
        find_onset (row, looks->starts[i], MAX (end, looks->starts[i] + 1));
  }
}

static void
looks_clear (Looks *looks)
{
  g_free (looks->starts);
  g_free (looks->peaks);
  g_free (looks->onsets);
}

static gboolean
ends_sentence (const char *text)
{
  const gsize n = strlen (text);

  return n > 0 && g_utf8_strchr (SENTENCE_ENDS, -1,
                      g_utf8_get_char (g_utf8_prev_char (text + n)));
}

static gboolean
ends_with_mark (const char *text)
{
  const gsize n = strlen (text);

  return n > 0 &&
         g_unichar_ispunct (g_utf8_get_char (g_utf8_prev_char (text + n)));
}

/* "'accord" behind "d": a word is whole where a space follows it. */
static gboolean
goes_on (const char *before, const char *text)
{
  return before && *text != ' ' && !ends_with_mark (before);
}

static guint
hash_sound (guint hash, const char *text)
{
  for (; *text; text = g_utf8_next_char (text)) {
    const gunichar c = g_utf8_get_char (text);

    if (g_unichar_isalnum (c))
      hash = 31 * hash + g_unichar_tolower (c);
  }
  return hash;
}

/* A translation is English, whatever was spoken. */
static gboolean
is_by_character (const NpuDecodingOptions *options)
{
  return options->task == NPU_TASK_TRANSCRIBE && options->language >= 0 &&
         npu_language_has_no_spaces (npu_language_get_code (options->language));
}

void
npu_live_words_find (NpuTokenizer *tokenizer, const NpuDecodingOptions *options,
    const NpuLiveWindow *window, guint n_heads, guint n_prefix,
    const NpuHeard *heard, GArray *words)
{
  const guint32 *tokens = (const guint32 *) heard->tokens->data;
  const gboolean by_character = is_by_character (options);
  g_autoptr (GArray) split = NULL;
  const char *before = NULL;
  guint first = 0;
  Looks looks;

  if (heard->tokens->len == 0)
    return;
  split = npu_words_split (tokenizer, tokens, heard->tokens->len, by_character);
  npu_words_merge_punctuation (split);
  looks_init (&looks, heard, n_heads, window->n_positions);
  for (guint i = 0; i < split->len; i++) {
    const NpuWord *from = &g_array_index (split, NpuWord, i);
    const guint end = first + from->n_tokens;
    NpuHypothesisWord *word;

    if (from->n_tokens == 0) /* joined to another */
      continue;
    if (by_character || !goes_on (before, from->text)) {
      const NpuHypothesisWord new = {
          .first = first,
          .start = window->start + looks.starts[n_prefix + first] * POSITION_NS,
          .peak = window->start + looks.peaks[n_prefix + first] * POSITION_NS,
          .onset = window->start + looks.onsets[n_prefix + first] * POSITION_NS,
      };

      g_array_append_val (words, new);
    }
    word = &g_array_index (words, NpuHypothesisWord, words->len - 1);
    word->n += from->n_tokens;
    word->end = window->start + looks.starts[n_prefix + end] * POSITION_NS;
    word->sound = hash_sound (word->sound, from->text);
    word->ends_sentence = ends_sentence (from->text);
    before = from->text;
    first = end;
  }
  looks_clear (&looks);
}
