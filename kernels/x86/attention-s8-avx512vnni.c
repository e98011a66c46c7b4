/* int8 attention with AVX-512 VNNI alone: scores by vpdpbusd, weighted values
 * by vpdpwssd with weights and values of 16 bits.
 *
 * Weights of 13 bits must be relative to the largest score of their tile,
 * which is known when all of its scores are; what the tile adds to the sums
 * is then scaled to the reference. Scores become weights in 16 bits too, the
 * two of a pair of keys side by side: 32 at once, and no conversion to float.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512vnni
#define ATTENTION(name) attention_s8_##name

#include "x86/attention-s8-avx512_tmpl.h"
#include "x86/attention-means-avx512.h"
#include "x86/npu-x86.h"

/* 64 products of a weight and a value stay below 2^30. */
#define WEIGHT_BITS 13
#define MAX_VALUE 2047.0f

typedef struct {
  uint32_t x[ROWS / 2][DIM]; /* two keys' int16, the first one low */
  float scale[LANES];        /* one, padded */
} VTile;

typedef struct {
  uint32_t p[ROWS / 2][ROWS]; /* scores, then weights: [pair][query], pairs
                               * like VTile's */
  float o[DIM][ROWS];         /* sums of weighted values */
  float sum[ROWS];            /* of weights */
  float reference[ROWS];      /* score whose weight is 1 */
  float mean[MEANS][ROWS];    /* mean scores of some tiles */
  uint32_t shift[ROWS];       /* of distances, see weigh(): twice 16 bits, */
  uint32_t steps[ROWS];       /* like this */
  float weight[ROWS];         /* of the tile's largest score */
} Scratch;

/* Scores lose so many bits, far fewer than quantisation cost them, and have 16
 * then: they are below 64 * 127 * 127. */
#define SCORE_SHIFT 5

/* The scores of two keys, the first one low. */
NPU_INLINE __m512i
pair_scores (NpuInts first, NpuInts second)
{
  return _mm512_ternarylogic_epi32 (_mm512_set1_epi32 (0xffff),
      _mm512_srli_epi32 ((__m512i) first, SCORE_SHIFT),
      _mm512_slli_epi32 ((__m512i) second, 16 - SCORE_SHIFT), 0xca);
}

/* The scores of n_keys keys; max is their largest, in both halves. */
NPU_INLINE void
score (Scratch *scratch, __m512i max[GROUPS], const QTile *q, const KTile *k,
    int n_keys, const int groups)
{
  const int block = 4 * GROUPS / groups; /* keys: 16 accumulators */

  for (int g = 0; g < groups; g++)
    max[g] = _mm512_set1_epi16 (INT16_MIN);
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
        const __m512i y = npu_broadcast_32 (&k->x[key + i][d * 4]);
        for (int g = 0; g < groups; g++)
          acc[i][g] = npu_dpbusd (acc[i][g], x[g], y);
      }
    }
    for (int i = 0; i < block; i += 2) {
      const int n_live = npu_min_int (n_keys - key - i, 2);
      const __mmask32 live = n_live == 2 ? 0xffffffff : 0x55555555;

      for (int g = 0; g < groups; g++) {
        const __m512i pair = pair_scores (acc[i][g], acc[i + 1][g]);

        if (n_live > 0)
          max[g] = _mm512_mask_max_epi16 (max[g], live, max[g], pair);
        _mm512_store_si512 (&scratch->p[(key + i) / 2][g * LANES], pair);
      }
    }
  }
  for (int g = 0; g < groups; g++)
    max[g] = _mm512_max_epi16 (max[g], _mm512_rol_epi32 (max[g], 16));
}

/* 2^(14 - i / 32) and 2^(16 - i / 1024), which 16 bits cannot hold for 0. */
static const uint16_t coarse_powers[32] __attribute__ ((aligned (64))) = {16384,
    16033, 15689, 15353, 15024, 14702, 14387, 14079, 13777, 13482, 13193, 12910,
    12634, 12363, 12098, 11839, 11585, 11337, 11094, 10856, 10624, 10396, 10173,
    9955, 9742, 9533, 9329, 9129, 8933, 8742, 8555, 8371};
static const uint16_t fine_powers[32] __attribute__ ((aligned (64))) = {65535,
    65492, 65447, 65403, 65359, 65315, 65270, 65226, 65182, 65138, 65094, 65050,
    65006, 64962, 64918, 64874, 64830, 64786, 64742, 64699, 64655, 64611, 64567,
    64524, 64480, 64436, 64393, 64349, 64306, 64262, 64219, 64175};

