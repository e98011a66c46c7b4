/* Attention on bfloat16 tiles: whole heads a launch, straight from and to the
 * caller's buffers.
 *
 * A head's tiles are as many as the program wants: those without a valid key
 * are masked by their bias.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "xrt-private.h"

#define TILE_ELEMENTS (NPU_TILE_ROWS * NPU_HEAD_DIM)

/* Tiles of a head in the buffers of q (and so its rows in o), and of k, v. */
static guint
q_pitch (const XrtOverlay *overlay, guint rows)
{
  return (rows + overlay->rows - 1) / overlay->rows * overlay->rows /
         NPU_TILE_ROWS;
}

guint
xrt_attention_match (const XrtOverlay *overlay, const NpuOp *described)
{
  const NpuAttentionOp *op = &described->attention;
  const guint rows = described->rows;
  const guint kv_rows = op->kv_rows ? op->kv_rows : rows;

  if (overlay->op != NPU_OP_ATTENTION || overlay->layout != XRT_LAYOUT_TILES ||
      op->qkv_storage != NPU_STORAGE_BF16 ||
      op->o_storage != NPU_STORAGE_BF16 ||
      overlay->n != op->heads * NPU_HEAD_DIM ||
      op->heads % overlay->heads != 0 || overlay->kv_tiles < N_TILES (kv_rows))
    return 0;
  /* A command's heads have their tiles one after the other. */
  if (overlay->heads > 1 && overlay->rows < rows)
    return 0;
  /* The fewest masked tiles, then the fewest commands. */
  return 1 + ((1024 - MIN (overlay->kv_tiles, 1023)) << 16) +
         (overlay->heads << 8) +
         (q_pitch (overlay, rows) == N_TILES (rows) ? 1 : 0);
}

/* --- tiles ------------------------------------------------------------- */

/* The bias of a tile's keys: bfloat16. */
static void
mask_keys (const XrtKernel *kernel, guint8 *tile, guint n_valid)
{
  float bias[NPU_TILE_ROWS];

  for (guint i = 0; i < NPU_TILE_ROWS; i++)
    bias[i] = i < n_valid ? 0.0f : XRT_MASKED_BIAS;
  kernel->kernels->convert_bf16 (
      (guint16 *) tile + TILE_ELEMENTS, bias, NPU_TILE_ROWS);
}

void
xrt_attention_pack_tile (const NpuKernel *base, guint arg, guint8 *data,
    guint tile, const float *x, gsize stride, guint rows)
{
  const XrtKernel *kernel = (const XrtKernel *) base;
  const NpuAttentionOp *op = &kernel->op.attention;
  const guint n_tiles =
      N_TILES (arg == NPU_ARG_Q ? kernel->op.rows : op->kv_rows);
  const guint pitch =
      arg == NPU_ARG_Q ? kernel->q_pitch : kernel->program->overlay->kv_tiles;
  const gsize index = (gsize) (tile / n_tiles) * pitch + tile % n_tiles;
  const float scale = arg == NPU_ARG_Q ? op->scale * (float) M_LOG2E : 1.0f;
  guint8 *to =
      data + index * (arg == NPU_ARG_V ? XRT_V_TILE_SIZE : XRT_QK_TILE_SIZE);

  for (guint i = 0; i < rows; i++) {
    float row[NPU_HEAD_DIM];

    for (guint j = 0; j < NPU_HEAD_DIM; j++)
      row[j] = x[i * stride + j] * scale;
    kernel->kernels->convert_bf16 (
        (guint16 *) to + i * NPU_HEAD_DIM, row, NPU_HEAD_DIM);
  }
  memset (to + rows * NPU_HEAD_DIM * sizeof (guint16), 0,
      (NPU_TILE_ROWS - rows) * NPU_HEAD_DIM * sizeof (guint16));
  if (arg == NPU_ARG_K)
    mask_keys (kernel, to, rows);
}

/* Whether the tiles of all heads from tile @first on are masked on the host's
 * side: they are not where a window of more keys was packed since, and given up
 * before its attention. */
