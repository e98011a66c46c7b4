/* Loose attention tiles through buffers of the ring's slots.
 *
 * To a device the tiles of a launch are the heads of an attention of 64 rows:
 * each has its own K and V. One launch has one number of keys, so a list is
 * run in segments of equal n_kv; the order of its results stays its own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-tiles.h"

#include <math.h>
#include <string.h>

#include "dequantise.h"
#include "tiles-private.h"

#define DEFAULT_TIMEOUT ((guint64) 10000000000)

G_STATIC_ASSERT ((int) NPU_ARG_C == (int) NPU_ARG_Y);

/* --- making ------------------------------------------------------------ */

static gboolean
check_options (const NpuTilesOptions *options, GError **error)
{
  if (options->batch > NPU_EXECUTOR_MAX_BATCH) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "batch %u is not between 1 and %d, or 0 for the device's choice",
        options->batch, NPU_EXECUTOR_MAX_BATCH);
    return FALSE;
  }
  if (options->max_kv > NPU_TILES_MAX_KV) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "max_kv %u is more than the %d K/V tiles of a full window",
        options->max_kv, NPU_TILES_MAX_KV);
    return FALSE;
  }
  if ((guint) options->product > NPU_PRODUCT_S8) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "product %d is none: it must be F32 or S8", (int) options->product);
    return FALSE;
  }
  return TRUE; /* the executor checks the depth */
}

/* What the CPU beside it takes, where the device takes it in another shape. */
static guint
batch_for (const NpuTiles *tiles, const NpuOp *op)
{
  NpuSupport support;

  if (!npu_device_query (tiles->device, op, tiles->depth, &support, NULL) &&
      !npu_device_query (npu_device_get_host (tiles->device), op, tiles->depth,
          &support, NULL))
    return 1;
  return MIN (support.batch, NPU_EXECUTOR_MAX_BATCH);
}

static NpuStorage
storage_of (NpuProduct product)
{
  switch (product) {
    case NPU_PRODUCT_S8:
      return NPU_STORAGE_Q8;
    case NPU_PRODUCT_BF16:
      return NPU_STORAGE_BF16;
    default:
      return NPU_STORAGE_F32;
  }
}

static gboolean
open_attention (NpuTiles *tiles, NpuProduct product, GError **error)
{
  NpuOp op = {
      .kind = NPU_OP_ATTENTION,
      .rows = TILE_ROWS,
      .attention = {.heads = NPU_EXECUTOR_MAX_BATCH,
          .kv_rows = TILE_ROWS * tiles->max_kv,
          .qkv_storage = storage_of (product),
          .scale = 1.0f / 8.0f}, /* 1 / sqrt (64) */
  };

  if (tiles->batch == 0)
    tiles->batch = batch_for (tiles, &op);
  op.attention.heads = tiles->batch;
  tiles->attention = npu_kernel_open (tiles->device, &op, error);
  return tiles->attention != NULL;
}

static gboolean
allocate_slots (NpuTiles *tiles, GError **error)
{
  const gsize *size = tiles->attention->arg_size;

  for (guint i = 0; i < tiles->depth; i++) {
    TilesSlot *slot = &tiles->slots[i];

    slot->q = npu_buffer_new (tiles->device, size[NPU_ARG_Q], error);
    if (slot->q == NULL)
      return FALSE;
    slot->k = npu_buffer_new (tiles->device, size[NPU_ARG_K], error);
    if (slot->k == NULL)
      return FALSE;
    slot->v = npu_buffer_new (tiles->device, size[NPU_ARG_V], error);
    if (slot->v == NULL)
      return FALSE;
    slot->o = npu_buffer_new (tiles->device, size[NPU_ARG_O], error);
    if (slot->o == NULL)
      return FALSE;
  }
  return TRUE;
}

