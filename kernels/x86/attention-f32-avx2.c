/* f32 attention with AVX2 and FMA.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA avx2

#include "x86/attention-avx2.h"
#include "x86/npu-x86.h"

#include <string.h>

#define raise_reference NPU_KERNEL (attention_f32_raise_reference)
#define run_tile NPU_KERNEL (attention_f32_run_tile)
#define weigh_some NPU_KERNEL (attention_f32_weigh_some)

typedef struct {
  float x[DIM][ROWS];
} QTile;

typedef struct {
  float x[ROWS][DIM];
} KvTile;

typedef struct {
  float p[ROWS][PANEL];  /* weights: [key][query] */
  float o[DIM][ROWS];    /* sums of weighted values */
  float sum[ROWS];       /* of weights */
  float reference[ROWS]; /* score whose weight is 1 */
  float tile_sum[ROWS];
} Scratch;

/* acc[i][g] += sum over n of y[i] x[g], i < block: y advances by y_step, and
 * its rows are y_stride apart; x advances by x_step. */
NPU_INLINE void
multiply (__m256 acc[BLOCK][GROUPS], const float *y, ptrdiff_t y_stride,
    ptrdiff_t y_step, const float *x, ptrdiff_t x_step, int n, const int block)
{
  NPU_FOUR_TIMES
  for (int j = 0; j < n; j++, y += y_step, x += x_step)
    for (int i = 0; i < block; i++)
      for (int g = 0; g < GROUPS; g++)
        acc[i][g] = _mm256_fmadd_ps (_mm256_broadcast_ss (y + i * y_stride),
            _mm256_load_ps (x + g * LANES), acc[i][g]);
}

#define AT_ONCE                                                                \
  2 /* keys whose scores become weights in turn: one alone waits               \
     * for itself */

/* Weights of scores that are relative to the reference, in powers of two. */
NPU_INLINE void
exp2_of_some (__m256 x[AT_ONCE * GROUPS])
{
  const __m256 magic = _mm256_set1_ps (NPU_ROUND_MAGIC);
  static const float terms[] = {
      NPU_EXP2_C4, NPU_EXP2_C3, NPU_EXP2_C2, NPU_EXP2_C1, 1.0f};
  __m256 t[AT_ONCE * GROUPS], p[AT_ONCE * GROUPS];

  for (int i = 0; i < AT_ONCE * GROUPS; i++) {
    t[i] = _mm256_add_ps (x[i], magic);
    x[i] = _mm256_sub_ps (x[i], _mm256_sub_ps (t[i], magic));
    p[i] = _mm256_set1_ps (NPU_EXP2_C5);
  }
  for (int j = 0; j < 5; j++)
    for (int i = 0; i < AT_ONCE * GROUPS; i++)
      p[i] = _mm256_fmadd_ps (p[i], x[i], _mm256_set1_ps (terms[j]));
  for (int i = 0; i < AT_ONCE * GROUPS; i++)
    x[i] = npu_scale_avx2 (p[i], t[i]);
}

/* The weights of a block of keys, of which the first n_live are there, for the
 * queries from `lane` on, added to their sums. */
NPU_INLINE void
weigh_block (Scratch *scratch, __m256 sum[GROUPS], const QTile *q,
    const KvTile *k, int lane, int key, int n_live, float scale,
    const int block)
{
  __m256 acc[BLOCK][GROUPS];

  for (int i = 0; i < block; i++)
    for (int g = 0; g < GROUPS; g++)
      acc[i][g] = _mm256_setzero_ps ();
  multiply (acc, k->x[key], DIM, 1, &q->x[0][lane], ROWS, DIM, block);
  for (int i = 0; i < block; i += AT_ONCE) {
    __m256 p[AT_ONCE * GROUPS];

    for (int j = 0; j < AT_ONCE * GROUPS; j++) {
      __m256 x = _mm256_sub_ps (_mm256_mul_ps (acc[i + j / GROUPS][j % GROUPS],
                                    _mm256_set1_ps (scale)),
          _mm256_load_ps (&scratch->reference[lane + j % GROUPS * LANES]));

      x = _mm256_min_ps (_mm256_set1_ps (RAISE + 1), x);
      p[j] = _mm256_max_ps (_mm256_set1_ps (NPU_EXP2_MIN), x);
    }
    exp2_of_some (p);
    for (int j = 0; j < AT_ONCE * GROUPS; j++) {
      /* Keys that are not there have no weight. */
      if (i + j / GROUPS >= n_live)
        p[j] = _mm256_setzero_ps ();
      sum[j % GROUPS] = _mm256_add_ps (sum[j % GROUPS], p[j]);
      _mm256_store_ps (
          &scratch->p[key + i + j / GROUPS][j % GROUPS * LANES], p[j]);
    }
  }
}

