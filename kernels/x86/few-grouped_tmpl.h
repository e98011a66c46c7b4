/* Few rows of 16-bit integers, times weights of 8 bits whose groups have
 * factors of their own; few-ints_tmpl.h includes it. A weight and its factor
 * become 16 bits in a register, and from there on all is exact.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#define multiply_grouped_all NPU_KERNEL (few_multiply_grouped_all)
#define multiply_grouped_two NPU_KERNEL (few_multiply_grouped_two)
#define multiply_grouped_one NPU_KERNEL (few_multiply_grouped_one)
#define multiply_grouped_last NPU_KERNEL (few_multiply_grouped_last)

#define GROUP NPU_FEW_GROUP

/* A block of columns in 16 bits, for the rows that follow. */
typedef int16_t Unpacked[COLUMNS * NPU_Q8_COLUMNS];

/* Keeps the 16-bit weights in @unpacked, where that is not NULL. */
NPU_INLINE void
multiply_grouped (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
    ptrdiff_t a_stride, const int8_t *weight, const int16_t *factors, int k,
    int16_t *unpacked, const int rows, const int columns)
{
  const int n_groups = k / GROUP;
  const size_t ahead = ahead_of_block ((size_t) columns * k);
  NpuInts acc[ROWS][COLUMNS];

  for (int i = 0; i < rows; i++)
    for (int g = 0; g < COLUMNS; g++)
      acc[i][g] = (NpuInts){0};
  for (int group = 0; group < n_groups; group++) {
    const int first = group * GROUP;

    prefetch (weight, ahead + (size_t) columns * first, columns * GROUP);
    for (int g = 0; g < columns; g++) {
      const NpuVector factor = splat_s16 (factors[g * n_groups + group]);

      for (int j = first; j < first + GROUP; j += STEP) {
        const NpuVector w = scaled (weight + (size_t) g * k + j, factor);

        if (unpacked)
          npu_store_ints (unpacked + j * COLUMNS + g * STEP, (NpuInts) w);
        for (int i = 0; i < rows; i++)
          acc[i][g] =
              npu_dot_s16 (acc[i][g], npu_load_ints (a + i * a_stride + j), w);
      }
    }
  }
  for (int i = 0; i < rows; i++)
    store_sums (c + i * c_stride, acc[i], columns);
}

/* Not inlined: each loop has the registers for itself. */
#define MULTIPLY_GROUPED(name, unpacked, rows, columns)                        \
  static __attribute__ ((noinline)) void multiply_grouped_##name (int32_t *c,  \
      ptrdiff_t c_stride, const int16_t *a, ptrdiff_t a_stride,                \
      const int8_t *weight, const int16_t *factors, int k, int16_t *to)        \
  {                                                                            \
    multiply_grouped (c, c_stride, a, a_stride, weight, factors, k, unpacked,  \
        rows, columns);                                                        \
  }

MULTIPLY_GROUPED (all, to, ROWS, COLUMNS)
MULTIPLY_GROUPED (two, NULL, 2, COLUMNS)
MULTIPLY_GROUPED (one, NULL, 1, COLUMNS)
MULTIPLY_GROUPED (last, NULL, 1, 1)

/* Past the factors' end nothing is read, and nothing faults. */
NPU_INLINE void
prefetch_factors (const int16_t *factors, int n)
{
  const size_t ahead = ahead_of_block ((size_t) n * GROUP) / GROUP;

  prefetch (factors + ahead, 0, n * (int) sizeof *factors);
}

static void
NPU_KERNEL (few_dot_grouped) (int32_t *c, ptrdiff_t c_stride, const int16_t *a,
    ptrdiff_t a_stride, const int8_t *weight, const int16_t *factors, int rows,
    int n, int k)
{
  Unpacked unpacked;
  int column = 0;

  for (; column + COLUMNS <= n; column += COLUMNS, weight += COLUMNS * k,
       factors += COLUMNS * (k / GROUP)) {
    prefetch_factors (factors, COLUMNS * (k / GROUP));
    if (rows >= ROWS) {
      multiply_grouped_all (
          c + column, c_stride, a, a_stride, weight, factors, k, unpacked);
      multiply_rows (c + ROWS * c_stride + column, c_stride,
          a + ROWS * a_stride, a_stride, unpacked, rows - ROWS, k,
          multiply_unpacked_all, multiply_unpacked_two, multiply_unpacked_one);
      continue;
    }
    for (int i = 0; i + 2 <= rows; i += 2)
      multiply_grouped_two (c + i * c_stride + column, c_stride,
          a + i * a_stride, a_stride, weight, factors, k, NULL);
    if (rows % 2)
      multiply_grouped_one (c + (rows - 1) * c_stride + column, c_stride,
          a + (rows - 1) * a_stride, a_stride, weight, factors, k, NULL);
  }
  for (; column < n; column++, weight += k, factors += k / GROUP)
    for (int i = 0; i < rows; i++)
      multiply_grouped_last (c + i * c_stride + column, c_stride,
          a + i * a_stride, a_stride, weight, factors, k, NULL);
}
