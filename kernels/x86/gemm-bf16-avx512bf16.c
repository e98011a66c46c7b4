/* Products of bfloat16 with constant weights, with AVX512-BF16.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512bf16

#include "x86/bf16-avx512.h"
#include "x86/ints-avx512.h"

typedef uint16_t Input;
typedef uint16_t Weight;

#define GEMM(name) NPU_KERNEL (gemm_bf16_##name)
#define STEP 2
#define DEPTH 192 /* a panel's weights take 24 KiB */
#define add_product npu_add_pairs_bf16

NPU_INLINE __m512
spread_input (const uint16_t *x)
{
  return (__m512) npu_broadcast_32 (x);
}

#include "x86/gemm-avx512_tmpl.h"

void
npu_gemm_init_bf16_avx512bf16 (NpuKernels *kernels)
{
  kernels->gemm_bf16 = GEMM_KERNEL;
}
