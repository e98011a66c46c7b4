/* int8 attention with AVX-512 VNNI: scores and weighted values by vpdpbusd.
 *
 * Weights of 8 bits must be relative to the largest score of their tile, which
 * is known when all of its scores are; what the tile adds to the sums is then
 * scaled to the reference. What rounding takes from a weight is added to that
 * of the key after next: of values that change slowly little is lost. Values
 * are relative to the mean of their column in the tile, and each column has a
 * scale of its own: c/attention.c has the same in C.
 *
 * Scores become weights in 16 bits, the two of a pair of keys side by side: 32
 * at once, and no conversion to float. Between the products of the next tile's
 * scores, which leave other units idle.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512vnni
#define ATTENTION(name) attention_s8_##name

#include "x86/attention-s8-avx512_tmpl.h"
#include "x86/attention-means-avx512.h"
#include "x86/npu-x86.h"

#define QUADS (ROWS / 4) /* of keys: their bytes are multiplied together */

typedef struct {
  int8_t x[QUADS][DIM][4]; /* round (x / scale) - middle, keys as in KEY_OF */
  float scale[DIM];
  float middle[DIM]; /* an integer, near the mean's x / scale */
} VTile;

/* The key of a quad's byte: weights of pairs come as low and high halves. */
#define KEY_OF(byte) ((byte) % 2 * 2 + (byte) / 2)

typedef struct {
  /* Of this tile and of the next: scores, [pair][query], the first key low;
   * then, in the first half, weights, [quad][query]. */
  uint32_t p[2][ROWS / 2][ROWS];
  float o[DIM][ROWS];      /* sums of weighted values */
  float sum[ROWS];         /* of weights */
  float reference[ROWS];   /* score whose weight is 1 */
  float mean[MEANS][ROWS]; /* mean scores of some tiles */
  uint32_t
      next_max[ROWS];     /* largest score of the next tile, so far: twice
                           * 16 bits, like these of the tile that is weighed: */
  uint32_t max[ROWS];     /* largest score */
  uint32_t limit[ROWS];   /* of distances to it, see weigh() */
  uint32_t shift[ROWS];   /* of them */
  uint32_t steps[ROWS];   /* their factor */
  uint32_t rest[ROWS];    /* what rounding has left */
  int32_t tile_sum[ROWS]; /* of weights */
  float weight[ROWS];     /* of the largest score, and of a unit of them */
} Scratch;

/* The largest weight in 16 bits: with a rest, at most 255, it has 16 still. */
#define LARGEST 0xff00
#define ONE_HALF 0x80

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

/* --- scores to weights --------------------------------------------------- */

/* 2^(16 - i / 32) and 2^(16 - i / 1024), such that the first two make
 * LARGEST. */
static const uint16_t coarse_powers[32] __attribute__ ((aligned (64))) = {65281,
    63882, 62513, 61174, 59863, 58580, 57325, 56097, 54895, 53718, 52567, 51441,
    50339, 49260, 48204, 47171, 46161, 45172, 44204, 43256, 42329, 41422, 40535,
    39666, 38816, 37985, 37171, 36374, 35595, 34832, 34086, 33355};
static const uint16_t fine_powers[32] __attribute__ ((aligned (64))) = {65535,
    65492, 65447, 65403, 65359, 65315, 65270, 65226, 65182, 65138, 65094, 65050,
    65006, 64962, 64918, 64874, 64830, 64786, 64742, 64699, 64655, 64611, 64567,
    64524, 64480, 64436, 64393, 64349, 64306, 64262, 64219, 64175};

/* How distances in scores become steps of 2^-10 in powers of two, of which
 * there are factor in a unit of integer scores: shifted as far as the
 * multiplier then has its 16 bits. */
NPU_INLINE void
set_steps (Scratch *scratch, __m512 factor, int lane)
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
  const __m512i by_16 = _mm512_or_si512 (by, _mm512_slli_epi32 (by, 16));

  _mm512_store_si512 (&scratch->steps[lane],
      _mm512_or_si512 (steps, _mm512_slli_epi32 (steps, 16)));
  _mm512_store_si512 (&scratch->shift[lane], by_16);
  _mm512_store_si512 (
      &scratch->limit[lane], _mm512_srlv_epi16 (_mm512_set1_epi16 (-1), by_16));
}

