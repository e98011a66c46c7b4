/* What the AVX2 attention kernels share; attention-avx512.h tells the method.
 * 16 queries, two registers, are computed at a time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/avx2.h"

#define ROWS NPU_TILE_ROWS
#define DIM NPU_HEAD_DIM
#define LANES 8
#define GROUPS 2               /* registers of queries */
#define PANEL (GROUPS * LANES) /* queries */
#define BLOCK 6                /* keys or columns: 12 accumulators */
#define LAST_BLOCK (ROWS % BLOCK)

#define RAISE 30 /* NPU_V_LIMIT 2^RAISE kv_rows must stay below FLT_MAX */

/* x[rows][64] transposed: out[64][64]; missing rows become zeros. */
NPU_INLINE void
npu_load_columns (
    float (*out)[ROWS], const float *x, ptrdiff_t stride, int rows)
{
  for (int first = 0; first < ROWS; first += LANES)
    for (int d = 0; d < DIM; d += LANES) {
      __m256 t[LANES];

      for (int i = 0; i < LANES; i++)
        t[i] = first + i < rows
                   ? npu_clamp_avx2 (
                         _mm256_loadu_ps (x + (first + i) * stride + d),
                         NPU_QK_LIMIT)
                   : _mm256_setzero_ps ();
      npu_transpose_avx2 (t);
      for (int i = 0; i < LANES; i++)
        _mm256_store_ps (&out[d + i][first], t[i]);
    }
}

/* out[q_rows][64] = o[64][query] / sum[query] */
NPU_INLINE void
npu_store_rows (float *out, ptrdiff_t stride, const float (*o)[ROWS],
    const float *sum, int q_rows)
{
  for (int first = 0; first < q_rows; first += LANES) {
    const int rows = npu_min_int (q_rows - first, LANES);
    const __m256 inverse =
        _mm256_div_ps (_mm256_set1_ps (1.0f), _mm256_load_ps (sum + first));

    for (int d = 0; d < DIM; d += LANES) {
      __m256 t[LANES];

      for (int i = 0; i < LANES; i++)
        t[i] = _mm256_mul_ps (_mm256_load_ps (&o[d + i][first]), inverse);
      npu_transpose_avx2 (t);
      for (int i = 0; i < rows; i++)
        _mm256_storeu_ps (out + (first + i) * stride + d, t[i]);
    }
  }
}

/* Rescales what was summed to a reference that is higher by `by` where
 * raised. */
NPU_INLINE void
npu_shrink (float (*o)[ROWS], float *sum, int lane, __m256 raised, __m256 by)
{
  const __m256 x = _mm256_max_ps (
      _mm256_sub_ps (_mm256_setzero_ps (), by), _mm256_set1_ps (NPU_EXP2_MIN));
  const __m256 shrink =
      _mm256_blendv_ps (_mm256_set1_ps (1.0f), npu_exp2_avx2 (x), raised);

  _mm256_store_ps (
      sum + lane, _mm256_mul_ps (_mm256_load_ps (sum + lane), shrink));
  for (int d = 0; d < DIM; d++)
    _mm256_store_ps (
        &o[d][lane], _mm256_mul_ps (_mm256_load_ps (&o[d][lane]), shrink));
}
