/* Products of 16-bit integers with AVX-VNNI.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avxvnni

#include "x86/ints-avx2.h"

#define ROWS 6
#define DEPTH 512 /* a panel's weights take 16 KiB */
#define PREFETCH 0

#include "x86/gemm-s16_tmpl.h"

void
npu_gemm_init_s16_avxvnni (NpuKernels *kernels)
{
  kernels->gemm_s16 = GEMM_KERNEL;
}
