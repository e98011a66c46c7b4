/* f32 attention with AVX-512.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx512
#define ATTENTION(name) attention_f32_##name

#include "x86/attention-avx512.h"
#include "x86/npu-x86.h"

#include <string.h>

#define raise_reference NPU_KERNEL (attention_f32_raise_reference)

#define BLOCK_REGISTERS 16                            /* accumulators */
#define BLOCK_OF(groups) (BLOCK_REGISTERS / (groups)) /* rows */
#define STEPS                                                                  \
  (DIM / BLOCK_REGISTERS) /* of a block's, to a register of weights */

typedef struct {
  float x[DIM][ROWS];
} QTile;

typedef struct {
  float x[ROWS][DIM];
} KvTile;

typedef KvTile KTile, VTile;

typedef struct {
  float scale;       /* of scores */
  float most, least; /* of what a weight is a power with */
} Bounds;

typedef struct {
  float p[ROWS][ROWS];   /* scores, then weights: [key][query] */
  float o[DIM][ROWS];    /* sums of weighted values */
  float sum[ROWS];       /* of weights */
  float reference[ROWS]; /* score whose weight is 1 */
  float tile_sum[ROWS];
  Bounds bounds __attribute__ ((aligned (64)));
} Scratch;

/* acc[i][g] += sum over n of y[i] x[g]: y advances by y_step, and its rows
 * are y_stride apart; x advances by a row of a tile. */
NPU_INLINE void
multiply (__m512 acc[8][GROUPS], const float *y, ptrdiff_t y_stride,
    ptrdiff_t y_step, const float *x, int n, const int groups)
{
  const int block = BLOCK_OF (groups);

  NPU_FOUR_TIMES
  for (int j = 0; j < n; j++, y += y_step, x += ROWS) {
    __m512 row[GROUPS];

    for (int g = 0; g < groups; g++)
      row[g] = _mm512_load_ps (x + g * LANES);
    for (int i = 0; i < block; i++) {
      const __m512 t = _mm512_set1_ps (y[i * y_stride]);

      for (int g = 0; g < groups; g++)
        npu_add_product_avx512 (&acc[i][g], t, row[g]);
    }
  }
}

/* Turns scores of a key, p of a register of queries, into weights. */
NPU_INLINE void
weigh_scores (Scratch *scratch, float *p, int lane)
{
  float *sum = &scratch->tile_sum[lane];
  const Bounds *bounds = &scratch->bounds;
  __m512 x;

  /* Stay in memory: the products need the registers. */
  __asm__("" : "+r"(bounds));
  /* Not fused: the score of the reference itself is exactly 0. */
  x = _mm512_sub_ps (
      _mm512_mul_ps (_mm512_load_ps (p), _mm512_set1_ps (bounds->scale)),
      _mm512_load_ps (&scratch->reference[lane]));
  x = _mm512_min_ps (_mm512_set1_ps (bounds->most), x);
  x = _mm512_max_ps (_mm512_set1_ps (bounds->least), x);
  x = npu_exp2_avx512 (x);
  _mm512_store_ps (sum, _mm512_add_ps (_mm512_load_ps (sum), x));
  _mm512_store_ps (p, x);
}

/* The scores of a block of keys. Between the products those of the block before
 * become weights, where there is one: units that add and shift are idle then.
 * As much of the next tile's keys is asked for: all tiles of a head may be more
 * than the second cache holds. */
NPU_INLINE void
score_block (Scratch *scratch, const QTile *q, const KTile *k, int key,
    const int has_before, const int groups)
{
  const int block = BLOCK_OF (groups);
  const float (*x)[ROWS] = q->x, *y = k->x[key];
  const char *ahead = (const char *) (y + ROWS * DIM);
  __m512 acc[8][GROUPS];

  for (int i = 0; i < block; i++)
    for (int g = 0; g < groups; g++)
      acc[i][g] = _mm512_setzero_ps ();
  for (int before = key - block; before < key; before++)
    NPU_UNROLL
  for (int g = 0; g < groups;
       g++, x += STEPS, y += STEPS, ahead += block * 16) {
    if (has_before)
      weigh_scores (scratch, &scratch->p[before][g * LANES], g * LANES);
    _mm_prefetch (ahead, _MM_HINT_T1);
    multiply (acc, y, DIM, 1, x[0], STEPS, groups);
  }
  for (int i = 0; i < block; i++)
    for (int g = 0; g < groups; g++)
      _mm512_store_ps (&scratch->p[key + i][g * LANES], acc[i][g]);
}

/* The weights of the tile's first n_keys keys, and their sums; true if a sum
 * is so large that the reference must be raised. */
NPU_INLINE int
weigh (Scratch *scratch, const QTile *q, const KTile *k, int n_keys,
    const int groups)
{
  const int block = BLOCK_OF (groups);
  int high = 0, key = block;

  for (int lane = 0; lane < groups * LANES; lane += LANES)
    _mm512_store_ps (&scratch->tile_sum[lane], _mm512_setzero_ps ());
  score_block (scratch, q, k, 0, 0, groups);
  for (; key < n_keys; key += block)
    score_block (scratch, q, k, key, 1, groups);
  /* What is left is of keys that are not there. */
  for (key -= block; key < n_keys; key++)
    for (int lane = 0; lane < groups * LANES; lane += LANES)
      weigh_scores (scratch, &scratch->p[key][lane], lane);
  for (int lane = 0; lane < groups * LANES; lane += LANES)
    high |= _mm512_cmp_ps_mask (_mm512_load_ps (&scratch->tile_sum[lane]),
        _mm512_set1_ps (1u << RAISE), _CMP_GT_OQ);
  return high;
}

