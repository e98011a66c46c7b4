/* Attention on bf16 tiles: o = softmax_base2 (q k^T + bias) v, where the bias
 * belongs to keys. A bias that only cuts the last keys off is what the
 * project's kernels do; any other is computed plainly.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define D NPU_HEAD_DIM
#define TILE (NPU_TILE_ROWS * D) /* values of a tile */
#define QK_PITCH (TILE + D)      /* with the row of biases */
#define MASKED -1e30f            /* a bias below this masks its key */
#define LN_2 0.69314718055994531f

typedef struct {
  int kv_rows;
  float *k, *v, *bias; /* [kv_rows][64], [kv_rows][64], [kv_rows] */
} Keys;

static void
load_keys (Keys *keys, const uint16_t *k, const uint16_t *v, int tiles)
{
  for (int t = 0; t < tiles; t++) {
    sim_widen_bf16 (
        keys->k + (ptrdiff_t) t * TILE, k + (ptrdiff_t) t * QK_PITCH, TILE);
    sim_widen_bf16 (keys->bias + (ptrdiff_t) t * NPU_TILE_ROWS,
        k + (ptrdiff_t) t * QK_PITCH + TILE, NPU_TILE_ROWS);
    sim_widen_bf16 (
        keys->v + (ptrdiff_t) t * TILE, v + (ptrdiff_t) t * TILE, TILE);
  }
  keys->kv_rows = tiles * NPU_TILE_ROWS;
}

/* How many keys there are if the rest is masked and none has a bias; 0 if it
 * is not so. */
static int
count_valid (const Keys *keys)
{
  int n = 0;

  while (n < keys->kv_rows && keys->bias[n] == 0)
    n++;
  for (int i = n; i < keys->kv_rows; i++)
    if (keys->bias[i] > MASKED)
      return 0;
  return n;
}

static void
attend_plainly (float *o, const float *q, const Keys *keys)
{
  float *s = sim_scratch ((size_t) keys->kv_rows * sizeof *s);

  for (int row = 0; row < NPU_TILE_ROWS; row++) {
    float max = -INFINITY, sum = 0, out[D] = {0};

    for (int i = 0; i < keys->kv_rows; i++) {
      float dot = keys->bias[i];
      for (int d = 0; d < D; d++)
        dot += q[row * D + d] * keys->k[i * D + d];
      s[i] = dot;
      max = fmaxf (max, dot);
    }
    for (int i = 0; i < keys->kv_rows; i++) {
      const float p = exp2f (s[i] - max);
      sum += p;
      for (int d = 0; d < D; d++)
        out[d] += p * keys->v[i * D + d];
    }
    for (int d = 0; d < D; d++)
      o[row * D + d] = out[d] / sum;
  }
  free (s);
}

typedef struct {
  uint8_t *q, *k, *v, *scratch;
} Tiles;

static Tiles
pack_keys (const Keys *keys, int n_valid)
{
  const NpuAttentionKernel *kernel = &sim_kernels ()->attention_f32;
  const size_t n = ((size_t) n_valid + NPU_TILE_ROWS - 1) / NPU_TILE_ROWS;
  const Tiles tiles = {
      sim_scratch (kernel->q_tile_size),
      sim_scratch (n * kernel->k_tile_size),
      sim_scratch (n * kernel->v_tile_size),
      sim_scratch (kernel->scratch_size),
  };

  for (size_t t = 0; t < n; t++) {
    const int left = n_valid - (int) t * NPU_TILE_ROWS;
    const int rows = left < NPU_TILE_ROWS ? left : NPU_TILE_ROWS;

    kernel->pack_k (
        tiles.k + t * kernel->k_tile_size, keys->k + t * TILE, D, rows);
    kernel->pack_v (
        tiles.v + t * kernel->v_tile_size, keys->v + t * TILE, D, rows);
  }
  return tiles;
}

/* One head; o has rows of `pitch` values. */
static void
attend (uint16_t *o, ptrdiff_t pitch, const uint16_t *q, const Keys *keys,
    int n_tiles)
{
  const NpuAttentionKernel *kernel = &sim_kernels ()->attention_f32;
  const int n_valid = count_valid (keys);
  Tiles tiles = {.q = NULL};
  float *tile_q = sim_scratch (TILE * sizeof *tile_q);
  float *tile_o = sim_scratch (TILE * sizeof *tile_o);

  if (n_valid)
    tiles = pack_keys (keys, n_valid);
  for (int t = 0; t < n_tiles; t++) {
    sim_widen_bf16 (tile_q, q + (ptrdiff_t) t * QK_PITCH, TILE);
    if (n_valid) {
      kernel->pack_q (tiles.q, tile_q, D, NPU_TILE_ROWS);
      /* The kernel's softmax is of base e. */
      kernel->run (tile_o, D, tiles.q, tiles.k, tiles.v, NPU_TILE_ROWS, n_valid,
          LN_2, tiles.scratch);
    } else
      attend_plainly (tile_o, tile_q, keys);
    for (int row = 0; row < NPU_TILE_ROWS; row++)
      sim_kernels ()->convert_bf16 (
          o + (t * NPU_TILE_ROWS + row) * pitch, tile_o + row * D, D);
  }
  free (tiles.q);
  free (tiles.k);
  free (tiles.v);
  free (tiles.scratch);
  free (tile_q);
  free (tile_o);
}

void
sim_compute_attention (const SimProgram *p, const SimArgs *args)
{
  const int n_tiles = p->rows / NPU_TILE_ROWS;
  const size_t kv_rows = (size_t) p->kv_tiles * NPU_TILE_ROWS;
  const uint16_t *q = (const uint16_t *) args->data[SIM_ARG_Q];
  const uint16_t *k = (const uint16_t *) args->data[SIM_ARG_K];
  const uint16_t *v = (const uint16_t *) args->data[SIM_ARG_V];
  uint16_t *o = (uint16_t *) args->data[SIM_ARG_O];
  Keys keys = {
      .k = sim_scratch (kv_rows * D * sizeof (float)),
      .v = sim_scratch (kv_rows * D * sizeof (float)),
      .bias = sim_scratch (kv_rows * sizeof (float)),
  };

  for (int head = 0; head < p->heads; head++) {
    load_keys (&keys, k + (ptrdiff_t) head * p->kv_tiles * QK_PITCH,
        v + (ptrdiff_t) head * p->kv_tiles * TILE, p->kv_tiles);
    attend (o + head * D, p->n, q + (ptrdiff_t) head * n_tiles * QK_PITCH,
        &keys, n_tiles);
  }
  free (keys.k);
  free (keys.v);
  free (keys.bias);
}
