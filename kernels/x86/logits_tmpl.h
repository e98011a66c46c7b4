/* A row of logits, for vectors of any width. The file that includes this one
 * defines max_vector (a, b), which is b where either is a NaN; above (a, b),
 * a bit for each lane where a > b, and exp2_vector (v) for any v that is not
 * above 0.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-best.h"

#include <math.h>

#define UNROLL 4

/* The largest of x[n] but for NaNs; -INFINITY where there is none. */
NPU_INLINE float
largest_of (const float *x, int n)
{
  const int whole = n - n % (UNROLL * LANES);
  Vector max[UNROLL];
  float largest;

  for (int g = 0; g < UNROLL; g++)
    max[g] = splat (-INFINITY);
  for (int i = 0; i < whole; i += UNROLL * LANES)
    for (int g = 0; g < UNROLL; g++)
      max[g] = max_vector (load_vector (x + i + g * LANES), max[g]);
  largest = max_lanes (
      max_vector (max_vector (max[0], max[1]), max_vector (max[2], max[3])));
  for (int i = whole; i < n; i++)
    largest = x[i] > largest ? x[i] : largest;
  return largest;
}

static int
NPU_KERNEL (logits_argmax) (const float *x, int n)
{
  const float largest = largest_of (x, n);
  int i = 0;

  if (largest == -INFINITY)
    return -1;
  while (x[i] != largest)
    i++;
  return i;
}

static float
NPU_KERNEL (logits_log_sum_exp) (const float *x, int n)
{
  const float found = largest_of (x, n);
  const float largest = found == -INFINITY ? 0.0f : found;
  const Vector max = splat (largest), log2e = splat (NPU_LOG2E);
  const int whole = n - n % (UNROLL * LANES);
  Vector sums[UNROLL] = {0};
  float sum;

  for (int i = 0; i < whole; i += UNROLL * LANES)
    for (int g = 0; g < UNROLL; g++)
      sums[g] += exp2_vector ((load_vector (x + i + g * LANES) - max) * log2e);
  sum = sum_lanes ((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (int i = whole; i < n; i++)
    sum += npu_exp2 ((x[i] - largest) * NPU_LOG2E);
  /* Where nothing is above -INFINITY each term is 2^NPU_EXP2_MIN at most, or a
   * NaN. */
  if (found == -INFINITY && sum < 0.5f)
    return -INFINITY;
  return largest + logf (sum);
}

static int
NPU_KERNEL (logits_best) (const float *x, int n, int *ids, int n_best)
{
  NpuBest list = {.ids = ids, .n_max = n_best};
  const int whole = n - n % LANES;

  if (n_best < 1)
    return 0;
  for (int i = 0; i < whole; i += LANES) {
    unsigned lanes =
        above (load_vector (x + i), splat (npu_best_threshold (&list)));

    for (; lanes; lanes &= lanes - 1) {
      const int at = i + __builtin_ctz (lanes);

      if (x[at] > npu_best_threshold (&list))
        npu_best_insert (&list, x[at], at);
    }
  }
  for (int i = whole; i < n; i++)
    if (x[i] > npu_best_threshold (&list))
      npu_best_insert (&list, x[i], i);
  return list.n;
}
