/* A block's operations after its attention, over rows that stay in device
 * buffers.
 *
 * Lists longer than a chunk go through the same buffers again. That is safe
 * without a drain: when a launch of the next chunk is prepared, every launch
 * two stages before has completed, and whoever reads a buffer is three stages
 * before whoever writes it next.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tiles-private.h"

#include <string.h>

/* A chunk must hold the ring twice over, so that no operation waits for the
 * one before; a window's tiles at least. */
#define MIN_CHUNK 24

#define EPSILON 1e-5f

/* int8 is integers of 16 bits where there are none of 8. */
static void
set_product (const NpuTiles *tiles, NpuLinearOp *linear)
{
  if (linear->product == NPU_PRODUCT_S8 &&
      tiles->device == npu_device_get_host (tiles->device) &&
      !npu_device_has_product (tiles->device, NPU_PRODUCT_S8))
    linear->product = NPU_PRODUCT_S16;
}

static gboolean
open_kernels (NpuTiles *tiles, const NpuTilesBlock *block, NpuProduct product,
    GError **error)
{
  NpuOp ops[BLOCK_N_KERNELS] = {
      {
          .kind = NPU_OP_LAYERNORM,
          .rows = tiles->chunk * TILE_ROWS,
          .weight = block->gamma,
          .bias = block->beta,
          .layernorm = {.n = TILE_COLUMNS,
              .epsilon = block->epsilon > 0.0f ? block->epsilon : EPSILON},
      },
      {
          .kind = NPU_OP_LINEAR,
          .rows = tiles->chunk * TILE_ROWS,
          .weight = block->weight,
          .bias = block->bias,
          .linear = {.k = TILE_COLUMNS, .n = block->n, .product = product},
      },
      {
          .kind = NPU_OP_GELU,
          .rows = tiles->chunk * TILE_ROWS,
          .gelu = {.n = block->n},
      },
  };

  set_product (tiles, &ops[1].linear);
  for (guint i = 0; i < BLOCK_N_KERNELS; i++) {
    tiles->kernels[i] = npu_kernel_open (tiles->device, &ops[i], error);
    if (tiles->kernels[i] == NULL)
      return FALSE;
  }
  return TRUE;
}

gboolean
tiles_block_open (NpuTiles *tiles, const NpuTilesBlock *block,
    NpuProduct product, GError **error)
{
  if (block->gamma == NULL || block->beta == NULL || block->weight == NULL ||
      block->n == 0 || block->n % TILE_COLUMNS != 0) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "a block needs gamma, beta, a weight, and columns that are a multiple of %d, not %u",
        TILE_COLUMNS, block->n);
    return FALSE;
  }

  tiles->chunk = MAX (MIN_CHUNK, 2 * tiles->depth * tiles->batch);
  tiles->columns[BLOCK_X] = tiles->columns[BLOCK_NORM] = TILE_COLUMNS;
  tiles->columns[BLOCK_PRODUCT] = tiles->columns[BLOCK_GELU] = block->n;
  if (!open_kernels (tiles, block, product, error))
    return FALSE;

  for (guint i = 0; i < BLOCK_N_BUFFERS; i++) {
    gsize size = i > 0 ? tiles->kernels[i - 1]->arg_size[NPU_ARG_C] : 0;

    if (i < BLOCK_N_KERNELS)
      size = MAX (size, tiles->kernels[i]->arg_size[NPU_ARG_X]);
    tiles->buffers[i] = npu_buffer_new (tiles->device, size, error);
    if (tiles->buffers[i] == NULL)
      return FALSE;
  }
  return TRUE;
}

void
tiles_block_close (NpuTiles *tiles)
{
  for (guint i = 0; i < BLOCK_N_KERNELS; i++)
    npu_kernel_unref (tiles->kernels[i]);
  for (guint i = 0; i < BLOCK_N_BUFFERS; i++)
    npu_buffer_free (tiles->buffers[i]);
}

/* Reads a launch's tiles from the buffer that it wrote. */
static gboolean
read_rows (const NpuStage *stage, guint slot, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  const TilesSegment *segment = user_data;
  const NpuTiles *tiles = segment->tiles;
  NpuBuffer *buffer = launch->args[NPU_ARG_C];
  gsize tile_size;
  guint part;

  for (part = BLOCK_NORM; tiles->buffers[part] != buffer; part++)
    ;
  tile_size = TILE_ROWS * tiles->columns[part] * sizeof (float);
  if (!npu_buffer_sync (buffer, NPU_SYNC_FROM_DEVICE,
          launch->first_tile * tile_size, launch->n_tiles * tile_size, error))
    return FALSE;
  for (guint i = launch->first_tile; i < launch->first_tile + launch->n_tiles;
       i++)
    memcpy ((guint8 *) tiles->results[part] + segment->order[i] * tile_size,
        buffer->data + i * tile_size, tile_size);
  return TRUE;
}

void
tiles_block_fill (NpuTiles *tiles, TilesSegment *segment, NpuStage *stages)
{
  static const char *const names[] = {"layernorm", "matmul", "gelu"};

  for (guint i = 0; i < BLOCK_N_KERNELS; i++)
    stages[i] = (NpuStage){
        .name = names[i],
        .launch =
            {
                .kernel = tiles->kernels[i],
                .args = {tiles->buffers[i], tiles->buffers[i + 1]},
                .rows = segment->n_tiles * TILE_ROWS,
            },
        .n_tiles = segment->n_tiles,
        .batch = tiles->batch,
        .needs = NPU_NEEDS_SAME_ROWS,
        .finish = tiles->results[i + 1] != NULL ? read_rows : NULL,
        .user_data = segment,
    };
}
