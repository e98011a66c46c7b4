/* Few rows of 16-bit integers, times weights of 8 and 16 bits, for vectors of
 * any width. The file that includes this one includes those of the vectors of
 * integers and of floats, and defines ROWS, how many are multiplied at once,
 * widen (x), the next bytes as a vector of 16 bits, splat_s16 (x), scaled (x,
 * factor), the next bytes times a factor with 7 bits below the point, fold_ints
 * (v), the sums of its halves, and floats_of (v), its 32-bit lanes as floats.
 *
 * Where sums of integers pass through lanes they wrap around: only the whole
 * needs to fit.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/few_tmpl.h"

#define multiply_s8_all NPU_KERNEL (few_multiply_s8_all)
#define multiply_s8_two NPU_KERNEL (few_multiply_s8_two)
#define multiply_s8_one NPU_KERNEL (few_multiply_s8_one)
#define multiply_s8_last NPU_KERNEL (few_multiply_s8_last)
#define multiply_s16_all NPU_KERNEL (few_multiply_s16_all)
#define multiply_s16_two NPU_KERNEL (few_multiply_s16_two)
#define multiply_s16_one NPU_KERNEL (few_multiply_s16_one)
#define multiply_s16_last NPU_KERNEL (few_multiply_s16_last)
#define multiply_unpacked_all NPU_KERNEL (few_multiply_unpacked_all)
#define multiply_unpacked_two NPU_KERNEL (few_multiply_unpacked_two)
#define multiply_unpacked_one NPU_KERNEL (few_multiply_unpacked_one)

#define STEP (2 * LANES) /* 16-bit integers of a vector */

NPU_INLINE __m128i
sum_four_ints (const NpuInts v[4])
{
  const __m256i t =
      _mm256_hadd_epi32 (_mm256_hadd_epi32 (fold_ints (v[0]), fold_ints (v[1])),
          _mm256_hadd_epi32 (fold_ints (v[2]), fold_ints (v[3])));

  return _mm_add_epi32 (
      _mm256_castsi256_si128 (t), _mm256_extracti128_si256 (t, 1));
}

NPU_INLINE void
store_sums (int32_t *c, const NpuInts acc[COLUMNS], const int columns)
{
  const __m128i sums = sum_four_ints (acc);

  if (columns == COLUMNS)
    _mm_storeu_si128 ((__m128i *) c, sums);
  else
    *c = _mm_cvtsi128_si32 (sums);
}

/* Where weights are. */
enum {
  FROM_S8,       /* [columns][k] bytes */
  FROM_S16,      /* [columns][k] of 16 bits */
  FROM_UNPACKED, /* [k / STEP][columns][STEP] of those, in the first cache */
};

NPU_INLINE NpuVector
load_weights (const void *weight, int column, int j, int k, const int from)
{
  const size_t at = (size_t) column * k + j;

  switch (from) {
    case FROM_S8:
      return widen ((const int8_t *) weight + at);
    case FROM_S16:
      return npu_load_ints ((const int16_t *) weight + at);
    default:
      return npu_load_ints (
          (const int16_t *) weight + j * COLUMNS + column * STEP);
  }
}

NPU_INLINE void
multiply_ints (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
    ptrdiff_t a_stride, const void *weight, int k, const int from,
    const int rows, const int columns)
{
  const int bytes = from == FROM_S8 ? 1 : 2;
  const size_t ahead = ahead_of_block ((size_t) bytes * columns * k);
  NpuInts acc[ROWS][COLUMNS];

  for (int i = 0; i < rows; i++)
    for (int g = 0; g < COLUMNS; g++)
      acc[i][g] = (NpuInts){0};
  for (int j = 0; j < k; j += STEP) {
    if (from != FROM_UNPACKED)
      prefetch (
          weight, ahead + (size_t) bytes * columns * j, bytes * columns * STEP);
    for (int g = 0; g < columns; g++) {
      const NpuVector w = load_weights (weight, g, j, k, from);

      for (int i = 0; i < rows; i++)
        acc[i][g] =
            npu_dot_s16 (acc[i][g], npu_load_ints (a + i * a_stride + j), w);
    }
  }
  for (int i = 0; i < rows; i++)
    store_sums (c + i * c_stride, acc[i], columns);
}

