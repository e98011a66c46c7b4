/* What the files of the loose tiles share: the pipeline, and how a list is
 * divided into stages.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-tiles.h"

G_BEGIN_DECLS

#define TILE_ROWS 64
#define TILE_COLUMNS 64
#define TILE_ELEMENTS (TILE_ROWS * TILE_COLUMNS)

/* A slot's own buffers: batch tiles, each a head of the attention's. */
typedef struct {
  NpuBuffer *q, *k, *v;
  NpuBuffer *o;     /* [64][batch][64] */
  guint first_tile; /* in its segment, of the launch in the slot */
} TilesSlot;

/* Part of a list with one number of K/V tiles: order[n_tiles] are its tiles'
 * numbers in the list. */
typedef struct {
  NpuTiles *tiles;
  const guint *order;
  guint n_tiles;
  gboolean goes_on; /* to the other operations of a block */
} TilesSegment;

/* The operations after a block's attention work on rows of these buffers, of
 * one segment at a time; in order. */
typedef enum {
  BLOCK_X,       /* [chunk * 64][64]: attention's output */
  BLOCK_NORM,    /* [chunk * 64][64] */
  BLOCK_PRODUCT, /* [chunk * 64][n] */
  BLOCK_GELU,    /* [chunk * 64][n] */
  BLOCK_N_BUFFERS,
} BlockBuffer;

#define BLOCK_N_KERNELS                                                        \
  3 /* layer norm, matmul, GELU: number i reads buffer i                       \
     * and writes buffer i + 1 */

struct _NpuTiles {
  NpuDevice *device;
  NpuExecutor *executor;
  guint depth, batch, max_kv;
  NpuKernel *attention;
  TilesSlot slots[NPU_EXECUTOR_MAX_DEPTH];
  FILE *verbose;

  /* The block, if chunk is not 0: the most tiles of a segment. */
  guint chunk;
  NpuKernel *kernels[BLOCK_N_KERNELS];
  NpuBuffer *buffers[BLOCK_N_BUFFERS];
  guint columns[BLOCK_N_BUFFERS];

  /* The list that runs. */
  const NpuAttentionTile *list;
  float *results[BLOCK_N_BUFFERS]; /* or NULL */
};

/* tiles-block.c */
gboolean tiles_block_open (NpuTiles *tiles, const NpuTilesBlock *block,
    NpuProduct product, GError **error);
void tiles_block_close (NpuTiles *tiles);
/* Fills the BLOCK_N_KERNELS stages that follow a segment's attention. */
void tiles_block_fill (
    NpuTiles *tiles, TilesSegment *segment, NpuStage *stages);

/* tiles-verbose.c */
void tiles_verbose_observe (const NpuStage *stage, NpuExecutorEvent event,
    const NpuExecutorEventInfo *info, gpointer user_data);

G_END_DECLS
