/* Helpers of the AVX-512 kernels: exp2, GELU, transposition.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <immintrin.h>

#include "npu-kernels-internal.h"
#include "npu-math.h"

#define NPU_INLINE static inline __attribute__ ((always_inline))

/* Before a loop over registers, of 16 steps at most. */
#ifdef __clang__
#define NPU_UNROLL _Pragma ("clang loop unroll(full)")
#else
#define NPU_UNROLL _Pragma ("GCC unroll 16")
#endif

/* 16 lanes of 32 bits. GCC copies an accumulator of type __m512i, which it
 * takes for 64-bit lanes, in every step of a loop. */
typedef int32_t NpuInts __attribute__ ((vector_size (64)));

/* Mask of the first n of 16 lanes. */
NPU_INLINE __mmask16
npu_first_lanes (int n)
{
  return n >= 16 ? 0xffff : (__mmask16) ((1u << n) - 1);
}

NPU_INLINE __m512
npu_clamp_avx512 (__m512 x, float limit)
{
  return _mm512_max_ps (
      _mm512_set1_ps (-limit), _mm512_min_ps (_mm512_set1_ps (limit), x));
}

/* acc += x y in acc's register. All are in registers: a compiler would take x
 * or y from memory in every product, and loads are as scarce as products. */
NPU_INLINE void
npu_add_product_avx512 (__m512 *acc, __m512 x, __m512 y)
{
  __asm__("vfmadd231ps %2, %1, %0" : "+v"(*acc) : "v"(x), "v"(y));
}

/* p 2^n, where the lowest bits of t are the integer n. */
NPU_INLINE __m512
npu_scale_avx512 (__m512 p, __m512 t)
{
  return _mm512_castsi512_ps (_mm512_add_epi32 (_mm512_castps_si512 (p),
      _mm512_slli_epi32 (_mm512_castps_si512 (t), 23)));
}

/* 2^x for NPU_EXP2_MIN <= x <= 126. */
NPU_INLINE __m512
npu_exp2_avx512 (__m512 x)
{
  const __m512 magic = _mm512_set1_ps (NPU_ROUND_MAGIC);
  const __m512 t = _mm512_add_ps (x, magic);
  const __m512 f = _mm512_sub_ps (x, _mm512_sub_ps (t, magic));
  __m512 p = _mm512_set1_ps (NPU_EXP2_C5);

  p = _mm512_fmadd_ps (p, f, _mm512_set1_ps (NPU_EXP2_C4));
  p = _mm512_fmadd_ps (p, f, _mm512_set1_ps (NPU_EXP2_C3));
  p = _mm512_fmadd_ps (p, f, _mm512_set1_ps (NPU_EXP2_C2));
  p = _mm512_fmadd_ps (p, f, _mm512_set1_ps (NPU_EXP2_C1));
  p = _mm512_fmadd_ps (p, f, _mm512_set1_ps (1.0f));
  return npu_scale_avx512 (p, t);
}

/* The same with a relative error of 1e-4. */
NPU_INLINE __m512
npu_exp2_short_avx512 (__m512 x)
{
  const __m512 magic = _mm512_set1_ps (NPU_ROUND_MAGIC);
  const __m512 t = _mm512_add_ps (x, magic);
  const __m512 f = _mm512_sub_ps (x, _mm512_sub_ps (t, magic));
  __m512 p = _mm512_set1_ps (NPU_EXP2_SHORT_C3);

  p = _mm512_fmadd_ps (p, f, _mm512_set1_ps (NPU_EXP2_SHORT_C2));
  p = _mm512_fmadd_ps (p, f, _mm512_set1_ps (NPU_EXP2_SHORT_C1));
  p = _mm512_fmadd_ps (p, f, _mm512_set1_ps (1.0f));
  return npu_scale_avx512 (p, t);
}

