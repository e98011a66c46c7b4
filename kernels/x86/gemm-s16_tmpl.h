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

#define GEMM(name) NPU_KERNEL (gemm_s16_##name)
#define STEP 2
#define LANES ((int) (sizeof (NpuInts) / sizeof (Sum)))
#define PANEL (2 * LANES)

#include "x86/gemm_tmpl.h"

NPU_INLINE void
multiply (Sum *c, ptrdiff_t c_stride, const Input *a, ptrdiff_t a_stride,
    const Weight *b, int k, int add, const int rows)
{
  NpuInts acc[ROWS][2];

  for (int i = 0; i < rows; i++)
    for (int g = 0; g < 2; g++)
      acc[i][g] = (NpuInts){0};
  NPU_TWICE
  for (int j = 0; j < k; j += STEP, b += PANEL * STEP) {
    const NpuVector left = npu_load_ints (b);
    const NpuVector right = npu_load_ints (b + LANES * STEP);

    for (int i = 0; i < rows; i++) {
      const NpuVector x = npu_broadcast_32 (a + i * a_stride + j);

      acc[i][0] = npu_dot_s16 (acc[i][0], x, left);
      acc[i][1] = npu_dot_s16 (acc[i][1], x, right);
    }
  }
  for (int i = 0; i < rows; i++)
    for (int g = 0; g < 2; g++) {
      Sum *to = c + i * c_stride + g * LANES;

      if (add)
        acc[i][g] += (NpuInts) npu_load_ints (to);
      npu_store_ints (to, acc[i][g]);
    }
}
