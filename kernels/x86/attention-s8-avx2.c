/* int8 attention with AVX2 alone, in 16 bits: vpmaddubsw would saturate, and
 * what keeps it from that costs as much as vpmaddwd does. Queries and keys have
 * as many steps that no score, by Cauchy and Schwarz, exceeds 2^28. Weights
 * have 13 bits, and values 12.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx2

#include "x86/attention-avx2.h"
#include "x86/npu-x86.h"

#include <float.h>
#include <math.h>

/* Of a query, and of a key: rounding adds 4 at most. */
#define MAX_NORM 16370.0f
#define SCORE_SHIFT 13

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

typedef struct {
  uint32_t x[ROWS / 2][DIM]; /* two keys' int16, the first one low */
  float scale[16];           /* one, padded */
} VTile;

/* 64 products of a weight and a value stay below 2^30. */
#define WEIGHT_BITS 13
#define MAX_VALUE 2047.0f

#include "x86/attention-s8-avx2_tmpl.h"

#define subtract_mean NPU_KERNEL (attention_s8_subtract_mean)
#define largest_norm NPU_KERNEL (attention_s8_largest_norm)

NPU_INLINE void
multiply_scores (NpuInts acc[BLOCK][GROUPS], const QTile *q, const KTile *k,
    int key, int lane, const int block)
{
  memset (acc, 0, BLOCK * sizeof *acc);
  NPU_TWICE
  for (int d = 0; d < DIM / 2; d++)
    for (int i = 0; i < block; i++) {
      const __m256i y = npu_broadcast_32 (&k->x[key + i][d * 2]);

      for (int g = 0; g < GROUPS; g++)
        acc[i][g] = npu_dot_s16 (acc[i][g],
            _mm256_load_si256 ((const __m256i *) q->x[d][lane + g * LANES]), y);
    }
}

/* --- weights and values -------------------------------------------------- */

/* Weights in units of 2^-WEIGHT_BITS. */
NPU_INLINE void
weigh (Scratch *scratch, const __m256i max[GROUPS], int n_keys)
{
  const __m128i powers = _mm_setr_epi8 (
      0, 0, 0, 0, 0, 0, (char) 128, 64, 32, 16, 8, 4, 2, 1, 0, 0);

  for (int g = 0; g < GROUPS; g++) {
    const Steps steps = scratch->steps[g];
    NpuInts sum = {0};

    for (int key = 0; key < n_keys; key += 2) {
      __m256i *p = (__m256i *) &scratch->p[key / 2][g * LANES];
      const __m256i x = distance_steps (&steps, max[g], _mm256_load_si256 (p));
      /* The least relative error, 4e-4. */
      __m256i weight =
          _mm256_mulhrs_epi16 (fraction_power (x, 32760, 22737, 7840, 1486),
              whole_power (x, powers));

      if (key + 1 == n_keys)
        weight = _mm256_and_si256 (weight, _mm256_set1_epi32 (0xffff));
      sum = npu_dot_s16 (sum, weight, _mm256_set1_epi16 (1));
      _mm256_store_si256 (p, weight);
    }
    npu_store_ints (&scratch->tile_sum[g * LANES], sum);
  }
}

/* Adds the values of columns from d on of n_pairs pairs of keys, weighted. */
NPU_INLINE void
add_block (Scratch *scratch, const VTile *v, const __m256 unit[GROUPS],
    int lane, int d, int n_pairs, const int block)
{
  const uint32_t *x = scratch->p[0], *y = &v->x[0][d];
  NpuInts acc[BLOCK][GROUPS];

  memset (acc, 0, sizeof acc);
  NPU_TWICE
  for (int pair = 0; pair < n_pairs; pair++, x += PANEL, y += DIM)
    for (int i = 0; i < block; i++)
      for (int g = 0; g < GROUPS; g++)
        acc[i][g] = npu_dot_s16 (acc[i][g],
            _mm256_load_si256 ((const __m256i *) (x + g * LANES)),
            _mm256_set1_epi32 ((int) y[i]));
  for (int i = 0; i < block; i++)
    for (int g = 0; g < GROUPS; g++) {
      float *o = &scratch->o[d + i][lane + g * LANES];

      _mm256_store_ps (
          o, _mm256_fmadd_ps (_mm256_cvtepi32_ps ((__m256i) acc[i][g]), unit[g],
                 _mm256_load_ps (o)));
    }
}

