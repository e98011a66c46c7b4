/* Kernels: opening them, for one or for all who want the same, and packing of
 * tiles.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "npu-device-private.h"

#define TILE_ALIGNMENT 64 /* bytes */

/* --- what a launch may have --------------------------------------------- */

/* Of an element of a row; of packed tiles whole cache lines. */
static guint
alignment_of (NpuType type)
{
  switch (type) {
    case NPU_TYPE_F32:
      return sizeof (float);
    case NPU_TYPE_BF16:
      return sizeof (guint16);
    default:
      return TILE_ALIGNMENT;
  }
}

static void
set_alignments (guint *alignment, const NpuOp *op)
{
  const gboolean tiles =
      op->kind == NPU_OP_LINEAR && op->c_layout == NPU_LAYOUT_QKV_TILES;

  for (guint i = 0; i < NPU_MAX_ARGS; i++)
    alignment[i] = 1;
  switch (op->kind) {
    case NPU_OP_LINEAR:
      alignment[NPU_ARG_A] = alignment_of (op->a_type);
      alignment[NPU_ARG_C] = tiles ? TILE_ALIGNMENT : alignment_of (op->c_type);
      alignment[NPU_ARG_R] = tiles ? TILE_ALIGNMENT : sizeof (float);
      alignment[NPU_ARG_QKV_V] = TILE_ALIGNMENT;
      break;
    case NPU_OP_ATTENTION:
      alignment[NPU_ARG_Q] = alignment[NPU_ARG_K] = alignment[NPU_ARG_V] =
          TILE_ALIGNMENT;
      alignment[NPU_ARG_O] = alignment_of (op->c_type);
      break;
    case NPU_OP_LAYERNORM:
    case NPU_OP_GELU:
      alignment[NPU_ARG_X] = alignment_of (op->a_type);
      alignment[NPU_ARG_Y] = alignment_of (op->c_type);
      break;
    default: /* a program's blocks are its own */
      break;
  }
}

static void
set_limits (NpuKernel *kernel, const NpuOp *op)
{
  kernel->max_rows = op->rows;
  kernel->max_kv_rows = op->kv_rows ? op->kv_rows : op->rows;
  kernel->n_groups = op->kind == NPU_OP_ATTENTION ? op->heads : 1;
  if (op->kind == NPU_OP_PROGRAM)
    kernel->n_groups = 0; /* its tiles are blocks */
  set_alignments (kernel->arg_alignment, op);
}

/* --- kernels for one ---------------------------------------------------- */

static NpuKernel *
open_new (NpuDevice *device, const NpuOp *op, GError **error)
{
  GError *cause = NULL;
  NpuKernel *kernel;

  if (op->rows == 0) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "an operation on no rows cannot be opened");
    return NULL;
  }
  kernel = device->klass->kernel_open (device, op, &cause);
  if (!kernel) {
    npu_device_fail (device, cause, error);
    return NULL;
  }
  kernel->entry = NULL;
  kernel->tiles_for = NULL;
  set_limits (kernel, op);
  npu_device_count (&device->n_kernels, 1);
  npu_device_count (&device->packed_size, (gssize) kernel->packed_size);
  return kernel;
}

static void
close_kernel (gpointer thing)
{
  NpuKernel *kernel = thing, *tiles_for = kernel->tiles_for;
  NpuDevice *device = kernel->device;

  npu_device_count (&device->n_kernels, -1);
  npu_device_count (&device->packed_size, -(gssize) kernel->packed_size);
  device->klass->kernel_free (kernel);
  npu_kernel_unref (tiles_for);
}

NpuKernel *
npu_kernel_open (NpuDevice *device, const NpuOp *op, GError **error)
{
  return open_new (device, op, error);
}

void
npu_kernel_unref (NpuKernel *kernel)
{
  if (!kernel)
    return;
  if (kernel->entry)
    npu_cache_entry_unref (kernel->entry);
  else
    close_kernel (kernel);
}

/* --- kernels for all ---------------------------------------------------- */

typedef struct {
  NpuDevice *device;
  const NpuOp *op;
  const NpuWeightsSource *weights;
} Wish;

static gpointer
make (gpointer data, NpuCacheEntry *entry, GError **error)
{
  const Wish *wish = data;
  NpuOp op = *wish->op;
  NpuKernel *kernel;

  if (wish->weights && !wish->weights->read (wish->weights->data, &op, error))
    return NULL;
  kernel = open_new (wish->device, &op, error);
  if (!kernel)
    return NULL;
  kernel->entry = entry;
  if (op.tiles_for && op.tiles_for->entry) {
    npu_cache_entry_ref (op.tiles_for->entry);
    kernel->tiles_for = op.tiles_for;
  }
  return kernel;
}

static const NpuCacheFuncs funcs = {make, close_kernel};

/* Every field of the operation, pointers only where they name what is kept; or
 * NULL, where nobody else can have the same. */
static GBytes *
key_of (const NpuOp *op, const NpuWeightsSource *weights)
{
  const char *name = weights ? weights->key : "";
  GByteArray *key;

  if (!name || op->weight || op->bias || op->program ||
      (op->tiles_for && !op->tiles_for->entry))
    return NULL;
  key = g_byte_array_new ();
#define ADD(field)                                                             \
  g_byte_array_append (key, (const guint8 *) &op->field, sizeof op->field)
  ADD (kind);
  ADD (rows);
  ADD (kv_rows);
  ADD (k);
  ADD (n);
  ADD (a_stride);
  ADD (heads);
  ADD (a_type);
  ADD (b_type);
  ADD (c_type);
  ADD (c_layout);
  ADD (gelu);
  ADD (residual);
  ADD (scale);
  ADD (epsilon);
  ADD (tiles_for);
#undef ADD
  g_byte_array_append (key, (const guint8 *) name, (guint) strlen (name));
  return g_byte_array_free_to_bytes (key);
}

NpuKernel *
npu_kernel_get (NpuDevice *device, const NpuOp *op,
    const NpuWeightsSource *weights, GError **error)
{
  g_autoptr (GBytes) key = key_of (op, weights);
  Wish wish = {device, op, weights};
  NpuCacheEntry *entry =
      npu_cache_get (&device->kernels, key, &funcs, &wish, error);

  return entry ? npu_cache_entry_get_thing (entry) : NULL;
}

void
npu_kernel_pack_tile (const NpuKernel *kernel, guint arg, guint8 *data,
    guint tile, const float *x, gsize stride, guint rows)
{
  g_return_if_fail (arg <= NPU_ARG_V && rows >= 1 && rows <= 64);
  kernel->device->klass->pack_tile (kernel, arg, data, tile, x, stride, rows);
}
