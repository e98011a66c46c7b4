/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tiles-fixture.h"

#include <string.h>

static NpuTile
random_tile (List *list, GRand *rand)
{
  gint8 *data = g_new (gint8, 64 * 64);

  for (guint i = 0; i < 64 * 64; i++)
    data[i] = (gint8) g_rand_int_range (rand, -127, 128);
  g_ptr_array_add (list->owned, data);
  return (NpuTile){data, (float) g_rand_double_range (rand, 0.005, 0.02)};
}

static NpuTile *
random_tiles (List *list, GRand *rand, guint n)
{
  NpuTile *tiles = g_new (NpuTile, n);

  for (guint i = 0; i < n; i++)
    tiles[i] = random_tile (list, rand);
  g_ptr_array_add (list->owned, tiles);
  return tiles;
}

List *
list_new (guint n_tiles, guint n_kv)
{
  List *list = g_new0 (List, 1);
  GRand *rand = g_rand_new_with_seed (1);

  list->n_tiles = n_tiles;
  list->tiles = g_new0 (NpuAttentionTile, n_tiles);
  list->owned = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < n_tiles; i++) {
    NpuAttentionTile *tile = &list->tiles[i];

    tile->n_kv = n_kv > 0 ? n_kv : 1 + i * 3 % 5;
    tile->q = random_tile (list, rand);
    tile->k = random_tiles (list, rand, tile->n_kv);
    tile->v = random_tiles (list, rand, tile->n_kv);
  }
  g_rand_free (rand);
  return list;
}

void
list_free (List *list)
{
  g_ptr_array_unref (list->owned);
  g_free (list->tiles);
  g_free (list);
}

Weights *
weights_new (guint n)
{
  Weights *weights = g_new0 (Weights, 1);
  GRand *rand = g_rand_new_with_seed (2);

  weights->weight = g_new (float, n * 64);
  weights->bias = g_new (float, n);
  for (guint i = 0; i < 64; i++) {
    weights->gamma[i] = (float) g_rand_double_range (rand, 0.5, 1.5);
    weights->beta[i] = (float) g_rand_double_range (rand, -0.5, 0.5);
  }
  for (guint i = 0; i < n * 64; i++)
    weights->weight[i] = (float) g_rand_double_range (rand, -0.2, 0.2);
  for (guint i = 0; i < n; i++)
    weights->bias[i] = (float) g_rand_double_range (rand, -0.5, 0.5);
  weights->block = (NpuTilesBlock){
      .gamma = weights->gamma,
      .beta = weights->beta,
      .weight = weights->weight,
      .bias = weights->bias,
      .n = n,
  };
  g_rand_free (rand);
  return weights;
}

void
weights_free (Weights *weights)
{
  g_free (weights->weight);
  g_free (weights->bias);
  g_free (weights);
}

Results *
results_new (guint n_tiles, guint n)
{
  Results *results = g_new0 (Results, 1);

  results->n_tiles = n_tiles;
  results->n = n;
  results->attention = g_new0 (float, n_tiles * 64 * 64);
  results->layernorm = g_new0 (float, n_tiles * 64 * 64);
  results->matmul = g_new0 (float, n_tiles * 64 * n);
  results->gelu = g_new0 (float, n_tiles * 64 * n);
  return results;
}

void
results_poison (Results *results)
{
  memset (
      results->attention, 0xff, results->n_tiles * 64 * 64 * sizeof (float));
  memset (
      results->layernorm, 0xff, results->n_tiles * 64 * 64 * sizeof (float));
  memset (results->matmul, 0xff,
      results->n_tiles * 64 * results->n * sizeof (float));
  memset (
      results->gelu, 0xff, results->n_tiles * 64 * results->n * sizeof (float));
}

gboolean
results_run (
    Results *results, NpuTiles *tiles, const List *list, GError **error)
{
  const NpuTilesResults to = {
      .attention = results->attention,
      .layernorm = results->layernorm,
      .matmul = results->matmul,
      .gelu = results->gelu,
  };

  g_assert_cmpuint (results->n_tiles, <=, list->n_tiles);
  return npu_tiles_block (tiles, list->tiles, results->n_tiles, &to, error);
}

void
results_free (Results *results)
{
  g_free (results->attention);
  g_free (results->layernorm);
  g_free (results->matmul);
  g_free (results->gelu);
  g_free (results);
}

NpuDevice *
tiles_device (guint n_workers)
{
  const NpuDeviceOptions options = {.threads = n_workers};
  GError *error = NULL;
  NpuDevice *device = npu_device_open ("cpu", &options, &error);

  g_assert_no_error (error);
  return device;
}

NpuTiles *
tiles_new (NpuDevice *device, guint depth, guint batch, NpuProduct product,
    const NpuTilesBlock *block)
{
  const NpuTilesOptions options = {
      .depth = depth,
      .batch = batch,
      .max_kv = 5,
      .product = product,
  };
  GError *error = NULL;
  NpuTiles *tiles = npu_tiles_new (device, &options, block, &error);

  g_assert_no_error (error);
  return tiles;
}