NPU_INLINE void
add_values (Scratch *scratch, const VTile *v, int lane, int n_keys)
{
  const __m256 one = _mm256_set1_ps (1.0f / (1 << WEIGHT_BITS));
  const __m256 scale =
      _mm256_set1_ps (v->scale[0] * (1.0f / (1 << WEIGHT_BITS)));
  const int n_pairs = (n_keys + 1) / 2;
  __m256 unit[GROUPS];
  int d = 0;

  for (int g = 0; g < GROUPS; g++) {
    const __m256 weight = _mm256_load_ps (&scratch->weight[lane + g * LANES]);
    const __m256 sum =
        _mm256_cvtepi32_ps (npu_load_ints (&scratch->tile_sum[g * LANES]));
    float *total = &scratch->sum[lane + g * LANES];

    _mm256_store_ps (total, _mm256_fmadd_ps (sum, _mm256_mul_ps (weight, one),
                                _mm256_load_ps (total)));
    unit[g] = _mm256_mul_ps (weight, scale);
  }
  for (; d + BLOCK <= DIM; d += BLOCK)
    add_block (scratch, v, unit, lane, d, n_pairs, BLOCK);
  add_block (scratch, v, unit, lane, d, n_pairs, LAST_BLOCK);
}

/* --- packing ------------------------------------------------------------- */

/* The Euclidean norms of 8 columns of x[64][ROWS], without an overflow. */
NPU_INLINE __m256
column_norms (const float *x)
{
  __m256 max = _mm256_set1_ps (FLT_MIN), sum = _mm256_setzero_ps (), inverse;

  for (int d = 0; d < DIM; d++)
    max = _mm256_max_ps (max, npu_abs_avx2 (_mm256_load_ps (x + d * ROWS)));
  inverse = _mm256_div_ps (_mm256_set1_ps (1.0f), max);
  for (int d = 0; d < DIM; d++) {
    const __m256 t = _mm256_mul_ps (_mm256_load_ps (x + d * ROWS), inverse);

    sum = _mm256_fmadd_ps (t, t, sum);
  }
  return _mm256_mul_ps (max, _mm256_sqrt_ps (sum));
}

static void
NPU_KERNEL (attention_s8_pack_q) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  QTile *q = tile;

  npu_load_columns (q->exact, x, stride, rows);
  for (int lane = 0; lane < ROWS; lane += LANES) {
    const __m256 norm = column_norms (&q->exact[0][lane]);
    const __m256 inverse =
        _mm256_and_ps (_mm256_div_ps (_mm256_set1_ps (MAX_NORM), norm),
            _mm256_cmp_ps (norm, _mm256_set1_ps (NPU_Q8_SMALLEST), _CMP_GE_OQ));

    _mm256_store_ps (
        &q->scale[lane], _mm256_mul_ps (norm, _mm256_set1_ps (1 / MAX_NORM)));
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

/* out[rows][64] = x less its mean[64] */
static void
subtract_mean (
    float (*out)[DIM], float *mean, const float *x, ptrdiff_t stride, int rows)
{
  for (int d = 0; d < DIM; d += LANES) {
    __m256 sum = _mm256_setzero_ps (), offset;

    for (int i = 0; i < rows; i++)
      sum = _mm256_add_ps (sum,
          npu_clamp_avx2 (_mm256_loadu_ps (x + i * stride + d), NPU_QK_LIMIT));
    offset = _mm256_mul_ps (sum, _mm256_set1_ps (1.0f / (float) rows));
    _mm256_store_ps (mean + d, offset);
    for (int i = 0; i < rows; i++)
      _mm256_store_ps (&out[i][d],
          _mm256_sub_ps (npu_clamp_avx2 (_mm256_loadu_ps (x + i * stride + d),
                             NPU_QK_LIMIT),
              offset));
  }
}

/* The largest Euclidean norm of rows, without an overflow. */
static float
largest_norm (const float (*x)[DIM], int rows)
{
  __m256 max = _mm256_set1_ps (FLT_MIN);
  float largest, squares = 0.0f;

  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d += LANES)
      max = _mm256_max_ps (max, npu_abs_avx2 (_mm256_load_ps (&x[i][d])));
  largest = npu_reduce_max_avx2 (max);
  for (int i = 0; i < rows; i++) {
    __m256 sum = _mm256_setzero_ps ();

    for (int d = 0; d < DIM; d += LANES) {
      const __m256 t = _mm256_mul_ps (
          _mm256_load_ps (&x[i][d]), _mm256_set1_ps (1.0f / largest));

      sum = _mm256_fmadd_ps (t, t, sum);
    }
    squares = fmaxf (squares, npu_reduce_add_avx2 (sum));
  }
  return largest * sqrtf (squares);
}

