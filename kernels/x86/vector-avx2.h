/* Vectors of 8 floats, for kernels that are written once for all widths.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/avx2.h"

#define LANES 8

typedef __m256 Vector;

/* The first n of LANES floats at x, and zeros. */
NPU_INLINE Vector
load_first (const float *x, int n)
{
  return npu_load_first (x, n);
}

NPU_INLINE void
store_first (float *y, Vector v, int n)
{
  npu_store_first (y, v, n);
}

/* Zeros from lane n on. */
NPU_INLINE Vector
first_lanes (Vector v, int n)
{
  return _mm256_and_ps (v, _mm256_castsi256_ps (npu_first_lanes (n)));
}

NPU_INLINE Vector
splat (float x)
{
  return _mm256_set1_ps (x);
}

NPU_INLINE Vector
fma_vector (Vector a, Vector b, Vector c)
{
  return _mm256_fmadd_ps (a, b, c);
}

/* max (a, |b|), where a has no sign. */
NPU_INLINE Vector
max_abs (Vector a, Vector b)
{
  return _mm256_max_ps (a, npu_abs_avx2 (b));
}

NPU_INLINE float
sum_lanes (Vector v)
{
  return npu_reduce_add_avx2 (v);
}

NPU_INLINE float
max_lanes (Vector v)
{
  return npu_reduce_max_avx2 (v);
}

/* The first n of LANES integers at x, less those at y, as floats. */
NPU_INLINE Vector
load_differences (const int32_t *x, const int32_t *y, int n)
{
  return _mm256_cvtepi32_ps (_mm256_sub_epi32 (
      _mm256_castps_si256 (npu_load_first ((const float *) x, n)),
      _mm256_castps_si256 (npu_load_first ((const float *) y, n))));
}

NPU_INLINE Vector
gelu_vector (Vector v)
{
  return npu_gelu_avx2 (v);
}

NPU_INLINE Vector
gelu_short_vector (Vector v)
{
  return npu_gelu_short_avx2 (v);
}

#include "x86/vector_tmpl.h"
