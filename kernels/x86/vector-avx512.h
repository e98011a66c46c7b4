/* Vectors of 16 floats, for kernels that are written once for all widths.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/avx512.h"

#define LANES 16

typedef __m512 Vector;

/* The first n of LANES floats at x, and zeros. */
NPU_INLINE Vector
load_first (const float *x, int n)
{
  return n >= LANES ? _mm512_loadu_ps (x)
                    : _mm512_maskz_loadu_ps (npu_first_lanes (n), x);
}

NPU_INLINE void
store_first (float *y, Vector v, int n)
{
  if (n >= LANES)
    _mm512_storeu_ps (y, v);
  else
    _mm512_mask_storeu_ps (y, npu_first_lanes (n), v);
}

/* Zeros from lane n on. */
NPU_INLINE Vector
first_lanes (Vector v, int n)
{
  return _mm512_maskz_mov_ps (npu_first_lanes (n), v);
}

NPU_INLINE Vector
splat (float x)
{
  return _mm512_set1_ps (x);
}

NPU_INLINE Vector
fma_vector (Vector a, Vector b, Vector c)
{
  return _mm512_fmadd_ps (a, b, c);
}

/* max (a, |b|), where a has no sign. */
NPU_INLINE Vector
max_abs (Vector a, Vector b)
{
  return _mm512_max_ps (a, _mm512_abs_ps (b));
}

NPU_INLINE float
sum_lanes (Vector v)
{
  return _mm512_reduce_add_ps (v);
}

NPU_INLINE float
max_lanes (Vector v)
{
  return _mm512_reduce_max_ps (v);
}

/* The first n of LANES integers at x, less those at y, as floats. */
NPU_INLINE Vector
load_differences (const int32_t *x, const int32_t *y, int n)
{
  const __mmask16 lanes = n >= LANES ? 0xffff : npu_first_lanes (n);

  return _mm512_cvtepi32_ps (
      _mm512_sub_epi32 (_mm512_maskz_loadu_epi32 (lanes, x),
          _mm512_maskz_loadu_epi32 (lanes, y)));
}

NPU_INLINE Vector
gelu_vector (Vector v)
{
  return npu_gelu_avx512 (v);
}

NPU_INLINE Vector
gelu_short_vector (Vector v)
{
  return npu_gelu_short_avx512 (v);
}

#include "x86/vector_tmpl.h"