NPU_INLINE __m512
npu_gelu_avx512 (__m512 x)
{
  const __m512 a =
      _mm512_min_ps (_mm512_set1_ps (NPU_GELU_LIMIT), _mm512_abs_ps (x));
  __m512 p = _mm512_set1_ps (NPU_GELU_P8);

  p = _mm512_fmadd_ps (p, a, _mm512_set1_ps (NPU_GELU_P7));
  p = _mm512_fmadd_ps (p, a, _mm512_set1_ps (NPU_GELU_P6));
  p = _mm512_fmadd_ps (p, a, _mm512_set1_ps (NPU_GELU_P5));
  p = _mm512_fmadd_ps (p, a, _mm512_set1_ps (NPU_GELU_P4));
  p = _mm512_fmadd_ps (p, a, _mm512_set1_ps (NPU_GELU_P3));
  p = _mm512_fmadd_ps (p, a, _mm512_set1_ps (NPU_GELU_P2));
  p = _mm512_fmadd_ps (p, a, _mm512_set1_ps (NPU_GELU_P1));
  p = _mm512_fmadd_ps (p, a, _mm512_set1_ps (NPU_GELU_P0));
  p = _mm512_fmadd_ps (p, a, _mm512_set1_ps (-1.0f));
  return _mm512_fnmadd_ps (
      a, npu_exp2_avx512 (p), _mm512_max_ps (_mm512_setzero_ps (), x));
}

/* The same to 2.5e-5. */
NPU_INLINE __m512
npu_gelu_short_avx512 (__m512 x)
{
  /* The smaller magnitude. */
  const __m512 a =
      _mm512_range_ps (x, _mm512_set1_ps (NPU_GELU_SHORT_LIMIT), 0xa);
  const __m512i i = _mm512_castps_si512 (_mm512_fmadd_ps (
      a, _mm512_set1_ps (NPU_GELU_SEGMENTS), _mm512_set1_ps (NPU_ROUND_MAGIC)));
  __m512 c[4], p;

  for (int j = 0; j < 4; j++)
    c[j] = _mm512_permutexvar_ps (
        i, _mm512_broadcast_f32x8 (_mm256_load_ps (npu_gelu_short_table[j])));
  p = _mm512_fmadd_ps (c[3], a, c[2]);
  p = _mm512_fmadd_ps (p, a, c[1]);
  p = _mm512_fmadd_ps (p, a, c[0]);
  return _mm512_sub_ps (_mm512_max_ps (_mm512_setzero_ps (), x), p);
}

/* Transposes 16 x 16 floats, or whatever has 32 bits. */
NPU_INLINE void
npu_transpose_avx512 (__m512 x[16])
{
  __m512 t[16];

  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps (x[i], x[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps (x[i], x[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    const __m512d a = _mm512_castps_pd (t[i]), b = _mm512_castps_pd (t[i + 2]);
    const __m512d c = _mm512_castps_pd (t[i + 1]);
    const __m512d d = _mm512_castps_pd (t[i + 3]);

    x[i] = _mm512_castpd_ps (_mm512_unpacklo_pd (a, b));
    x[i + 1] = _mm512_castpd_ps (_mm512_unpackhi_pd (a, b));
    x[i + 2] = _mm512_castpd_ps (_mm512_unpacklo_pd (c, d));
    x[i + 3] = _mm512_castpd_ps (_mm512_unpackhi_pd (c, d));
  }
  /* x[4 j + i] holds, in its 128-bit lane l, column 4 l + i of rows 4 j to
   * 4 j + 3: transpose the 4 x 4 lanes of each i. */
  for (int i = 0; i < 4; i++) {
    const __m512 a = _mm512_shuffle_f32x4 (x[i], x[i + 4], 0x44);
    const __m512 b = _mm512_shuffle_f32x4 (x[i], x[i + 4], 0xee);
    const __m512 c = _mm512_shuffle_f32x4 (x[i + 8], x[i + 12], 0x44);
    const __m512 d = _mm512_shuffle_f32x4 (x[i + 8], x[i + 12], 0xee);

    t[i] = _mm512_shuffle_f32x4 (a, c, 0x88);
    t[i + 4] = _mm512_shuffle_f32x4 (a, c, 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4 (b, d, 0x88);
    t[i + 12] = _mm512_shuffle_f32x4 (b, d, 0xdd);
  }
  for (int i = 0; i < 16; i++)
    x[i] = t[i];
}
