/* Linear maps of bytes with AVX-VNNI.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avxvnni

#include "x86/ints-avx2.h"
#include "x86/npu-x86.h"
#include "x86/vector-avx2.h"

#define ROWS 6 /* 12 accumulators */

/* acc + the products of four bytes, x without a sign, in each lane */
NPU_INLINE NpuInts
dot_bytes (NpuInts acc, __m256i x, __m256i y)
{
  return (NpuInts) _mm256_dpbusd_avx_epi32 ((__m256i) acc, x, y);
}

#include "x86/linear-s8_tmpl.h"

void
npu_linear_init_s8_avxvnni (NpuKernels *kernels)
{
  kernels->linear_s8 =
      (NpuLinearKernel){.pack = GEMM (pack), .run = GEMM (run)};
}
