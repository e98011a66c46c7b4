/* int8 attention with AVX2 alone, in 16 bits: vpmaddubsw would saturate, and
 * what keeps it from that costs as much as vpmaddwd does. So queries and keys
 * have 12 bits.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "x86/attention-avx2.h"
#include "x86/npu-x86.h"

/* 64 products stay below 2^28. */
#define MAX_SCORE_FACTOR 2047.0f

typedef struct {
  int16_t x[DIM / 2][ROWS][2]; /* round (x / scale), by two columns */
  float exact[DIM][ROWS];
  float scale[ROWS];
} QTile;

typedef struct {
  int16_t x[ROWS][DIM]; /* round ((x - mean) / scale) */
  float mean[DIM];
  float scale[16]; /* one, padded */
} KTile;

#include "x86/attention-s8-avx2.h"

NPU_INLINE void
multiply_scores (NpuInts acc[BLOCK][GROUPS], const QTile *q, const KTile *k,
    int key, int lane, const int block)
{
  memset (acc, 0, BLOCK * sizeof *acc);
  for (int d = 0; d < DIM / 2; d++)
    for (int i = 0; i < block; i++) {
      const __m256i y = npu_broadcast_32 (&k->x[key + i][d * 2]);

      for (int g = 0; g < GROUPS; g++)
        acc[i][g] = npu_dot_s16 (acc[i][g],
            _mm256_load_si256 ((const __m256i *) q->x[d][lane + g * LANES]), y);
    }
}

static void
pack_q (void *tile, const float *x, ptrdiff_t stride, int rows)
{
  QTile *q = tile;

  npu_load_columns (q->exact, x, stride, rows);
  for (int lane = 0; lane < ROWS; lane += LANES) {
    __m256 max = _mm256_setzero_ps (), inverse;

    for (int d = 0; d < DIM; d++)
      max = _mm256_max_ps (
          max, npu_abs_avx2 (_mm256_load_ps (&q->exact[d][lane])));
    _mm256_store_ps (&q->scale[lane],
        _mm256_mul_ps (max, _mm256_set1_ps (1 / MAX_SCORE_FACTOR)));
    inverse = _mm256_div_ps (_mm256_set1_ps (MAX_SCORE_FACTOR), max);
    inverse = _mm256_and_ps (inverse,
        _mm256_cmp_ps (max, _mm256_set1_ps (NPU_Q8_SMALLEST), _CMP_GE_OQ));
    for (int d = 0; d < DIM; d += 2) {
      __m256i pair[2];

      for (int j = 0; j < 2; j++)
        pair[j] = _mm256_cvtps_epi32 (
            _mm256_mul_ps (_mm256_load_ps (&q->exact[d + j][lane]), inverse));
      _mm256_store_si256 ((__m256i *) q->x[d / 2][lane],
          _mm256_blend_epi16 (pair[0], _mm256_slli_epi32 (pair[1], 16), 0xaa));
    }
  }
}

static void
pack_k (void *tile, const float *x, ptrdiff_t stride, int rows)
{
  KTile *k = tile;
  __m256 max = _mm256_setzero_ps (), inverse;

  for (int d = 0; d < DIM; d += LANES) {
    __m256 mean = _mm256_setzero_ps ();

    for (int i = 0; i < rows; i++)
      mean = _mm256_add_ps (mean,
          npu_clamp_avx2 (_mm256_loadu_ps (x + i * stride + d), NPU_QK_LIMIT));
    mean = _mm256_mul_ps (mean, _mm256_set1_ps (1.0f / (float) rows));
    _mm256_store_ps (&k->mean[d], mean);
    for (int i = 0; i < rows; i++)
      max = _mm256_max_ps (
          max, npu_abs_avx2 (_mm256_sub_ps (
                   npu_clamp_avx2 (
                       _mm256_loadu_ps (x + i * stride + d), NPU_QK_LIMIT),
                   mean)));
  }
  memset (k->scale, 0, sizeof k->scale);
  k->scale[0] =
      scale_of (npu_reduce_max_avx2 (max), MAX_SCORE_FACTOR, &inverse);

  memset (k->x[rows], 0, (size_t) (ROWS - rows) * sizeof k->x[0]);
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d += 2 * LANES) {
      __m256i q[2];

      for (int j = 0; j < 2; j++) {
        const float *at = x + i * stride + d + j * LANES;
        q[j] = _mm256_cvtps_epi32 (_mm256_mul_ps (
            _mm256_sub_ps (npu_clamp_avx2 (_mm256_loadu_ps (at), NPU_QK_LIMIT),
                _mm256_load_ps (&k->mean[d + j * LANES])),
            inverse));
      }
      _mm256_store_si256 ((__m256i *) &k->x[i][d],
          _mm256_permute4x64_epi64 (_mm256_packs_epi32 (q[0], q[1]), 0xd8));
    }
}

void
npu_attention_init_s8_avx2 (NpuKernels *kernels)
{
  kernels->attention_s8 = (NpuAttentionKernel){
      .q_tile_size = sizeof (QTile),
      .k_tile_size = sizeof (KTile),
      .v_tile_size = sizeof (VTile),
      .scratch_size = sizeof (Scratch),
      .pack_q = pack_q,
      .pack_k = pack_k,
      .pack_v = pack_v,
      .run = run,
  };
}
