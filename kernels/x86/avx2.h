/* Helpers of the AVX2 kernels: exp2, GELU, transposition, partial rows.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <immintrin.h>

#include "npu-kernels-internal.h"
#include "npu-math.h"

#define NPU_INLINE static inline __attribute__ ((always_inline))

/* Mask of the first n of 8 lanes, for loads and stores. */
NPU_INLINE __m256i
npu_first_lanes (int n)
{
  return _mm256_cmpgt_epi32 (
      _mm256_set1_epi32 (n), _mm256_setr_epi32 (0, 1, 2, 3, 4, 5, 6, 7));
}

/* x[n], 8 at most; missing lanes are zeros, and not read. */
NPU_INLINE __m256
npu_load_first (const float *x, int n)
{
  return n >= 8 ? _mm256_loadu_ps (x)
                : _mm256_maskload_ps (x, npu_first_lanes (n));
}

NPU_INLINE void
npu_store_first (float *y, __m256 x, int n)
{
  if (n >= 8)
    _mm256_storeu_ps (y, x);
  else
    _mm256_maskstore_ps (y, npu_first_lanes (n), x);
}

NPU_INLINE __m256
npu_clamp_avx2 (__m256 x, float limit)
{
  return _mm256_max_ps (
      _mm256_set1_ps (-limit), _mm256_min_ps (_mm256_set1_ps (limit), x));
}

NPU_INLINE __m256
npu_abs_avx2 (__m256 x)
{
  return _mm256_andnot_ps (_mm256_set1_ps (-0.0f), x);
}

NPU_INLINE float
npu_reduce_add_avx2 (__m256 x)
{
  __m128 t =
      _mm_add_ps (_mm256_castps256_ps128 (x), _mm256_extractf128_ps (x, 1));

  t = _mm_add_ps (t, _mm_movehl_ps (t, t));
  return _mm_cvtss_f32 (_mm_add_ss (t, _mm_movehdup_ps (t)));
}

NPU_INLINE float
npu_reduce_max_avx2 (__m256 x)
{
  __m128 t =
      _mm_max_ps (_mm256_castps256_ps128 (x), _mm256_extractf128_ps (x, 1));

  t = _mm_max_ps (t, _mm_movehl_ps (t, t));
  return _mm_cvtss_f32 (_mm_max_ss (t, _mm_movehdup_ps (t)));
}

/* p 2^n, where the lowest bits of t are the integer n. */
NPU_INLINE __m256
npu_scale_avx2 (__m256 p, __m256 t)
{
  return _mm256_castsi256_ps (_mm256_add_epi32 (_mm256_castps_si256 (p),
      _mm256_slli_epi32 (_mm256_castps_si256 (t), 23)));
}

/* 2^x for NPU_EXP2_MIN <= x <= 126. */
NPU_INLINE __m256
npu_exp2_avx2 (__m256 x)
{
  const __m256 magic = _mm256_set1_ps (NPU_ROUND_MAGIC);
  const __m256 t = _mm256_add_ps (x, magic);
  const __m256 f = _mm256_sub_ps (x, _mm256_sub_ps (t, magic));
  __m256 p = _mm256_set1_ps (NPU_EXP2_C5);

  p = _mm256_fmadd_ps (p, f, _mm256_set1_ps (NPU_EXP2_C4));
  p = _mm256_fmadd_ps (p, f, _mm256_set1_ps (NPU_EXP2_C3));
  p = _mm256_fmadd_ps (p, f, _mm256_set1_ps (NPU_EXP2_C2));
  p = _mm256_fmadd_ps (p, f, _mm256_set1_ps (NPU_EXP2_C1));
  p = _mm256_fmadd_ps (p, f, _mm256_set1_ps (1.0f));
  return npu_scale_avx2 (p, t);
}