/* The weights of a pair of keys, in units of 1 / LARGEST. */
NPU_INLINE __m512i
weights_of (const Scratch *scratch, const uint32_t *scores, int lane)
{
  /* Distances to the largest have no sign. */
  const __m512i below =
      _mm512_min_epu16 (_mm512_load_si512 (&scratch->limit[lane]),
          _mm512_sub_epi16 (_mm512_load_si512 (&scratch->max[lane]),
              _mm512_load_si512 (scores)));
  const __m512i x = _mm512_mulhi_epu16 (
      _mm512_sllv_epi16 (below, _mm512_load_si512 (&scratch->shift[lane])),
      _mm512_load_si512 (&scratch->steps[lane]));
  const __m512i fraction =
      _mm512_mulhi_epu16 (_mm512_permutexvar_epi16 (_mm512_srli_epi16 (x, 5),
                              _mm512_load_si512 (coarse_powers)),
          _mm512_permutexvar_epi16 (x, _mm512_load_si512 (fine_powers)));

  return _mm512_srlv_epi16 (fraction, _mm512_srli_epi16 (x, 10));
}

/* Which keys of a pair are among the first n. */
NPU_INLINE __mmask32
live_keys (int pair, int n)
{
  const int live = npu_min_int (n - pair * 2, 2);

  return live == 2 ? 0xffffffff : live == 1 ? 0x55555555 : 0;
}

/* Turns the scores of a quad of keys, of which the tile has n_keys, into
 * weights of 8 bits. */
NPU_INLINE void
weigh_quad (
    Scratch *scratch, uint32_t (*p)[ROWS], int quad, int lane, const int n_keys)
{
  const __m512i low = _mm512_set1_epi16 (0xff);
  __m512i pair[2], bytes;

  for (int i = 0; i < 2; i++) {
    pair[i] = weights_of (scratch, &p[quad * 2 + i][lane], lane);
    if (n_keys < ROWS)
      pair[i] =
          _mm512_maskz_mov_epi16 (live_keys (quad * 2 + i, n_keys), pair[i]);
  }
  pair[0] =
      _mm512_add_epi16 (pair[0], _mm512_load_si512 (&scratch->rest[lane]));
  pair[1] = _mm512_add_epi16 (pair[1], _mm512_and_si512 (pair[0], low));
  _mm512_store_si512 (&scratch->rest[lane], _mm512_and_si512 (pair[1], low));
  if (n_keys < ROWS)
    for (int i = 0; i < 2; i++)
      pair[i] =
          _mm512_maskz_mov_epi16 (live_keys (quad * 2 + i, n_keys), pair[i]);
  bytes = _mm512_ternarylogic_epi32 (
      low, _mm512_srli_epi16 (pair[0], 8), pair[1], 0xca);
  _mm512_store_si512 (&p[quad][lane], bytes);
  _mm512_store_si512 (&scratch->tile_sum[lane],
      _mm512_dpbusd_epi32 (_mm512_load_si512 (&scratch->tile_sum[lane]), bytes,
          _mm512_set1_epi8 (1)));
}

/* Quads [first, QUADS). */
NPU_INLINE void
weigh_rest (Scratch *scratch, uint32_t (*p)[ROWS], int first, int n_keys,
    const int groups)
{
  for (int lane = 0; lane < groups * LANES; lane += LANES)
    for (int quad = first; quad * 4 < n_keys; quad++)
      if (n_keys == ROWS)
        weigh_quad (scratch, p, quad, lane, ROWS);
      else
        weigh_quad (scratch, p, quad, lane, n_keys);
}

/* --- products ------------------------------------------------------------ */

/* The scores of a block of keys, of which the tile has n_keys; unless `weigh`
 * is NULL, the quads of as many keys of the tile before, which is full, become
 * weights between the products. */
