/* Layer normalisation, rotation and 8-bit quantisation of rows, for vectors of
 * any width (vector-avx2.h, vector-avx512.h). The file that includes this one
 * defines quantise_64 (y, x, inverse): 64 floats to bytes, which are
 * round (x inverse) + NPU_Q8_ZERO; and store_s16 (y, v, n): the first n of
 * LANES floats of v, rounded to 16 bits.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-rotate.h"

#include <math.h>
#include <string.h>

/* --- layer normalisation */

/* Mean and 1 / sqrt (variance + eps) of x[d]. */
NPU_INLINE void
moments (const float *x, int d, float eps, Vector *mean, Vector *inverse_std)
{
  const float weight = 1.0f / (float) d;
  const int blocks = d / (4 * LANES) * (4 * LANES);
  Vector sums[4] = {0}, squares[4] = {0};
  float variance;

  for (int j = 0; j < blocks; j += 4 * LANES)
    for (int i = 0; i < 4; i++)
      sums[i] += load_vector (x + j + i * LANES);
  for (int j = blocks; j < d; j += LANES)
    sums[0] += load_first (x + j, d - j);
  *mean = splat (sum_lanes (sums[0] + sums[1] + (sums[2] + sums[3])) * weight);

  for (int j = 0; j < blocks; j += 4 * LANES)
    for (int i = 0; i < 4; i++) {
      const Vector t = load_vector (x + j + i * LANES) - *mean;
      squares[i] = fma_vector (t, t, squares[i]);
    }
  for (int j = blocks; j < d; j += LANES) {
    const Vector t = first_lanes (load_first (x + j, d - j) - *mean, d - j);
    squares[0] = fma_vector (t, t, squares[0]);
  }
  variance =
      sum_lanes (squares[0] + squares[1] + (squares[2] + squares[3])) * weight;
  *inverse_std = splat (1.0f / sqrtf (variance + eps));
}

/* A row, and what it becomes before anything else is done with it. */
typedef struct {
  const float *x;
  const float *factor;      /* the rotation's signs, or gamma with them */
  const float *term;        /* beta; NULL: the row is not normalised */
  Vector mean, inverse_std; /* for that */
} Row;

NPU_INLINE Row
normalised_row (
    const float *x, const float *gamma, const float *beta, float eps, int d)
{
  Row row = {.x = x, .factor = gamma, .term = beta};

  moments (x, d, eps, &row.mean, &row.inverse_std);
  return row;
}

/* LANES columns, n of which there are. */
NPU_INLINE Vector
row_at (const Row *row, int j, int n)
{
  const Vector t = load_first (row->x + j, n);
  const Vector factor = load_first (row->factor + j, n);

  if (!row->term)
    return t * factor;
  return fma_vector ((t - row->mean) * row->inverse_std, factor,
      load_first (row->term + j, n));
}

static void
NPU_KERNEL (layernorm_f32) (float *y, ptrdiff_t y_stride, const float *x,
    ptrdiff_t x_stride, const float *gamma, const float *beta, float eps,
    int rows, int d)
{
  for (int i = 0; i < rows; i++, x += x_stride, y += y_stride) {
    const Row row = normalised_row (x, gamma, beta, eps, d);
    int j = 0;

    for (; j + LANES <= d; j += LANES)
      store_vector (y + j, row_at (&row, j, LANES));
    if (j < d)
      store_first (y + j, row_at (&row, j, d - j), d - j);
  }
}

/* --- rotation */

/* One pass of the Hadamard transform: log2 (radix) of its steps, the first
 * between columns @apart; of x[n], or the first one of a row into x. Returns
 * the largest magnitudes if they are wanted, else zeros. */
NPU_INLINE Vector
hadamard_pass (float *x, const Row *row, int n, int apart, const int radix,
    const int want_max)
{
  Vector max[4] = {0};

  for (int i = 0; i < n; i += radix * apart)
    for (int j = i; j < i + apart; j += LANES) {
      Vector t[8];

      for (int k = 0; k < radix; k++)
        t[k] = row ? row_at (row, j + k * apart, LANES)
                   : load_vector (x + j + k * apart);
      for (int step = 1; step < radix; step *= 2)
        for (int k = 0; k < radix; k++)
          if (!(k & step)) {
            const Vector a = t[k], b = t[k + step];
            t[k] = a + b;
            t[k + step] = a - b;
          }
      for (int k = 0; k < radix; k++) {
        store_vector (x + j + k * apart, t[k]);
        if (want_max)
          max[k % 4] = max_abs (max[k % 4], t[k]);
      }
    }
  return max_abs (max_abs (max[0], max[1]), max_abs (max[2], max[3]));
}

