/* Layer normalisation, rotation and 8-bit quantisation with AVX-512.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512

#include "x86/npu-x86.h"
#include "x86/vector-avx512.h"

NPU_INLINE void
quantise_64 (uint8_t *y, const float *x, Vector inverse)
{
  const __m512i order =
      _mm512_set_epi32 (15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  __m512i q[4], bytes;

  for (int i = 0; i < 4; i++)
    q[i] = _mm512_cvtps_epi32 (
        _mm512_mul_ps (_mm512_load_ps (x + i * LANES), inverse));
  bytes = _mm512_packs_epi16 (
      _mm512_packs_epi32 (q[0], q[1]), _mm512_packs_epi32 (q[2], q[3]));
  bytes = _mm512_permutexvar_epi32 (order, bytes);
  _mm512_storeu_si512 (
      y, _mm512_add_epi8 (bytes, _mm512_set1_epi8 ((char) NPU_Q8_ZERO)));
}

NPU_INLINE void
store_s16 (int16_t *y, Vector v, int n)
{
  const __m512i q = _mm512_cvtps_epi32 (v);

  if (n >= LANES)
    _mm256_storeu_si256 ((__m256i *) y, _mm512_cvtepi32_epi16 (q));
  else
    _mm512_mask_cvtepi32_storeu_epi16 (y, npu_first_lanes (n), q);
}

#include "x86/rows_tmpl.h"

/* 16 floats rounded to bfloat16, ties to even, in 32 bits each. */
NPU_INLINE __m512i
round_bf16 (__m512 x)
{
  const __m512i bits = _mm512_castps_si512 (x);
  const __m512i odd =
      _mm512_and_si512 (_mm512_srli_epi32 (bits, 16), _mm512_set1_epi32 (1));

  return _mm512_srli_epi32 (
      _mm512_add_epi32 (
          _mm512_add_epi32 (bits, _mm512_set1_epi32 (0x7fff)), odd),
      16);
}

static void
NPU_KERNEL (convert_bf16) (uint16_t *y, const float *x, size_t n)
{
  size_t i = 0;

  for (; i + LANES <= n; i += LANES)
    _mm256_storeu_si256 ((__m256i *) (y + i),
        _mm512_cvtepi32_epi16 (round_bf16 (_mm512_loadu_ps (x + i))));
  if (i < n) {
    const __mmask16 rest = npu_first_lanes ((int) (n - i));
    _mm512_mask_cvtepi32_storeu_epi16 (
        y + i, rest, round_bf16 (_mm512_maskz_loadu_ps (rest, x + i)));
  }
}

void
npu_rows_init_avx512 (NpuKernels *kernels)
{
  kernels->layernorm_f32 = NPU_KERNEL (layernorm_f32);
  kernels->layernorm_q8 = NPU_KERNEL (layernorm_q8);
  kernels->quantize_q8 = NPU_KERNEL (quantize_q8);
  kernels->quantize_s16 = NPU_KERNEL (quantize_s16);
  kernels->convert_bf16 = NPU_KERNEL (convert_bf16);
}
