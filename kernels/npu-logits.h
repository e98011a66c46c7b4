/* Kernels over a row of logits: maxima and the softmax's logarithm.
 *
 * -INFINITY is what a filter writes where a token may not be.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NPU_LOGITS_MAX_BEST 128

typedef struct {
  /* The index of the largest of x[n], the first of several; NaNs do not count.
   * -1 where nothing is above -INFINITY. */
  int (*argmax) (const float *x, int n);

  /* log (sum of exp (x[n])), within 1e-5 for some 50,000 of any finite x; NaN
   * where x has one. -INFINITY where nothing is above it. */
  float (*log_sum_exp) (const float *x, int n);

  /* Indices of the largest of x[n], at most n_best <= NPU_LOGITS_MAX_BEST of
   * them, in falling order, equal ones by index; NaNs and -INFINITY do not
   * count. Returns how many there are. */
  int (*best) (const float *x, int n, int *ids, int n_best);
} NpuLogitsKernels;

/* Fills the table for a CPU with exactly these flags. */
void npu_logits_init (NpuLogitsKernels *kernels, unsigned cpu_flags);

#ifdef __cplusplus
}
#endif
