/* Few rows with AVX2.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx2

#include "x86/few-ints-avx2_tmpl.h"

#include "npu-kernels-internal.h"
#include "x86/few-f32_tmpl.h"

/* 32 bytes of as many floats. */
NPU_INLINE void
store_s8 (int8_t *y, const float *x, Vector inverse)
{
  __m256i v[4];

  for (int g = 0; g < 4; g++)
    v[g] = _mm256_cvtps_epi32 (load_vector (x + g * LANES) * inverse);
  _mm256_storeu_si256 (
      (__m256i *) y, _mm256_permutevar8x32_epi32 (
                         _mm256_packs_epi16 (_mm256_packs_epi32 (v[0], v[1]),
                             _mm256_packs_epi32 (v[2], v[3])),
                         _mm256_setr_epi32 (0, 4, 1, 5, 2, 6, 3, 7)));
}

static float
NPU_KERNEL (few_quantize_s8) (int8_t *y, const float *x, int k)
{
  Vector max = {0}, zeros = {0};
  float largest, zero;

  for (int j = 0; j < k; j += LANES) {
    const Vector v = load_vector (x + j);

    max = max_abs (max, v);
    zeros += v * splat (0.0f);
  }
  largest = max_lanes (max);
  zero = sum_lanes (zeros);
  if (largest < NPU_Q8_SMALLEST || zero != 0.0f) {
    memset (y, 0, (size_t) k);
    return zero;
  }
  for (int j = 0; j < k; j += 4 * LANES)
    store_s8 (y + j, x + j, splat (NPU_Q8_LEVELS / largest));
  return largest / NPU_Q8_LEVELS;
}

void
npu_few_init_avx2 (NpuFewKernels *kernels)
{
  *kernels = (NpuFewKernels){NPU_KERNEL (few_dot_s8), NPU_KERNEL (few_dot_s16),
      NPU_KERNEL (few_dot_grouped), NPU_KERNEL (few_dot_f32),
      NPU_KERNEL (few_attend_f32), NPU_KERNEL (few_attend_s8),
      NPU_KERNEL (few_quantize_s8)};
}
