/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "logits.h"

#include <math.h>

#include "npu-logits.h"

/* Filled once for this CPU. */
static const NpuLogitsKernels *
get_kernels (void)
{
  static NpuLogitsKernels kernels;
  static gsize is_ready;

  if (g_once_init_enter (&is_ready)) {
    npu_logits_init (&kernels, npu_cpu_flags ());
    g_once_init_leave (&is_ready, 1);
  }
  return &kernels;
}

guint
npu_logits_top (const float *logits, guint n, guint32 first_id,
    NpuCandidate *top, guint n_top)
{
  int ids[NPU_LOGITS_MAX_BEST];
  const guint n_found = (guint) get_kernels ()->best (
      logits, (int) n, ids, (int) MIN (n_top, NPU_LOGITS_MAX_BEST));

  for (guint i = 0; i < n_found; i++)
    top[i] = (NpuCandidate){first_id + (guint32) ids[i], logits[ids[i]]};
  return n_found;
}

static gboolean
is_before (const NpuCandidate *a, const NpuCandidate *b)
{
  return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

void
npu_candidates_sort (NpuCandidate *candidates, guint n)
{
  for (guint i = 1; i < n; i++) {
    const NpuCandidate candidate = candidates[i];
    guint at = i;

    for (; at > 0 && is_before (&candidate, &candidates[at - 1]); at--)
      candidates[at] = candidates[at - 1];
    candidates[at] = candidate;
  }
}

double
npu_logits_logsumexp (const float *logits, guint n)
{
  return (double) get_kernels ()->log_sum_exp (logits, (int) n);
}

double
npu_log_add_exp (double a, double b)
{
  const double max = MAX (a, b), min = MIN (a, b);

  if (max == -INFINITY)
    return max;
  return max + log1p (exp (min - max));
}

guint
npu_logits_draw (const float *logits, guint n, float temperature, double target)
{
  g_autofree float *scaled = g_new (float, n);
  double sum = 0, all;
  guint last = 0;

  for (guint i = 0; i < n; i++)
    scaled[i] = logits[i] / temperature;
  all = npu_logits_logsumexp (scaled, n);
  for (guint i = 0; i < n; i++) {
    const double logprob = scaled[i] - all;

    if (logprob < -30) /* all together less than 1e-8 */
      continue;
    last = i;
    sum += exp (logprob);
    if (sum > target)
      return i;
  }
  return last;
}
