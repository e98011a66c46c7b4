/* int8 attention with AVX-512 VNNI alone: scores by vpdpbusd, weighted values
 * by vpdpwssd with weights and values of 16 bits.
 *
 * Weights of 13 bits must be relative to the largest score of their tile,
 * which is known when all of its scores are; what the tile adds to the sums
 * is then scaled to the reference.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "x86/attention-s8-avx512.h"
#include "x86/npu-x86.h"

/* 64 products of a weight and a value stay below 2^30. */
#define WEIGHT_BITS 13
#define MAX_VALUE 2047.0f

typedef struct {
  uint32_t x[ROWS / 2][DIM]; /* two keys' int16, the first one low */
  float scale[LANES];        /* one, padded */
} VTile;

typedef struct {
  int32_t s[ROWS][ROWS];      /* scores: [key][query] */
  uint32_t p[ROWS / 2][ROWS]; /* weights, in pairs like VTile: [pair][query] */
  float o[DIM][ROWS];         /* sums of weighted values */
  float sum[ROWS];            /* of weights */
  float reference[ROWS];      /* score whose weight is 1 */
  float mean[MEANS][ROWS];    /* mean scores of some tiles */
  float factor[ROWS];         /* a score's unit, in powers of two */
  float weight[ROWS];         /* of the tile's largest score */
} Scratch;

/* The integer scores of n_keys keys; max is their largest. */
NPU_INLINE void
score (Scratch *scratch, __m512i max[GROUPS], const QTile *q, const KTile *k,
    int n_keys, const int groups)
{
  const int block = 4 * GROUPS / groups; /* keys: 16 accumulators */

  for (int g = 0; g < groups; g++)
    max[g] = _mm512_set1_epi32 (INT32_MIN);
  for (int key = 0; key < n_keys; key += block) {
    NpuInts acc[8][GROUPS];

    for (int i = 0; i < block; i++)
      for (int g = 0; g < groups; g++)
        acc[i][g] = (NpuInts) _mm512_set1_epi32 (k->correction[key + i]);
    for (int d = 0; d < DIM / 4; d++) {
      __m512i x[GROUPS];

      for (int g = 0; g < groups; g++)
        x[g] = _mm512_load_si512 (q->x[d][g * LANES]);
      for (int i = 0; i < block; i++) {
        const __m512i y = npu_broadcast_4 (&k->x[key + i][d * 4]);
        for (int g = 0; g < groups; g++)
          acc[i][g] = npu_dpbusd (acc[i][g], x[g], y);
      }
    }
    for (int i = 0; i < block; i++) {
      const __mmask16 live = key + i < n_keys ? 0xffff : 0;
      for (int g = 0; g < groups; g++) {
        max[g] =
            _mm512_mask_max_epi32 (max[g], live, max[g], (__m512i) acc[i][g]);
        _mm512_store_si512 (
            &scratch->s[key + i][g * LANES], (__m512i) acc[i][g]);
      }
    }
  }
}

/* 2^((s - max) factor) in units of 2^-WEIGHT_BITS. */
NPU_INLINE __m512i
weigh_one (const int32_t *s, __m512i max, __m512 factor)
{
  const __m512i below = _mm512_sub_epi32 (_mm512_load_si512 (s), max);
  const __m512 x = _mm512_max_ps (_mm512_set1_ps (-WEIGHT_BITS - 2.0f),
      _mm512_mul_ps (_mm512_cvtepi32_ps (below), factor));

  return _mm512_cvtps_epi32 (_mm512_mul_ps (
      npu_exp2_short_avx512 (x), _mm512_set1_ps (1 << WEIGHT_BITS)));
}

