/* int8 attention with AVX2: what follows the integer scores. Compiled twice,
 * with AVX-VNNI and without; the file that includes this one defines QTile and
 * KTile with `exact`, `scale` and `mean`, VTile, their packing,
 * multiply_scores(), weigh(), add_values(), and SCORE_SHIFT, the bits that
 * scores lose to have 16.
 *
 * Weights are relative to the largest score of their tile. What the tile adds
 * to the sums is then scaled to the reference. Scores become weights in 16
 * bits, the two of a pair of keys side by side: 16 at once, and no conversion
 * to float.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/attention-avx2.h"
#include "x86/ints-avx2.h"

#define largest_of_some NPU_KERNEL (attention_s8_largest_of_some)
#define run_tile NPU_KERNEL (attention_s8_run_tile)

#define MEANS 4 /* tiles whose mean scores are computed together */

/* How weigh() gets from distances in scores to steps of 2^-10 in powers of two,
 * for the queries of a register; twice 16 bits for each. */
typedef struct {
  __m256i limit; /* of distances */
  __m256i shift; /* what they are multiplied with first, a power of two */
  __m256i steps; /* and then, in 2^-16 */
} Steps;

typedef struct {
  uint32_t p[ROWS / 2][PANEL]; /* scores, then weights: [pair][query], the
                                * first key low; or [quad][query] */
  float o[DIM][ROWS];          /* sums of weighted values */
  float sum[ROWS];             /* of weights */
  float reference[ROWS];       /* score whose weight is 1 */
  float mean[MEANS][ROWS];     /* mean scores of some tiles */
  Steps steps[GROUPS];         /* of the queries at hand */
  float weight[ROWS];          /* of the tile's largest score */
  int32_t tile_sum[PANEL]; /* of the tile's weights, of the queries at hand */
} Scratch;

/* acc[i][g]: the integer scores of the keys from `key` on, i < block, for the
 * queries from `lane` on. */
NPU_INLINE void multiply_scores (NpuInts acc[BLOCK][GROUPS], const QTile *q,
    const KTile *k, int key, int lane, const int block);

/* Turns the scores of n_keys keys into weights, and sums them; max is the
 * largest, in both halves. */
NPU_INLINE void weigh (Scratch *scratch, const __m256i max[GROUPS], int n_keys);

/* Adds the values of n_keys keys, weighted, and the weights, to the sums. */
NPU_INLINE void add_values (
    Scratch *scratch, const VTile *v, int lane, int n_keys);

/* The lower 16 bits of each lane in both halves; the upper ones are 0. */
NPU_INLINE __m256i
twice_16 (__m256i x)
{
  return _mm256_or_si256 (x, _mm256_slli_epi32 (x, 16));
}

/* The scores of two keys, the first one low. */
NPU_INLINE __m256i
pair_scores (NpuInts first, NpuInts second)
{
  return _mm256_blend_epi16 (_mm256_srli_epi32 ((__m256i) first, SCORE_SHIFT),
      _mm256_slli_epi32 ((__m256i) second, 16 - SCORE_SHIFT), 0xaa);
}

/* The scores of a block of keys, and what is largest of them. */
NPU_INLINE void
score_block (Scratch *scratch, __m256i max[GROUPS], const QTile *q,
    const KTile *k, int lane, int key, const int block)
{
  NpuInts acc[BLOCK][GROUPS];

  multiply_scores (acc, q, k, key, lane, block);
  for (int i = 0; i < block; i += 2)
    for (int g = 0; g < GROUPS; g++) {
      const __m256i pair = pair_scores (acc[i][g], acc[i + 1][g]);

      max[g] = _mm256_max_epi16 (max[g], pair);
      _mm256_store_si256 (
          (__m256i *) &scratch->p[(key + i) / 2][g * LANES], pair);
    }
}

/* The largest scores of the tile's first n_keys keys alone. An odd last key
 * stands for the one that is missing. */
static __attribute__ ((noinline)) void
largest_of_some (Scratch *scratch, __m256i max[GROUPS], int n_keys)
{
  for (int g = 0; g < GROUPS; g++) {
    max[g] = _mm256_set1_epi16 (INT16_MIN);
    for (int key = 0; key < n_keys; key += 2) {
      __m256i *p = (__m256i *) &scratch->p[key / 2][g * LANES];

      if (key + 1 == n_keys)
        _mm256_store_si256 (
            p, twice_16 (_mm256_and_si256 (
                   _mm256_load_si256 (p), _mm256_set1_epi32 (0xffff))));
      max[g] = _mm256_max_epi16 (max[g], _mm256_load_si256 (p));
    }
  }
}

