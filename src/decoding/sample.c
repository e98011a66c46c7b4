/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "search.h"

#include <math.h>

/* Takes the next token of @answer; FALSE once it is whole. */
static gboolean
append_next (NpuSearch *search, const NpuNextToken *next, float temperature,
    NpuRandom *random, NpuAnswer *answer)
{
  guint32 token;

  if (next->n_best == 0) { /* nothing may come */
    answer->sum = -INFINITY;
    answer->has_ended = TRUE;
    return FALSE;
  }
  token = temperature > 0 ? npu_next_token_draw (next, temperature, random)
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

/* Lets answers[n] grow together until all are whole. */
static gboolean
grow (NpuSearch *search, float temperature, NpuAnswer *answers,
    NpuRandom *randoms, guint n, GError **error)
{
  const NpuAnswer *open[NPU_MAX_SAMPLES];
  guint n_open = 0;

  for (guint i = 0; i < n; i++) {
    if (append_next (
            search, &search->first, temperature, &randoms[i], &answers[i]))
      open[n_open++] = &answers[i];
  }
  while (n_open > 0) {
    guint n_still = 0;

    if (!npu_search_step (search, open, n_open, error))
      return FALSE;
    for (guint row = 0; row < n_open; row++) {
      const guint i = (guint) (open[row] - answers);
      NpuNextToken next;

      if (!npu_search_read (search, (guint32 *) answers[i].tokens->data,
              answers[i].tokens->len, row,
              search->rows + (gsize) row * search->special->n_vocab, &next,
              error))
        return FALSE;
      if (append_next (search, &next, temperature, &randoms[i], &answers[i]))
        open[n_still++] = &answers[i];
    }
    n_open = n_still;
  }
  return TRUE;
}

gboolean
npu_search_sample (
    NpuSearch *search, float temperature, NpuAnswer *answer, GError **error)
{
  const guint n = temperature > 0 ? search->options->best_of : 1;
  const NpuLogitsSource *source = search->source;
  const guint64 seed = npu_random_seed (
      search->options->seed, (guint64) lroundf (temperature * 1000));
  NpuAnswer answers[NPU_MAX_SAMPLES];
  NpuRandom randoms[NPU_MAX_SAMPLES];
  guint best = 0;
  gboolean ok;

  for (guint i = 0; i < n; i++) {
    if (i > 0)
      source->fork (source->self, 0, i);
    npu_answer_init (&answers[i], search->prefix, search->n_prefix, i);
    randoms[i].state = npu_random_seed (seed, i);
  }
  ok = grow (search, temperature, answers, randoms, n, error);
  for (guint i = 1; i < n; i++) {
    if (npu_search_rank (search, &answers[i]) >
        npu_search_rank (search, &answers[best]))
      best = i;
  }
  for (guint i = 0; i < n; i++) {
    if (!ok || i != best)
      npu_answer_clear (&answers[i]);
  }
  if (ok)
    *answer = answers[best];
  return ok;
}
