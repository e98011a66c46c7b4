/* Products of unsigned bytes with constant int8 weights, with AVX2 alone: as
 * fast as vpmaddubsw and vpmaddwd can go, which is twice as fast as float.
 *
 * Pairs of products are added in 16 bits: both sides have at most
 * NPU_Q8_LEVELS_16_BITS levels.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <stdint.h>

typedef uint8_t Input;
typedef int8_t Weight;
typedef int32_t Sum;

#define STEP 4     /* inputs that a lane adds up at once */
#define DEPTH 1024 /* a panel's weights take 16 KiB */
#define PREFETCH 0 /* a quarter of the bytes, and as many instructions */

#include "x86/gemm-avx2.h"

/* 8 lanes of 32 bits, see attention-s8-avx2.h. */
typedef int32_t NpuInts __attribute__ ((vector_size (32)));

NPU_INLINE __m256i
broadcast_quad (const uint8_t *x)
{
  int32_t bits;

  memcpy (&bits, x, sizeof bits);
  return _mm256_set1_epi32 (bits);
}

NPU_INLINE NpuInts
dot_u8s8 (NpuInts acc, __m256i x, __m256i y)
{
  return acc + (NpuInts) _mm256_madd_epi16 (
                   _mm256_maddubs_epi16 (x, y), _mm256_set1_epi16 (1));
}

NPU_INLINE void
multiply (Sum *c, ptrdiff_t c_stride, const Input *a, ptrdiff_t a_stride,
    const Weight *b, int k, int add, const int rows)
{
  NpuInts acc[ROWS][2];

  for (int i = 0; i < rows; i++)
    for (int g = 0; g < 2; g++)
      acc[i][g] = add ? (NpuInts) _mm256_loadu_si256 (
                            (const __m256i *) (c + i * c_stride + g * LANES))
                      : (NpuInts) _mm256_setzero_si256 ();
  for (int j = 0; j < k; j += STEP, b += PANEL * STEP) {
    const __m256i left = _mm256_load_si256 ((const __m256i *) b);
    const __m256i right =
        _mm256_load_si256 ((const __m256i *) (b + LANES * STEP));

    for (int i = 0; i < rows; i++) {
      const __m256i x = broadcast_quad (a + i * a_stride + j);

      acc[i][0] = dot_u8s8 (acc[i][0], x, left);
      acc[i][1] = dot_u8s8 (acc[i][1], x, right);
    }
  }
  for (int i = 0; i < rows; i++)
    for (int g = 0; g < 2; g++)
      _mm256_storeu_si256 (
          (__m256i *) (c + i * c_stride + g * LANES), (__m256i) acc[i][g]);
}

void
npu_gemm_init_s8_avx2 (NpuKernels *kernels)
{
  kernels->gemm_s8 = (NpuGemmKernel){.pack = pack, .run = run};
}
