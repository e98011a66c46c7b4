/* Attention in C: flash attention with one query per lane.
 *
 * Scores are kept transposed, s[key][query], so that maxima, sums and weights
 * of 64 queries are vertical operations on 64 lanes, and both products are
 * the same loop: out[i][lane] += a[i][j] * b[j][lane], a broadcast from the
 * packed keys or values as they lie in memory.
 *
 * The int8 variant keeps its integers as floats: sums of 64 products of
 * int8 are exact in them, and float loops are what every compiler vectorises.
 * Queries and keys are rotated first by a Hadamard transform, which leaves
 * their products as they are and spreads large columns over all, so that the
 * int8 steps are finer. Keys are quantised relative to the mean of their
 * tile, which moves all of the tile's scores of a query by the same amount:
 * that is added back from the exact query. The bfloat16 variant has the same
 * means, no rotation, and steps of 1: its numbers are rounded, not scaled.
 *
 * What AVX-512 VNNI multiplies after int8 scores is here too, for what it costs
 * in accuracy (NPU_CPU_C_INT8): weights of 8 bits, relative to the largest
 * score of their tile, where what rounding takes from one is added to that of
 * the key after next; and values of 8 bits, with a middle and a scale for each
 * column of a tile.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA c

#include "npu-kernels-internal.h"
#include "npu-math.h"
#include "npu-rotate.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define pack_rows NPU_KERNEL (attention_pack_rows)
#define transpose NPU_KERNEL (attention_transpose)
#define rotate NPU_KERNEL (attention_rotate)

#define ROWS NPU_TILE_ROWS
#define DIM NPU_HEAD_DIM

typedef struct {
  float x[DIM][ROWS]; /* transposed; int8: round (x / scale) */
  float scale[ROWS];
  float exact[DIM][ROWS]; /* not f32 */
} QTile;

typedef struct {
  float x[ROWS][DIM]; /* int8: round ((x - mean) / scale) */
  float scale[16];    /* one, padded */
  float mean[DIM];    /* not f32 */
} KTile;

typedef struct {
  float x[ROWS][DIM]; /* but for f32 rounded to bfloat16 */
} VTile;

typedef struct {
  float x[ROWS][DIM]; /* round (x / scale) - middle */
  float scale[DIM];
  float middle[DIM]; /* an integer, near the mean's x / scale */
} ByteVTile;

typedef struct {
  float s[ROWS][ROWS]; /* scores, then weights: [key][query] */
  float o[DIM][ROWS];  /* sums of weighted values, not yet divided */
  float max[ROWS];     /* largest score so far */
  float sum[ROWS];     /* of weights relative to max */
  float offset[ROWS];  /* query times mean of keys */
} Scratch;

/* Four lanes. GCC and clang map it to whatever the CPU has. */
typedef float Lanes __attribute__ ((vector_size (16)));

/* out[4][64] = (accumulate ? out : 0) + a[4][n] b[n][64] on the first lanes.
 * a is read at i * row_step + j * step. */
static inline void
multiply (float (*out)[ROWS], int accumulate, const float *a, int row_step,
    int step, const float (*b)[ROWS], int n, int lanes)
{
  for (int lane = 0; lane < lanes; lane += 8) {
    Lanes acc[4][2];

    memset (acc, 0, sizeof acc);
    if (accumulate)
      for (int i = 0; i < 4; i++)
        memcpy (acc[i], &out[i][lane], sizeof acc[i]);
    for (int j = 0; j < n; j++) {
      const Lanes *x = (const Lanes *) &b[j][lane];
      for (int i = 0; i < 4; i++) {
        const float y = a[i * row_step + j * step];
        acc[i][0] += x[0] * y;
        acc[i][1] += x[1] * y;
      }
    }
    for (int i = 0; i < 4; i++)
      memcpy (&out[i][lane], acc[i], sizeof acc[i]);
  }
}

/* Turns the tile's scores into weights and rescales what was summed before
 * to the new maximum. score = factor * s + offset, in powers of two. */
