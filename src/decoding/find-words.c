/* Times of words by a second look at a window, with its text given.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "words.h"

#include <math.h>

#include "alignment.h"
#include "logits.h"
#include "npu-error.h"
#include "prompt.h"

#define POSITIONS_PER_SECOND 50
#define ROWS_AT_ONCE 16 /* whose logits there is room for */

typedef struct {
  const NpuLogitsSource *source;
  const NpuSpecialTokens *special;
  GArray *tokens; /* of guint32: what is given, from sot to eot */
  guint first;    /* row that says where the text's first token is heard */
  guint n;        /* text tokens */
  guint sequence; /* of the source */
  guint n_positions;
  float *scores;        /* [tokens->len][n_heads][n_positions] */
  float *probabilities; /* [n] */
} Look;

/* Text, of text tokens alone. */
static float
probability_of (const Look *look, const float *logits, guint32 token)
{
  const double all = npu_logits_logsumexp (logits, look->special->eot);

  return isfinite (all) ? (float) exp (logits[token] - all) : 0;
}

static gboolean
look_at (Look *look, guint from, guint n_rows, float *logits, GError **error)
{
  const NpuLogitsSource *source = look->source;
  const guint32 *tokens = (guint32 *) look->tokens->data;
  const gsize size = (gsize) source->n_heads * look->n_positions;
  NpuDecoderRow rows[ROWS_AT_ONCE];
  float *each[ROWS_AT_ONCE], *scores[ROWS_AT_ONCE];
  guint n = 0;

  for (guint i = 0; i < n_rows; i++) {
    const guint at = from + i;
    const gboolean wants = at >= look->first && at < look->first + look->n;

    rows[i] = (NpuDecoderRow){look->sequence, tokens[at], wants};
    scores[i] = look->scores + at * size;
    if (wants)
      each[n++] = logits + (gsize) i * source->n_vocab;
  }
  if (!source->step_attending (source->self, rows, n_rows, each, scores, error))
    return FALSE;
  for (guint i = 0; i < n_rows; i++)
    if (rows[i].wants_logits)
      look->probabilities[from + i - look->first] = probability_of (
          look, logits + (gsize) i * source->n_vocab, tokens[from + i + 1]);
  return TRUE;
}

static gboolean
look (Look *look, GError **error)
{
  const guint n = look->tokens->len;
  g_autofree float *logits =
      g_new (float, (gsize) ROWS_AT_ONCE * look->source->n_vocab);

  for (guint from = 0; from < n; from += ROWS_AT_ONCE)
    if (!look_at (look, from, MIN (n - from, ROWS_AT_ONCE), logits, error))
      return FALSE;
  return TRUE;
}

/* starts[n + 1] of the tokens and of the end. */
static guint *
align (const Look *look, guint n_used)
{
  const guint n_rows = look->tokens->len;
  const gsize size = (gsize) look->source->n_heads * look->n_positions;
  g_autofree const float **scores = g_new (const float *, n_rows);
  g_autofree float *matrix = g_new (float, (gsize) n_rows *n_used);
  guint *starts = g_new0 (guint, look->n + 1);

  for (guint i = 0; i < n_rows; i++)
    scores[i] = look->scores + i * size;
  npu_alignment_matrix (
      scores, n_rows, look->source->n_heads, look->n_positions, n_used, matrix);
  npu_alignment_starts (
      matrix + (gsize) look->first * n_used, look->n + 1, n_used, starts);
  return starts;
}

static void
set_times (GArray *words, const guint *starts, const float *probabilities)
{
  guint token = 0;

  for (guint i = 0; i < words->len; i++) {
    NpuWord *word = &g_array_index (words, NpuWord, i);
    const guint end = token + word->n_tokens;

    word->start = (double) starts[token] / POSITIONS_PER_SECOND;
    word->end = (double) starts[end] / POSITIONS_PER_SECOND;
    for (guint j = token; j < end; j++)
      word->probability += (double) probabilities[j] / word->n_tokens;
    token = end;
  }
}

/* A translation is English, whatever was spoken. */
static gboolean
is_by_character (NpuTask task, int language)
{
  return task == NPU_TASK_TRANSCRIBE && language >= 0 &&
         npu_language_has_no_spaces (npu_language_get_code (language));
}

static gboolean
find (Look *self, guint window, guint n_used, GArray *words, GError **error)
{
  const NpuLogitsSource *source = self->source;
  const gsize size = (gsize) source->n_heads * self->n_positions;
  g_autofree float *scores = g_new (float, self->tokens->len *size);
  g_autofree float *probabilities = g_new0 (float, self->n);
  g_autofree guint *starts = NULL;

  self->scores = scores;
  self->probabilities = probabilities;
  source->begin (source->self, self->sequence, window);
  if (!look (self, error))
    return FALSE;
  starts = align (self, CLAMP (n_used, 1, self->n_positions));
  set_times (words, starts, probabilities);
  return TRUE;
}

gboolean
npu_find_words (const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    guint window, guint sequence, NpuTask task, int language,
    const guint32 *tokens, guint n, guint n_used, GArray **words,
    GError **error)
{
  const NpuSpecialTokens *special = npu_tokenizer_get_special (tokenizer);
  g_autoptr (GArray) given = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autoptr (GArray) found = NULL;
  Look self = {source, special, given, .n = n, .sequence = sequence};

  if (!source->step_attending) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
        "this decoder does not tell where its tokens look, and times of words need it");
    return FALSE;
  }
  if (n == 0) {
    *words = npu_words_new ();
    return TRUE;
  }
  npu_prompt_append_task (special, task, language, FALSE, given);
  self.first = given->len - 1;
  g_array_append_vals (given, tokens, n);
  g_array_append_val (given, special->eot);
  self.n_positions = source->get_window_positions (source->self, window);
  found =
      npu_words_split (tokenizer, tokens, n, is_by_character (task, language));
  if (!find (&self, window, n_used, found, error))
    return FALSE;
  *words = g_steal_pointer (&found);
  return TRUE;
}
