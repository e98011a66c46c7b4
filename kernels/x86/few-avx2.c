/* Few rows with AVX2.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx2

#include "x86/few-ints-avx2_tmpl.h"

#include "x86/few-f32_tmpl.h"

void
npu_few_init_avx2 (NpuFewKernels *kernels)
{
  *kernels = (NpuFewKernels){NPU_KERNEL (few_dot_s8), NPU_KERNEL (few_dot_s16),
      NPU_KERNEL (few_dot_grouped), NPU_KERNEL (few_dot_f32),
      NPU_KERNEL (few_attend_f32), NPU_KERNEL (few_attend_s8)};
}