static gboolean
is_rest_masked (const XrtKernel *kernel, const guint8 *k, guint first)
{
  const guint kv_tiles = kernel->program->overlay->kv_tiles;
  const float masked = XRT_MASKED_BIAS;
  guint16 bias;

  kernel->kernels->convert_bf16 (&bias, &masked, 1);
  for (guint head = 0; head < kernel->op.attention.heads; head++)
    for (guint i = first; i < kv_tiles; i++) {
      const guint8 *tile = k + ((gsize) head * kv_tiles + i) * XRT_QK_TILE_SIZE;

      if (((const guint16 *) tile)[TILE_ELEMENTS] != bias)
        return FALSE;
    }
  return TRUE;
}

/* Masks the tiles behind those of the window's keys, where they were not. */
static gboolean
mask_rest (const XrtKernel *kernel, const NpuLaunch *launch, GError **error)
{
  const guint kv_rows = launch->kv_rows ? launch->kv_rows : launch->rows;
  const guint kv_tiles = kernel->program->overlay->kv_tiles;
  const gsize bias_offset = TILE_ELEMENTS * sizeof (guint16);
  XrtBuffer *buffer = (XrtBuffer *) launch->args[NPU_ARG_K];
  const gsize offset = launch->offset[NPU_ARG_K];

  if (buffer->masked_kv_rows == kv_rows && buffer->masked_offset == offset &&
      is_rest_masked (kernel, buffer->base.data + offset, N_TILES (kv_rows)))
    return TRUE;
  buffer->masked_kv_rows = 0; /* until all is synced */
  for (guint head = 0; head < kernel->op.attention.heads; head++)
    for (guint i = N_TILES (kv_rows); i < kv_tiles; i++) {
      const gsize tile =
          offset + ((gsize) head * kv_tiles + i) * XRT_QK_TILE_SIZE;

      mask_keys (kernel, buffer->base.data + tile, 0);
      if (!npu_buffer_sync (&buffer->base, NPU_SYNC_TO_DEVICE,
              tile + bias_offset, NPU_TILE_ROWS * sizeof (guint16), error))
        return FALSE;
    }
  buffer->masked_kv_rows = kv_rows;
  buffer->masked_offset = offset;
  return TRUE;
}

/* --- a launch ---------------------------------------------------------- */

/* The heads of a launch: [first, end), whole groups of the program's. */
static void
heads_of (
    const XrtKernel *kernel, const NpuLaunch *launch, guint *first, guint *end)
{
  const guint n_row_tiles = N_TILES (launch->rows);
  const guint group = kernel->program->overlay->heads;
  const guint last = launch->first_tile + launch->n_tiles - 1;

  *first = launch->first_tile / n_row_tiles / group * group;
  *end = (last / n_row_tiles / group + 1) * group;
}

/* Commands of one group of heads. */
static guint
n_chunks (const XrtKernel *kernel, const NpuLaunch *launch)
{
  const guint rows = kernel->program->overlay->rows;

  return (launch->rows + rows - 1) / rows;
}

static guint
count (const XrtKernel *kernel, const NpuLaunch *launch)
{
  guint first, end;

  heads_of (kernel, launch, &first, &end);
  return (end - first) / kernel->program->overlay->heads *
         n_chunks (kernel, launch);
}

/* Syncs the tiles of the launch's heads that have valid rows. */
static gboolean
sync_tiles (const XrtKernel *kernel, const NpuLaunch *launch, guint arg,
    guint pitch, guint n_tiles, GError **error)
{
  const gsize size = arg == NPU_ARG_V ? XRT_V_TILE_SIZE : XRT_QK_TILE_SIZE;
  guint first, end;

  if (!(launch->sync_args & NPU_ARG_BIT (arg)))
    return TRUE;
  heads_of (kernel, launch, &first, &end);
  for (guint head = first; head < end; head++)
    if (!npu_buffer_sync (launch->args[arg], NPU_SYNC_TO_DEVICE,
            launch->offset[arg] + (gsize) head * pitch * size, n_tiles * size,
            error))
      return FALSE;
  return TRUE;
}

/* The host masks the keys that are not there, for the launches behind too. */
static gboolean
stages_in (const XrtKernel *kernel, const NpuLaunch *launch)
{
  return TRUE;
}

static gboolean
prepare (const XrtKernel *kernel, XrtRun *run, const NpuLaunch *launch,
    GError **error)
{
  const guint kv_rows = launch->kv_rows ? launch->kv_rows : launch->rows;
  const guint kv_tiles = kernel->program->overlay->kv_tiles;

  return mask_rest (kernel, launch, error) &&
         sync_tiles (kernel, launch, NPU_ARG_Q, kernel->q_pitch,
             N_TILES (launch->rows), error) &&
         sync_tiles (
             kernel, launch, NPU_ARG_K, kv_tiles, N_TILES (kv_rows), error) &&
         sync_tiles (
             kernel, launch, NPU_ARG_V, kv_tiles, N_TILES (kv_rows), error);
}

