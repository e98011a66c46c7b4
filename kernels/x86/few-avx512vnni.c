/* Few rows of integers with AVX-512 VNNI.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512vnni

#include "x86/ints-avx512.h"
#include "x86/vector-avx512.h"

#define ROWS 4

NPU_INLINE __m512i
widen (const int8_t *x)
{
  return _mm512_cvtepi8_epi16 (_mm256_loadu_si256 ((const __m256i *) x));
}

NPU_INLINE __m512i
splat_s16 (int16_t x)
{
  return _mm512_set1_epi16 (x);
}

/* round (x factor / 2^7) of the next bytes. */
NPU_INLINE __m512i
scaled (const int8_t *x, __m512i factor)
{
  return _mm512_mulhrs_epi16 (_mm512_slli_epi16 (widen (x), 8), factor);
}

NPU_INLINE __m256i
fold_ints (NpuInts v)
{
  return _mm256_add_epi32 (_mm512_castsi512_si256 ((__m512i) v),
      _mm512_extracti64x4_epi64 ((__m512i) v, 1));
}

NPU_INLINE Vector
floats_of (__m512i v)
{
  return _mm512_cvtepi32_ps (v);
}

NPU_INLINE void
store_s16 (int16_t *y, Vector v)
{
  _mm256_storeu_si256 (
      (__m256i *) y, _mm512_cvtsepi32_epi16 (_mm512_cvtps_epi32 (v)));
}

#include "x86/few-ints_tmpl.h"

void
npu_few_init_avx512vnni (NpuFewKernels *kernels)
{
  kernels->dot_s8 = NPU_KERNEL (few_dot_s8);
  kernels->dot_s16 = NPU_KERNEL (few_dot_s16);
  kernels->dot_grouped = NPU_KERNEL (few_dot_grouped);
  kernels->attend_s8 = NPU_KERNEL (few_attend_s8);
}
