/* Products of 16-bit integers with AVX-512 VNNI.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512vnni

#include "x86/ints-avx512.h"

#define ROWS 12   /* 24 accumulators */
#define DEPTH 256 /* a panel's weights take 16 KiB */
#define PREFETCH 0

#include "x86/gemm-s16_tmpl.h"

void
npu_gemm_init_s16_avx512vnni (NpuKernels *kernels)
{
  kernels->gemm_s16 = GEMM_KERNEL;
}