/* The same where some keys of the tile are not there. */
static __attribute__ ((noinline)) void
weigh_some (Scratch *scratch, __m256 sum[GROUPS], const QTile *q,
    const KvTile *k, int lane, int n_keys, float scale)
{
  for (int key = 0; key < n_keys; key += BLOCK)
    if (key + BLOCK <= ROWS)
      weigh_block (scratch, sum, q, k, lane, key, n_keys - key, scale, BLOCK);
    else
      weigh_block (
          scratch, sum, q, k, lane, key, n_keys - key, scale, LAST_BLOCK);
}

/* The weights of the first n_keys keys for the queries from `lane` on, and
 * their sums; true if a sum is so large that the reference must be raised. */
NPU_INLINE int
weigh (Scratch *scratch, const QTile *q, const KvTile *k, int lane, int n_keys,
    float scale)
{
  const __m256 limit = _mm256_set1_ps (1u << RAISE);
  __m256 sum[GROUPS], high = _mm256_setzero_ps ();

  for (int g = 0; g < GROUPS; g++)
    sum[g] = _mm256_setzero_ps ();
  if (n_keys == ROWS) {
    for (int key = 0; key + BLOCK <= ROWS; key += BLOCK)
      weigh_block (scratch, sum, q, k, lane, key, BLOCK, scale, BLOCK);
    weigh_block (scratch, sum, q, k, lane, ROWS - LAST_BLOCK, LAST_BLOCK, scale,
        LAST_BLOCK);
  } else {
    weigh_some (scratch, sum, q, k, lane, n_keys, scale);
  }
  for (int g = 0; g < GROUPS; g++) {
    _mm256_store_ps (&scratch->tile_sum[lane + g * LANES], sum[g]);
    high = _mm256_or_ps (high, _mm256_cmp_ps (sum[g], limit, _CMP_GT_OQ));
  }
  return _mm256_movemask_ps (high);
}

/* The scores of one key, each sum in the order of weigh(). */
NPU_INLINE __m256
score (const QTile *q, const float *k, float scale, int lane)
{
  __m256 acc = _mm256_setzero_ps ();

  for (int d = 0; d < DIM; d++)
    acc = _mm256_fmadd_ps (
        _mm256_set1_ps (k[d]), _mm256_load_ps (&q->x[d][lane]), acc);
  return _mm256_mul_ps (acc, _mm256_set1_ps (scale));
}

/* Raises the reference of queries whose weights are too large to the largest
 * score of this tile. Rare, and so only as fast as it happens to be. */
static __attribute__ ((noinline)) void
raise_reference (Scratch *scratch, const QTile *q, const KvTile *k, int first,
    int n_keys, float scale)
{
  for (int lane = first; lane < first + PANEL; lane += LANES) {
    const __m256 raised =
        _mm256_cmp_ps (_mm256_load_ps (&scratch->tile_sum[lane]),
            _mm256_set1_ps (1u << RAISE), _CMP_GT_OQ);
    const __m256 reference = _mm256_load_ps (&scratch->reference[lane]);
    __m256 max = reference;

    for (int key = 0; key < n_keys; key++)
      max = _mm256_max_ps (max, score (q, k->x[key], scale, lane));
    max = _mm256_blendv_ps (reference, max, raised);
    _mm256_store_ps (&scratch->reference[lane], max);
    npu_shrink (
        scratch->o, scratch->sum, lane, raised, _mm256_sub_ps (max, reference));
  }
}

