/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "next-token.h"

#include <math.h>

#include "npu-error.h"

/* The likeliest text and the likeliest timestamps: which kind comes is decided
 * later. */
static void
find_best (NpuNextToken *next)
{
  const guint n_times = next->n_vocab - next->n_text;

  next->n_best = npu_logits_top (
      next->logits, next->n_text, 0, next->best, NPU_N_CANDIDATES);
  next->n_best += npu_logits_top (next->logits + next->n_text, n_times,
      next->n_text, next->best + next->n_best, NPU_N_CANDIDATES);
}

static gboolean
refine_best (
    NpuNextToken *next, NpuRefineFunc refine, gpointer data, GError **error)
{
  guint32 ids[2 * NPU_N_CANDIDATES];
  float exact[2 * NPU_N_CANDIDATES];

  if (!refine || next->n_best == 0)
    return TRUE;
  for (guint i = 0; i < next->n_best; i++)
    ids[i] = next->best[i].id;
  if (!refine (data, ids, next->n_best, exact, error))
    return FALSE;
  for (guint i = 0; i < next->n_best; i++)
    next->logits[ids[i]] = next->best[i].logit = exact[i];
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
      "the decoder's logits for token %u of a window are not all numbers: are "
      "the model's weights and the states that it was given sound?",
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

  find_best (next);
  if (!refine_best (next, refine, data, error))
    return FALSE;
  npu_candidates_sort (next->best, next->n_best);

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
