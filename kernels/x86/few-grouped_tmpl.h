/* Few rows of 16-bit integers, times weights of 8 bits whose groups have steps
 * of their own; few-ints_tmpl.h includes it.
 *
 * A lane's integers of a group are 4 products at most: below 2^24, so that they
 * are floats exactly.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#define multiply_grouped_two NPU_KERNEL (few_multiply_grouped_two)
#define multiply_grouped_one NPU_KERNEL (few_multiply_grouped_one)
#define multiply_grouped_last NPU_KERNEL (few_multiply_grouped_last)

#define GROUP NPU_FEW_GROUP
#define MAX_GROUPS (NPU_Q8_COLUMNS / GROUP)

/* x times a group's weights, in lanes. */
NPU_INLINE Vector
dot_group (const int16_t *x, const NpuVector w[GROUP / STEP])
{
  NpuInts sum = {0};

  for (int g = 0; g < GROUP / STEP; g++)
    sum = npu_dot_s16 (sum, npu_load_ints (x + g * STEP), w[g]);
  return floats_of ((NpuVector) sum);
}

NPU_INLINE void
multiply_grouped (float *c, ptrdiff_t c_stride, const int16_t *a,
    ptrdiff_t a_stride, const int8_t *weight, const float *steps, int k,
    const int rows, const int columns)
{
  Vector acc[2][COLUMNS] = {{{0}}};

  for (int group = 0; group < k / GROUP; group++) {
    prefetch_ahead (weight, (size_t) columns * group * GROUP, columns * GROUP);
    for (int g = 0; g < columns; g++) {
      const int8_t *from = weight + (size_t) g * k + group * GROUP;
      const Vector step = splat (steps[g * (k / GROUP) + group]);
      NpuVector w[GROUP / STEP];

      for (int i = 0; i < GROUP / STEP; i++)
        w[i] = widen (from + i * STEP);
      for (int i = 0; i < rows; i++)
        acc[i][g] = fma_vector (
            dot_group (a + i * a_stride + group * GROUP, w), step, acc[i][g]);
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
#define MULTIPLY_GROUPED(name, rows, columns)                                  \
  static __attribute__ ((noinline)) void multiply_grouped_##name (float *c,    \
      ptrdiff_t c_stride, const int16_t *a, ptrdiff_t a_stride,                \
      const int8_t *weight, const float *steps, int k)                         \
  {                                                                            \
    multiply_grouped (                                                         \
        c, c_stride, a, a_stride, weight, steps, k, rows, columns);            \
  }

MULTIPLY_GROUPED (two, 2, COLUMNS)
MULTIPLY_GROUPED (one, 1, COLUMNS)
MULTIPLY_GROUPED (last, 1, 1)

/* y[n] = x[n]; past the steps' end nothing is read, and nothing faults. */
NPU_INLINE void
floats_of_steps (float *y, const uint16_t *x, int n)
{
  for (int i = 0; i < n; i += 64 / (int) sizeof *x)
    _mm_prefetch ((const char *) (x + i) + AHEAD / GROUP * 2, _MM_HINT_T0);
  for (int i = 0; i < n; i++)
    y[i] = x[i];
}

static void
NPU_KERNEL (few_dot_grouped) (float *c, ptrdiff_t c_stride, const int16_t *a,
    ptrdiff_t a_stride, const int8_t *weight, const uint16_t *steps, int rows,
    int n, int k)
{
  float of_columns[COLUMNS * MAX_GROUPS];

  for (int column = 0; column < n;) {
    const int columns = n - column < COLUMNS ? 1 : COLUMNS;
    const int8_t *w = weight + (size_t) column * k;
    int i = 0;

    floats_of_steps (of_columns, steps + (size_t) column * (k / GROUP),
        columns * (k / GROUP));
    for (; columns == COLUMNS && i + 2 <= rows; i += 2)
      multiply_grouped_two (c + i * c_stride + column, c_stride,
          a + i * a_stride, a_stride, w, of_columns, k);
    for (; i < rows; i++)
      (columns == COLUMNS ? multiply_grouped_one : multiply_grouped_last) (
          c + i * c_stride + column, c_stride, a + i * a_stride, a_stride, w,
          of_columns, k);
    column += columns;
  }
}
