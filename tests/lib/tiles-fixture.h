/* Lists of random tiles, weights of a block and room for its results.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "tiles/npu-tiles.h"

G_BEGIN_DECLS

typedef struct {
  guint n_tiles;
  NpuAttentionTile *tiles;
  GPtrArray *owned; /* what the tiles point to */
} List;

/* The same tiles every time; @n_kv K/V tiles each, 0 for 1 to 5 in turn. */
List *list_new (guint n_tiles, guint n_kv);
void list_free (List *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (List, list_free)

typedef struct {
  float gamma[64], beta[64];
  float *weight, *bias;
  NpuTilesBlock block; /* of the above */
} Weights;

Weights *weights_new (guint n);
void weights_free (Weights *weights);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Weights, weights_free)

typedef struct {
  guint n_tiles, n;
  float *attention, *layernorm, *matmul, *gelu;
} Results;

Results *results_new (guint n_tiles, guint n);
void results_poison (Results *results);
/* Runs the block on the first n_tiles of @list. */
gboolean results_run (
    Results *results, NpuTiles *tiles, const List *list, GError **error);
void results_free (Results *results);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Results, results_free)

/* A CPU device, and a pipeline on it for up to 5 K/V tiles. */
NpuDevice *tiles_device (guint n_workers);
NpuTiles *tiles_new (NpuDevice *device, guint depth, guint batch,
    NpuProduct product, const NpuTilesBlock *block);

G_END_DECLS
