/* Linear maps of bytes with constant weights of 8 bits, for vectors of any
 * width: vpdpbusd, and what follows it as soon as a block's sums are there. The
 * file that includes this one includes those of the vectors and defines ROWS
 * (gemm_tmpl.h) and dot_bytes().
 *
 * A block has all inputs: there are no sums that wait for the rest of theirs,
 * and 4 KiB of them at most between the products and what becomes of them. Its
 * weights, 32 KiB for 1024 inputs, come from the second cache for each row
 * block, a line in the time of 12 products.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/finish_tmpl.h"

typedef uint8_t Input;
typedef int8_t Weight;
typedef int32_t Sum;
typedef NpuInts Sums;

#define GEMM(name) NPU_KERNEL (linear_s8_##name)
#define STEP 4
#define VECTORS 2
#define PREFETCH 2

#define load_sums(x) ((NpuInts) npu_load_ints (x))
#define store_sums npu_store_ints

#include "x86/gemm_tmpl.h"

#define finish_block GEMM (finish_block)

NPU_INLINE void
multiply_step (Sums acc[ROWS][VECTORS], const Input *const at[N_BASES], int j,
    ptrdiff_t a_stride, const Weight *b, const int rows)
{
  const NpuVector left = npu_load_ints (b);
  const NpuVector right = npu_load_ints (b + LANES * STEP);

  NPU_UNROLLED
  for (int i = 0; i < rows; i++) {
    const NpuVector x =
        npu_broadcast_32 (at[i / BASE_ROWS] + i % BASE_ROWS * a_stride + j);

    acc[i][0] = dot_bytes (acc[i][0], x, left);
    acc[i][1] = dot_bytes (acc[i][1], x, right);
  }
}

/* What becomes of a panel's sums[rows][PANEL]. */
NPU_INLINE void
finish_panel (float *y, ptrdiff_t y_stride, const Sum *sums,
    const float *row_scale, Operands x, ptrdiff_t residual_stride, int rows,
    const int gelu)
{
  for (int i = 0; i < rows; i++, y += y_stride, sums += PANEL) {
    x.acc = sums;
    x.row_scale = row_scale[i];
    for (int j = 0; j < PANEL; j += LANES)
      finish (y, &x, j, LANES, gelu);
    if (x.residual)
      x.residual += residual_stride;
  }
}

/* Columns from `column` on of rows from `row` on. */
static __attribute__ ((noinline)) void
finish_block (float *y, ptrdiff_t y_stride, const Sum *sums,
    const NpuLinearS8 *linear, int row, int column, int rows)
{
  const NpuEpilogue *epilogue = &linear->epilogue;
  const Operands x = {
      .weight_scale = linear->weight_scale + column,
      .zero_sum = linear->zero_sum + column,
      .bias = epilogue->bias ? epilogue->bias + column : NULL,
      .residual =
          epilogue->residual
              ? epilogue->residual + row * epilogue->residual_stride + column
              : NULL,
  };

  y += row * y_stride + column;
  if (epilogue->gelu == NPU_GELU_EXACT)
    finish_panel (y, y_stride, sums, linear->row_scale + row, x,
        epilogue->residual_stride, rows, NPU_GELU_EXACT);
  else if (epilogue->gelu == NPU_GELU_SHORT)
    finish_panel (y, y_stride, sums, linear->row_scale + row, x,
        epilogue->residual_stride, rows, NPU_GELU_SHORT);
  else
    finish_panel (y, y_stride, sums, linear->row_scale + row, x,
        epilogue->residual_stride, rows, NPU_GELU_NONE);
}

static void
GEMM (run) (float *y, ptrdiff_t y_stride, const uint8_t *a, const void *packed,
    const NpuLinearS8 *linear, int rows, int n, int k)
{
  Sum sums[ROWS * PANEL] __attribute__ ((aligned (64)));

  for (int column = 0; column < n; column += PANEL) {
    const Weight *b = (const Weight *) packed + (size_t) column * k;
    /* At the end those behind, which a caller may want next. */
    const ptrdiff_t ahead = (ptrdiff_t) PANEL * k;
    int i = 0, done, line = 0;

    for (; i < rows; i += done, line = (line + 1) % (LINES / 2)) {
      const Input *from = a + (size_t) i * k;
      const int rest = rows - i;

      done = rest >= ROWS ? ROWS : rest >= LAST_ROWS ? LAST_ROWS : 1;
      if (done == ROWS)
        multiply_all (sums, PANEL, from, k, b, k, 0, ahead + line * 64);
      else if (done == LAST_ROWS)
        multiply_last (sums, PANEL, from, k, b, k, 0, ahead);
      else
        multiply_one (sums, PANEL, from, k, b, k, 0, ahead);
      finish_block (y, y_stride, sums, linear, i, column, done);
    }
  }
}