NPU_INLINE void
score_block (Scratch *scratch, uint32_t (*to)[ROWS], const QTile *q,
    const KTile *k, int key, int n_keys, uint32_t (*weigh)[ROWS],
    const int groups)
{
  const int block = 4 * GROUPS / groups; /* keys: 16 accumulators */
  NpuInts acc[8][GROUPS];

  for (int i = 0; i < block; i++)
    for (int g = 0; g < groups; g++)
      acc[i][g] = (NpuInts) _mm512_set1_epi32 (k->correction[key + i]);
  for (int part = 0; part < 4; part++) {
    if (weigh)
      weigh_quad (
          scratch, weigh, key / 4 + part / groups, part % groups * LANES, ROWS);
    for (int d = part * DIM / 16; d < (part + 1) * DIM / 16; d++) {
      __m512i x[GROUPS];

      for (int g = 0; g < groups; g++)
        x[g] = _mm512_load_si512 (q->x[d][g * LANES]);
      for (int i = 0; i < block; i++) {
        const __m512i y = npu_broadcast_32 (&k->x[key + i][d * 4]);
        for (int g = 0; g < groups; g++)
          acc[i][g] = npu_dpbusd (acc[i][g], x[g], y);
      }
    }
  }
  for (int i = 0; i < block; i += 2) {
    const __mmask32 live = live_keys ((key + i) / 2, n_keys);

    for (int g = 0; g < groups; g++) {
      const __m512i pair = pair_scores (acc[i][g], acc[i + 1][g]);
      const __m512i max = _mm512_load_si512 (&scratch->next_max[g * LANES]);

      _mm512_store_si512 (&to[(key + i) / 2][g * LANES], pair);
      _mm512_store_si512 (&scratch->next_max[g * LANES],
          _mm512_mask_max_epi16 (max, live, max, pair));
    }
  }
}

/* The scores of n_keys keys, and the weights of the tile before unless `weigh`
 * is NULL. */
NPU_INLINE void
score (Scratch *scratch, uint32_t (*to)[ROWS], const QTile *q, const KTile *k,
    int n_keys, uint32_t (*weigh)[ROWS], const int groups)
{
  const int block = 4 * GROUPS / groups;
  int key = 0;

  for (int lane = 0; lane < groups * LANES; lane += LANES)
    _mm512_store_si512 (
        &scratch->next_max[lane], _mm512_set1_epi16 (INT16_MIN));
  for (; key < n_keys; key += block)
    score_block (scratch, to, q, k, key, n_keys, weigh, groups);
  if (weigh)
    weigh_rest (scratch, weigh, key / 4, ROWS, groups);
}

/* Adds the tile's values, weighted, and its weights; n_keys have some. */
NPU_INLINE void
add_values (Scratch *scratch, const uint32_t (*p)[ROWS], const VTile *v,
    int n_keys, const int groups)
{
  const int block = 4 * GROUPS / groups; /* columns: 16 accumulators */
  __m512 unit[GROUPS], sum[GROUPS];

  for (int g = 0; g < groups; g++) {
    float *total = &scratch->sum[g * LANES];

    unit[g] = _mm512_load_ps (&scratch->weight[g * LANES]);
    sum[g] =
        _mm512_cvtepi32_ps (_mm512_load_si512 (&scratch->tile_sum[g * LANES]));
    _mm512_store_ps (
        total, _mm512_fmadd_ps (unit[g], sum[g], _mm512_load_ps (total)));
  }
  for (int d = 0; d < DIM; d += block) {
    NpuInts acc[8][GROUPS];

    for (int i = 0; i < block; i++)
      for (int g = 0; g < groups; g++)
        acc[i][g] = (NpuInts) _mm512_setzero_si512 ();
    for (int quad = 0; quad * 4 < n_keys; quad++) {
      __m512i x[GROUPS];

      for (int g = 0; g < groups; g++)
        x[g] = _mm512_load_si512 (&p[quad][g * LANES]);
      for (int i = 0; i < block; i++) {
        const __m512i y = npu_broadcast_32 (v->x[quad][d + i]);
        for (int g = 0; g < groups; g++)
          acc[i][g] = npu_dpbusd (acc[i][g], x[g], y);
      }
    }
    for (int i = 0; i < block; i++) {
      const __m512 scale = _mm512_set1_ps (v->scale[d + i]);
      const __m512 middle = _mm512_set1_ps (v->middle[d + i]);

      for (int g = 0; g < groups; g++) {
        float *o = &scratch->o[d + i][g * LANES];
        /* Exact, unless the middle is far from 0: values of 0 stay so. */
        const __m512 steps = _mm512_fmadd_ps (
            middle, sum[g], _mm512_cvtepi32_ps ((__m512i) acc[i][g]));

        _mm512_store_ps (
            o, _mm512_fmadd_ps (
                   steps, _mm512_mul_ps (unit[g], scale), _mm512_load_ps (o)));
      }
    }
  }
}

