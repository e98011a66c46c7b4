/* Few rows of integers with AVX-VNNI.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "x86/few-ints-avx2.h"

void
npu_few_init_avxvnni (NpuFewKernels *kernels)
{
  kernels->dot_s8 = dot_s8;
  kernels->dot_s16 = dot_s16;
  kernels->attend_s8 = attend_s8;
}