static void
NPU_KERNEL (attention_s8_pack_k) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  float centred[ROWS][DIM] __attribute__ ((aligned (32)));
  KTile *k = tile;
  __m256 inverse;

  subtract_mean (centred, k->mean, x, stride, rows);
  memset (k->scale, 0, sizeof k->scale);
  k->scale[0] = scale_of (
      largest_norm ((const float (*)[DIM]) centred, rows), MAX_NORM, &inverse);

  memset (k->x[rows], 0, (size_t) (ROWS - rows) * sizeof k->x[0]);
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d += 2 * LANES) {
      __m256i q[2];

      for (int j = 0; j < 2; j++) {
        const __m256 t = _mm256_mul_ps (
            _mm256_load_ps (&centred[i][d + j * LANES]), inverse);

        /* NaNs, which the mean hands on, would become large integers. */
        q[j] = _mm256_cvtps_epi32 (
            _mm256_and_ps (t, _mm256_cmp_ps (t, t, _CMP_ORD_Q)));
      }
      _mm256_store_si256 ((__m256i *) &k->x[i][d],
          _mm256_permute4x64_epi64 (_mm256_packs_epi32 (q[0], q[1]), 0xd8));
    }
}

static void
NPU_KERNEL (attention_s8_pack_v) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  VTile *v = tile;
  __m256 max = _mm256_setzero_ps (), inverse;

  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d += LANES)
      max = _mm256_max_ps (
          max, npu_abs_avx2 (npu_clamp_avx2 (
                   _mm256_loadu_ps (x + i * stride + d), NPU_V_LIMIT)));
  memset (v->scale, 0, sizeof v->scale);
  v->scale[0] = scale_of (npu_reduce_max_avx2 (max), MAX_VALUE, &inverse);

  memset (v->x, 0, sizeof v->x);
  for (int i = 0; i < rows; i += 2)
    for (int d = 0; d < DIM; d += LANES) {
      __m256i pair[2] = {_mm256_setzero_si256 (), _mm256_setzero_si256 ()};

      for (int j = 0; j < 2 && i + j < rows; j++)
        pair[j] = _mm256_cvtps_epi32 (_mm256_mul_ps (
            npu_clamp_avx2 (
                _mm256_loadu_ps (x + (i + j) * stride + d), NPU_V_LIMIT),
            inverse));
      _mm256_store_si256 ((__m256i *) &v->x[i / 2][d],
          _mm256_blend_epi16 (pair[0], _mm256_slli_epi32 (pair[1], 16), 0xaa));
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
      .pack_q = NPU_KERNEL (attention_s8_pack_q),
      .pack_k = NPU_KERNEL (attention_s8_pack_k),
      .pack_v = NPU_KERNEL (attention_s8_pack_v),
      .run = NPU_KERNEL (attention_s8_run),
  };
}
