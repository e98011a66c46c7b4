/* bfloat16 attention with AVX512-BF16: both products by vdpbf16ps, sums and
 * softmax in float. Keys are rounded relative to the mean of their tile, whose
 * scores are those of the exact query: what all keys have in common costs no
 * precision.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512bf16
#define ATTENTION(name) attention_bf16_##name

#include "x86/attention-avx512.h"
#include "x86/bf16-avx512.h"
#include "x86/ints-avx512.h"
#include "x86/npu-x86.h"

#include <float.h>

#define raise_reference NPU_KERNEL (attention_bf16_raise_reference)

#define PAIRS (DIM / 2)                               /* of columns */
#define BLOCK_REGISTERS 16                            /* accumulators */
#define BLOCK_OF(groups) (BLOCK_REGISTERS / (groups)) /* rows */
/* Of a block's products, to a register of weights. */
#define STEPS (PAIRS / (BLOCK_REGISTERS / 2))

typedef struct {
  uint16_t x[PAIRS][ROWS][2]; /* bfloat16 */
  float exact[DIM][ROWS];
} QTile;

typedef struct {
  uint16_t x[ROWS][DIM]; /* x - mean in bfloat16 */
  float mean[DIM];
} KTile;

typedef struct {
  uint32_t x[ROWS / 2][DIM]; /* two keys' bfloat16, the first one low */
} VTile;

#include "x86/attention-means-avx512.h"

