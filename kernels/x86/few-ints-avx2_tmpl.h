/* Vectors of few-ints_tmpl.h in AVX2. The file that includes this one may be
 * compiled with AVX-VNNI as well.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/ints-avx2.h"
#include "x86/vector-avx2.h"

#define ROWS 3 /* 12 accumulators */

NPU_INLINE __m256i
widen (const int8_t *x)
{
  return _mm256_cvtepi8_epi16 (_mm_loadu_si128 ((const __m128i *) x));
}

NPU_INLINE __m256i
splat_s16 (int16_t x)
{
  return _mm256_set1_epi16 (x);
}

/* round (x factor / 2^7) of the next bytes. */
NPU_INLINE __m256i
scaled (const int8_t *x, __m256i factor)
{
  return _mm256_mulhrs_epi16 (_mm256_slli_epi16 (widen (x), 8), factor);
}

NPU_INLINE __m256i
fold_ints (NpuInts v)
{
  return (__m256i) v;
}

NPU_INLINE Vector
floats_of (__m256i v)
{
  return _mm256_cvtepi32_ps (v);
}

NPU_INLINE void
store_s16 (int16_t *y, Vector v)
{
  const __m256i q = _mm256_cvtps_epi32 (v);

  _mm_storeu_si128 ((__m128i *) y, _mm_packs_epi32 (_mm256_castsi256_si128 (q),
                                       _mm256_extracti128_si256 (q, 1)));
}

#include "x86/few-ints_tmpl.h"
