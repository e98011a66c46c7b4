/* The likeliest token, again and again, at temperature 0; else samples that
 * grow together.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "search.h"

#include <math.h>

/* Takes the next token of an answer; FALSE once it is whole. */
static gboolean
append_next (NpuSearch *search, const NpuNextToken *next, guint i)
{
  NpuAnswer *answer = npu_answers_get (search->answers, i);
  guint32 token;

  if (next->n_best == 0) { /* nothing may come */
    answer->sum = -INFINITY;
    answer->has_ended = TRUE;
    return FALSE;
  }
  token =
      search->temperature > 0
          ? npu_next_token_draw (next, search->temperature, &search->randoms[i])
          : next->best[0].id;
  /* As it is without temperature, so that all attempts can be compared. */
  answer->sum += npu_next_token_logprob (next, token);
  search->n_steps++;
  if (token == search->special->eot) {
    answer->has_ended = TRUE;
    return FALSE;
  }
  g_array_append_val (answer->tokens, token);
  return answer->tokens->len < search->max_tokens;
}

static void
begin (NpuSearch *search)
{
  const guint n = search->temperature > 0 ? search->options->best_of : 1;
  const NpuLogitsSource *source = search->source;
  const guint64 seed = npu_random_seed (
      search->options->seed, (guint64) lroundf (search->temperature * 1000));

  for (guint i = 0; i < n; i++) {
    const guint sequence = search->first_sequence + i;
    NpuAnswer answer;

    if (i > 0)
      source->fork (source->self, search->first_sequence, sequence);
    npu_answer_init (&answer, search->prefix, search->n_prefix, sequence);
    g_array_append_val (search->answers, answer);
    search->randoms[i].state = npu_random_seed (seed, i);
    if (append_next (search, &search->first, i))
      search->open[search->n_open++] = i;
  }
}

static gboolean
take (NpuSearch *search, float *const *logits, guint first_row, GError **error)
{
  guint n_still = 0;

  for (guint row = 0; row < search->n_open; row++) {
    const guint i = search->open[row];
    const GArray *tokens = npu_answers_get (search->answers, i)->tokens;
    NpuNextToken next;

    if (!npu_search_read (search, (guint32 *) tokens->data, tokens->len,
            first_row + row, logits[row], &next, error))
      return FALSE;
    if (append_next (search, &next, i))
      search->open[n_still++] = i;
  }
  search->n_open = n_still;
  return TRUE;
}

static GArray *
get_answers (NpuSearch *search)
{
  return search->answers;
}

const NpuSearchStrategy npu_sampling = {begin, take, get_answers};