static NpuTiles *
tiles_new_on (NpuDevice *device, const NpuTilesOptions *options,
    const NpuTilesBlock *block, GError **error)
{
  g_autoptr (NpuTiles) tiles = NULL;

  tiles = g_new0 (NpuTiles, 1);
  tiles->device = device;
  tiles->depth = options->depth;
  tiles->batch = options->batch;
  tiles->max_kv = MAX (options->max_kv, 1);
  tiles->executor = npu_executor_new (device, options->depth,
      options->timeout > 0 ? options->timeout : DEFAULT_TIMEOUT, error);
  if (tiles->executor == NULL ||
      !open_attention (tiles, options->product, error) ||
      !allocate_slots (tiles, error))
    return NULL;
  if (block != NULL &&
      !tiles_block_open (tiles, block, options->product, error))
    return NULL;
  return g_steal_pointer (&tiles);
}

NpuTiles *
npu_tiles_new (NpuDevice *device, const NpuTilesOptions *options,
    const NpuTilesBlock *block, GError **error)
{
  NpuDevice *host = npu_device_get_host (device);
  g_autoptr (GError) refused = NULL;
  NpuTiles *tiles;

  if (!check_options (options, error))
    return NULL;
  tiles = tiles_new_on (device, options, block, &refused);
  if (tiles == NULL && device != host &&
      g_error_matches (refused, NPU_ERROR, NPU_ERROR_UNSUPPORTED))
    return tiles_new_on (host, options, block, error);
  if (tiles == NULL)
    g_propagate_error (error, g_steal_pointer (&refused));
  return tiles;
}

void
npu_tiles_free (NpuTiles *tiles)
{
  if (tiles == NULL)
    return;
  /* First: it waits for launches that use the kernels and buffers. */
  npu_executor_free (tiles->executor);
  for (guint i = 0; i < NPU_EXECUTOR_MAX_DEPTH; i++) {
    npu_buffer_free (tiles->slots[i].q);
    npu_buffer_free (tiles->slots[i].k);
    npu_buffer_free (tiles->slots[i].v);
    npu_buffer_free (tiles->slots[i].o);
  }
  tiles_block_close (tiles);
  npu_kernel_unref (tiles->attention);
  g_free (tiles);
}

/* --- host work of a launch --------------------------------------------- */

static void
pack (const NpuTiles *tiles, guint arg, NpuBuffer *buffer, guint index,
    const NpuTile *tile)
{
  float x[TILE_ELEMENTS];

  tiles_dequantise (x, tile->data, tile->scale);
  npu_kernel_pack_tile (
      tiles->attention, arg, buffer->data, index, x, TILE_COLUMNS, TILE_ROWS);
}