/* The scores of one key, each sum in the order of weigh(). */
NPU_INLINE __m512
score (const QTile *q, const float *k, float scale, int lane)
{
  __m512 acc = _mm512_setzero_ps ();

  for (int d = 0; d < DIM; d++)
    acc = _mm512_fmadd_ps (
        _mm512_set1_ps (k[d]), _mm512_load_ps (&q->x[d][lane]), acc);
  return _mm512_mul_ps (acc, _mm512_set1_ps (scale));
}

/* Raises the reference of queries whose weights are too large to the largest
 * score of this tile. Rare, and so only as fast as it happens to be. */
static __attribute__ ((noinline)) void
raise_reference (Scratch *scratch, const QTile *q, const KvTile *k, int n_keys,
    float scale, int groups)
{
  for (int g = 0; g < groups; g++) {
    const int lane = g * LANES;
    const __mmask16 raised =
        _mm512_cmp_ps_mask (_mm512_load_ps (&scratch->tile_sum[lane]),
            _mm512_set1_ps (1u << RAISE), _CMP_GT_OQ);
    const __m512 reference = _mm512_load_ps (&scratch->reference[lane]);
    __m512 max = reference;

    for (int key = 0; key < n_keys; key++)
      max = _mm512_max_ps (max, score (q, k->x[key], scale, lane));
    max = _mm512_mask_mov_ps (reference, raised, max);
    _mm512_store_ps (&scratch->reference[lane], max);
    npu_shrink (
        scratch->o, scratch->sum, g, raised, _mm512_sub_ps (max, reference));
  }
}

NPU_INLINE void
add_values (Scratch *scratch, const KvTile *v, int n_keys, const int groups)
{
  const int block = BLOCK_OF (groups);

  for (int d = 0; d < DIM; d += block) {
    __m512 acc[8][GROUPS];
    int key = 0;

    for (int i = 0; i < block; i++)
      for (int g = 0; g < groups; g++)
        acc[i][g] = _mm512_load_ps (&scratch->o[d + i][g * LANES]);
    for (; key + STEPS <= n_keys; key += STEPS) {
      _mm_prefetch (
          (const char *) (&v[1].x[d][0]) + key * block * 4, _MM_HINT_T1);
      multiply (acc, &v->x[key][d], 1, DIM, scratch->p[key], STEPS, groups);
    }
    multiply (
        acc, &v->x[key][d], 1, DIM, scratch->p[key], n_keys - key, groups);
    for (int i = 0; i < block; i++)
      for (int g = 0; g < groups; g++)
        _mm512_store_ps (&scratch->o[d + i][g * LANES], acc[i][g]);
  }
}

NPU_INLINE void
run_groups (Scratch *scratch, const QTile *q, const KvTile *k, const KvTile *v,
    int kv_rows, float scale, const int groups)
{
  memset (scratch->o, 0, sizeof scratch->o);
  memset (scratch->sum, 0, sizeof scratch->sum);
  scratch->bounds = (Bounds){scale, RAISE + 1, NPU_EXP2_MIN};
  for (int lane = 0; lane < groups * LANES; lane += LANES)
    _mm512_store_ps (
        &scratch->reference[lane], score (q, k->x[0], scale, lane));

  for (int first = 0; first < kv_rows; first += ROWS, k++, v++) {
    const int n_keys = npu_min_int (kv_rows - first, ROWS);

    for (int raised = 0;; raised = 1) {
      if (!weigh (scratch, q, k, n_keys, groups) || raised)
        break;
      raise_reference (scratch, q, k, n_keys, scale, groups);
    }
    for (int lane = 0; lane < groups * LANES; lane += LANES)
      _mm512_store_ps (&scratch->sum[lane],
          _mm512_add_ps (_mm512_load_ps (&scratch->sum[lane]),
              _mm512_load_ps (&scratch->tile_sum[lane])));
    add_values (scratch, v, n_keys, groups);
  }
}

static void
NPU_KERNEL (attention_f32_pack_q) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  QTile *q = tile;

  for (int first = 0; first < ROWS; first += LANES)
    npu_load_columns (
        &q->x[0][first], x + first * stride, stride, rows - first);
}

NPU_INLINE void
pack_rows (
    KvTile *tile, const float *x, ptrdiff_t stride, int rows, float limit)
{
  memset (tile->x[rows], 0, (size_t) (ROWS - rows) * DIM * sizeof (float));
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d += LANES)
      _mm512_store_ps (&tile->x[i][d],
          npu_clamp_avx512 (_mm512_loadu_ps (x + i * stride + d), limit));
}

static void
NPU_KERNEL (attention_f32_pack_k) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  pack_rows (tile, x, stride, rows, NPU_QK_LIMIT);
}

static void
NPU_KERNEL (attention_f32_pack_v) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  pack_rows (tile, x, stride, rows, NPU_V_LIMIT);
}

#include "x86/attention-end-avx512_tmpl.h"

void
npu_attention_init_f32_avx512 (NpuKernels *kernels)
{
  kernels->attention_f32 = ATTENTION_KERNEL;
}
