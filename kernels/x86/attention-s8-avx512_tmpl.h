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
#include "x86/ints-avx512.h"

#include <string.h>

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

/* Three steps of the Hadamard transform of 16 queries, which lie side by side:
 * between columns @apart, 2 @apart and 4 @apart. Returns the largest
 * magnitudes. */
NPU_INLINE __m512
npu_hadamard_columns (float (*x)[ROWS], int apart, float factor)
{
  __m512 max = _mm512_setzero_ps ();

  for (int i = 0; i < DIM; i += 8 * apart)
    for (int j = i; j < i + apart; j++) {
      __m512 t[8];

      for (int k = 0; k < 8; k++)
        t[k] = _mm512_load_ps (x[j + k * apart]);
      for (int step = 1; step < 8; step *= 2)
        for (int k = 0; k < 8; k++)
          if (!(k & step)) {
            const __m512 a = t[k], b = t[k + step];
            t[k] = _mm512_add_ps (a, b);
            t[k + step] = _mm512_sub_ps (a, b);
          }
      for (int k = 0; k < 8; k++) {
        t[k] = _mm512_mul_ps (t[k], _mm512_set1_ps (factor));
        _mm512_store_ps (x[j + k * apart], t[k]);
      }
      max = _mm512_max_ps (
          max, _mm512_max_ps (npu_max_abs_64 (t), npu_max_abs_64 (t + 4)));
    }
  return max;
}

static void
NPU_KERNEL (attention_s8_pack_q) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  QTile *q = tile;

  for (int first = 0; first < ROWS; first += LANES) {
    float (*exact)[ROWS] = (float (*)[ROWS]) & q->exact[0][first];
    __m512 max, inverse;
    __mmask16 zero;

    npu_load_columns (exact[0], x + first * stride, stride, rows - first);
    npu_hadamard_columns (exact, 1, 0.125f);
    max = npu_hadamard_columns (exact, 8, 1.0f);
    zero =
        _mm512_cmp_ps_mask (max, _mm512_set1_ps (NPU_Q8_SMALLEST), _CMP_LT_OQ);
    inverse = _mm512_mask_div_ps (
        _mm512_setzero_ps (), (__mmask16) ~zero, _mm512_set1_ps (127.0f), max);
    _mm512_store_ps (
        &q->scale[first], _mm512_div_ps (max, _mm512_set1_ps (127.0f)));

    for (int d = 0; d < DIM; d += 4) {
      __m512i bytes = _mm512_setzero_si512 ();

      for (int i = 3; i >= 0; i--)
        bytes = _mm512_add_epi32 (_mm512_slli_epi32 (bytes, 8),
            _mm512_cvtps_epi32 (
                _mm512_mul_ps (_mm512_load_ps (exact[d + i]), inverse)));
      _mm512_store_si512 (q->x[d / 4][first],
          _mm512_add_epi32 (bytes, _mm512_set1_epi32 ((int) 0x80808080)));
    }
  }
}

static void
NPU_KERNEL (attention_s8_pack_k) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  float rotated[ROWS][DIM] __attribute__ ((aligned (64)));
  KTile *k = tile;
  __m512 mean[4] = {0}, max = _mm512_setzero_ps ();
  float inverse;

  npu_rotate_rows (rotated, x, stride, rows);
  /* Sums of columns side by side do not wait for each other. */
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < 4; j++)
      mean[j] = _mm512_add_ps (mean[j], _mm512_load_ps (&rotated[i][j * 16]));
  for (int j = 0; j < 4; j++) {
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

NPU_INLINE NpuInts
npu_dpbusd (NpuInts acc, __m512i x, __m512i y)
{
  return (NpuInts) _mm512_dpbusd_epi32 ((__m512i) acc, x, y);
}
