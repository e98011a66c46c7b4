/* Loose tiles: lists of 64x64 int8 attention tiles, or of whole encoder blocks
 * on such tiles, through a ring of launches.
 *
 * A pipeline is made once, for one device, depth and batch, and runs as many
 * lists as its owner likes. It packs a launch's inputs while the launches
 * before it compute. Depth 1 is the sequential twin: the results are the same,
 * bit for bit, at every depth and batch, for one device and type.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <stdio.h>

#include <glib.h>

#include "device/npu-device.h"
#include "executor/npu-executor.h"

G_BEGIN_DECLS

#define NPU_TILES_MAX_KV 24 /* K/V tiles of one query tile: a full window */

typedef struct _NpuTiles NpuTiles;

/* A tile of int8 numbers: data[64][64], each worth data * scale. */
typedef struct {
  const gint8 *data;
  float scale;
} NpuTile;

/* One query tile and the keys and values it attends to: k[n_kv], v[n_kv]. With
 * the tiles of all positions of a head it is a row of whole attention. */
typedef struct {
  NpuTile q;
  const NpuTile *k;
  const NpuTile *v;
  guint n_kv;
} NpuAttentionTile;

typedef struct {
  guint depth;        /* launches in flight, 1 to 16; 1 is sequential */
  guint batch;        /* tiles per launch, 1 to 24; 0 = the device's choice */
  guint max_kv;       /* the most K/V tiles of a query tile, 1 to 24; 0 = 1 */
  NpuProduct product; /* what is multiplied: F32, or S8 (integers) */
  guint64 timeout;    /* ns per launch; 0 = 10 s */
} NpuTilesOptions;

/* The constants of a block's later operations. */
typedef struct {
  const float *gamma;  /* [64] */
  const float *beta;   /* [64] */
  float epsilon;       /* of the layer norm; 0 = 1e-5 */
  const float *weight; /* [n][64] */
  const float *bias;   /* [n], or NULL */
  guint n;             /* columns of the product, a multiple of 64 */
} NpuTilesBlock;

/* The four parts of the results of a block, tile after tile in the order of
 * the list. A part that is NULL is not read from the device. */
typedef struct {
  float *attention; /* [n_tiles][64][64]: softmax (q k^T / 8) v */
  float *layernorm; /* [n_tiles][64][64]: of attention's rows */
  float *matmul;    /* [n_tiles][64][n]: layernorm weight^T + bias */
  float *gelu;      /* [n_tiles][64][n]: exact GELU of matmul */
} NpuTilesResults;

/**
 * npu_tiles_new:
 * @device: must outlive the pipeline
 * @block: (nullable): to run whole blocks too; not kept
 *
 * Opens the kernels, and allocates the buffers of each slot. What @device does
 * not do, the CPU beside it does (NpuDevice.host), all operations alike.
 *
 * Returns: (transfer full): a pipeline, or %NULL with @error set: SETTINGS for
 * options out of range, UNSUPPORTED for what the device does not do.
 */
NPU_API NpuTiles *npu_tiles_new (NpuDevice *device,
    const NpuTilesOptions *options, const NpuTilesBlock *block, GError **error);
/* Waits for launches that timed out and are still in flight. */
NPU_API void npu_tiles_free (NpuTiles *tiles);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuTiles, npu_tiles_free)

/**
 * npu_tiles_attention:
 * @list: n_tiles of them; n_kv may differ from one to the next
 * @out: (out caller-allocates): [n_tiles][64][64], in the order of @list
 *
 * out = softmax (q k^T / 8) v for every tile of the list. Inputs must not
 * change while it runs. One list at a time.
 *
 * Returns: %FALSE with @error set: SETTINGS for a tile that cannot be, and all
 * that npu_executor_run() may set.
 */
NPU_API gboolean npu_tiles_attention (NpuTiles *tiles,
    const NpuAttentionTile *list, guint n_tiles, float *out, GError **error);

/**
 * npu_tiles_block:
 * @results: where its parts go
 *
 * attention -> layer norm -> matmul -> GELU for every tile of the list. The
 * launches of all four follow each other through the same ring: an operation
 * begins on the first tiles while the one before is at work on the last.
 *
 * Returns: as npu_tiles_attention(); SETTINGS too for a pipeline that was made
 * without a block.
 */
NPU_API gboolean npu_tiles_block (NpuTiles *tiles, const NpuAttentionTile *list,
    guint n_tiles, const NpuTilesResults *results, GError **error);

/* Totals of the lists since the pipeline was made or reset, or of the last
 * list alone. From any thread. */
NPU_API void npu_tiles_get_stats (NpuTiles *tiles, NpuStats *stats);
NPU_API void npu_tiles_get_last_stats (NpuTiles *tiles, NpuStats *stats);
NPU_API void npu_tiles_reset_stats (NpuTiles *tiles);
/* Prints the totals in lines for people. */
NPU_API void npu_tiles_print_stats (NpuTiles *tiles, FILE *file);

/* Writes a line to @file for every launch as the ring fills, is steady and
 * drains; NULL ends that. Tiles are numbered as in the list. Not while a list
 * runs. */
NPU_API void npu_tiles_set_verbose (NpuTiles *tiles, FILE *file);

NPU_API guint npu_tiles_get_depth (NpuTiles *tiles);
NPU_API guint npu_tiles_get_batch (NpuTiles *tiles);
/* Bytes of device memory: buffers of the slots and, with a block, of what
 * flows between its operations. */
NPU_API gsize npu_tiles_get_memory_size (NpuTiles *tiles);
/* (transfer none): for its trace and to cancel; its observer is taken while
 * the pipeline is verbose. */
NPU_API NpuExecutor *npu_tiles_get_executor (NpuTiles *tiles);

G_END_DECLS