static inline __attribute__ ((always_inline)) void
softmax (Scratch *scratch, const float factor[ROWS], int n_keys, int lanes,
    int round_weights)
{
  float max[ROWS];
  int grew = 0;

  for (int i = 0; i < lanes; i++)
    max[i] = scratch->max[i];
  for (int key = 0; key < n_keys; key++) {
    float *s = scratch->s[key];
    for (int i = 0; i < lanes; i++) {
      s[i] = s[i] * factor[i] + scratch->offset[i];
      max[i] = s[i] > max[i] ? s[i] : max[i];
    }
  }

  for (int i = 0; i < lanes; i++)
    grew |= max[i] > scratch->max[i];
  if (grew) {
    float shrink[ROWS];

    for (int i = 0; i < lanes; i++) {
      shrink[i] = npu_exp2 (scratch->max[i] - max[i]);
      scratch->sum[i] *= shrink[i];
      scratch->max[i] = max[i];
    }
    for (int d = 0; d < DIM; d++)
      for (int i = 0; i < lanes; i++)
        scratch->o[d][i] *= shrink[i];
  }

  for (int key = 0; key < n_keys; key++) {
    float *s = scratch->s[key];
    /* One loop for each: clang leaves them scalar in one. */
    for (int i = 0; i < lanes; i++)
      s[i] = npu_exp2 (s[i] - max[i]);
    if (round_weights)
      for (int i = 0; i < lanes; i++)
        s[i] = npu_round_bf16 (s[i]);
    for (int i = 0; i < lanes; i++)
      scratch->sum[i] += s[i];
  }
}

static void
start (Scratch *scratch)
{
  memset (scratch->o, 0, sizeof scratch->o);
  for (int i = 0; i < ROWS; i++) {
    scratch->max[i] = -FLT_MAX;
    scratch->sum[i] = scratch->offset[i] = 0.0f;
  }
}

/* The scores of the tile's mean, and what turns the others into powers of two;
 * c is that of exact ones. */
static inline __attribute__ ((always_inline)) void
score_means (Scratch *scratch, float factor[ROWS], const QTile *q,
    const KTile *k, float c, int lanes)
{
  memset (scratch->offset, 0, sizeof scratch->offset);
  for (int d = 0; d < DIM; d++)
    for (int i = 0; i < lanes; i++)
      scratch->offset[i] += q->exact[d][i] * k->mean[d];
  for (int i = 0; i < lanes; i++) {
    scratch->offset[i] *= c;
    factor[i] = q->scale[i] * k->scale[0] * c;
  }
}

static void
store_rows (float *o, ptrdiff_t o_stride, const Scratch *scratch, int q_rows)
{
  for (int i = 0; i < q_rows; i++)
    for (int d = 0; d < DIM; d++)
      o[i * o_stride + d] = scratch->o[d][i] / scratch->sum[i];
}

static inline __attribute__ ((always_inline)) void
run (float *o, ptrdiff_t o_stride, const void *q_tile, const void *k_tiles,
    const void *v_tiles, int q_rows, int kv_rows, float scale, void *scratch_,
    int rounded)
{
  const QTile *q = q_tile;
  const KTile *k = k_tiles;
  const VTile *v = v_tiles;
  Scratch *scratch = scratch_;
  const int lanes = (q_rows + 7) & ~7;
  float factor[ROWS];

  start (scratch);
  for (int i = 0; i < ROWS; i++)
    factor[i] = scale * NPU_LOG2E;

  for (int first = 0; first < kv_rows; first += ROWS, k++, v++) {
    const int n_keys = npu_min_int (kv_rows - first, ROWS);

    /* Whatever rows past n_keys hold is computed and not looked at. */
    for (int key = 0; key < n_keys; key += 4)
      multiply (&scratch->s[key], 0, k->x[key], DIM, 1, q->x, DIM, lanes);
    if (rounded)
      score_means (scratch, factor, q, k, scale * NPU_LOG2E, lanes);
    softmax (scratch, factor, n_keys, lanes, rounded);
    for (int d = 0; d < DIM; d += 4)
      multiply (&scratch->o[d], 1, &v->x[0][d], 1, DIM,
          (const float (*)[ROWS]) scratch->s, n_keys, lanes);
  }

  store_rows (o, o_stride, scratch, q_rows);
}

/* --- weights and values of 8 bits --------------------------------------- */

typedef struct {
  Scratch base;         /* max is the reference of the sums */
  float unit[ROWS];     /* weight of a unit of the tile's */
  float tile_sum[ROWS]; /* of weights */
  float steps[DIM][ROWS];
} ByteScratch;

