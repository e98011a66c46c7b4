/* Products of floats with constant weights, with AVX-512.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512

#include "x86/avx512.h"

typedef float Input;
typedef float Weight;

#define GEMM(name) NPU_KERNEL (gemm_f32_##name)
#define STEP 1
#define DEPTH 96 /* a panel's weights take 24 KiB */
#define add_product npu_add_product_avx512

NPU_INLINE __m512
spread_input (const float *x)
{
  return _mm512_set1_ps (*x);
}

#include "x86/gemm-avx512_tmpl.h"

void
npu_gemm_init_f32_avx512 (NpuKernels *kernels)
{
  kernels->gemm_f32 = GEMM_KERNEL;
}