/* The scores of n_keys keys for the queries from `lane` on; max is their
 * largest, in both halves. */
NPU_INLINE void
score (Scratch *scratch, __m256i max[GROUPS], const QTile *q, const KTile *k,
    int lane, int n_keys)
{
  int key = 0;

  for (int g = 0; g < GROUPS; g++)
    max[g] = _mm256_set1_epi16 (INT16_MIN);
  for (; key + BLOCK <= ROWS && key < n_keys; key += BLOCK)
    score_block (scratch, max, q, k, lane, key, BLOCK);
  if (key < n_keys)
    score_block (scratch, max, q, k, lane, key, LAST_BLOCK);
  if (n_keys < ROWS)
    largest_of_some (scratch, max, n_keys);
  for (int g = 0; g < GROUPS; g++)
    max[g] = _mm256_max_epi16 (
        max[g], _mm256_or_si256 (_mm256_slli_epi32 (max[g], 16),
                    _mm256_srli_epi32 (max[g], 16)));
}

/* The scale of a largest magnitude in `steps`; *inverse is 1 / scale. */
NPU_INLINE float
scale_of (float max, float steps, __m256 *inverse)
{
  *inverse = _mm256_set1_ps (max < NPU_Q8_SMALLEST ? 0.0f : steps / max);
  return max / steps;
}

/* mean[i][query] = scale * q k[i].mean for the next n tiles, MEANS at most. */
NPU_INLINE void
mean_scores (Scratch *scratch, const QTile *q, const KTile *k, int lane, int n,
    float scale)
{
  __m256 acc[MEANS][GROUPS];

  for (int i = 0; i < MEANS; i++)
    for (int g = 0; g < GROUPS; g++)
      acc[i][g] = _mm256_setzero_ps ();
  for (int d = 0; d < DIM; d++)
    for (int i = 0; i < MEANS; i++) {
      const __m256 y = _mm256_set1_ps (k[npu_min_int (i, n - 1)].mean[d]);
      for (int g = 0; g < GROUPS; g++)
        acc[i][g] = _mm256_fmadd_ps (
            _mm256_load_ps (&q->exact[d][lane + g * LANES]), y, acc[i][g]);
    }
  for (int i = 0; i < MEANS; i++)
    for (int g = 0; g < GROUPS; g++)
      _mm256_store_ps (&scratch->mean[i][lane + g * LANES],
          _mm256_mul_ps (acc[i][g], _mm256_set1_ps (scale)));
}

/* There are `factor` powers of two in a unit of integer scores. Distances are
 * shifted as far as the multiplier then has its 16 bits. */
NPU_INLINE Steps
steps_for (__m256 factor)
{
  const __m256 x = _mm256_min_ps (_mm256_set1_ps (0x1.fffffep30f),
      _mm256_mul_ps (factor, _mm256_set1_ps (0x1p26f * (1 << SCORE_SHIFT))));
  const __m256i exponent =
      _mm256_srli_epi32 (_mm256_castps_si256 (x), 23); /* + 127 */
  const __m256i shift = _mm256_max_epi32 (_mm256_setzero_si256 (),
      _mm256_sub_epi32 (exponent, _mm256_set1_epi32 (127 + 15)));
  const __m256 unshift = _mm256_castsi256_ps (_mm256_slli_epi32 (
      _mm256_sub_epi32 (_mm256_set1_epi32 (127), shift), 23));

  return (Steps){
      .limit =
          twice_16 (_mm256_srlv_epi32 (_mm256_set1_epi32 (UINT16_MAX), shift)),
      .shift = twice_16 (_mm256_sllv_epi32 (_mm256_set1_epi32 (1), shift)),
      .steps = twice_16 (_mm256_cvtps_epi32 (_mm256_min_ps (
          _mm256_set1_ps (UINT16_MAX), _mm256_mul_ps (x, unshift)))),
  };
}

/* The distance of a pair's scores to the largest, in steps of 2^-10 in powers
 * of two. */
NPU_INLINE __m256i
distance_steps (const Steps *steps, __m256i max, __m256i scores)
{
  /* Distances to the largest have no sign. */
  const __m256i below =
      _mm256_min_epu16 (steps->limit, _mm256_sub_epi16 (max, scores));

  return _mm256_mulhi_epu16 (
      _mm256_mullo_epi16 (below, steps->shift), steps->steps);
}

/* c0 2^-f, where f are the lower ten bits of x, in 2^-10: a cubic polynomial in
 * integers, c1 to c3 are those of f, -f^2 and f^3. */
