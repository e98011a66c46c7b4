/* Products of floats, or of pairs that add up to floats, with AVX-512. The file
 * that includes this one defines Input, Weight and STEP (gemm_tmpl.h), DEPTH,
 * add_product (acc, x, y), all in registers, spread_input (x), STEP
 * inputs in all lanes, and GEMM (name).
 *
 * Where a multiplication of 512 bits takes half a cycle, so does a load, and
 * loads are as scarce as products: a block of 6 rows and 4 registers has 10 for
 * 24 products, where a product that takes its row's input from memory has 28.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/avx512.h"

typedef float Sum;
typedef __m512 Sums;

#define LANES 16
#define VECTORS 4
#define ROWS 6 /* 24 accumulators */
#define PREFETCH 2
#define load_sums _mm512_loadu_ps
#define store_sums _mm512_storeu_ps

#include "x86/gemm_tmpl.h"

NPU_INLINE void
multiply_step (Sums acc[ROWS][VECTORS], const Input *const at[N_BASES], int j,
    ptrdiff_t a_stride, const Weight *b, const int rows)
{
  __m512 y[VECTORS];

  NPU_UNROLLED
  for (int g = 0; g < VECTORS; g++)
    y[g] = _mm512_load_ps (b + g * LANES * STEP);
  NPU_UNROLLED
  for (int i = 0; i < rows; i++) {
    const __m512 x =
        spread_input (at[i / BASE_ROWS] + i % BASE_ROWS * a_stride + j);

    NPU_UNROLLED
    for (int g = 0; g < VECTORS; g++)
      add_product (&acc[i][g], x, y[g]);
  }
}
