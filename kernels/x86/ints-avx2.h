/* Vectors of integers in AVX2. The file that includes this one may be compiled
 * with AVX-VNNI as well.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/avx2.h"

#include <string.h>

/* 8 lanes of 32 bits. GCC copies an accumulator of type __m256i, which it
 * takes for 64-bit lanes, in every step of a loop. */
typedef int32_t NpuInts __attribute__ ((vector_size (32)));

typedef __m256i NpuVector; /* of 16-bit lanes */

NPU_INLINE __m256i
npu_load_ints (const void *x)
{
  return _mm256_loadu_si256 ((const __m256i *) x);
}

NPU_INLINE void
npu_store_ints (void *x, NpuInts v)
{
  _mm256_storeu_si256 ((__m256i *) x, (__m256i) v);
}

/* 32 bits to all lanes. */
NPU_INLINE __m256i
npu_broadcast_32 (const void *x)
{
  int32_t bits;

  memcpy (&bits, x, sizeof bits);
  return _mm256_set1_epi32 (bits);
}

/* acc + x[0] y[0] + x[1] y[1] in each lane, of 16 bits. */
NPU_INLINE NpuInts
npu_dot_s16 (NpuInts acc, __m256i x, __m256i y)
{
#ifdef __AVXVNNI__
  return (NpuInts) _mm256_dpwssd_avx_epi32 ((__m256i) acc, x, y);
#else
  return acc + (NpuInts) _mm256_madd_epi16 (x, y);
#endif
}
