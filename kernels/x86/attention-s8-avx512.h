/* Queries and keys of the AVX-512 int8 attention kernels.
 *
 * Both are rotated first by a Hadamard transform, which leaves their products
 * as they are and spreads large columns over all, so that the int8 steps are
 * finer. Keys are then quantised relative to the mean of their tile, which
 * moves all of the tile's scores of a query by the same amount: that is added
 * back from the exact query.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/attention-avx512.h"

#include <string.h>

#define MEANS 4 /* tiles whose mean scores are computed together */

typedef struct {
  uint8_t x[DIM / 4][ROWS][4]; /* round (x / scale) + 128, by four columns */
  float exact[DIM][ROWS];
  float scale[ROWS];
} QTile;

typedef struct {
  int8_t x[ROWS][DIM];      /* round ((x - mean) / scale) */
  int32_t correction[ROWS]; /* -128 times the row's sum: undoes Q's + 128 */
  float mean[DIM];
  float scale[LANES]; /* one, padded */
} KTile;

/* The scale of a largest magnitude; *inverse is 1 / scale. */
NPU_INLINE float
npu_q8_scale (float max, float *inverse)
{
  *inverse = max < NPU_Q8_SMALLEST ? 0.0f : 127.0f / max;
  return max / 127.0f;
}

/* 64 floats to round (x inverse) as int8. */
NPU_INLINE __m512i
npu_quantise_64 (const __m512 x[4], __m512 inverse)
{
  __m128i q[4];

  for (int i = 0; i < 4; i++)
    q[i] = _mm512_cvtsepi32_epi8 (
        _mm512_cvtps_epi32 (_mm512_mul_ps (x[i], inverse)));
  return _mm512_inserti64x4 (
      _mm512_castsi256_si512 (_mm256_set_m128i (q[1], q[0])),
      _mm256_set_m128i (q[3], q[2]), 1);
}

NPU_INLINE __m512
npu_max_abs_64 (const __m512 x[4])
{
  return _mm512_max_ps (
      _mm512_max_ps (_mm512_abs_ps (x[0]), _mm512_abs_ps (x[1])),
      _mm512_max_ps (_mm512_abs_ps (x[2]), _mm512_abs_ps (x[3])));
}

/* Hadamard transform of 64 floats, one whose square is 64. */
NPU_INLINE void
npu_hadamard (__m512 x[4])
{
  const __m512 a = _mm512_add_ps (x[0], x[1]), b = _mm512_sub_ps (x[0], x[1]);
  const __m512 c = _mm512_add_ps (x[2], x[3]), d = _mm512_sub_ps (x[2], x[3]);
  const __m512 one = _mm512_set1_ps (1.0f), minus = _mm512_set1_ps (-1.0f);

  x[0] = _mm512_add_ps (a, c);
  x[1] = _mm512_add_ps (b, d);
  x[2] = _mm512_sub_ps (a, c);
  x[3] = _mm512_sub_ps (b, d);
  for (int i = 0; i < 4; i++) {
    /* (a, b) to (a + b, a - b) at distances 8, 4, 2, 1. */
    x[i] = _mm512_fmadd_ps (x[i], _mm512_mask_mov_ps (one, 0xff00, minus),
        _mm512_shuffle_f32x4 (x[i], x[i], 0x4e));
    x[i] = _mm512_fmadd_ps (x[i], _mm512_mask_mov_ps (one, 0xf0f0, minus),
        _mm512_shuffle_f32x4 (x[i], x[i], 0xb1));
    x[i] = _mm512_fmadd_ps (x[i], _mm512_mask_mov_ps (one, 0xcccc, minus),
        _mm512_permute_ps (x[i], 0x4e));
    x[i] = _mm512_fmadd_ps (x[i], _mm512_mask_mov_ps (one, 0xaaaa, minus),
        _mm512_permute_ps (x[i], 0xb1));
  }
}

/* out[64][64] = rotated rows of x; missing rows become zeros. */
NPU_INLINE void
npu_rotate_rows (float (*out)[DIM], const float *x, ptrdiff_t stride, int rows)
{
  memset (out[rows], 0, (size_t) (ROWS - rows) * sizeof *out);
  for (int i = 0; i < rows; i++, x += stride) {
    __m512 t[4];

    for (int j = 0; j < 4; j++)
      t[j] = _mm512_mul_ps (
          npu_clamp_avx512 (_mm512_loadu_ps (x + j * 16), NPU_QK_LIMIT),
          _mm512_set1_ps (0.125f));
    npu_hadamard (t);
    for (int j = 0; j < 4; j++)
      _mm512_store_ps (&out[i][j * 16], t[j]);
  }
}