/* Not inlined: each loop has the registers for itself. */
#define MULTIPLY_INTS(name, from, rows, columns)                               \
  static __attribute__ ((noinline)) void multiply_##name (int32_t *c,          \
      ptrdiff_t c_stride, const int16_t *a, ptrdiff_t a_stride,                \
      const void *weight, int k)                                               \
  {                                                                            \
    multiply_ints (c, c_stride, a, a_stride, weight, k, from, rows, columns);  \
  }

typedef void (*MultiplyFunc) (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
    ptrdiff_t a_stride, const void *weight, int k);

MULTIPLY_INTS (s8_all, FROM_S8, ROWS, COLUMNS)
MULTIPLY_INTS (s8_two, FROM_S8, 2, COLUMNS)
MULTIPLY_INTS (s8_one, FROM_S8, 1, COLUMNS)
MULTIPLY_INTS (s8_last, FROM_S8, 1, 1)
MULTIPLY_INTS (s16_all, FROM_S16, ROWS, COLUMNS)
MULTIPLY_INTS (s16_two, FROM_S16, 2, COLUMNS)
MULTIPLY_INTS (s16_one, FROM_S16, 1, COLUMNS)
MULTIPLY_INTS (s16_last, FROM_S16, 1, 1)
MULTIPLY_INTS (unpacked_all, FROM_UNPACKED, ROWS, COLUMNS)
MULTIPLY_INTS (unpacked_two, FROM_UNPACKED, 2, COLUMNS)
MULTIPLY_INTS (unpacked_one, FROM_UNPACKED, 1, COLUMNS)

/* Any rows, times a block of columns. */
NPU_INLINE void
multiply_rows (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
    ptrdiff_t a_stride, const void *weight, int rows, int k, MultiplyFunc all,
    MultiplyFunc two, MultiplyFunc one)
{
  int i = 0;

  for (; i + ROWS <= rows; i += ROWS)
    all (c + i * c_stride, c_stride, a + i * a_stride, a_stride, weight, k);
  for (; i + 2 <= rows; i += 2)
    two (c + i * c_stride, c_stride, a + i * a_stride, a_stride, weight, k);
  for (; i < rows; i++)
    one (c + i * c_stride, c_stride, a + i * a_stride, a_stride, weight, k);
}

NPU_INLINE void
dot_ints (int32_t *c, ptrdiff_t c_stride, const int16_t *a, ptrdiff_t a_stride,
    const char *weight, int rows, int n, size_t row_size, int k,
    MultiplyFunc all, MultiplyFunc two, MultiplyFunc one, MultiplyFunc last)
{
  int column = 0;

  for (; column + COLUMNS <= n; column += COLUMNS)
    multiply_rows (c + column, c_stride, a, a_stride,
        weight + (size_t) column * row_size, rows, k, all, two, one);
  for (; column < n; column++)
    for (int i = 0; i < rows; i++)
      last (c + i * c_stride + column, c_stride, a + i * a_stride, a_stride,
          weight + (size_t) column * row_size, k);
}

static void
NPU_KERNEL (few_dot_s8) (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
    ptrdiff_t a_stride, const int8_t *weight, int rows, int n, int k)
{
  dot_ints (c, c_stride, a, a_stride, (const char *) weight, rows, n,
      (size_t) k, k, multiply_s8_all, multiply_s8_two, multiply_s8_one,
      multiply_s8_last);
}

static void
NPU_KERNEL (few_dot_s16) (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
    ptrdiff_t a_stride, const int16_t *weight, int rows, int n, int k)
{
  dot_ints (c, c_stride, a, a_stride, (const char *) weight, rows, n,
      (size_t) k * sizeof *weight, k, multiply_s16_all, multiply_s16_two,
      multiply_s16_one, multiply_s16_last);
}

#include "x86/few-grouped_tmpl.h"

/* --- attention */

