/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "next-token.h"

#include <math.h>

#include "npu-error.h"

/* Appends to ids[n] those of candidates[n_candidates] that may be among the
 * @n_wanted best once all are exact; returns how many ids there are then. */
static guint
append_inexact (const NpuCandidate *candidates, guint n_candidates,
    guint n_wanted, guint32 *ids, guint n)
{
  for (guint i = 0; i < n_candidates; i++) {
    if (i < n_wanted || candidates[n_wanted - 1].logit - candidates[i].logit <
                            NPU_INEXACT_MARGIN)
      ids[n++] = candidates[i].id;
  }
  return n;
}

/* The ids whose exact logits decide what comes. A kind is left out where the
 * other is so much likelier that it will come whatever the exact ones are: all
 * 1501 timestamps weigh no more than e^7.4 of the likeliest. */
static guint
find_inexact (const NpuNextToken *next, guint n_text, guint n_wanted,
    gboolean by_mass, guint32 *ids)
{
  const NpuCandidate *text = next->best, *times = next->best + n_text;
  const guint n_times = next->n_best - n_text;
  const float apart = n_text > 0 && n_times > 0 && n_wanted == 1 && by_mass
                          ? text->logit - times->logit
                          : 0;
  guint n = 0;

  if (apart > -2 * NPU_INEXACT_MARGIN)
    n = append_inexact (text, n_text, n_wanted, ids, n);
  if (apart < 7.4f + 2 * NPU_INEXACT_MARGIN)
    n = append_inexact (times, n_times, n_wanted, ids, n);
  return n;
}

/* The likeliest text and the likeliest timestamps, exact where that matters.
 * Which kind comes is decided later. */
static gboolean
find_best (NpuNextToken *next, const NpuDecodingOptions *options,
    NpuRefineFunc refine, gpointer data, GError **error)
{
  const guint n_wanted = options->beam_size > 1 ? options->beam_size + 1 : 1;
  const guint n_text = npu_logits_top (
      next->logits, next->n_text, 0, next->best, NPU_N_CANDIDATES);
  guint32 ids[2 * NPU_N_CANDIDATES];
  float exact[2 * NPU_N_CANDIDATES];
  guint n;

  next->n_best = n_text + npu_logits_top (next->logits + next->n_text,
                              next->n_vocab - next->n_text, next->n_text,
                              next->best + n_text, NPU_N_CANDIDATES);
  if (refine) {
    n = find_inexact (next, n_text, n_wanted, options->timestamps, ids);
    if (n > 0 && !refine (data, ids, n, exact, error))
      return FALSE;
    for (guint i = 0; i < n; i++)
      next->logits[ids[i]] = exact[i];
    for (guint i = 0; i < next->n_best; i++)
      next->best[i].logit = next->logits[next->best[i].id];
  }
  npu_candidates_sort (next->best, next->n_best);
  return TRUE;
}

/* Leaves the timestamps alone among the likeliest. */
static void
forbid_text (NpuNextToken *next)
{
  guint n = 0;

  for (guint i = 0; i < next->n_best; i++) {
    if (next->best[i].id >= next->n_text)
      next->best[n++] = next->best[i];
  }
  next->n_best = n;
  for (guint i = 0; i < next->n_text; i++)
    next->logits[i] = -INFINITY;
}

static gboolean
fail_not_numbers (const NpuFilterContext *context, GError **error)
{
  g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
      "the decoder's logits for token %u of a window are not all numbers: are the model's weights and the states that it was given sound?",
      context->n_tokens);
  return FALSE;
}

gboolean
npu_next_token_read (NpuNextToken *next, const NpuFilterContext *context,
    const NpuLogitFilter *filters, guint n_filters, NpuRefineFunc refine,
    gpointer data, float *logits, GError **error)
{
  const NpuSpecialTokens *special = context->special;
  double text, times;
  float largest_text;

  next->logits = logits;
  next->n_vocab = special->n_vocab;
  next->n_text = special->timestamp_begin;
  for (guint i = 0; i < n_filters; i++)
    filters[i](context, logits);

  if (!find_best (next, context->options, refine, data, error))
    return FALSE;
  text = npu_logits_logsumexp (logits, next->n_text);
  times = npu_logits_logsumexp (
      logits + next->n_text, next->n_vocab - next->n_text);
  if (isnan (text) || isnan (times) ||
      (next->n_best > 0 && next->best[0].logit == INFINITY))
    return fail_not_numbers (context, error);

  largest_text = -INFINITY;
  for (guint i = next->n_best; i-- > 0;) {
    if (next->best[i].id < next->n_text)
      largest_text = next->best[i].logit;
  }
  if (context->options->timestamps && times > largest_text) {
    forbid_text (next);
    text = -INFINITY;
  }
  next->logsumexp = npu_log_add_exp (text, times);
  return TRUE;
}

guint32
npu_next_token_draw (
    const NpuNextToken *next, float temperature, NpuRandom *random)
{
  return npu_logits_draw (
      next->logits, next->n_vocab, temperature, npu_random_next (random));
}
