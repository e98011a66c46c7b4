/* Kernels for few rows: what a decoder's step does with one row or a handful,
 * where the bytes of weights and caches are what takes the time.
 *
 * A row's results are the same bytes whatever other rows are beside it: sums
 * of integers are exact, those of floats run in an order that only the inner
 * size decides.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Inner sizes are multiples of this. */
#define NPU_FEW_DEPTH 64

/* Weights that share a factor. Those of a file in Q8_0 do, too, so that its
 * 8 bits are not rounded again. */
#define NPU_FEW_GROUP 32

/* The norm of a row in groups, as 16-bit weights. Rounding to 8 bits adds
 * sqrt (32) / 2 steps of a group to it, 2.3 % at most, and so sums of products
 * with a row of NPU_S16_NORM stay below 2^31. */
#define NPU_GROUPED_NORM 60000.0

/* The most keys of one call: so that weights of 15 bits times values of 8 stay
 * below 2^31 in sum. Longer caches are cut at fixed places. */
#define NPU_FEW_KEYS 512

/* What one query found in one run of keys (Dao et al., flash decoding): with
 * scores s in powers of two, sum = sum of exp2 (s - max), o = the same sum of
 * values. */
typedef struct {
  float o[NPU_HEAD_DIM];
  float max, sum;
} NpuAttended;

typedef struct {
  /* c[rows][n] = a[rows][k] weight[n][k]^T, exactly; strides in elements. Rows
   * of a are as quantize_s16 makes them, so that no sum exceeds 31 bits where
   * k <= NPU_Q8_COLUMNS. */
  void (*dot_s8) (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
      ptrdiff_t a_stride, const int8_t *weight, int rows, int n, int k);

  /* The same of 16-bit weights, whose rows are made likewise. */
  void (*dot_s16) (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
      ptrdiff_t a_stride, const int16_t *weight, int rows, int n, int k);

  /* The same of 8-bit weights whose groups have factors[n][k / NPU_FEW_GROUP],
   * as npu_few_quantize_grouped makes them: of 16-bit weights that are each
   * round (weight factor / 2^7), halves upwards. */
  void (*dot_grouped) (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
      ptrdiff_t a_stride, const int8_t *weight, const int16_t *factors,
      int rows, int n, int k);

  /* The same of floats. */
  void (*dot_f32) (float *c, ptrdiff_t c_stride, const float *a,
      ptrdiff_t a_stride, const float *weight, int rows, int n, int k);

  /* One query q[64] over n_keys, 1 to NPU_FEW_KEYS: key i is at keys[i] +
   * k_at, its value at keys[i] + v_at. Scores are scale * q k^T. */
  void (*attend_f32) (NpuAttended *to, const float *q, const float *const *keys,
      ptrdiff_t k_at, ptrdiff_t v_at, int n_keys, float scale);

  /* The same of integers: q is a 16-bit row, k[n_keys][64] with a scale for
   * each, v[n_keys / 2][64][2], where a last odd key has one beside it that is
   * zeros. scale is the softmax's times the query's. */
  void (*attend_s8) (NpuAttended *to, const int16_t *q, const int8_t *k,
      const float *k_scale, const int8_t *v, const float *v_scale, int n_keys,
      float scale);

  /* y[k] = round (x / scale), k a multiple of NPU_FEW_DEPTH; returns the scale:
   * the largest magnitude is 127 steps. Zeros where x is; NaN where x has one
   * or an infinity. The same bytes in every table. */
  float (*quantize_s8) (int8_t *y, const float *x, int k);
} NpuFewKernels;

/* o[64] = the softmax's result of n_runs runs of keys, in their order. */
void npu_attended_join (float *o, const NpuAttended *runs, int n_runs);

/* quantize_s8 by groups: x is about y factors[k / NPU_FEW_GROUP] / 2^7 times
 * the scale that is returned. A group's largest magnitude is 127 in y, and so y
 * is the file's where x comes from Q8_0; factors have 15 bits, and those of
 * groups far below the row's largest fewer. No sum of products with a row of
 * quantize_s16 exceeds 31 bits. */
float npu_few_quantize_grouped (
    int8_t *y, int16_t *factors, const float *x, int k);

/* Fills the table for a CPU with exactly these flags. */
void npu_few_init (NpuFewKernels *kernels, unsigned cpu_flags);

#ifdef __cplusplus
}
#endif