NPU_INLINE __m256i
fraction_power (__m256i x, int c0, int c1, int c2, int c3)
{
  const __m256i f = _mm256_slli_epi16 (x, 6);
  __m256i p = _mm256_mulhi_epu16 (f, _mm256_set1_epi16 ((int16_t) c3));

  p = _mm256_mulhi_epu16 (
      f, _mm256_sub_epi16 (_mm256_set1_epi16 ((int16_t) c2), p));
  p = _mm256_mulhi_epu16 (
      f, _mm256_sub_epi16 (_mm256_set1_epi16 ((int16_t) c1), p));
  return _mm256_sub_epi16 (_mm256_set1_epi16 ((int16_t) c0), p);
}

/* A power of two, less by n, the upper six bits of x, and 0 below 1. The bytes
 * of powers are in one table: the lower one's index is n, the upper one's n +
 * 8, as vpshufb takes it: it gives 0 for indices from 128 on. */
NPU_INLINE __m256i
whole_power (__m256i x, __m128i table)
{
  const __m256i upper = _mm256_broadcastsi128_si256 (
      _mm_setr_epi8 (1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15));
  const __m256i n = _mm256_shuffle_epi8 (_mm256_srli_epi16 (x, 2), upper);

  return _mm256_shuffle_epi8 (_mm256_broadcastsi128_si256 (table),
      _mm256_add_epi16 (n, _mm256_set1_epi16 (0x7870)));
}

/* The weight of the tile's largest scores, whose distance to the reference is
 * `above`; raises the reference where they are too large. */
NPU_INLINE void
weigh_tile (Scratch *scratch, __m256 above, int lane)
{
  float *reference = &scratch->reference[lane];
  const __m256 raised =
      _mm256_cmp_ps (above, _mm256_set1_ps (RAISE), _CMP_GT_OQ);

  if (__builtin_expect (_mm256_movemask_ps (raised), 0)) {
    const __m256 by = _mm256_and_ps (raised, above);

    _mm256_store_ps (reference, _mm256_add_ps (_mm256_load_ps (reference), by));
    npu_shrink (scratch->o, scratch->sum, lane, raised, by);
    above = _mm256_sub_ps (above, by);
  }
  above = _mm256_max_ps (_mm256_set1_ps (NPU_EXP2_MIN), above);
  _mm256_store_ps (&scratch->weight[lane], npu_exp2_avx2 (above));
}

static void
run_tile (Scratch *scratch, const QTile *q, const KTile *k, const VTile *v,
    int tile, int lane, int rest, float scale)
{
  const int n_keys = npu_min_int (rest, ROWS);
  __m256i max[GROUPS];

  if (tile % MEANS == 0)
    mean_scores (scratch, q, k, lane, (rest + ROWS - 1) / ROWS, scale);
  if (tile == 0)
    memcpy (&scratch->reference[lane], &scratch->mean[0][lane],
        PANEL * sizeof (float));

  score (scratch, max, q, k, lane, n_keys);
  for (int g = 0; g < GROUPS; g++) {
    const int i = lane + g * LANES;
    const __m256 factor = _mm256_mul_ps (
        _mm256_load_ps (&q->scale[i]), _mm256_set1_ps (k->scale[0] * scale));
    const __m256 offset =
        _mm256_sub_ps (_mm256_load_ps (&scratch->mean[tile % MEANS][i]),
            _mm256_load_ps (&scratch->reference[i]));

    /* The sign of the upper half is the number's. */
    const __m256i largest =
        _mm256_slli_epi32 (_mm256_srai_epi32 (max[g], 16), SCORE_SHIFT);

    scratch->steps[g] = steps_for (factor);
    weigh_tile (scratch,
        _mm256_fmadd_ps (_mm256_cvtepi32_ps (largest), factor, offset), i);
  }
  weigh (scratch, max, n_keys);
  add_values (scratch, v, lane, n_keys);
}

static void
NPU_KERNEL (attention_s8_run) (float *o, ptrdiff_t o_stride, const void *q,
    const void *k_tiles, const void *v_tiles, int q_rows, int kv_rows,
    float scale, void *scratch_)
{
  const KTile *k = k_tiles;
  const VTile *v = v_tiles;
  Scratch *scratch = scratch_;

  memset (scratch->o, 0, sizeof scratch->o);
  memset (scratch->sum, 0, sizeof scratch->sum);
  for (int tile = 0; tile * ROWS < kv_rows; tile++, k++, v++)
    for (int lane = 0; lane < q_rows; lane += PANEL)
      run_tile (scratch, q, k, v, tile, lane, kv_rows - tile * ROWS,
          scale * NPU_LOG2E);
  npu_store_rows (
      o, o_stride, (const float (*)[ROWS]) scratch->o, scratch->sum, q_rows);
}
