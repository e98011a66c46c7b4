/* Few rows of floats with AVX-512.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "x86/vector-avx512.h"

#define ROWS 4

#include "x86/few-f32.h"

void
npu_few_init_avx512 (NpuFewKernels *kernels)
{
  kernels->dot_f32 = dot_f32;
  kernels->attend_f32 = attend_f32;
}