static void
npu_pack_q_s8 (void *tile, const float *x, ptrdiff_t stride, int rows)
{
  float rotated[ROWS][DIM] __attribute__ ((aligned (64)));
  QTile *q = tile;

  npu_rotate_rows (rotated, x, stride, rows);
  for (int first = 0; first < ROWS; first += LANES) {
    __m512 by_row[LANES];

    npu_load_columns (&q->exact[0][first], rotated[first], DIM, LANES);
    for (int i = 0; i < LANES; i++) {
      __m512 t[4];
      float inverse;

      for (int j = 0; j < 4; j++)
        t[j] = _mm512_load_ps (&rotated[first + i][j * 16]);
      q->scale[first + i] =
          npu_q8_scale (_mm512_reduce_max_ps (npu_max_abs_64 (t)), &inverse);
      by_row[i] = _mm512_castsi512_ps (
          _mm512_add_epi8 (npu_quantise_64 (t, _mm512_set1_ps (inverse)),
              _mm512_set1_epi8 (-128)));
    }
    npu_transpose_avx512 (by_row);
    for (int i = 0; i < DIM / 4; i++)
      _mm512_store_ps ((float *) q->x[i][first], by_row[i]);
  }
}

static void
npu_pack_k_s8 (void *tile, const float *x, ptrdiff_t stride, int rows)
{
  float rotated[ROWS][DIM] __attribute__ ((aligned (64)));
  KTile *k = tile;
  __m512 mean[4], max = _mm512_setzero_ps ();
  float inverse;

  npu_rotate_rows (rotated, x, stride, rows);
  for (int j = 0; j < 4; j++) {
    mean[j] = _mm512_setzero_ps ();
    for (int i = 0; i < rows; i++)
      mean[j] = _mm512_add_ps (mean[j], _mm512_load_ps (&rotated[i][j * 16]));
    mean[j] = _mm512_mul_ps (mean[j], _mm512_set1_ps (1.0f / (float) rows));
    _mm512_store_ps (&k->mean[j * 16], mean[j]);
  }
  for (int i = 0; i < rows; i++) {
    __m512 t[4];

    for (int j = 0; j < 4; j++) {
      t[j] = _mm512_sub_ps (_mm512_load_ps (&rotated[i][j * 16]), mean[j]);
      _mm512_store_ps (&rotated[i][j * 16], t[j]);
    }
    max = _mm512_max_ps (max, npu_max_abs_64 (t));
  }
  memset (k->scale, 0, sizeof k->scale);
  k->scale[0] = npu_q8_scale (_mm512_reduce_max_ps (max), &inverse);

  for (int i = 0; i < ROWS; i++) {
    __m512i row;
    __m512 t[4];

    for (int j = 0; j < 4; j++)
      t[j] = _mm512_load_ps (&rotated[i][j * 16]);
    row = npu_quantise_64 (t, _mm512_set1_ps (inverse));
    _mm512_store_si512 (k->x[i], row);
    k->correction[i] = -_mm512_reduce_add_epi32 (_mm512_dpbusd_epi32 (
        _mm512_setzero_si512 (), _mm512_set1_epi8 (-128), row));
  }
}

/* mean[i][query] = scale * q k[i].mean for the next n tiles, MEANS at most. */
NPU_INLINE void
npu_mean_scores (float (*mean)[ROWS], const QTile *q, const KTile *k, int n,
    float scale, const int groups)
{
  __m512 acc[MEANS][GROUPS];

  for (int i = 0; i < MEANS; i++)
    for (int g = 0; g < groups; g++)
      acc[i][g] = _mm512_setzero_ps ();
  for (int d = 0; d < DIM; d++)
    for (int i = 0; i < MEANS; i++) {
      const __m512 y = _mm512_set1_ps (k[npu_min_int (i, n - 1)].mean[d]);
      for (int g = 0; g < groups; g++)
        acc[i][g] = _mm512_fmadd_ps (
            _mm512_load_ps (&q->exact[d][g * LANES]), y, acc[i][g]);
    }
  for (int i = 0; i < MEANS; i++)
    for (int g = 0; g < groups; g++)
      _mm512_store_ps (&mean[i][g * LANES],
          _mm512_mul_ps (acc[i][g], _mm512_set1_ps (scale)));
}

/* Four bytes of a key to all lanes. */
NPU_INLINE __m512i
npu_broadcast_4 (const void *x)
{
  int32_t four;

  memcpy (&four, x, sizeof four);
  return _mm512_set1_epi32 (four);
}

NPU_INLINE NpuInts
npu_dpbusd (NpuInts acc, __m512i x, __m512i y)
{
  return (NpuInts) _mm512_dpbusd_epi32 ((__m512i) acc, x, y);
}
