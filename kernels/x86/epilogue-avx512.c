/* What follows a matrix product, with AVX-512.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512

#include "x86/npu-x86.h"
#include "x86/vector-avx512.h"

#include "x86/epilogue_tmpl.h"

void
npu_epilogue_init_avx512 (NpuKernels *kernels)
{
  kernels->gelu_f32 = NPU_KERNEL (gelu_f32);
  kernels->epilogue_f32 = NPU_KERNEL (epilogue_f32);
  kernels->epilogue_s32 = NPU_KERNEL (epilogue_s32);
}