/* Adds the values of columns from d on, weighted. */
NPU_INLINE void
add_block (Scratch *scratch, const KvTile *v, int lane, int d, int n_keys,
    const int block)
{
  __m256 acc[BLOCK][GROUPS];

  for (int i = 0; i < block; i++)
    for (int g = 0; g < GROUPS; g++)
      acc[i][g] = _mm256_load_ps (&scratch->o[d + i][lane + g * LANES]);
  multiply (acc, &v->x[0][d], 1, DIM, scratch->p[0], PANEL, n_keys, block);
  for (int i = 0; i < block; i++)
    for (int g = 0; g < GROUPS; g++)
      _mm256_store_ps (&scratch->o[d + i][lane + g * LANES], acc[i][g]);
}

NPU_INLINE void
add_values (Scratch *scratch, const KvTile *v, int lane, int n_keys)
{
  int d = 0;

  for (; d + BLOCK <= DIM; d += BLOCK)
    add_block (scratch, v, lane, d, n_keys, BLOCK);
  add_block (scratch, v, lane, d, n_keys, LAST_BLOCK);
}

static void
run_tile (Scratch *scratch, const QTile *q, const KvTile *k, const KvTile *v,
    int lane, int n_keys, float scale)
{
  for (int raised = 0;; raised = 1) {
    if (!weigh (scratch, q, k, lane, n_keys, scale) || raised)
      break;
    raise_reference (scratch, q, k, lane, n_keys, scale);
  }
  for (int i = lane; i < lane + PANEL; i += LANES)
    _mm256_store_ps (
        &scratch->sum[i], _mm256_add_ps (_mm256_load_ps (&scratch->sum[i]),
                              _mm256_load_ps (&scratch->tile_sum[i])));
  add_values (scratch, v, lane, n_keys);
}

static void
NPU_KERNEL (attention_f32_run) (float *o, ptrdiff_t o_stride, const void *q,
    const void *k_tiles, const void *v_tiles, int q_rows, int kv_rows,
    float scale, void *scratch_)
{
  const KvTile *k = k_tiles, *v = v_tiles;
  Scratch *scratch = scratch_;

  scale *= NPU_LOG2E;
  memset (scratch->o, 0, sizeof scratch->o);
  memset (scratch->sum, 0, sizeof scratch->sum);
  for (int lane = 0; lane < ROWS; lane += LANES)
    _mm256_store_ps (
        &scratch->reference[lane], score (q, k->x[0], scale, lane));
  for (int first = 0; first < kv_rows; first += ROWS, k++, v++)
    for (int lane = 0; lane < q_rows; lane += PANEL)
      run_tile (
          scratch, q, k, v, lane, npu_min_int (kv_rows - first, ROWS), scale);
  npu_store_rows (
      o, o_stride, (const float (*)[ROWS]) scratch->o, scratch->sum, q_rows);
}

static void
NPU_KERNEL (attention_f32_pack_q) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  npu_load_columns (((QTile *) tile)->x, x, stride, rows);
}

NPU_INLINE void
pack_rows (
    KvTile *tile, const float *x, ptrdiff_t stride, int rows, float limit)
{
  memset (tile->x[rows], 0, (size_t) (ROWS - rows) * DIM * sizeof (float));
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d += LANES)
      _mm256_store_ps (&tile->x[i][d],
          npu_clamp_avx2 (_mm256_loadu_ps (x + i * stride + d), limit));
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

void
npu_attention_init_f32_avx2 (NpuKernels *kernels)
{
  kernels->attention_f32 = (NpuAttentionKernel){
      .q_tile_size = sizeof (QTile),
      .k_tile_size = sizeof (KvTile),
      .v_tile_size = sizeof (KvTile),
      .scratch_size = sizeof (Scratch),
      .pack_q = NPU_KERNEL (attention_f32_pack_q),
      .pack_k = NPU_KERNEL (attention_f32_pack_k),
      .pack_v = NPU_KERNEL (attention_f32_pack_v),
      .run = NPU_KERNEL (attention_f32_run),
  };
}