/* The same with a relative error of 1e-4. */
NPU_INLINE __m256
npu_exp2_short_avx2 (__m256 x)
{
  const __m256 magic = _mm256_set1_ps (NPU_ROUND_MAGIC);
  const __m256 t = _mm256_add_ps (x, magic);
  const __m256 f = _mm256_sub_ps (x, _mm256_sub_ps (t, magic));
  __m256 p = _mm256_set1_ps (NPU_EXP2_SHORT_C3);

  p = _mm256_fmadd_ps (p, f, _mm256_set1_ps (NPU_EXP2_SHORT_C2));
  p = _mm256_fmadd_ps (p, f, _mm256_set1_ps (NPU_EXP2_SHORT_C1));
  p = _mm256_fmadd_ps (p, f, _mm256_set1_ps (1.0f));
  return npu_scale_avx2 (p, t);
}

NPU_INLINE __m256
npu_gelu_avx2 (__m256 x)
{
  const __m256 a =
      _mm256_min_ps (_mm256_set1_ps (NPU_GELU_LIMIT), npu_abs_avx2 (x));
  __m256 p = _mm256_set1_ps (NPU_GELU_P8);

  p = _mm256_fmadd_ps (p, a, _mm256_set1_ps (NPU_GELU_P7));
  p = _mm256_fmadd_ps (p, a, _mm256_set1_ps (NPU_GELU_P6));
  p = _mm256_fmadd_ps (p, a, _mm256_set1_ps (NPU_GELU_P5));
  p = _mm256_fmadd_ps (p, a, _mm256_set1_ps (NPU_GELU_P4));
  p = _mm256_fmadd_ps (p, a, _mm256_set1_ps (NPU_GELU_P3));
  p = _mm256_fmadd_ps (p, a, _mm256_set1_ps (NPU_GELU_P2));
  p = _mm256_fmadd_ps (p, a, _mm256_set1_ps (NPU_GELU_P1));
  p = _mm256_fmadd_ps (p, a, _mm256_set1_ps (NPU_GELU_P0));
  p = _mm256_fmadd_ps (p, a, _mm256_set1_ps (-1.0f));
  return _mm256_fnmadd_ps (
      a, npu_exp2_avx2 (p), _mm256_max_ps (_mm256_setzero_ps (), x));
}

/* The same to 2.5e-5. */
NPU_INLINE __m256
npu_gelu_short_avx2 (__m256 x)
{
  const __m256 a =
      _mm256_min_ps (_mm256_set1_ps (NPU_GELU_SHORT_LIMIT), npu_abs_avx2 (x));
  const __m256i i = _mm256_castps_si256 (_mm256_fmadd_ps (
      a, _mm256_set1_ps (NPU_GELU_SEGMENTS), _mm256_set1_ps (NPU_ROUND_MAGIC)));
  __m256 c[4], p;

  for (int j = 0; j < 4; j++)
    c[j] =
        _mm256_permutevar8x32_ps (_mm256_load_ps (npu_gelu_short_table[j]), i);
  p = _mm256_fmadd_ps (c[3], a, c[2]);
  p = _mm256_fmadd_ps (p, a, c[1]);
  p = _mm256_fmadd_ps (p, a, c[0]);
  return _mm256_sub_ps (_mm256_max_ps (_mm256_setzero_ps (), x), p);
}

/* Transposes 8 x 8 floats, or whatever has 32 bits. */
NPU_INLINE void
npu_transpose_avx2 (__m256 x[8])
{
  __m256 t[8];

  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps (x[i], x[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps (x[i], x[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    x[i] = _mm256_shuffle_ps (t[i], t[i + 2], 0x44);
    x[i + 1] = _mm256_shuffle_ps (t[i], t[i + 2], 0xee);
    x[i + 2] = _mm256_shuffle_ps (t[i + 1], t[i + 3], 0x44);
    x[i + 3] = _mm256_shuffle_ps (t[i + 1], t[i + 3], 0xee);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm256_permute2f128_ps (x[i], x[i + 4], 0x20);
    t[i + 4] = _mm256_permute2f128_ps (x[i], x[i + 4], 0x31);
  }
  for (int i = 0; i < 8; i++)
    x[i] = t[i];
}
