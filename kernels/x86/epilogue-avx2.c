/* What follows a matrix product, with AVX2.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "x86/npu-x86.h"
#include "x86/vector-avx2.h"

#include "x86/epilogue.h"

void
npu_epilogue_init_avx2 (NpuKernels *kernels)
{
  kernels->gelu_f32 = gelu_f32;
  kernels->epilogue_f32 = epilogue_f32;
  kernels->epilogue_s32 = epilogue_s32;
}
