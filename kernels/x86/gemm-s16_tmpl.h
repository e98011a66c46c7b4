/* Products of 16-bit integers with constant weights of 16 bits, for vectors of
 * any width. The file that includes this one includes that of the vectors and
 * defines ROWS, DEPTH and PREFETCH (gemm_tmpl.h).
 *
 * Without VNNI these are as fast as vpmaddwd and vpaddd can go, 1.5 times as
 * fast as float on Zen 3; with it twice.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

typedef int16_t Input;
typedef int16_t Weight;
typedef int32_t Sum;
typedef NpuInts Sums;

#define GEMM(name) NPU_KERNEL (gemm_s16_##name)
#define STEP 2
#define LANES ((int) (sizeof (NpuInts) / sizeof (Sum)))
#define VECTORS 2

#define load_sums(x) ((NpuInts) npu_load_ints (x))
#define store_sums npu_store_ints

#include "x86/gemm_tmpl.h"

#ifndef add_product
NPU_INLINE void
add_product (NpuInts *acc, NpuVector x, NpuVector y)
{
  *acc = npu_dot_s16 (*acc, x, y);
}
#endif

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

    add_product (&acc[i][0], x, left);
    add_product (&acc[i][1], x, right);
  }
}