/* Turns the scores into weights, and adds their sum to what was summed. */
NPU_INLINE void
weigh (
    Scratch *scratch, const __m512i max[GROUPS], int n_keys, const int groups)
{
  for (int g = 0; g < groups; g++) {
    const int lane = g * LANES;
    const __m512 factor = _mm512_load_ps (&scratch->factor[lane]);
    const __m512 unit = _mm512_mul_ps (_mm512_load_ps (&scratch->weight[lane]),
        _mm512_set1_ps (1.0f / (1 << WEIGHT_BITS)));
    float *total = &scratch->sum[lane];
    __m512i sum = _mm512_setzero_si512 ();

    for (int key = 0; key < n_keys; key += 2) {
      __m512i pair = weigh_one (&scratch->s[key][lane], max[g], factor);

      if (key + 1 < n_keys)
        pair = _mm512_or_si512 (pair,
            _mm512_slli_epi32 (
                weigh_one (&scratch->s[key + 1][lane], max[g], factor), 16));
      sum = _mm512_dpwssd_epi32 (sum, pair, _mm512_set1_epi16 (1));
      _mm512_store_si512 (&scratch->p[key / 2][lane], pair);
    }
    _mm512_store_ps (total, _mm512_fmadd_ps (_mm512_cvtepi32_ps (sum), unit,
                                _mm512_load_ps (total)));
  }
}

/* Adds the values of n_pairs pairs of keys, weighted. */
NPU_INLINE void
add_values (Scratch *scratch, const VTile *v, int n_pairs, const int groups)
{
  const int block = 4 * GROUPS / groups; /* columns: 16 accumulators */
  const __m512 scale =
      _mm512_set1_ps (v->scale[0] * (1.0f / (1 << WEIGHT_BITS)));

  for (int d = 0; d < DIM; d += block) {
    const uint32_t *x = scratch->p[0], *y = &v->x[0][d];
    NpuInts acc[8][GROUPS];

    for (int i = 0; i < block; i++)
      for (int g = 0; g < groups; g++)
        acc[i][g] = (NpuInts) _mm512_setzero_si512 ();
    for (int pair = 0; pair < n_pairs; pair++, x += ROWS, y += DIM)
      for (int i = 0; i < block; i++)
        for (int g = 0; g < groups; g++)
          acc[i][g] = (NpuInts) _mm512_dpwssd_epi32 ((__m512i) acc[i][g],
              _mm512_load_si512 (x + g * LANES),
              _mm512_set1_epi32 ((int) y[i]));
    for (int g = 0; g < groups; g++) {
      const __m512 unit =
          _mm512_mul_ps (_mm512_load_ps (&scratch->weight[g * LANES]), scale);
      for (int i = 0; i < block; i++) {
        float *o = &scratch->o[d + i][g * LANES];
        _mm512_store_ps (
            o, _mm512_fmadd_ps (_mm512_cvtepi32_ps ((__m512i) acc[i][g]), unit,
                   _mm512_load_ps (o)));
      }
    }
  }
}

/* The weight of the tile's largest scores, whose distance to the reference is
 * `above`; raises the reference where they are too large. */
NPU_INLINE void
weigh_tile (Scratch *scratch, __m512 above, int group)
{
  float *reference = &scratch->reference[group * LANES];
  const __mmask16 raised =
      _mm512_cmp_ps_mask (above, _mm512_set1_ps (RAISE), _CMP_GT_OQ);

  if (__builtin_expect (raised, 0)) {
    const __m512 by = _mm512_maskz_mov_ps (raised, above);

    _mm512_store_ps (reference, _mm512_add_ps (_mm512_load_ps (reference), by));
    npu_shrink (scratch->o, scratch->sum, group, raised, by);
    above = _mm512_sub_ps (above, by);
  }
  above = _mm512_max_ps (_mm512_set1_ps (NPU_EXP2_MIN), above);
  _mm512_store_ps (&scratch->weight[group * LANES], npu_exp2_avx512 (above));
}