/* Turns the tile's scores into weights of 8 bits, and moves the reference to
 * the largest score so far. */
static void
weigh_bytes (
    ByteScratch *scratch, const float factor[ROWS], int n_keys, int lanes)
{
  Scratch *base = &scratch->base;
  int32_t rest[2][ROWS];
  float max[ROWS];

  for (int i = 0; i < lanes; i++) {
    max[i] = -FLT_MAX;
    scratch->tile_sum[i] = 0.0f;
    rest[0][i] = rest[1][i] = 0x80;
  }
  for (int key = 0; key < n_keys; key++)
    for (int i = 0; i < lanes; i++)
      max[i] = base->s[key][i] > max[i] ? base->s[key][i] : max[i];

  for (int key = 0; key < n_keys; key++) {
    float *s = base->s[key];
    int32_t *left = rest[key % 2];

    for (int i = 0; i < lanes; i++)
      s[i] = npu_exp2 ((s[i] - max[i]) * factor[i]);
    for (int i = 0; i < lanes; i++) {
      /* Not a NaN. */
      const float share = s[i] > 0.0f ? s[i] * 0xff00 : 0.0f;
      const int32_t weight = (int32_t) share + left[i];

      s[i] = (float) (weight >> 8);
      left[i] = weight & 0xff;
      scratch->tile_sum[i] += s[i];
    }
  }

  for (int i = 0; i < lanes; i++) {
    const float above = max[i] * factor[i] + base->offset[i];
    const float reference = above > base->max[i] ? above : base->max[i];
    const float shrink = npu_exp2 (base->max[i] - reference);

    base->sum[i] *= shrink;
    for (int d = 0; d < DIM; d++)
      base->o[d][i] *= shrink;
    base->max[i] = reference;
    scratch->unit[i] = npu_exp2 (above - reference) * 0x1p-8f;
  }
}

static void
add_bytes (ByteScratch *scratch, const ByteVTile *v, int n_keys, int lanes)
{
  Scratch *base = &scratch->base;

  for (int d = 0; d < DIM; d += 4)
    multiply (&scratch->steps[d], 0, &v->x[0][d], 1, DIM,
        (const float (*)[ROWS]) base->s, n_keys, lanes);
  for (int i = 0; i < lanes; i++)
    base->sum[i] += scratch->unit[i] * scratch->tile_sum[i];
  for (int d = 0; d < DIM; d++)
    for (int i = 0; i < lanes; i++)
      base->o[d][i] +=
          (scratch->steps[d][i] + v->middle[d] * scratch->tile_sum[i]) *
          (scratch->unit[i] * v->scale[d]);
}

static void
NPU_KERNEL (attention_bytes_run) (float *o, ptrdiff_t o_stride,
    const void *q_tile, const void *k_tiles, const void *v_tiles, int q_rows,
    int kv_rows, float scale, void *scratch_)
{
  const QTile *q = q_tile;
  const KTile *k = k_tiles;
  const ByteVTile *v = v_tiles;
  ByteScratch *scratch = scratch_;
  Scratch *base = &scratch->base;
  const int lanes = (q_rows + 7) & ~7;
  float factor[ROWS];

  start (base);
  for (int first = 0; first < kv_rows; first += ROWS, k++, v++) {
    const int n_keys = npu_min_int (kv_rows - first, ROWS);

    for (int key = 0; key < n_keys; key += 4)
      multiply (&base->s[key], 0, k->x[key], DIM, 1, q->x, DIM, lanes);
    score_means (base, factor, q, k, scale * NPU_LOG2E, lanes);
    weigh_bytes (scratch, factor, n_keys, lanes);
    add_bytes (scratch, v, n_keys, lanes);
  }
  store_rows (o, o_stride, base, q_rows);
}

static void
NPU_KERNEL (attention_f32_run) (float *o, ptrdiff_t o_stride, const void *q,
    const void *k, const void *v, int q_rows, int kv_rows, float scale,
    void *scratch)
{
  run (o, o_stride, q, k, v, q_rows, kv_rows, scale, scratch, 0);
}

/* int8 and bfloat16 */
static void
NPU_KERNEL (attention_rounded_run) (float *o, ptrdiff_t o_stride, const void *q,
    const void *k, const void *v, int q_rows, int kv_rows, float scale,
    void *scratch)
{
  run (o, o_stride, q, k, v, q_rows, kv_rows, scale, scratch, 1);
}

