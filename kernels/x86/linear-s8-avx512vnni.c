/* Linear maps of bytes with AVX-512 VNNI.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512vnni

#include "x86/ints-avx512.h"
#include "x86/npu-x86.h"
#include "x86/vector-avx512.h"

#define ROWS 12 /* 24 accumulators */

/* acc + the products of four bytes, x without a sign, in each lane */
NPU_INLINE NpuInts
dot_bytes (NpuInts acc, __m512i x, __m512i y)
{
  return (NpuInts) _mm512_dpbusd_epi32 ((__m512i) acc, x, y);
}

#include "x86/linear-s8_tmpl.h"

void
npu_linear_init_s8_avx512vnni (NpuKernels *kernels)
{
  kernels->linear_s8 =
      (NpuLinearKernel){.pack = GEMM (pack), .run = GEMM (run)};
}