static XrtPart
part (const XrtKernel *kernel, const XrtRun *run, const NpuLaunch *launch,
    guint index, XrtRole role)
{
  const XrtOverlay *overlay = kernel->program->overlay;
  const guint chunks = n_chunks (kernel, launch);
  const gsize q_tiles = overlay->rows / NPU_TILE_ROWS;
  const gsize kv_tiles = (gsize) overlay->heads * overlay->kv_tiles;
  const gsize row_size = overlay->n * sizeof (guint16);
  const gsize width = (gsize) overlay->heads * NPU_HEAD_DIM * sizeof (guint16);
  guint first, end;
  gsize head, chunk = index % chunks;

  heads_of (kernel, launch, &first, &end);
  head = first + index / chunks * overlay->heads;
  switch (role) {
    case XRT_ROLE_Q:
      return xrt_arg_part (launch, NPU_ARG_Q,
          (head * kernel->q_pitch + chunk * q_tiles) * XRT_QK_TILE_SIZE,
          overlay->heads * q_tiles * XRT_QK_TILE_SIZE);
    case XRT_ROLE_K:
      return xrt_arg_part (launch, NPU_ARG_K,
          head * overlay->kv_tiles * XRT_QK_TILE_SIZE,
          kv_tiles * XRT_QK_TILE_SIZE);
    case XRT_ROLE_V:
      return xrt_arg_part (launch, NPU_ARG_V,
          head * overlay->kv_tiles * XRT_V_TILE_SIZE,
          kv_tiles * XRT_V_TILE_SIZE);
    default:
      return xrt_arg_part (launch, NPU_ARG_O,
          chunk * overlay->rows * row_size +
              head * NPU_HEAD_DIM * sizeof (guint16),
          (overlay->rows - 1) * row_size + width);
  }
}

/* Syncs the columns of the launch's heads: row by row where they lie among
 * those of others, which the device may be writing. */
static gboolean
finish (const XrtKernel *kernel, XrtRun *run, const NpuLaunch *launch,
    GError **error)
{
  const gsize head_size = NPU_HEAD_DIM * sizeof (guint16);
  const gsize row_size = kernel->program->overlay->n * sizeof (guint16);
  NpuBuffer *o = launch->args[NPU_ARG_O];
  const gsize offset = launch->offset[NPU_ARG_O];
  guint first, end;

  if (!(launch->sync_args & NPU_ARG_BIT (NPU_ARG_O)))
    return TRUE;
  heads_of (kernel, launch, &first, &end);
  if (end - first == kernel->op.attention.heads)
    return npu_buffer_sync (
        o, NPU_SYNC_FROM_DEVICE, offset, launch->rows * row_size, error);
  for (guint i = 0; i < launch->rows; i++)
    if (!npu_buffer_sync (o, NPU_SYNC_FROM_DEVICE,
            offset + i * row_size + first * head_size,
            (end - first) * head_size, error))
      return FALSE;
  return TRUE;
}

gboolean
xrt_attention_open (XrtKernel *kernel, const NpuOp *op, GError **error)
{
  const XrtOverlay *overlay = kernel->program->overlay;
  const gsize heads = op->attention.heads;
  const gsize kv_tiles = heads * overlay->kv_tiles;
  gsize *size = kernel->base.arg_size;

  kernel->prepare = prepare;
  kernel->count = count;
  kernel->part = part;
  kernel->finish = finish;
  kernel->stages_in = stages_in;
  /* One command may have more rows than the operation. */
  kernel->q_pitch = q_pitch (overlay, op->rows);
  kernel->base.groups_per_launch = overlay->heads;
  size[NPU_ARG_Q] = heads * kernel->q_pitch * XRT_QK_TILE_SIZE;
  size[NPU_ARG_K] = kv_tiles * XRT_QK_TILE_SIZE;
  size[NPU_ARG_V] = kv_tiles * XRT_V_TILE_SIZE;
  size[NPU_ARG_O] =
      (gsize) kernel->q_pitch * NPU_TILE_ROWS * overlay->n * sizeof (guint16);
  return TRUE;
}
