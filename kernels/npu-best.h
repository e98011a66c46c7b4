/* A short list of the largest numbers seen, in falling order.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-logits.h"

#include <math.h>

typedef struct {
  float x[NPU_LOGITS_MAX_BEST];
  int *ids;
  int n, n_max;
} NpuBest;

/* What a number must exceed to get into the list. */
static inline float
npu_best_threshold (const NpuBest *best)
{
  return best->n == best->n_max ? best->x[best->n - 1] : -INFINITY;
}

/* x exceeds the threshold. Of equal numbers the one that came first stays
 * first. */
static inline void
npu_best_insert (NpuBest *best, float x, int id)
{
  int i = best->n < best->n_max ? best->n++ : best->n - 1;

  for (; i > 0 && x > best->x[i - 1]; i--) {
    best->x[i] = best->x[i - 1];
    best->ids[i] = best->ids[i - 1];
  }
  best->x[i] = x;
  best->ids[i] = id;
}