/* --- tiles --------------------------------------------------------------- */

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
  _mm512_store_ps (&scratch->weight[group * LANES],
      _mm512_mul_ps (npu_exp2_avx512 (above), _mm512_set1_ps (0x1p-8f)));
}

/* What is to be known of a tile whose scores are there before they are
 * weighed. */
NPU_INLINE void
prepare (Scratch *scratch, const QTile *q, const KTile *k, int tile,
    float scale, const int groups)
{
  for (int g = 0; g < groups; g++) {
    const int lane = g * LANES;
    const __m512i either = _mm512_load_si512 (&scratch->next_max[lane]);
    const __m512i max =
        _mm512_max_epi16 (either, _mm512_rol_epi32 (either, 16));
    const __m512 factor = _mm512_mul_ps (
        _mm512_load_ps (&q->scale[lane]), _mm512_set1_ps (k->scale[0] * scale));
    const __m512 offset =
        _mm512_sub_ps (_mm512_load_ps (&scratch->mean[tile % MEANS][lane]),
            _mm512_load_ps (&scratch->reference[lane]));
    /* The sign of the upper half is the number's. */
    const __m512i largest =
        _mm512_slli_epi32 (_mm512_srai_epi32 (max, 16), SCORE_SHIFT);

    _mm512_store_si512 (&scratch->max[lane], max);
    _mm512_store_si512 (&scratch->rest[lane], _mm512_set1_epi16 (ONE_HALF));
    _mm512_store_si512 (&scratch->tile_sum[lane], _mm512_setzero_si512 ());
    set_steps (scratch, factor, lane);
    weigh_tile (scratch,
        _mm512_fmadd_ps (_mm512_cvtepi32_ps (largest), factor, offset), g);
  }
}

NPU_INLINE void
run_groups (Scratch *scratch, const QTile *q, const KTile *k, const VTile *v,
    int kv_rows, float scale, const int groups)
{
  memset (scratch->o, 0, sizeof scratch->o);
  memset (scratch->sum, 0, sizeof scratch->sum);

  score (
      scratch, scratch->p[0], q, k, npu_min_int (kv_rows, ROWS), NULL, groups);
  for (int tile = 0, rest = kv_rows; rest > 0; tile++, rest -= ROWS, k++, v++) {
    const int n_keys = npu_min_int (rest, ROWS);
    uint32_t (*p)[ROWS] = scratch->p[tile % 2];

    if (tile % MEANS == 0)
      npu_mean_scores (
          scratch->mean, q, k, (rest + ROWS - 1) / ROWS, scale, groups);
    if (tile == 0)
      memcpy (scratch->reference, scratch->mean[0], sizeof scratch->reference);
    prepare (scratch, q, k, tile, scale, groups);
    if (rest > ROWS)
      score (scratch, scratch->p[(tile + 1) % 2], q, k + 1,
          npu_min_int (rest - ROWS, ROWS), p, groups);
    else
      weigh_rest (scratch, p, 0, n_keys, groups);
    add_values (scratch, (const uint32_t (*)[ROWS]) p, v, n_keys, groups);
  }
}

