/* Runs an attention kernel on whole arrays, and the same in float64.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "rig.h"

#include <math.h>
#include <string.h>

#define DIM NPU_HEAD_DIM
#define N_TILES(rows) (((rows) + NPU_TILE_ROWS - 1) / NPU_TILE_ROWS)

/* Packs x[rows][64] between guard pages. */
static Guarded *
pack (void (*pack_tile) (void *, const float *, ptrdiff_t, int),
    gsize tile_size, const float *x, int stride, int rows, GuardSide side)
{
  Guarded *tiles = guarded_new (N_TILES (rows) * tile_size, side);

  for (int first = 0; first < rows; first += NPU_TILE_ROWS) {
    const int n = MIN (rows - first, NPU_TILE_ROWS);
    const gsize n_floats = (gsize) (n - 1) * stride + DIM;
    g_autoptr (Guarded) in = guarded_new (n_floats * sizeof (float), side);

    memcpy (guarded_data (in), x + (gsize) first * stride,
        n_floats * sizeof (float));
    pack_tile (
        (guint8 *) guarded_data (tiles) + first / NPU_TILE_ROWS * tile_size,
        guarded_data (in), stride, n);
  }
  return tiles;
}

void
rig_attention (const NpuAttentionKernel *kernel, const Attention *a,
    GuardSide side, float *out)
{
  const gsize n_floats = (gsize) (a->q_rows - 1) * a->o_stride + DIM;
  g_autoptr (Guarded) q = pack (
      kernel->pack_q, kernel->q_tile_size, a->q, a->stride, a->q_rows, side);
  g_autoptr (Guarded) k = pack (
      kernel->pack_k, kernel->k_tile_size, a->k, a->stride, a->packed, side);
  g_autoptr (Guarded) v = pack (
      kernel->pack_v, kernel->v_tile_size, a->v, a->stride, a->packed, side);
  g_autoptr (Guarded) o = guarded_new (n_floats * sizeof (float), side);
  g_autoptr (Guarded) scratch = guarded_new (kernel->scratch_size, side);
  const float *result = guarded_data (o);

  kernel->run (guarded_data (o), a->o_stride, guarded_data (q),
      guarded_data (k), guarded_data (v), a->q_rows, a->kv_rows, a->scale,
      guarded_data (scratch));
  guarded_check_gaps (o, a->o_stride * sizeof (float), DIM * sizeof (float));
  for (int i = 0; i < a->q_rows; i++)
    memcpy (
        out + i * DIM, result + (gsize) i * a->o_stride, DIM * sizeof (float));
}

void
ref_attention (const Attention *a, float *out)
{
  g_autofree double *score = g_new (double, a->kv_rows);

  for (int i = 0; i < a->q_rows; i++) {
    const float *q = a->q + (gsize) i * a->stride;
    double max = -INFINITY, sum = 0, o[DIM] = {0};

    for (int j = 0; j < a->kv_rows; j++) {
      score[j] = 0;
      for (int d = 0; d < DIM; d++)
        score[j] += (double) q[d] * a->k[(gsize) j * a->stride + d];
      score[j] *= a->scale;
      max = MAX (max, score[j]);
    }
    for (int j = 0; j < a->kv_rows; j++) {
      const double p = exp (score[j] - max);
      sum += p;
      for (int d = 0; d < DIM; d++)
        o[d] += p * a->v[(gsize) j * a->stride + d];
    }
    for (int d = 0; d < DIM; d++)
      out[i * DIM + d] = o[d] / sum;
  }
}

void
attention_init (Attention *a, int q_rows, int kv_rows, double deviation)
{
  const int rows = MAX (q_rows, kv_rows);

  *a = (Attention){
      .q_rows = q_rows,
      .kv_rows = kv_rows,
      .packed = kv_rows,
      .stride = DIM + g_test_rand_int_range (0, 30),
      .o_stride = DIM + g_test_rand_int_range (0, 30),
      .scale = 0.125f,
  };
  a->q = new_normal ((gsize) rows * a->stride, deviation);
  a->k = new_normal ((gsize) rows * a->stride, deviation);
  a->v = new_normal ((gsize) rows * a->stride, 1);
}

void
attention_clear (Attention *a)
{
  g_free (a->q);
  g_free (a->k);
  g_free (a->v);
}
