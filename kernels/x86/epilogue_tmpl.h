/* What follows a matrix product, for vectors of any width (vector-avx2.h,
 * vector-avx512.h): one pass over the tile.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/finish_tmpl.h"

static void
NPU_KERNEL (gelu_f32) (float *y, const float *x, size_t n)
{
  size_t i = 0;

  for (; i + LANES <= n; i += LANES)
    store_vector (y + i, gelu_vector (load_vector (x + i)));
  if (i < n) {
    const int rest = (int) (n - i);

    store_first (y + i, gelu_vector (load_first (x + i, rest)), rest);
  }
}

static void
NPU_KERNEL (epilogue_f32) (float *y, ptrdiff_t y_stride, const float *acc,
    ptrdiff_t acc_stride, const NpuEpilogue *epilogue, int rows, int n)
{
  const Operands x = {.acc = acc};

  finish_rows_for (y, y_stride, acc_stride, NULL, x, epilogue, rows, n);
}

static void
NPU_KERNEL (epilogue_s32) (float *y, ptrdiff_t y_stride, const int32_t *acc,
    ptrdiff_t acc_stride, const float *row_scale, const float *weight_scale,
    const int32_t *zero_sum, const NpuEpilogue *epilogue, int rows, int n)
{
  const Operands x = {
      .acc = acc, .weight_scale = weight_scale, .zero_sum = zero_sum};

  finish_rows_for (y, y_stride, acc_stride, row_scale, x, epilogue, rows, n);
}