/* The reflection across blocks. Returns the largest magnitudes. */
NPU_INLINE Vector
reflect (float *x, int n, int block)
{
  const Vector weight = splat (2.0f / (float) (n / block));
  Vector max = {0};

  for (int j = 0; j < block; j += LANES) {
    Vector mean = {0}, largest = {0};

    for (int i = j; i < n; i += block)
      mean += load_vector (x + i);
    mean *= weight;
    for (int i = j; i < n; i += block) {
      const Vector t = load_vector (x + i) - mean;

      store_vector (x + i, t);
      largest = max_abs (largest, t);
    }
    max = max_abs (max, largest);
  }
  return max;
}

/* x[n] = the row, rotated. Returns the largest magnitudes. */
NPU_INLINE Vector
rotate (float *x, const Row *row, int n)
{
  const int block = npu_rotation_block (n);
  int apart = 8 * NPU_ROTATE_LANES;
  Vector max = {0};

  if (block < apart) {
    apart = 4 * NPU_ROTATE_LANES; /* n is a multiple of as many */
    max = hadamard_pass (x, row, n, NPU_ROTATE_LANES, 4, 1);
  } else {
    max = hadamard_pass (x, row, n, NPU_ROTATE_LANES, 8, 1);
  }
  for (; 8 * apart < block; apart *= 8)
    hadamard_pass (x, NULL, n, apart, 8, 0);
  if (8 * apart == block)
    max = hadamard_pass (x, NULL, n, apart, 8, 1);
  else if (4 * apart == block)
    max = hadamard_pass (x, NULL, n, apart, 4, 1);
  else if (2 * apart == block)
    max = hadamard_pass (x, NULL, n, apart, 2, 1);
  return block < n ? reflect (x, n, block) : max;
}

/* --- quantisation */

/* y[n] = the row, rotated and quantised; returns its scale. */
NPU_INLINE float
rotate_and_quantise (uint8_t *y, const Row *row, int n)
{
  float x[NPU_Q8_COLUMNS] __attribute__ ((aligned (64)));
  const float largest = max_lanes (rotate (x, row, n));
  const int is_zero = largest < NPU_Q8_SMALLEST;
  const Vector inverse = splat (is_zero ? 0.0f : NPU_Q8_LEVELS / largest);

  for (int j = 0; j < n; j += 64)
    quantise_64 (y + j, x + j, inverse);
  return is_zero ? 0.0f : largest / NPU_Q8_LEVELS;
}

static void
NPU_KERNEL (layernorm_q8) (uint8_t *y, float *scale, const float *x,
    ptrdiff_t x_stride, const float *gamma, const float *beta, float eps,
    int rows, int d)
{
  for (int i = 0; i < rows; i++, x += x_stride, y += d) {
    const Row row = normalised_row (x, gamma, beta, eps, d);

    scale[i] = rotate_and_quantise (y, &row, d);
  }
}

static void
NPU_KERNEL (quantize_q8) (uint8_t *y, float *scale, const float *x,
    ptrdiff_t x_stride, const float *column_scale, int rows, int k)
{
  for (int i = 0; i < rows; i++, x += x_stride, y += k) {
    const Row row = {.x = x, .factor = column_scale};

    scale[i] = rotate_and_quantise (y, &row, k);
  }
}

/* The Euclidean norm of x[n] is *largest, of its magnitudes, times what is
 * returned: so nothing overflows. */
NPU_INLINE float
relative_norm (const float *x, int n, float *largest)
{
  Vector max = {0}, sum = {0}, inverse;

  for (int j = 0; j < n; j += LANES)
    max = max_abs (max, load_first (x + j, n - j));
  *largest = max_lanes (max);
  inverse = splat (1.0f / *largest);
  for (int j = 0; j < n; j += LANES) {
    const Vector t = load_first (x + j, n - j) * inverse;

    sum = fma_vector (t, t, sum);
  }
  return sqrtf (sum_lanes (sum));
}

static void
NPU_KERNEL (quantize_s16) (int16_t *y, float *scale, const float *x,
    ptrdiff_t x_stride, int rows, int k)
{
  for (int i = 0; i < rows; i++, x += x_stride, y += k) {
    float largest, inverse;
    const float norm = relative_norm (x, k, &largest);

    scale[i] = npu_s16_scale (x, k, largest, norm, &inverse);
    if (inverse == 0.0f)
      memset (y, 0, (size_t) k * sizeof *y);
    else
      for (int j = 0; j < k; j += LANES)
        store_s16 (y + j, load_first (x + j, k - j) * splat (inverse), k - j);
  }
}