typedef struct {
  uint32_t p[ROWS / 2][ROWS]; /* weights, in pairs like VTile: [pair][query] */
  float s[8][ROWS];           /* scores of a block of keys */
  float o[DIM][ROWS];         /* sums of weighted values */
  float sum[ROWS];            /* of weights */
  float reference[ROWS];      /* score whose weight is 1 */
  float mean[MEANS][ROWS];    /* mean scores of some tiles */
  float offset[ROWS];      /* x = score * scale + offset: the weight is 2^x */
  float pair_sum[2][ROWS]; /* of the weights of even and of odd pairs */
  float tile_sum[ROWS];
  float scale __attribute__ ((aligned (64)));
  float most, least; /* of x */
  uint32_t ones;     /* a pair */
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
weight_of (const Scratch *scratch, __m512 x)
{
  x = _mm512_min_ps (x, _mm512_set1_ps (scratch->most));
  x = _mm512_max_ps (x, _mm512_set1_ps (scratch->least));
  return npu_exp2_short_avx512 (x);
}

/* Weights of the pair of keys whose scores are scratch->s[key] and those of the
 * next, for a register of queries; keys that are not live get none. */
NPU_INLINE void
weigh_pair (Scratch *scratch, int pair, int key, int lane, const int n_live)
{
  __m512 w[2] = {_mm512_setzero_ps (), _mm512_setzero_ps ()};
  __m512 sum = _mm512_load_ps (&scratch->pair_sum[pair % 2][lane]);
  const Scratch *terms = scratch;
  __m512 p;

  /* What is the same each time stays in memory: the products need the
   * registers. */
  __asm__("" : "+r"(terms));
  for (int i = 0; i < n_live; i++)
    w[i] = weight_of (
        terms, _mm512_fmadd_ps (_mm512_load_ps (&scratch->s[key + i][lane]),
                   _mm512_set1_ps (terms->scale),
                   _mm512_load_ps (&terms->offset[lane])));
  p = (__m512) pair_bf16 (w[0], w[1]);
  _mm512_store_ps (&scratch->p[pair][lane], p);
  /* As they were rounded. */
  npu_add_pairs_bf16 (&sum, p, (__m512) _mm512_set1_epi32 ((int) terms->ones));
  _mm512_store_ps (&scratch->pair_sum[pair % 2][lane], sum);
}

/* acc[i][g] += sum over n pairs of y[i] x[g]: y advances by y_step, and its
 * rows are y_stride apart; x advances by a row of a tile. */
NPU_INLINE void
multiply (__m512 acc[8][GROUPS], const uint32_t *y, ptrdiff_t y_stride,
    ptrdiff_t y_step, const uint32_t *x, int n, const int groups)
{
  const int block = BLOCK_OF (groups);

  NPU_FOUR_TIMES
  for (int j = 0; j < n; j++, y += y_step, x += ROWS) {
    __m512 row[GROUPS];

    for (int g = 0; g < groups; g++)
      row[g] = _mm512_load_ps (x + g * LANES);
    for (int i = 0; i < block; i++) {
      const __m512 t = (__m512) npu_broadcast_32 (y + i * y_stride);

      for (int g = 0; g < groups; g++)
        npu_add_pairs_bf16 (&acc[i][g], t, row[g]);
    }
  }
}

/* The scores of a block of keys. Between the products those of the block before
 * become weights, where there is one: units that add and convert are idle then.
 * As much of the next tile's keys is asked for. */
NPU_INLINE void
score_block (Scratch *scratch, const QTile *q, const KTile *k, int key,
    const int has_before, const int groups)
{
  const int block = BLOCK_OF (groups);
  const uint32_t *x = (const uint32_t *) q->x;
  const uint32_t *y = (const uint32_t *) k->x[key];
  const char *ahead = (const char *) k[1].x[key];
  __m512 acc[8][GROUPS];

  for (int i = 0; i < block; i++)
    for (int g = 0; g < groups; g++)
      acc[i][g] = _mm512_setzero_ps ();
  for (int i = 0; i < block; i += 2)
    NPU_UNROLL
  for (int g = 0; g < groups;
       g++, x += STEPS * ROWS, y += STEPS, ahead += block * 16) {
    if (has_before)
      weigh_pair (scratch, (key - block + i) / 2, i, g * LANES, 2);
    _mm_prefetch (ahead, _MM_HINT_T1);
    multiply (acc, y, PAIRS, 1, x, STEPS, groups);
  }
  for (int i = 0; i < block; i++)
    for (int g = 0; g < groups; g++)
      _mm512_store_ps (&scratch->s[i][g * LANES], acc[i][g]);
}

/* The sums of the tile's weights; true if one is so large that the reference
 * must be raised. */
NPU_INLINE int
sum_pairs (Scratch *scratch, const int groups)
{
  int high = 0;

  for (int lane = 0; lane < groups * LANES; lane += LANES) {
    const __m512 sum =
        _mm512_add_ps (_mm512_load_ps (&scratch->pair_sum[0][lane]),
            _mm512_load_ps (&scratch->pair_sum[1][lane]));

    _mm512_store_ps (&scratch->tile_sum[lane], sum);
    high |= _mm512_cmp_ps_mask (sum, _mm512_set1_ps (1u << RAISE), _CMP_GT_OQ);
  }
  return high;
}

/* The weights of the tile's first n_keys keys, and their sums; true if the
 * reference must be raised. */
NPU_INLINE int
weigh (Scratch *scratch, const QTile *q, const KTile *k, int n_keys,
    const int groups)
{
  const int block = BLOCK_OF (groups);
  int key = block;

  memset (scratch->pair_sum, 0, sizeof scratch->pair_sum);
  score_block (scratch, q, k, 0, 0, groups);
  for (; key < n_keys; key += block)
    score_block (scratch, q, k, key, 1, groups);
  key -= block;
  for (int i = 0; i < block && key + i < n_keys; i += 2)
    for (int lane = 0; lane < groups * LANES; lane += LANES)
      if (key + i + 1 < n_keys)
        weigh_pair (scratch, (key + i) / 2, i, lane, 2);
      else
        weigh_pair (scratch, (key + i) / 2, i, lane, 1);
  return sum_pairs (scratch, groups);
}

/* Weights of 16 queries anew, from their scores s: from the distance to the
 * largest one in whole steps where the reference was raised, so that however
 * large scores are, the largest one's weight is exactly 1. */
NPU_INLINE void
weigh_again (Scratch *scratch, const __m512 *s, int n_keys, int lane,
    __mmask16 raised, __m512 max)
{
  const __m512 scale = _mm512_set1_ps (scratch->scale);
  const __m512 offset = _mm512_load_ps (&scratch->offset[lane]);
  const __m512 ones = (__m512) _mm512_set1_epi32 ((int) scratch->ones);
  __m512 sum[2] = {_mm512_setzero_ps (), _mm512_setzero_ps ()};

  for (int key = 0; key < n_keys; key += 2) {
    __m512 w[2] = {_mm512_setzero_ps (), _mm512_setzero_ps ()}, p;

    for (int i = 0; i < 2 && key + i < n_keys; i++)
      w[i] = weight_of (scratch,
          _mm512_mask_mul_ps (_mm512_fmadd_ps (s[key + i], scale, offset),
              raised, _mm512_sub_ps (s[key + i], max), scale));
    p = (__m512) pair_bf16 (w[0], w[1]);
    _mm512_store_ps (&scratch->p[key / 2][lane], p);
    npu_add_pairs_bf16 (&sum[key / 2 % 2], p, ones);
  }
  for (int i = 0; i < 2; i++)
    _mm512_store_ps (&scratch->pair_sum[i][lane], sum[i]);
}

/* Raises the reference of queries whose weights are too large to the largest
 * score of this tile, and makes its weights again. Rare, and so only as fast as
 * it happens to be. */
static __attribute__ ((noinline)) void
raise_reference (
    Scratch *scratch, const QTile *q, const KTile *k, int n_keys, int groups)
{
  for (int g = 0; g < groups; g++) {
    const int lane = g * LANES;
    const __mmask16 raised =
        _mm512_cmp_ps_mask (_mm512_load_ps (&scratch->tile_sum[lane]),
            _mm512_set1_ps (1u << RAISE), _CMP_GT_OQ);
    __m512 s[ROWS], max = _mm512_set1_ps (-FLT_MAX), by;

    for (int key = 0; key < n_keys; key++) {
      s[key] = _mm512_setzero_ps ();
      for (int d = 0; d < PAIRS; d++)
        npu_add_pairs_bf16 (&s[key], _mm512_load_ps (q->x[d][lane]),
            (__m512) npu_broadcast_32 (&k->x[key][d * 2]));
      max = _mm512_max_ps (max, s[key]);
    }
    by = _mm512_maskz_fmadd_ps (raised, max, _mm512_set1_ps (scratch->scale),
        _mm512_load_ps (&scratch->offset[lane]));
    _mm512_store_ps (&scratch->reference[lane],
        _mm512_add_ps (_mm512_load_ps (&scratch->reference[lane]), by));
    npu_shrink (scratch->o, scratch->sum, g, raised, by);
    weigh_again (scratch, s, n_keys, lane, raised, max);
  }
}

/* Adds the values of n_pairs pairs of keys, weighted. */
NPU_INLINE void
add_values (Scratch *scratch, const VTile *v, int n_pairs, const int groups)
{
  const int block = BLOCK_OF (groups); /* columns */

  for (int d = 0; d < DIM; d += block) {
    const char *ahead = (const char *) v[1].x + d * sizeof v->x / DIM;
    float *o = scratch->o[d];
    __m512 acc[8][GROUPS];
    int pair = 0;

    for (int i = 0; i < block; i++)
      for (int g = 0; g < groups; g++)
        acc[i][g] = _mm512_load_ps (o + i * ROWS + g * LANES);
    for (; pair + STEPS <= n_pairs; pair += STEPS, ahead += block * 16) {
      _mm_prefetch (ahead, _MM_HINT_T1);
      multiply (acc, &v->x[pair][d], 1, DIM, scratch->p[pair], STEPS, groups);
    }
    multiply (
        acc, &v->x[pair][d], 1, DIM, scratch->p[pair], n_pairs - pair, groups);
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
  scratch->scale = scale;
  scratch->most = RAISE + 1;
  scratch->least = NPU_EXP2_MIN;
  scratch->ones = 0x3f803f80;

  for (int tile = 0; tile * ROWS < kv_rows; tile++, k++, v++) {
    const int rest = kv_rows - tile * ROWS;
    const int n_keys = npu_min_int (rest, ROWS);

    if (tile % MEANS == 0)
      npu_mean_scores (
          scratch->mean, q, k, (rest + ROWS - 1) / ROWS, scale, groups);
    if (tile == 0)
      memcpy (scratch->reference, scratch->mean[0], sizeof scratch->reference);
    for (int lane = 0; lane < groups * LANES; lane += LANES)
      _mm512_store_ps (&scratch->offset[lane],
          _mm512_sub_ps (_mm512_load_ps (&scratch->mean[tile % MEANS][lane]),
              _mm512_load_ps (&scratch->reference[lane])));

    if (weigh (scratch, q, k, n_keys, groups)) {
      raise_reference (scratch, q, k, n_keys, groups);
      sum_pairs (scratch, groups);
    }
    for (int lane = 0; lane < groups * LANES; lane += LANES)
      _mm512_store_ps (&scratch->sum[lane],
          _mm512_add_ps (_mm512_load_ps (&scratch->sum[lane]),
              _mm512_load_ps (&scratch->tile_sum[lane])));
    add_values (scratch, v, (n_keys + 1) / 2, groups);
  }
}

static void
NPU_KERNEL (attention_bf16_pack_q) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  QTile *q = tile;

  for (int first = 0; first < ROWS; first += LANES) {
    npu_load_columns (
        &q->exact[0][first], x + first * stride, stride, rows - first);
    for (int d = 0; d < DIM; d += 2)
      _mm512_store_si512 (
          q->x[d / 2][first], pair_bf16 (_mm512_load_ps (&q->exact[d][first]),
                                  _mm512_load_ps (&q->exact[d + 1][first])));
  }
}

static void
NPU_KERNEL (attention_bf16_pack_k) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  KTile *k = tile;

  memset (k->x, 0, sizeof k->x);
  for (int d = 0; d < DIM; d += LANES) {
    __m512 mean = _mm512_setzero_ps ();

    for (int i = 0; i < rows; i++)
      mean = _mm512_add_ps (
          mean, npu_clamp_avx512 (
                    _mm512_loadu_ps (x + i * stride + d), NPU_QK_LIMIT));
    mean = _mm512_mul_ps (mean, _mm512_set1_ps (1.0f / (float) rows));
    _mm512_store_ps (&k->mean[d], mean);
    for (int i = 0; i < rows; i++)
      _mm256_store_si256 ((__m256i *) &k->x[i][d],
          (__m256i) _mm512_cvtneps_pbh (_mm512_sub_ps (
              npu_clamp_avx512 (
                  _mm512_loadu_ps (x + i * stride + d), NPU_QK_LIMIT),
              mean)));
  }
}

static void
NPU_KERNEL (attention_bf16_pack_v) (
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

void
npu_attention_init_bf16_avx512bf16 (NpuKernels *kernels)
{
  kernels->attention_bf16 = ATTENTION_KERNEL;
}
