/* Vectors of integers in AVX-512 VNNI.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/avx512.h"

#include <string.h>

typedef __m512i NpuVector; /* of 16-bit lanes */

NPU_INLINE __m512i
npu_load_ints (const void *x)
{
  return _mm512_loadu_si512 (x);
}

NPU_INLINE void
npu_store_ints (void *x, NpuInts v)
{
  _mm512_storeu_si512 (x, (__m512i) v);
}

/* 32 bits to all lanes. */
NPU_INLINE __m512i
npu_broadcast_32 (const void *x)
{
  int32_t bits;

  memcpy (&bits, x, sizeof bits);
  return _mm512_set1_epi32 (bits);
}

/* acc + x[0] y[0] + x[1] y[1] in each lane, of 16 bits. */
NPU_INLINE NpuInts
npu_dot_s16 (NpuInts acc, __m512i x, __m512i y)
{
  return (NpuInts) _mm512_dpwssd_epi32 ((__m512i) acc, x, y);
}