/* Makes the first @n_tiles of a slot's batch visible to the device. */
static gboolean
sync_inputs (const NpuTiles *tiles, const NpuLaunch *launch, GError **error)
{
  for (guint arg = NPU_ARG_Q; arg <= NPU_ARG_V; arg++) {
    gsize tile_size = tiles->attention->arg_size[arg] / tiles->batch;

    if (!npu_buffer_sync (launch->args[arg], NPU_SYNC_TO_DEVICE, 0,
            launch->n_tiles * tile_size, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
write_tiles (const NpuStage *stage, guint slot_index, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  const TilesSegment *segment = user_data;
  NpuTiles *tiles = segment->tiles;
  TilesSlot *slot = &tiles->slots[slot_index];

  for (guint i = 0; i < launch->n_tiles; i++) {
    const NpuAttentionTile *tile =
        &tiles->list[segment->order[launch->first_tile + i]];

    pack (tiles, NPU_ARG_Q, slot->q, i, &tile->q);
    for (guint j = 0; j < tile->n_kv; j++) {
      pack (tiles, NPU_ARG_K, slot->k, i * tiles->max_kv + j, &tile->k[j]);
      pack (tiles, NPU_ARG_V, slot->v, i * tiles->max_kv + j, &tile->v[j]);
    }
  }

  slot->first_tile = launch->first_tile;
  launch->first_tile = 0;
  launch->args[NPU_ARG_Q] = slot->q;
  launch->args[NPU_ARG_K] = slot->k;
  launch->args[NPU_ARG_V] = slot->v;
  launch->args[NPU_ARG_O] = slot->o;
  return sync_inputs (tiles, launch, error);
}

static void
copy_rows (float *to, const float *from, gsize from_stride)
{
  for (guint i = 0; i < TILE_ROWS; i++)
    memcpy (to + i * TILE_COLUMNS, from + i * from_stride,
        TILE_COLUMNS * sizeof (float));
}

/* Takes the outputs out of the slot: to the caller, and where a block goes on
 * with them, to its rows. */
static gboolean
read_tiles (const NpuStage *stage, guint slot_index, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  const TilesSegment *segment = user_data;
  NpuTiles *tiles = segment->tiles;
  const TilesSlot *slot = &tiles->slots[slot_index];
  const gsize stride = tiles->batch * TILE_COLUMNS;
  NpuBuffer *rows = tiles->buffers[BLOCK_X];
  float *results = tiles->results[BLOCK_X];

  if (!npu_buffer_sync (slot->o, NPU_SYNC_FROM_DEVICE, 0, slot->o->size, error))
    return FALSE;
  for (guint i = 0; i < launch->n_tiles; i++) {
    const float *o = (const float *) slot->o->data + i * TILE_COLUMNS;
    const guint tile = slot->first_tile + i;

    if (results != NULL)
      copy_rows (
          results + (gsize) segment->order[tile] * TILE_ELEMENTS, o, stride);
    if (segment->goes_on)
      copy_rows (
          (float *) rows->data + (gsize) tile * TILE_ELEMENTS, o, stride);
  }
  return !segment->goes_on ||
         npu_buffer_sync (rows, NPU_SYNC_TO_DEVICE,
             (gsize) slot->first_tile * TILE_ELEMENTS * sizeof (float),
             (gsize) launch->n_tiles * TILE_ELEMENTS * sizeof (float), error);
}

/* --- lists ------------------------------------------------------------- */

static gboolean
tile_is_valid (const NpuTile *tile)
{
  return tile->data != NULL && isfinite (tile->scale);
}

static gboolean
check_list (const NpuTiles *tiles, const NpuAttentionTile *list, guint n_tiles,
    GError **error)
{
  for (guint i = 0; i < n_tiles; i++) {
    const NpuAttentionTile *tile = &list[i];
    gboolean valid = tile_is_valid (&tile->q);

    if (tile->n_kv < 1 || tile->n_kv > tiles->max_kv) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
          "tile %u has %u K/V tiles; this pipeline takes 1 to %u", i,
          tile->n_kv, tiles->max_kv);
      return FALSE;
    }
    for (guint j = 0; valid && j < tile->n_kv; j++)
      valid = tile_is_valid (&tile->k[j]) && tile_is_valid (&tile->v[j]);
    if (!valid) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
          "tile %u has an operand without data, or with a scale that is not finite",
          i);
      return FALSE;
    }
  }
  return TRUE;
}

/* Numbers of the list's tiles, by their n_kv and then as in the list. */
static guint *
sorted_by_kv (const NpuAttentionTile *list, guint n_tiles)
{
  guint first[NPU_TILES_MAX_KV + 2] = {0};
  guint *order = g_new (guint, n_tiles);

  for (guint i = 0; i < n_tiles; i++)
    first[list[i].n_kv + 1]++;
  for (guint n_kv = 1; n_kv < G_N_ELEMENTS (first); n_kv++)
    first[n_kv] += first[n_kv - 1];
  for (guint i = 0; i < n_tiles; i++)
    order[first[list[i].n_kv]++] = i;
  return order;
}

/* Divides order[n_tiles] into segments (of TilesSegment) of one n_kv and at
 * most @max_tiles each. */
static GArray *
divide (NpuTiles *tiles, const guint *order, guint n_tiles, guint max_tiles,
    gboolean goes_on)
{
  GArray *segments = g_array_new (FALSE, FALSE, sizeof (TilesSegment));
  TilesSegment segment = {.tiles = tiles, .goes_on = goes_on};

  for (guint i = 0; i < n_tiles; i += segment.n_tiles) {
    const guint n_kv = tiles->list[order[i]].n_kv;

    segment.order = order + i;
    segment.n_tiles = 0;
    while (i + segment.n_tiles < n_tiles && segment.n_tiles < max_tiles &&
           tiles->list[segment.order[segment.n_tiles]].n_kv == n_kv)
      segment.n_tiles++;
    g_array_append_val (segments, segment);
  }
  return segments;
}

