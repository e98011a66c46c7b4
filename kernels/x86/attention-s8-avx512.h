/* Queries and keys of the AVX-512 int8 attention kernels.
 *
 * Keys are quantised relative to the mean of their tile, which moves all of
 * the tile's scores of a query by the same amount: that is added back from
 * the exact query.
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

  NPU_UNROLL
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

static void
npu_pack_q_s8 (void *tile, const float *x, ptrdiff_t stride, int rows)
{
  QTile *q = tile;

  for (int first = 0; first < ROWS; first += LANES) {
    __m512 by_row[16];

    npu_load_columns (
        &q->exact[0][first], ROWS, x + first * stride, stride, rows - first);
    for (int i = 0; i < LANES; i++) {
      const float *row = x + (first + i) * stride;
      __m512 t[4];
      float inverse;

      if (first + i >= rows) {
        q->scale[first + i] = 0.0f;
        by_row[i] = _mm512_castsi512_ps (_mm512_set1_epi8 (-128));
        continue;
      }
      for (int j = 0; j < 4; j++)
        t[j] = npu_clamp_avx512 (_mm512_loadu_ps (row + j * 16), NPU_QK_LIMIT);
      q->scale[first + i] =
          npu_q8_scale (_mm512_reduce_max_ps (npu_max_abs_64 (t)), &inverse);
      by_row[i] = _mm512_castsi512_ps (
          _mm512_add_epi8 (npu_quantise_64 (t, _mm512_set1_ps (inverse)),
              _mm512_set1_epi8 (-128)));
    }
    npu_transpose_avx512 (by_row);
    NPU_UNROLL
    for (int i = 0; i < DIM / 4; i++)
      _mm512_store_ps ((float *) q->x[i][first], by_row[i]);
  }
}

static void
npu_pack_k_s8 (void *tile, const float *x, ptrdiff_t stride, int rows)
{
  KTile *k = tile;
  const __m512 share = _mm512_set1_ps (1.0f / (float) rows);
  __m512 mean[4], max = _mm512_setzero_ps ();
  float inverse;

  for (int j = 0; j < 4; j++)
    mean[j] = _mm512_setzero_ps ();
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < 4; j++)
      mean[j] = _mm512_add_ps (
          mean[j], npu_clamp_avx512 (_mm512_loadu_ps (x + i * stride + j * 16),
                       NPU_QK_LIMIT));
  for (int j = 0; j < 4; j++) {
    mean[j] = _mm512_mul_ps (mean[j], share);
    _mm512_store_ps (&k->mean[j * 16], mean[j]);
  }

  for (int i = 0; i < rows; i++) {
    __m512 t[4];

    for (int j = 0; j < 4; j++)
      t[j] = _mm512_sub_ps (
          npu_clamp_avx512 (
              _mm512_loadu_ps (x + i * stride + j * 16), NPU_QK_LIMIT),
          mean[j]);
    max = _mm512_max_ps (max, npu_max_abs_64 (t));
  }
  memset (k->scale, 0, sizeof k->scale);
  k->scale[0] = npu_q8_scale (_mm512_reduce_max_ps (max), &inverse);

  memset (k->x[rows], 0, (size_t) (ROWS - rows) * DIM);
  memset (k->correction, 0, sizeof k->correction);
  for (int i = 0; i < rows; i++) {
    __m512i q, sums;
    __m512 t[4];

    for (int j = 0; j < 4; j++)
      t[j] = _mm512_sub_ps (
          npu_clamp_avx512 (
              _mm512_loadu_ps (x + i * stride + j * 16), NPU_QK_LIMIT),
          mean[j]);
    q = npu_quantise_64 (t, _mm512_set1_ps (inverse));
    sums = _mm512_dpbusd_epi32 (
        _mm512_setzero_si512 (), _mm512_set1_epi8 (-128), q);
    _mm512_store_si512 (k->x[i], q);
    k->correction[i] = -_mm512_reduce_add_epi32 (sums);
  }
}

/* mean[i][query] = scale * q k[i].mean for the next n tiles, MEANS at most. */
NPU_INLINE void
npu_mean_scores (float (*mean)[ROWS], const QTile *q, const KTile *k, int n,
    float scale, const int groups)
{
  __m512 acc[MEANS][GROUPS];

  NPU_UNROLL
  for (int i = 0; i < MEANS; i++)
    NPU_UNROLL
  for (int g = 0; g < groups; g++)
    acc[i][g] = _mm512_setzero_ps ();
  for (int d = 0; d < DIM; d++)
    NPU_UNROLL
  for (int i = 0; i < MEANS; i++) {
    const __m512 y = _mm512_set1_ps (k[npu_min_int (i, n - 1)].mean[d]);
    NPU_UNROLL
    for (int g = 0; g < groups; g++)
      acc[i][g] = _mm512_fmadd_ps (
          _mm512_load_ps (&q->exact[d][g * LANES]), y, acc[i][g]);
  }
  NPU_UNROLL
  for (int i = 0; i < MEANS; i++)
    NPU_UNROLL
  for (int g = 0; g < groups; g++)
    _mm512_store_ps (
        &mean[i][g * LANES], _mm512_mul_ps (acc[i][g], _mm512_set1_ps (scale)));
}

/* Scores of two keys with one register of queries: adds four columns' share. */
NPU_INLINE __m512i
npu_broadcast_4 (const void *x)
{
  int32_t four;

  memcpy (&four, x, sizeof four);
  return _mm512_set1_epi32 (four);
}
