/* Few rows of floats, for vectors of any width. The file that includes this
 * one defines ROWS, how many are multiplied at once.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/few_tmpl.h"

#define multiply_f32_all NPU_KERNEL (few_multiply_f32_all)
#define multiply_f32_two NPU_KERNEL (few_multiply_f32_two)
#define multiply_f32_one NPU_KERNEL (few_multiply_f32_one)
#define multiply_f32_last NPU_KERNEL (few_multiply_f32_last)

NPU_INLINE void
multiply_f32 (float *c, ptrdiff_t c_stride, const float *a, ptrdiff_t a_stride,
    const float *weight, int k, const int rows, const int columns)
{
  const size_t size = sizeof (float) * columns;
  const size_t ahead = ahead_of_block (size * (size_t) k);
  Vector acc[ROWS][COLUMNS] = {{{0}}};

  for (int j = 0; j < k; j += LANES) {
    prefetch (weight, ahead + size * (size_t) j, (int) size * LANES);
    for (int g = 0; g < columns; g++) {
      const Vector w = load_vector (weight + (size_t) g * k + j);

      for (int i = 0; i < rows; i++)
        acc[i][g] =
            fma_vector (load_vector (a + i * a_stride + j), w, acc[i][g]);
    }
  }
  for (int i = 0; i < rows; i++) {
    const __m128 sums = sum_four_floats (acc[i]);

    if (columns == COLUMNS)
      _mm_storeu_ps (c + i * c_stride, sums);
    else
      _mm_store_ss (c + i * c_stride, sums);
  }
}

/* Not inlined: each loop has the registers for itself. */
#define MULTIPLY_F32(name, rows, columns)                                      \
  static __attribute__ ((noinline)) void multiply_f32_##name (float *c,        \
      ptrdiff_t c_stride, const float *a, ptrdiff_t a_stride,                  \
      const float *weight, int k)                                              \
  {                                                                            \
    multiply_f32 (c, c_stride, a, a_stride, weight, k, rows, columns);         \
  }

MULTIPLY_F32 (all, ROWS, COLUMNS)
MULTIPLY_F32 (two, 2, COLUMNS)
MULTIPLY_F32 (one, 1, COLUMNS)
MULTIPLY_F32 (last, 1, 1)

static void
NPU_KERNEL (few_dot_f32) (float *c, ptrdiff_t c_stride, const float *a,
    ptrdiff_t a_stride, const float *weight, int rows, int n, int k)
{
  int column = 0;

  for (; column + COLUMNS <= n; column += COLUMNS) {
    const float *w = weight + (size_t) column * k;
    int i = 0;

    for (; i + ROWS <= rows; i += ROWS)
      multiply_f32_all (c + i * c_stride + column, c_stride, a + i * a_stride,
          a_stride, w, k);
    for (; i + 2 <= rows; i += 2)
      multiply_f32_two (c + i * c_stride + column, c_stride, a + i * a_stride,
          a_stride, w, k);
    for (; i < rows; i++)
      multiply_f32_one (c + i * c_stride + column, c_stride, a + i * a_stride,
          a_stride, w, k);
  }
  for (; column < n; column++)
    for (int i = 0; i < rows; i++)
      multiply_f32_last (c + i * c_stride + column, c_stride, a + i * a_stride,
          a_stride, weight + (size_t) column * k, k);
}

/* Keys are wherever they are: the processor foresees none of them. */
#define KEYS_AHEAD 8

NPU_INLINE void
prefetch_row (const float *row)
{
  for (int i = 0; i < DIM * (int) sizeof *row; i += 64)
    _mm_prefetch ((const char *) row + i, _MM_HINT_T0);
}

static void
NPU_KERNEL (few_attend_f32) (NpuAttended *to, const float *q,
    const float *const *keys, ptrdiff_t k_at, ptrdiff_t v_at, int n_keys,
    float scale)
{
  float score[KEYS];
  Vector x[DIM / LANES], o[DIM / LANES];

  for (int g = 0; g < DIM / LANES; g++) {
    x[g] = load_vector (q + g * LANES) * splat (scale * NPU_LOG2E);
    o[g] = (Vector){0};
  }
  for (int i = 0; i < npu_min_int (n_keys, KEYS_AHEAD); i++)
    prefetch_row (keys[i] + k_at);
  for (int i = 0; i < n_keys; i++) {
    const float *k = keys[i] + k_at;
    Vector sum = {0};

    prefetch_row (keys[npu_min_int (i + KEYS_AHEAD, n_keys - 1)] + k_at);
    prefetch_row (keys[i] + v_at);
    for (int g = 0; g < DIM / LANES; g++)
      sum = fma_vector (x[g], load_vector (k + g * LANES), sum);
    score[i] = sum_lanes (sum);
  }
  softmax_of_run (to, score, n_keys);
  for (int i = 0; i < n_keys; i++) {
    const float *v = keys[i] + v_at;
    const Vector weight = splat (score[i]);

    for (int g = 0; g < DIM / LANES; g++)
      o[g] = fma_vector (weight, load_vector (v + g * LANES), o[g]);
  }
  for (int g = 0; g < DIM / LANES; g++)
    store_vector (to->o + g * LANES, o[g]);
}
