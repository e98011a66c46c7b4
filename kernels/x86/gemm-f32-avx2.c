/* Products of floats with constant weights, with AVX2 and FMA.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx2

#include "x86/avx2.h"

typedef float Input;
typedef float Weight;
typedef float Sum;

#define GEMM(name) NPU_KERNEL (gemm_f32_##name)
#define LANES 8
#define PANEL (2 * LANES)
#define ROWS 6 /* 12 accumulators */
#define STEP 1
#define DEPTH 256   /* a panel's weights take 16 KiB */
#define PREFETCH 26 /* all of it, in ten times six rows */

#include "x86/gemm_tmpl.h"

NPU_INLINE void
multiply (Sum *c, ptrdiff_t c_stride, const Input *a, ptrdiff_t a_stride,
    const Weight *b, int k, int add, const int rows)
{
  __m256 acc[ROWS][2];

  for (int i = 0; i < rows; i++)
    for (int g = 0; g < 2; g++)
      acc[i][g] = add ? _mm256_loadu_ps (c + i * c_stride + g * LANES)
                      : _mm256_setzero_ps ();
  NPU_TWICE
  for (int j = 0; j < k; j++, b += PANEL) {
    const __m256 left = _mm256_load_ps (b);
    const __m256 right = _mm256_load_ps (b + LANES);

    for (int i = 0; i < rows; i++) {
      const __m256 x = _mm256_broadcast_ss (a + i * a_stride + j);

      acc[i][0] = _mm256_fmadd_ps (x, left, acc[i][0]);
      acc[i][1] = _mm256_fmadd_ps (x, right, acc[i][1]);
    }
  }
  for (int i = 0; i < rows; i++)
    for (int g = 0; g < 2; g++)
      _mm256_storeu_ps (c + i * c_stride + g * LANES, acc[i][g]);
}

void
npu_gemm_init_f32_avx2 (NpuKernels *kernels)
{
  kernels->gemm_f32 = (NpuGemmKernel){.pack = GEMM (pack), .run = GEMM (run)};
}