static void
fill_attention (NpuTiles *tiles, TilesSegment *segment, NpuStage *stage)
{
  *stage = (NpuStage){
      .name = "attention",
      .launch =
          {
              .kernel = tiles->attention,
              .rows = TILE_ROWS,
              .kv_rows = TILE_ROWS * tiles->list[segment->order[0]].n_kv,
          },
      .n_tiles = segment->n_tiles,
      .batch = tiles->batch,
      .needs = NPU_NEEDS_SAME_ROWS, /* of other tiles: nothing to wait for */
      .prepare = write_tiles,
      .finish = read_tiles,
      .user_data = segment,
  };
}

static gboolean
run_list (NpuTiles *tiles, const NpuAttentionTile *list, guint n_tiles,
    gboolean with_block, GError **error)
{
  const guint n_stages = with_block ? 1 + BLOCK_N_KERNELS : 1;
  const guint max_tiles = with_block ? tiles->chunk : G_MAXUINT;
  g_autofree NpuStage *stages = NULL;
  g_autofree guint *order = NULL;
  g_autoptr (GArray) segments = NULL;

  if (!check_list (tiles, list, n_tiles, error))
    return FALSE;
  tiles->list = list;
  order = sorted_by_kv (list, n_tiles);
  segments = divide (tiles, order, n_tiles, max_tiles, with_block);
  stages = g_new0 (NpuStage, segments->len * n_stages);
  for (guint i = 0; i < segments->len; i++) {
    TilesSegment *segment = &g_array_index (segments, TilesSegment, i);

    fill_attention (tiles, segment, &stages[i * n_stages]);
    if (with_block)
      tiles_block_fill (tiles, segment, &stages[i * n_stages + 1]);
  }
  return npu_executor_run (
      tiles->executor, stages, segments->len * n_stages, error);
}

gboolean
npu_tiles_attention (NpuTiles *tiles, const NpuAttentionTile *list,
    guint n_tiles, float *out, GError **error)
{
  memset (tiles->results, 0, sizeof tiles->results);
  tiles->results[BLOCK_X] = out;
  return run_list (tiles, list, n_tiles, FALSE, error);
}

gboolean
npu_tiles_block (NpuTiles *tiles, const NpuAttentionTile *list, guint n_tiles,
    const NpuTilesResults *results, GError **error)
{
  if (tiles->chunk == 0) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "this pipeline was made without a block: it does attention alone");
    return FALSE;
  }
  tiles->results[BLOCK_X] = results->attention;
  tiles->results[BLOCK_NORM] = results->layernorm;
  tiles->results[BLOCK_PRODUCT] = results->matmul;
  tiles->results[BLOCK_GELU] = results->gelu;
  return run_list (tiles, list, n_tiles, TRUE, error);
}

/* --- what it is and did ------------------------------------------------ */

void
npu_tiles_get_stats (NpuTiles *tiles, NpuStats *stats)
{
  npu_executor_get_stats (tiles->executor, stats);
}

void
npu_tiles_get_last_stats (NpuTiles *tiles, NpuStats *stats)
{
  npu_executor_get_run_stats (tiles->executor, stats);
}

void
npu_tiles_reset_stats (NpuTiles *tiles)
{
  npu_executor_reset_stats (tiles->executor);
}

guint
npu_tiles_get_depth (NpuTiles *tiles)
{
  return tiles->depth;
}

guint
npu_tiles_get_batch (NpuTiles *tiles)
{
  return tiles->batch;
}

gsize
npu_tiles_get_memory_size (NpuTiles *tiles)
{
  gsize size = 0;

  for (guint i = 0; i < tiles->depth; i++)
    size += tiles->slots[i].q->size + tiles->slots[i].k->size +
            tiles->slots[i].v->size + tiles->slots[i].o->size;
  for (guint i = 0; tiles->chunk > 0 && i < BLOCK_N_BUFFERS; i++)
    size += tiles->buffers[i]->size;
  return size;
}

NpuExecutor *
npu_tiles_get_executor (NpuTiles *tiles)
{
  return tiles->executor;
}