/* --- packing ------------------------------------------------------------ */

static void
pack_rows (
    float (*out)[DIM], const float *x, ptrdiff_t stride, int rows, float limit)
{
  memset (out, 0, ROWS * sizeof *out);
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d++)
      out[i][d] = npu_clamp (x[i * stride + d], limit);
}

static void
transpose (float (*restrict out)[ROWS], const float (*restrict x)[DIM])
{
  for (int d = 0; d < DIM; d++)
    for (int i = 0; i < ROWS; i++)
      out[d][i] = x[i][d];
}

/* x H / 8 for each row of 64, where H is the Hadamard matrix, to out[d][row]:
 * what rows do is done by 64 lanes. */
static void
rotate (float (*out)[ROWS], const float (*x)[DIM])
{
  transpose (out, x);
  npu_hadamard (out[0], DIM * ROWS, ROWS, DIM * ROWS);
  for (int d = 0; d < DIM; d++)
    for (int i = 0; i < ROWS; i++)
      out[d][i] *= 0.125f;
}

/* For |x| < 2^22, ties to even; rintf() is a call where there is no SSE4. */
static inline float
round_even (float x)
{
  return x + NPU_ROUND_MAGIC - NPU_ROUND_MAGIC;
}

static void
NPU_KERNEL (attention_f32_pack_q) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  float by_row[ROWS][DIM];

  pack_rows (by_row, x, stride, rows, NPU_QK_LIMIT);
  transpose (((QTile *) tile)->x, (const float (*)[DIM]) by_row);
}

static void
NPU_KERNEL (attention_f32_pack_k) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  pack_rows (((KTile *) tile)->x, x, stride, rows, NPU_QK_LIMIT);
}

static void
NPU_KERNEL (attention_f32_pack_v) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  pack_rows (((VTile *) tile)->x, x, stride, rows, NPU_V_LIMIT);
}

static void
NPU_KERNEL (attention_s8_pack_q) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  QTile *q = tile;
  float by_row[ROWS][DIM], max[ROWS] = {0}, inverse[ROWS];

  pack_rows (by_row, x, stride, rows, NPU_QK_LIMIT);
  rotate (q->exact, (const float (*)[DIM]) by_row);
  for (int d = 0; d < DIM; d++)
    for (int i = 0; i < ROWS; i++) {
      const float magnitude = fabsf (q->exact[d][i]);
      max[i] = magnitude > max[i] ? magnitude : max[i];
    }
  for (int i = 0; i < ROWS; i++) {
    inverse[i] = max[i] < NPU_Q8_SMALLEST ? 0.0f : 127.0f / max[i];
    q->scale[i] = max[i] / 127.0f;
  }
  for (int d = 0; d < DIM; d++)
    for (int i = 0; i < ROWS; i++)
      q->x[d][i] = round_even (q->exact[d][i] * inverse[i]);
}

static void
NPU_KERNEL (attention_s8_pack_k) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  KTile *k = tile;
  float rotated[DIM][ROWS], mean[DIM] = {0}, max, inverse;

  pack_rows (k->x, x, stride, rows, NPU_QK_LIMIT);
  rotate (rotated, (const float (*)[DIM]) k->x);
  transpose (k->x, (const float (*)[ROWS]) rotated);
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d++)
      mean[d] += k->x[i][d];
  for (int d = 0; d < DIM; d++)
    k->mean[d] = mean[d] /= (float) rows;

  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d++)
      k->x[i][d] -= mean[d];
  max = npu_largest_magnitude (k->x[0], rows * DIM);
  inverse = max < NPU_Q8_SMALLEST ? 0.0f : 127.0f / max;
  k->scale[0] = max / 127.0f;
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d++)
      k->x[i][d] = round_even (k->x[i][d] * inverse);
}

static void
NPU_KERNEL (attention_bf16_pack_q) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  QTile *q = tile;
  float by_row[ROWS][DIM];

  pack_rows (by_row, x, stride, rows, NPU_QK_LIMIT);
  transpose (q->exact, (const float (*)[DIM]) by_row);
  for (int d = 0; d < DIM; d++)
    for (int i = 0; i < ROWS; i++)
      q->x[d][i] = npu_round_bf16 (q->exact[d][i]);
  for (int i = 0; i < ROWS; i++)
    q->scale[i] = 1.0f;
}

