/* Attention with AVX512-BF16 after the scores: softmax, weighted values. The
 * includer has QTile, KTile, NpuScores of 16 queries and these functions of
 * them, of STEPS products each:
 *
 *   first_scores (k, key)         what a key's sums of products start from
 *   add_products (acc, x, y)      32 bits of queries and of a key
 *   float_scores (s), larger_scores (a, b), lowest_scores ()
 *   scores_below (s, max)         s - max as floats, 0 where they are the same
 *   score_steps (q, k, lane, scale)  powers of two in a unit of scores
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/attention-means-avx512.h"

#define raise_reference NPU_KERNEL (ATTENTION (raise_reference))

typedef struct {
  uint32_t x[ROWS / 2][DIM]; /* two keys' bfloat16, the first one low */
} VTile;

typedef struct {
  uint32_t p[ROWS / 2][ROWS]; /* weights, in pairs like VTile: [pair][query] */
  float o[DIM][ROWS];         /* sums of weighted values */
  float sum[ROWS];            /* of weights */
  float reference[ROWS];      /* score whose weight is 1 */
  float mean[MEANS][ROWS];    /* mean scores of some tiles */
  float factor[ROWS], offset[ROWS]; /* x = score * factor + offset: the weight
                                     * is 2^x */
  float tile_sum[ROWS];
} Scratch;

/* Two rows of 16 as bfloat16 pairs, a low. */
NPU_INLINE __m512i
pair_bf16 (__m512 a, __m512 b)
{
  const __m512i interleave =
      _mm512_set_epi16 (31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9,
          24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);

  return _mm512_permutexvar_epi16 (
      interleave, (__m512i) _mm512_cvtne2ps_pbh (b, a));
}

NPU_INLINE __m512
weight_of (__m512 x)
{
  x = _mm512_min_ps (x, _mm512_set1_ps (RAISE + 1));
  x = _mm512_max_ps (x, _mm512_set1_ps (NPU_EXP2_MIN));
  return npu_exp2_short_avx512 (x);
}

/* Weights p of the pair of keys whose scores are s, for one register of
 * queries; keys that are not live get none. */
NPU_INLINE void
weigh_pair (uint32_t *p, const NpuScores s[2], const float *factor,
    const float *offset, const int n_live)
{
  __m512 w[2] = {_mm512_setzero_ps (), _mm512_setzero_ps ()};

  for (int i = 0; i < n_live; i++)
    w[i] = weight_of (_mm512_fmadd_ps (
        float_scores (s[i]), _mm512_load_ps (factor), _mm512_load_ps (offset)));
  _mm512_store_si512 (p, pair_bf16 (w[0], w[1]));
}

/* Scores s of two keys. Between the products, which leave the units that add
 * and convert idle, the scores of the two keys before become weights, unless
 * p is NULL. */
NPU_INLINE void
score_pair (NpuScores s[GROUPS][2], uint32_t *p, const QTile *q, const KTile *k,
    int key, const Scratch *scratch, const int groups)
{
  NpuScores acc[GROUPS][2];

  for (int g = 0; g < groups; g++)
    for (int i = 0; i < 2; i++)
      acc[g][i] = first_scores (k, key + i);
  NPU_UNROLL
  for (int d = 0; d < STEPS; d++) {
    const int g_before = d * GROUPS / STEPS;
    __m512i x[GROUPS];

    for (int g = 0; g < groups; g++)
      x[g] = _mm512_load_si512 (q->x[d][g * LANES]);
    for (int i = 0; i < 2; i++) {
      const __m512i y = npu_broadcast_32 (&k->x[key + i][d * DIM / STEPS]);
      for (int g = 0; g < groups; g++)
        acc[g][i] = add_products (acc[g][i], x[g], y);
    }
    if (p && d % (STEPS / GROUPS) == 0 && g_before < groups)
      weigh_pair (&p[g_before * LANES], s[g_before],
          &scratch->factor[g_before * LANES],
          &scratch->offset[g_before * LANES], 2);
  }
  for (int g = 0; g < groups; g++)
    for (int i = 0; i < 2; i++)
      s[g][i] = acc[g][i];
}

