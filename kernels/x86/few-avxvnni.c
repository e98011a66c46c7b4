/* Few rows of integers with AVX-VNNI.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avxvnni

#include "x86/few-ints-avx2_tmpl.h"

void
npu_few_init_avxvnni (NpuFewKernels *kernels)
{
  kernels->dot_s8 = NPU_KERNEL (few_dot_s8);
  kernels->dot_s16 = NPU_KERNEL (few_dot_s16);
  kernels->dot_grouped = NPU_KERNEL (few_dot_grouped);
  kernels->attend_s8 = NPU_KERNEL (few_attend_s8);
}
