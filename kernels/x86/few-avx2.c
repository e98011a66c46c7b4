/* Few rows with AVX2.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "x86/few-ints-avx2.h"

#include "x86/few-f32.h"

void
npu_few_init_avx2 (NpuFewKernels *kernels)
{
  *kernels = (NpuFewKernels){dot_s8, dot_s16, dot_f32, attend_f32, attend_s8};
}