/* --- packing ------------------------------------------------------------- */

/* 16 columns of values. */
NPU_INLINE __m512
load_values (const float *x)
{
  return npu_clamp_avx512 (_mm512_loadu_ps (x), NPU_V_LIMIT);
}

#define SIDE (DIM / LANES) /* registers of a row's columns */

/* Scales and middles of all columns of x, and 1 / scale. Sums of columns side
 * by side do not wait for each other. */
NPU_INLINE void
scale_columns (
    VTile *v, __m512 inverse[SIDE], const float *x, ptrdiff_t stride, int rows)
{
  __m512 mean[SIDE] = {0}, max[SIDE] = {0};

  for (int i = 0; i < rows; i++)
    for (int j = 0; j < SIDE; j++)
      mean[j] =
          _mm512_add_ps (mean[j], load_values (x + i * stride + j * LANES));
  for (int j = 0; j < SIDE; j++)
    mean[j] = _mm512_mul_ps (mean[j], _mm512_set1_ps (1.0f / (float) rows));
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < SIDE; j++)
      max[j] = _mm512_max_ps (
          max[j], _mm512_abs_ps (_mm512_sub_ps (
                      load_values (x + i * stride + j * LANES), mean[j])));
  for (int j = 0; j < SIDE; j++) {
    const __m512 largest =
        _mm512_max_ps (max[j], _mm512_mul_ps (_mm512_abs_ps (mean[j]),
                                   _mm512_set1_ps (NPU_V8_FINEST)));
    const __mmask16 nonzero = _mm512_cmp_ps_mask (
        largest, _mm512_set1_ps (NPU_Q8_SMALLEST), _CMP_GE_OQ);

    inverse[j] =
        _mm512_maskz_div_ps (nonzero, _mm512_set1_ps (NPU_V8_LEVELS), largest);
    _mm512_store_ps (
        &v->scale[j * LANES], _mm512_maskz_mul_ps (nonzero, largest,
                                  _mm512_set1_ps (1.0f / NPU_V8_LEVELS)));
    _mm512_store_ps (&v->middle[j * LANES],
        _mm512_roundscale_ps (
            _mm512_mul_ps (mean[j], inverse[j]), _MM_FROUND_TO_NEAREST_INT));
  }
}

/* 16 values of a key less their middles, -127 to 127, in the lowest bytes. */
NPU_INLINE __m512i
quantise_values (const float *x, __m512 inverse, __m512 middle)
{
  const __m512 steps = _mm512_sub_ps (
      _mm512_roundscale_ps (
          _mm512_mul_ps (load_values (x), inverse), _MM_FROUND_TO_NEAREST_INT),
      middle);

  return _mm512_and_si512 (_mm512_set1_epi32 (0xff),
      _mm512_cvtps_epi32 (npu_clamp_avx512 (steps, 127.0f)));
}

static void
NPU_KERNEL (attention_s8_pack_v) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  VTile *v = tile;
  __m512 inverses[SIDE];

  memset (v->x, 0, sizeof v->x);
  scale_columns (v, inverses, x, stride, rows);
  for (int d = 0; d < DIM; d += LANES) {
    const __m512 inverse = inverses[d / LANES];
    const __m512 middle = _mm512_load_ps (&v->middle[d]);

    for (int quad = 0; quad * 4 < rows; quad++) {
      __m512i bytes = _mm512_setzero_si512 ();

      for (int byte = 3; byte >= 0; byte--) {
        const int key = quad * 4 + KEY_OF (byte);

        bytes = _mm512_slli_epi32 (bytes, 8);
        if (key < rows)
          bytes = _mm512_or_si512 (
              bytes, quantise_values (x + key * stride + d, inverse, middle));
      }
      _mm512_store_si512 (v->x[quad][d], bytes);
    }
  }
}

#include "x86/attention-end-avx512_tmpl.h"

void
npu_attention_init_s8_avx512vnni (NpuKernels *kernels)
{
  kernels->attention_s8 = ATTENTION_KERNEL;
}
