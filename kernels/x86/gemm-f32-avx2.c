/* Products of floats with constant weights, with AVX2 and FMA.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx2

#include "x86/avx2.h"

typedef float Input;
typedef float Weight;
typedef float Sum;
typedef __m256 Sums;

#define GEMM(name) NPU_KERNEL (gemm_f32_##name)
#define LANES 8
#define VECTORS 2
#define ROWS 6 /* 12 accumulators */
#define STEP 1
/* A panel's weights take 32 KiB and come from the second cache. With half of
 * that twice as many sums go to memory and back. */
#define DEPTH 512
#define PREFETCH 1
#define load_sums _mm256_loadu_ps
#define store_sums _mm256_storeu_ps

#include "x86/gemm_tmpl.h"

/* acc += x y in acc's register: GCC moves sums from one to the next else. */
NPU_INLINE void
add_product (__m256 *acc, __m256 x, __m256 y)
{
  __asm__("vfmadd231ps %2, %1, %0" : "+x"(*acc) : "x"(x), "x"(y));
}

NPU_INLINE void
multiply_step (Sums acc[ROWS][VECTORS], const Input *const at[N_BASES], int j,
    ptrdiff_t a_stride, const Weight *b, const int rows)
{
  const __m256 left = _mm256_load_ps (b);
  const __m256 right = _mm256_load_ps (b + LANES);

  NPU_UNROLLED
  for (int i = 0; i < rows; i++) {
    const __m256 x =
        _mm256_broadcast_ss (at[i / BASE_ROWS] + i % BASE_ROWS * a_stride + j);

    add_product (&acc[i][0], x, left);
    add_product (&acc[i][1], x, right);
  }
}

void
npu_gemm_init_f32_avx2 (NpuKernels *kernels)
{
  kernels->gemm_f32 = GEMM_KERNEL;
}
