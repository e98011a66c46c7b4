/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "search.h"

#include <math.h>

void
npu_answer_init (
    NpuAnswer *answer, const guint32 *tokens, guint n_tokens, guint sequence)
{
  *answer = (NpuAnswer){.sequence = sequence};
  answer->tokens = g_array_sized_new (FALSE, FALSE, sizeof (guint32), 64);
  g_array_append_vals (answer->tokens, tokens, n_tokens);
}

void
npu_answer_clear (NpuAnswer *answer)
{
  g_clear_pointer (&answer->tokens, g_array_unref);
}

typedef struct {
  const NpuLogitsSource *source;
  guint row;
} RowOfStep;

static gboolean
refine_row (
    gpointer data, const guint32 *ids, guint n, float *logits, GError **error)
{
  const RowOfStep *row = data;

  return row->source->refine (
      row->source->self, row->row, ids, n, logits, error);
}

gboolean
npu_search_read (NpuSearch *search, const guint32 *tokens, guint n_tokens,
    guint row, float *logits, NpuNextToken *next, GError **error)
{
  const NpuFilterContext context = {
      search->special, search->options, search->blank, tokens, n_tokens};
  RowOfStep of_step = {search->source, row};

  return npu_next_token_read (next, &context, search->filters,
      search->n_filters, search->source->refine ? refine_row : NULL, &of_step,
      logits, error);
}

gboolean
npu_search_step (
    NpuSearch *search, const NpuAnswer *const *answers, guint n, GError **error)
{
  NpuDecoderRow rows[MAX (NPU_MAX_BEAMS, NPU_MAX_SAMPLES)];
  float *logits[G_N_ELEMENTS (rows)];

  for (guint i = 0; i < n; i++) {
    const GArray *tokens = answers[i]->tokens;

    rows[i] = (NpuDecoderRow){answers[i]->sequence,
        g_array_index (tokens, guint32, tokens->len - 1), TRUE};
    logits[i] = search->rows + (gsize) i * search->special->n_vocab;
  }
  return search->source->step (search->source->self, rows, n, logits, error);
}

double
npu_search_rank (const NpuSearch *search, const NpuAnswer *answer)
{
  const guint n = answer->tokens->len - search->n_prefix;
  const float penalty = search->options->length_penalty;

  if (penalty >= 0)
    return answer->sum / pow ((5.0 + n) / 6, penalty);
  return n > 0 ? answer->sum / n : -INFINITY;
}