static void
NPU_KERNEL (attention_bf16_pack_k) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  KTile *k = tile;
  float mean[DIM] = {0};

  pack_rows (k->x, x, stride, rows, NPU_QK_LIMIT);
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d++)
      mean[d] += k->x[i][d];
  for (int d = 0; d < DIM; d++)
    k->mean[d] = mean[d] /= (float) rows;
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d++)
      k->x[i][d] = npu_round_bf16 (k->x[i][d] - mean[d]);
  k->scale[0] = 1.0f;
}

/* int8 and bfloat16 */
static void
NPU_KERNEL (attention_rounded_pack_v) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  VTile *v = tile;

  pack_rows (v->x, x, stride, rows, NPU_V_LIMIT);
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d++)
      v->x[i][d] = npu_round_bf16 (v->x[i][d]);
}

/* Scale and middle of column d; returns 1 / scale. */
static float
scale_column (ByteVTile *v, const float *x, ptrdiff_t stride, int rows, int d)
{
  float mean = 0.0f, max, inverse;

  for (int i = 0; i < rows; i++)
    mean += npu_clamp (x[i * stride + d], NPU_V_LIMIT);
  mean *= 1.0f / (float) rows;
  max = fabsf (mean) * NPU_V8_FINEST;
  for (int i = 0; i < rows; i++) {
    const float distance =
        fabsf (npu_clamp (x[i * stride + d], NPU_V_LIMIT) - mean);
    max = distance > max ? distance : max;
  }
  inverse = max < NPU_Q8_SMALLEST ? 0.0f : NPU_V8_LEVELS / max;
  v->scale[d] = max < NPU_Q8_SMALLEST ? 0.0f : max / NPU_V8_LEVELS;
  v->middle[d] = rintf (mean * inverse);
  return inverse;
}

static void
NPU_KERNEL (attention_bytes_pack_v) (
    void *tile, const float *x, ptrdiff_t stride, int rows)
{
  ByteVTile *v = tile;

  memset (v->x, 0, sizeof v->x);
  for (int d = 0; d < DIM; d++) {
    const float inverse = scale_column (v, x, stride, rows, d);

    for (int i = 0; i < rows; i++)
      v->x[i][d] = npu_clamp (
          rintf (npu_clamp (x[i * stride + d], NPU_V_LIMIT) * inverse) -
              v->middle[d],
          127.0f);
  }
}

void
npu_attention_init_s8_c_int8 (NpuKernels *kernels)
{
  kernels->attention_s8.v_tile_size = sizeof (ByteVTile);
  kernels->attention_s8.scratch_size = sizeof (ByteScratch);
  kernels->attention_s8.pack_v = NPU_KERNEL (attention_bytes_pack_v);
  kernels->attention_s8.run = NPU_KERNEL (attention_bytes_run);
}

void
npu_attention_init_c (NpuKernels *kernels)
{
  kernels->attention_f32 = (NpuAttentionKernel){
      .q_tile_size = offsetof (QTile, scale),
      .k_tile_size = sizeof (KTile),
      .v_tile_size = sizeof (VTile),
      .scratch_size = sizeof (Scratch),
      .pack_q = NPU_KERNEL (attention_f32_pack_q),
      .pack_k = NPU_KERNEL (attention_f32_pack_k),
      .pack_v = NPU_KERNEL (attention_f32_pack_v),
      .run = NPU_KERNEL (attention_f32_run),
  };
  kernels->attention_s8 = (NpuAttentionKernel){
      .q_tile_size = sizeof (QTile),
      .k_tile_size = sizeof (KTile),
      .v_tile_size = sizeof (VTile),
      .scratch_size = sizeof (Scratch),
      .pack_q = NPU_KERNEL (attention_s8_pack_q),
      .pack_k = NPU_KERNEL (attention_s8_pack_k),
      .pack_v = NPU_KERNEL (attention_rounded_pack_v),
      .run = NPU_KERNEL (attention_rounded_run),
  };
  kernels->attention_bf16 = kernels->attention_s8;
  kernels->attention_bf16.pack_q = NPU_KERNEL (attention_bf16_pack_q);
  kernels->attention_bf16.pack_k = NPU_KERNEL (attention_bf16_pack_k);
}