/* The weights of the tile's first n_keys keys. */
NPU_INLINE void
weigh (Scratch *scratch, const QTile *q, const KTile *k, int n_keys,
    const int groups)
{
  uint32_t *p = scratch->p[0];
  NpuScores s[GROUPS][2];

  score_pair (s, NULL, q, k, 0, scratch, groups);
  for (int key = 2; key < n_keys; key += 2, p += ROWS)
    score_pair (s, p, q, k, key, scratch, groups);
  for (int g = 0; g < groups; g++) {
    const float *factor = &scratch->factor[g * LANES];
    const float *offset = &scratch->offset[g * LANES];

    if (n_keys % 2)
      weigh_pair (&p[g * LANES], s[g], factor, offset, 1);
    else
      weigh_pair (&p[g * LANES], s[g], factor, offset, 2);
  }
}

/* Sums the tile's weights, rounded as they are; true if one sum is so large
 * that the reference must be raised. */
NPU_INLINE int
sum_weights (Scratch *scratch, int n_pairs, const int groups)
{
  const __m512bh ones = (__m512bh) _mm512_set1_epi32 (0x3f803f80);
  int high = 0;

  for (int g = 0; g < groups; g++) {
    const uint32_t *p = &scratch->p[0][g * LANES];
    __m512 even = _mm512_setzero_ps (), odd = even;

    for (int i = 0; i + 1 < n_pairs; i += 2) {
      even = _mm512_dpbf16_ps (
          even, (__m512bh) _mm512_load_si512 (p + i * ROWS), ones);
      odd = _mm512_dpbf16_ps (
          odd, (__m512bh) _mm512_load_si512 (p + (i + 1) * ROWS), ones);
    }
    if (n_pairs % 2)
      even = _mm512_dpbf16_ps (
          even, (__m512bh) _mm512_load_si512 (p + (n_pairs - 1) * ROWS), ones);
    even = _mm512_add_ps (even, odd);
    _mm512_store_ps (&scratch->tile_sum[g * LANES], even);
    high |= _mm512_cmp_ps_mask (even, _mm512_set1_ps (1u << RAISE), _CMP_GT_OQ);
  }
  return high;
}

/* Raises the reference of queries whose weights are too large to the largest
 * score of this tile, and makes their weights again, from the distance to that
 * score in whole steps: however large scores are, the largest one's weight is
 * exactly 1. */
static __attribute__ ((noinline)) void
raise_reference (
    Scratch *scratch, const QTile *q, const KTile *k, int n_keys, int groups)
{
  for (int g = 0; g < groups; g++) {
    const int lane = g * LANES;
    const __mmask16 raised =
        _mm512_cmp_ps_mask (_mm512_load_ps (&scratch->tile_sum[lane]),
            _mm512_set1_ps (1u << RAISE), _CMP_GT_OQ);
    const __m512 factor = _mm512_load_ps (&scratch->factor[lane]);
    const __m512 offset = _mm512_load_ps (&scratch->offset[lane]);
    NpuScores s[ROWS], max = lowest_scores ();
    __m512 by;

    for (int key = 0; key < ROWS; key += 4) {
      NpuScores acc[4];

      for (int i = 0; i < 4; i++)
        acc[i] = first_scores (k, key + i);
      for (int d = 0; d < STEPS; d++)
        for (int i = 0; i < 4; i++)
          acc[i] = add_products (acc[i], _mm512_load_si512 (q->x[d][lane]),
              npu_broadcast_32 (&k->x[key + i][d * DIM / STEPS]));
      for (int i = 0; i < 4; i++) {
        s[key + i] = acc[i];
        if (key + i < n_keys)
          max = larger_scores (max, s[key + i]);
      }
    }

    by = _mm512_maskz_fmadd_ps (raised, float_scores (max), factor, offset);
    _mm512_store_ps (&scratch->reference[lane],
        _mm512_add_ps (_mm512_load_ps (&scratch->reference[lane]), by));
    npu_shrink (scratch->o, scratch->sum, g, raised, by);

    for (int key = 0; key < n_keys; key += 2) {
      __m512 w[2] = {_mm512_setzero_ps (), _mm512_setzero_ps ()};

      for (int i = 0; i < 2 && key + i < n_keys; i++) {
        const __m512 x =
            _mm512_fmadd_ps (float_scores (s[key + i]), factor, offset);

        w[i] = weight_of (_mm512_mask_mul_ps (
            x, raised, scores_below (s[key + i], max), factor));
      }
      _mm512_store_si512 (&scratch->p[key / 2][lane], pair_bf16 (w[0], w[1]));
    }
  }
}

