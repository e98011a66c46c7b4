/* What the AVX-512 attention kernels share.
 *
 * One query per lane: a tile's 64 queries are four registers, so that the
 * softmax has no horizontal step, and both products broadcast from the packed
 * keys or values as they lie in memory.
 *
 * Weights are made while their scores are still in registers. They are
 * relative not to the largest score so far but to a reference: a score that
 * the first tile's largest certainly reaches. It is raised only when weights
 * exceed 2^RAISE; below that, float's range makes up for it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/avx512.h"

#define ROWS NPU_TILE_ROWS
#define DIM NPU_HEAD_DIM
#define LANES 16
#define GROUPS (ROWS / LANES)

#define RAISE 30 /* NPU_V_LIMIT 2^RAISE kv_rows must stay below FLT_MAX */

/* x[rows][64], 16 rows at most, transposed into 16 columns of a tile; missing
 * rows become zeros. */
NPU_INLINE void
npu_load_columns (float *out, const float *x, ptrdiff_t stride, int rows)
{
  for (int d = 0; d < DIM; d += LANES) {
    __m512 t[LANES];

    for (int i = 0; i < LANES; i++)
      t[i] = i < rows ? npu_clamp_avx512 (
                            _mm512_loadu_ps (x + i * stride + d), NPU_QK_LIMIT)
                      : _mm512_setzero_ps ();
    npu_transpose_avx512 (t);
    for (int i = 0; i < LANES; i++)
      _mm512_store_ps (out + (d + i) * ROWS, t[i]);
  }
}

/* out[q_rows][64] = o[64][query] / sum[query] */
NPU_INLINE void
npu_store_rows (float *out, ptrdiff_t stride, const float (*o)[ROWS],
    const float *sum, int q_rows)
{
  for (int first = 0; first < q_rows; first += LANES) {
    const int rows = npu_min_int (q_rows - first, LANES);
    const __m512 inverse =
        _mm512_div_ps (_mm512_set1_ps (1.0f), _mm512_load_ps (sum + first));

    for (int d = 0; d < DIM; d += 16) {
      __m512 t[16];

      for (int i = 0; i < 16; i++)
        t[i] = _mm512_mul_ps (_mm512_load_ps (&o[d + i][first]), inverse);
      npu_transpose_avx512 (t);
      for (int i = 0; i < rows; i++)
        _mm512_storeu_ps (out + (first + i) * stride + d, t[i]);
    }
  }
}

/* Rescales what was summed to a reference that is higher by `by` where
 * raised. */
NPU_INLINE void
npu_shrink (
    float (*o)[ROWS], float *sum, int group, __mmask16 raised, __m512 by)
{
  const __m512 x = _mm512_max_ps (
      _mm512_sub_ps (_mm512_setzero_ps (), by), _mm512_set1_ps (NPU_EXP2_MIN));
  const __m512 shrink =
      _mm512_mask_mov_ps (_mm512_set1_ps (1.0f), raised, npu_exp2_avx512 (x));

  sum += group * LANES;
  _mm512_store_ps (sum, _mm512_mul_ps (_mm512_load_ps (sum), shrink));
  for (int d = 0; d < DIM; d++) {
    float *row = &o[d][group * LANES];
    _mm512_store_ps (row, _mm512_mul_ps (_mm512_load_ps (row), shrink));
  }
}