/* How weigh() gets from distances in scores to steps of 2^-10 in powers of two,
 * of which there are factor in a unit of integer scores: shifted as far as the
 * multiplier then has its 16 bits. */
NPU_INLINE void
set_steps (Scratch *scratch, __m512 factor, int group)
{
  const __m512 x =
      _mm512_mul_ps (factor, _mm512_set1_ps (0x1p26f * (1 << SCORE_SHIFT)));
  const __m512 shift = _mm512_min_ps (_mm512_set1_ps (15.0f),
      _mm512_max_ps (_mm512_setzero_ps (),
          _mm512_sub_ps (_mm512_getexp_ps (x), _mm512_set1_ps (15.0f))));
  const __m512i steps =
      _mm512_cvtps_epi32 (_mm512_min_ps (_mm512_set1_ps (65535.0f),
          _mm512_scalef_ps (x, _mm512_sub_ps (_mm512_setzero_ps (), shift))));
  const __m512i by = _mm512_cvtps_epi32 (shift);

  _mm512_store_si512 (&scratch->steps[group * LANES],
      _mm512_or_si512 (steps, _mm512_slli_epi32 (steps, 16)));
  _mm512_store_si512 (&scratch->shift[group * LANES],
      _mm512_or_si512 (by, _mm512_slli_epi32 (by, 16)));
}

/* Turns the scores into weights in units of 2^-WEIGHT_BITS, and adds their sum
 * to what was summed. */
NPU_INLINE void
weigh (
    Scratch *scratch, const __m512i max[GROUPS], int n_keys, const int groups)
{
  const __m512i coarse = _mm512_load_si512 (coarse_powers);
  const __m512i fine = _mm512_load_si512 (fine_powers);

  for (int g = 0; g < groups; g++) {
    const int lane = g * LANES;
    const __m512i shift = _mm512_load_si512 (&scratch->shift[lane]);
    const __m512i steps = _mm512_load_si512 (&scratch->steps[lane]);
    const __m512i limit = _mm512_srlv_epi16 (_mm512_set1_epi16 (-1), shift);
    const __m512 unit = _mm512_mul_ps (_mm512_load_ps (&scratch->weight[lane]),
        _mm512_set1_ps (1.0f / (1 << WEIGHT_BITS)));
    float *total = &scratch->sum[lane];
    __m512i sum = _mm512_setzero_si512 ();

    for (int key = 0; key < n_keys; key += 2) {
      uint32_t *p = &scratch->p[key / 2][lane];
      /* Distances to the largest have no sign. */
      const __m512i below = _mm512_min_epu16 (
          limit, _mm512_sub_epi16 (max[g], _mm512_load_si512 (p)));
      const __m512i x =
          _mm512_mulhi_epu16 (_mm512_sllv_epi16 (below, shift), steps);
      const __m512i fraction = _mm512_mulhi_epu16 (
          _mm512_permutexvar_epi16 (_mm512_srli_epi16 (x, 5), coarse),
          _mm512_permutexvar_epi16 (x, fine));
      __m512i weight = _mm512_avg_epu16 (_mm512_setzero_si512 (),
          _mm512_srlv_epi16 (fraction, _mm512_srli_epi16 (x, 10)));

      if (key + 1 == n_keys)
        weight = _mm512_and_si512 (weight, _mm512_set1_epi32 (0xffff));
      sum = _mm512_dpwssd_epi32 (sum, weight, _mm512_set1_epi16 (1));
      _mm512_store_si512 (p, weight);
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

      /* The sign of the upper half is the number's. */
      const __m512i largest =
          _mm512_slli_epi32 (_mm512_srai_epi32 (max[g], 16), SCORE_SHIFT);

      set_steps (scratch, factor, g);
      weigh_tile (scratch,
          _mm512_fmadd_ps (_mm512_cvtepi32_ps (largest), factor, offset), g);
    }
    weigh (scratch, max, n_keys, groups);
    add_values (scratch, v, (n_keys + 1) / 2, groups);
  }
}

static void
NPU_KERNEL (attention_s8_pack_v) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
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

#include "x86/attention-end-avx512_tmpl.h"

void
npu_attention_init_s8_avx512vnni (NpuKernels *kernels)
{
  kernels->attention_s8 = ATTENTION_KERNEL;
}