/* The sums of four keys, the last of them again where there are less. */
NPU_INLINE void
dot_four_keys (
    int32_t *sums, const NpuVector x[DIM / STEP], const int8_t *k, const int n)
{
  NpuInts acc[4];

  for (int i = 0; i < 4; i++) {
    const int8_t *key = k + npu_min_int (i, n - 1) * DIM;

    acc[i] = (NpuInts){0};
    for (int g = 0; g < DIM / STEP; g++)
      acc[i] = npu_dot_s16 (acc[i], x[g], widen (key + g * STEP));
  }
  _mm_storeu_si128 ((__m128i *) sums, sum_four_ints (acc));
}

/* Exact sums q k^T, in whole fours. What is needed behind keys, their scales
 * and values, is asked for in time, too. */
NPU_INLINE void
dot_keys (int32_t *sums, const int16_t *q, const int8_t *k,
    const float *k_scale, const int8_t *v, const float *v_scale, int n_keys)
{
  const ptrdiff_t size = (ptrdiff_t) n_keys * DIM;
  NpuVector x[DIM / STEP];
  int first = 0;

  for (int g = 0; g < DIM / STEP; g++)
    x[g] = npu_load_ints (q + g * STEP);
  for (; first + 4 <= n_keys; first += 4) {
    prefetch_ahead (first * DIM + AHEAD < size ? k : v - size,
        (size_t) first * DIM, 4 * DIM);
    prefetch (k_scale, sizeof *k_scale * (size_t) first, 4);
    prefetch (v_scale, sizeof *v_scale * (size_t) first, 4);
    dot_four_keys (sums + first, x, k + first * DIM, 4);
  }
  if (first < n_keys)
    dot_four_keys (sums + first, x, k + first * DIM, n_keys - first);
}

/* weight[n] = round (score v_scale / step), the largest of which is 2^15 - 1
 * steps; returns the step. */
NPU_INLINE float
weights_s16 (int16_t *weight, float *score, const float *v_scale, int n)
{
  Vector max = {0}, inverse;
  float largest;

  for (int i = 0; i < n; i += LANES) {
    const Vector t = load_vector (score + i) * load_first (v_scale + i, n - i);

    store_vector (score + i, t);
    max = max_vector (t, max);
  }
  largest = max_lanes (max);
  inverse = splat (largest < NPU_S16_SMALLEST ? 0.0f : INT16_MAX / largest);
  for (int i = 0; i < n; i += LANES)
    store_s16 (weight + i, load_vector (score + i) * inverse);
  return largest / INT16_MAX;
}

static void
NPU_KERNEL (few_attend_s8) (NpuAttended *to, const int16_t *q, const int8_t *k,
    const float *k_scale, const int8_t *v, const float *v_scale, int n_keys,
    float scale)
{
  int32_t sums[KEYS];
  float score[KEYS], step;
  int16_t weight[KEYS + LANES];
  NpuInts acc[2 * DIM / STEP];

  dot_keys (sums, q, k, k_scale, v, v_scale, n_keys);
  for (int i = 0; i < n_keys; i += LANES)
    store_vector (score + i, floats_of (npu_load_ints (sums + i)) *
                                 load_first (k_scale + i, n_keys - i) *
                                 splat (scale * NPU_LOG2E));
  softmax_of_run (to, score, n_keys);
  step = weights_s16 (weight, score, v_scale, n_keys);
  weight[n_keys] = 0;

  for (int g = 0; g < 2 * DIM / STEP; g++)
    acc[g] = (NpuInts){0};
  for (int i = 0; i < n_keys; i += 2) {
    const NpuVector pair = npu_broadcast_32 (weight + i);

    prefetch_ahead (v, (size_t) i * DIM, 2 * DIM);
    for (int g = 0; g < 2 * DIM / STEP; g++)
      acc[g] = npu_dot_s16 (acc[g], pair, widen (v + i * DIM + g * STEP));
  }
  for (int g = 0; g < 2 * DIM / STEP; g++)
    store_vector (
        to->o + g * LANES, floats_of ((NpuVector) acc[g]) * splat (step));
}