/* Adds the values of n_pairs pairs of keys, weighted. */
NPU_INLINE void
add_values (Scratch *scratch, const VTile *v, int n_pairs, const int groups)
{
  const int block = 4 * GROUPS / groups; /* columns: 16 accumulators */

  for (int d = 0; d < DIM; d += block) {
    const uint32_t *x = scratch->p[0], *y = &v->x[0][d];
    float *o = scratch->o[d];
    __m512 acc[8][GROUPS];

    for (int i = 0; i < block; i++)
      for (int g = 0; g < groups; g++)
        acc[i][g] = _mm512_load_ps (o + i * ROWS + g * LANES);
    for (int pair = 0; pair < n_pairs; pair++, x += ROWS, y += DIM)
      for (int i = 0; i < block; i++)
        for (int g = 0; g < groups; g++)
          acc[i][g] = _mm512_dpbf16_ps (acc[i][g],
              (__m512bh) _mm512_load_si512 (x + g * LANES),
              (__m512bh) _mm512_set1_epi32 ((int) y[i]));
    for (int i = 0; i < block; i++)
      for (int g = 0; g < groups; g++)
        _mm512_store_ps (o + i * ROWS + g * LANES, acc[i][g]);
  }
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
    const int n_pairs = (n_keys + 1) / 2;

    if (tile % MEANS == 0)
      npu_mean_scores (
          scratch->mean, q, k, (rest + ROWS - 1) / ROWS, scale, groups);
    if (tile == 0)
      memcpy (scratch->reference, scratch->mean[0], sizeof scratch->reference);
    for (int lane = 0; lane < groups * LANES; lane += LANES) {
      _mm512_store_ps (&scratch->factor[lane], score_steps (q, k, lane, scale));
      _mm512_store_ps (&scratch->offset[lane],
          _mm512_sub_ps (_mm512_load_ps (&scratch->mean[tile % MEANS][lane]),
              _mm512_load_ps (&scratch->reference[lane])));
    }

    weigh (scratch, q, k, n_keys, groups);
    if (sum_weights (scratch, n_pairs, groups)) {
      raise_reference (scratch, q, k, n_keys, groups);
      sum_weights (scratch, n_pairs, groups);
    }
    for (int lane = 0; lane < groups * LANES; lane += LANES)
      _mm512_store_ps (&scratch->sum[lane],
          _mm512_add_ps (_mm512_load_ps (&scratch->sum[lane]),
              _mm512_load_ps (&scratch->tile_sum[lane])));
    add_values (scratch, v, n_pairs, groups);
  }
}

static void
NPU_KERNEL (ATTENTION (pack_v)) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  VTile *v = tile;

  memset (v->x, 0, sizeof v->x);
  for (int i = 0; i < rows; i += 2)
    for (int d = 0; d < DIM; d += LANES) {
      const float *row = x + i * stride + d;
      const __m512 a = npu_clamp_avx512 (_mm512_loadu_ps (row), NPU_V_LIMIT);
      __m512 b = _mm512_setzero_ps ();

      if (i + 1 < rows)
        b = npu_clamp_avx512 (_mm512_loadu_ps (row + stride), NPU_V_LIMIT);
      _mm512_store_si512 (&v->x[i / 2][d], pair_bf16 (a, b));
    }
}

#include "x86/attention-end-avx512_tmpl.h"
