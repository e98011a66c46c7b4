/* Products of 16-bit integers with AVX2.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx2

#include "x86/ints-avx2.h"

/* *acc += x[0] y[0] + x[1] y[1] in each lane. Of integers a compiler would add
 * the products of some steps first, and keep them in memory until then. */
NPU_INLINE void
add_in_turn (NpuInts *acc, __m256i x, __m256i y)
{
  __asm__("vpaddd %1, %0, %0" : "+x"(*acc) : "x"(_mm256_madd_epi16 (x, y)));
}

#define ROWS 6
#define DEPTH 512 /* a panel's weights take 16 KiB */
#define PREFETCH 1
#define add_product add_in_turn

#include "x86/gemm-s16_tmpl.h"

void
npu_gemm_init_s16_avx2 (NpuKernels *kernels)
{
  kernels->gemm_s16 = GEMM_KERNEL;
}
