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

GArray *
npu_answers_new (void)
{
  GArray *answers = g_array_new (FALSE, FALSE, sizeof (NpuAnswer));

  g_array_set_clear_func (answers, (GDestroyNotify) npu_answer_clear);
  return answers;
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

double
npu_search_rank (const NpuSearch *search, const NpuAnswer *answer)
{
  const guint n = answer->tokens->len - search->n_prefix;
  const float penalty = search->options->length_penalty;

  if (penalty >= 0)
    return answer->sum / pow ((5.0 + n) / 6, penalty);
  return n > 0 ? answer->sum / n : -INFINITY;
}

/* --- an attempt ---------------------------------------------------------- */

guint
npu_search_n_sequences (const NpuDecodingOptions *options)
{
  return MAX (options->beam_size, options->best_of);
}

void
npu_search_begin (NpuSearch *search, float temperature)
{
  const NpuLogitsSource *source = search->source;

  npu_search_clear (search);
  search->temperature = temperature;
  search->strategy = temperature > 0 || search->options->beam_size == 1
                         ? &npu_sampling
                         : &npu_beam_search;
  search->answers = npu_answers_new ();
  search->finished = npu_answers_new ();
  source->truncate (source->self, search->first_sequence, search->n_start);
  search->strategy->begin (search);
}

guint
npu_search_ask (const NpuSearch *search, GArray *rows)
{
  for (guint i = 0; i < search->n_open; i++) {
    const NpuAnswer *answer =
        npu_answers_get (search->answers, search->open[i]);
    const GArray *tokens = answer->tokens;
    const NpuDecoderRow row = {answer->sequence,
        g_array_index (tokens, guint32, tokens->len - 1), TRUE};

    g_array_append_val (rows, row);
  }
  return search->n_open;
}

gboolean
npu_search_take (
    NpuSearch *search, float *const *logits, guint first_row, GError **error)
{
  return search->strategy->take (search, logits, first_row, error);
}

void
npu_search_end (NpuSearch *search, NpuAnswer *answer)
{
  GArray *answers = search->strategy->get_answers (search);
  const NpuAnswer *best = NULL;

  for (guint i = 0; i < answers->len; i++) {
    const NpuAnswer *next = npu_answers_get (answers, i);

    if (!best ||
        npu_search_rank (search, next) > npu_search_rank (search, best))
      best = next;
  }
  if (best) {
    npu_answer_init (
        answer, (guint32 *) best->tokens->data, best->tokens->len, 0);
    answer->sum = best->sum;
    answer->has_ended = best->has_ended;
  } else { /* nothing could come */
    npu_answer_init (answer, search->prefix, search->n_prefix, 0);
    answer->sum = -INFINITY;
    answer->has_ended = TRUE;
  }
  npu_search_clear (search);
}

void
npu_search_clear (NpuSearch *search)
{
  search->strategy = NULL;
  search->n_open = 0;
  g_clear_pointer (&search->answers, g_array_unref);
  g_clear_pointer (&search->finished, g_array_unref);
}
