/* Few rows of floats with AVX-512.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512

#include "x86/vector-avx512.h"

#define ROWS 4

#include "x86/few-f32_tmpl.h"

void
npu_few_init_avx512 (NpuFewKernels *kernels)
{
  kernels->dot_f32 = NPU_KERNEL (few_dot_f32);
  kernels->attend_f32 = NPU_KERNEL (few_attend_f32);
}