NPU_INLINE void
run_groups (Scratch *scratch, const QTile *q, const KTile *k, const VTile *v,
    int kv_rows, float scale, const int groups)
{
  memset (scratch->o, 0, sizeof scratch->o);
  memset (scratch->sum, 0, sizeof scratch->sum);

  for (int tile = 0; tile * ROWS < kv_rows; tile++, k++, v++) {
    const int rest = kv_rows - tile * ROWS;
    const int n_keys = npu_min_int (rest, ROWS);
    __m512i max[GROUPS];

    if (tile % MEANS == 0)
      npu_mean_scores (
          scratch->mean, q, k, (rest + ROWS - 1) / ROWS, scale, groups);
    if (tile == 0)
      memcpy (scratch->reference, scratch->mean[0], sizeof scratch->reference);

    score (scratch, max, q, k, n_keys, groups);
    for (int g = 0; g < groups; g++) {
      const int lane = g * LANES;
      const __m512 factor = _mm512_mul_ps (_mm512_load_ps (&q->scale[lane]),
          _mm512_set1_ps (k->scale[0] * scale));
      const __m512 offset =
          _mm512_sub_ps (_mm512_load_ps (&scratch->mean[tile % MEANS][lane]),
              _mm512_load_ps (&scratch->reference[lane]));

      _mm512_store_ps (&scratch->factor[lane], factor);
      weigh_tile (scratch,
          _mm512_fmadd_ps (_mm512_cvtepi32_ps (max[g]), factor, offset), g);
    }
    weigh (scratch, max, n_keys, groups);
    add_values (scratch, v, (n_keys + 1) / 2, groups);
  }
}

static void
run (float *o, ptrdiff_t o_stride, const void *q, const void *k, const void *v,
    int q_rows, int kv_rows, float scale, void *scratch_)
{
  Scratch *scratch = scratch_;

  if (q_rows > ROWS / 2)
    run_groups (scratch, q, k, v, kv_rows, scale * NPU_LOG2E, GROUPS);
  else
    run_groups (scratch, q, k, v, kv_rows, scale * NPU_LOG2E, GROUPS / 2);
  npu_store_rows (
      o, o_stride, (const float (*)[ROWS]) scratch->o, scratch->sum, q_rows);
}

static void
pack_v (void *tile, const float *x, ptrdiff_t stride, int rows)
{
  VTile *v = tile;
  __m512 max = _mm512_setzero_ps (), inverse;
  float largest;

  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d += LANES)
      max = _mm512_max_ps (
          max, _mm512_abs_ps (npu_clamp_avx512 (
                   _mm512_loadu_ps (x + i * stride + d), NPU_V_LIMIT)));
  largest = _mm512_reduce_max_ps (max);
  memset (v->scale, 0, sizeof v->scale);
  v->scale[0] = largest / MAX_VALUE;
  inverse =
      _mm512_set1_ps (largest < NPU_Q8_SMALLEST ? 0.0f : MAX_VALUE / largest);

  memset (v->x, 0, sizeof v->x);
  for (int i = 0; i < rows; i += 2)
    for (int d = 0; d < DIM; d += LANES) {
      __m512i pair[2] = {_mm512_setzero_si512 (), _mm512_setzero_si512 ()};

      for (int j = 0; j < 2 && i + j < rows; j++)
        pair[j] = _mm512_cvtps_epi32 (_mm512_mul_ps (
            npu_clamp_avx512 (
                _mm512_loadu_ps (x + (i + j) * stride + d), NPU_V_LIMIT),
            inverse));
      _mm512_store_si512 (
          &v->x[i / 2][d], _mm512_mask_blend_epi16 (0xaaaaaaaa, pair[0],
                               _mm512_slli_epi32 (pair[1], 16)));
    }
}

void
npu_attention_init_s8_avx512vnni (NpuKernels *kernels)
{
  kernels->attention_s8 = (NpuAttentionKernel){
      .q_tile_size = sizeof (QTile),
      .k_tile_size = sizeof (KTile),
      .v_tile_size = sizeof (VTile),
      .scratch_size = sizeof (Scratch),
      .pack_q = npu_pack_q_s8,
      .pack_k = npu_pack_k_s8,
      .pack_v = pack_v,
      .run = run,
  };
}
