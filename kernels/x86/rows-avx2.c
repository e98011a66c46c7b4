/* Layer normalisation, rotation and 8-bit quantisation with AVX2.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx2

#include "x86/npu-x86.h"
#include "x86/vector-avx2.h"

NPU_INLINE void
quantise_64 (uint8_t *y, const float *x, Vector inverse)
{
  const __m256i order = _mm256_setr_epi32 (0, 4, 1, 5, 2, 6, 3, 7);

  for (int j = 0; j < 64; j += 4 * LANES) {
    __m256i q[4], bytes;

    for (int i = 0; i < 4; i++)
      q[i] = _mm256_cvtps_epi32 (
          _mm256_mul_ps (_mm256_load_ps (x + j + i * LANES), inverse));
    bytes = _mm256_packs_epi16 (
        _mm256_packs_epi32 (q[0], q[1]), _mm256_packs_epi32 (q[2], q[3]));
    bytes = _mm256_permutevar8x32_epi32 (bytes, order);
    _mm256_storeu_si256 ((__m256i *) (y + j),
        _mm256_add_epi8 (bytes, _mm256_set1_epi8 ((char) NPU_Q8_ZERO)));
  }
}

NPU_INLINE void
store_s16 (int16_t *y, Vector v, int n)
{
  const __m256i q = _mm256_cvtps_epi32 (v);
  const __m128i packed = _mm_packs_epi32 (
      _mm256_castsi256_si128 (q), _mm256_extracti128_si256 (q, 1));

  if (n >= LANES)
    _mm_storeu_si128 ((__m128i *) y, packed);
  else
    memcpy (y, &packed, (size_t) n * sizeof *y);
}

#include "x86/rows_tmpl.h"

/* 8 floats as bfloat16, in 32 bits each. */
NPU_INLINE __m256i
round_bf16 (const float *x)
{
  const __m256i bits = _mm256_castps_si256 (_mm256_loadu_ps (x));
  const __m256i odd =
      _mm256_and_si256 (_mm256_srli_epi32 (bits, 16), _mm256_set1_epi32 (1));

  return _mm256_srli_epi32 (
      _mm256_add_epi32 (
          _mm256_add_epi32 (bits, _mm256_set1_epi32 (0x7fff)), odd),
      16);
}

static void
NPU_KERNEL (convert_bf16) (uint16_t *y, const float *x, size_t n)
{
  size_t i = 0;

  for (; i + 2 * LANES <= n; i += 2 * LANES)
    _mm256_storeu_si256 ((__m256i *) (y + i),
        _mm256_permute4x64_epi64 (_mm256_packus_epi32 (round_bf16 (x + i),
                                      round_bf16 (x + i + LANES)),
            0xd8));
  for (; i < n; i++)
    y[i] = (uint16_t) (npu_bits_of_float (npu_round_bf16 (x[i])) >> 16);
}

void
npu_rows_init_avx2 (NpuKernels *kernels)
{
  kernels->layernorm_f32 = NPU_KERNEL (layernorm_f32);
  kernels->layernorm_q8 = NPU_KERNEL (layernorm_q8);
  kernels->quantize_q8 = NPU_KERNEL (quantize_q8);
  kernels->quantize_s16 = NPU_KERNEL (quantize_s16);
  kernels->convert_bf16 = NPU_KERNEL (convert_bf16);
}
