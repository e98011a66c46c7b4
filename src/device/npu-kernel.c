/* Kernels: opening them, for one or for all who want the same, and packing of
 * tiles.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "npu-device-private.h"
#include "op-args.h"

#define TILE_ALIGNMENT 64 /* bytes */

/* --- what a launch may have --------------------------------------------- */

/* Of an element of a row; of packed tiles whole cache lines. */
static guint
alignment_of (NpuStorage storage)
{
  switch (storage) {
    case NPU_STORAGE_F32:
      return sizeof (float);
    case NPU_STORAGE_BF16:
      return sizeof (guint16);
    default:
      return TILE_ALIGNMENT;
  }
}

/* A program's blocks are its own. */
static void
set_alignments (guint *alignment, const NpuOp *op)
{
  const guint used = npu_op_reads (op) | npu_op_writes (op);

  for (guint i = 0; i < NPU_MAX_ARGS; i++)
    if (op->kind == NPU_OP_PROGRAM || !(used & NPU_ARG_BIT (i)))
      alignment[i] = 1;
    else if (npu_op_is_tiles (op, i))
      alignment[i] = TILE_ALIGNMENT;
    else
      alignment[i] = alignment_of (npu_op_get_storage (op, i));
}

static void
set_limits (NpuKernel *kernel, const NpuOp *op)
{
  kernel->max_rows = op->rows;
  kernel->max_kv_rows = op->rows;
  kernel->n_groups = 1;
  if (op->kind == NPU_OP_ATTENTION) {
    kernel->n_groups = op->attention.heads;
    if (op->attention.kv_rows)
      kernel->max_kv_rows = op->attention.kv_rows;
  } else if (op->kind == NPU_OP_PROGRAM) {
    kernel->n_groups = 0; /* its tiles are blocks */
  }
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
  NpuKernel *kernel, *tiles_for;

  if (wish->weights && !wish->weights->read (wish->weights->data, &op, error))
    return NULL;
  kernel = open_new (wish->device, &op, error);
  if (!kernel)
    return NULL;
  kernel->entry = entry;
  tiles_for = op.kind == NPU_OP_LINEAR ? op.linear.tiles_for : NULL;
  if (tiles_for && tiles_for->entry) {
    npu_cache_entry_ref (tiles_for->entry);
    kernel->tiles_for = tiles_for;
  }
  return kernel;
}

static const NpuCacheFuncs funcs = {make, close_kernel};

#define ADD(key, field)                                                        \
  g_byte_array_append (key, (const guint8 *) &(field), sizeof (field))

/* Field by field: what is between them is anything. */
static void
add_linear (GByteArray *key, const NpuLinearOp *op)
{
  ADD (key, op->k);
  ADD (key, op->n);
  ADD (key, op->a_stride);
  ADD (key, op->a_storage);
  ADD (key, op->product);
  ADD (key, op->c_storage);
  ADD (key, op->c_layout);
  ADD (key, op->heads);
  ADD (key, op->gelu);
  ADD (key, op->residual);
  ADD (key, op->tiles_for);
}

static void
add_attention (GByteArray *key, const NpuAttentionOp *op)
{
  ADD (key, op->heads);
  ADD (key, op->kv_rows);
  ADD (key, op->qkv_storage);
  ADD (key, op->o_storage);
  ADD (key, op->scale);
}

static void
add_layernorm (GByteArray *key, const NpuLayerNormOp *op)
{
  ADD (key, op->n);
  ADD (key, op->y_storage);
  ADD (key, op->epsilon);
}

static void
add_gelu (GByteArray *key, const NpuGeluOp *op)
{
  ADD (key, op->n);
  ADD (key, op->storage);
}

/* Whether others can have the same: all that it points to is known by name. */
static gboolean
can_be_shared (const NpuOp *op, const NpuWeightsSource *weights)
{
  if (op->kind == NPU_OP_PROGRAM || op->weight || op->bias ||
      (weights && !weights->key))
    return FALSE;
  return op->kind != NPU_OP_LINEAR || !op->linear.tiles_for ||
         op->linear.tiles_for->entry;
}

/* Every field of the operation, and the name of its constants; or NULL, where
 * nobody else can have the same. */
static GBytes *
key_of (const NpuOp *op, const NpuWeightsSource *weights)
{
  GByteArray *key;

  if (!can_be_shared (op, weights))
    return NULL;
  key = g_byte_array_new ();
  ADD (key, op->kind);
  ADD (key, op->rows);
  switch (op->kind) {
    case NPU_OP_LINEAR:
      add_linear (key, &op->linear);
      break;
    case NPU_OP_ATTENTION:
      add_attention (key, &op->attention);
      break;
    case NPU_OP_LAYERNORM:
      add_layernorm (key, &op->layernorm);
      break;
    case NPU_OP_GELU:
      add_gelu (key, &op->gelu);
      break;
    case NPU_OP_PROGRAM: /* never shared */
      break;
  }
  if (weights)
    g_byte_array_append (
        key, (const guint8 *) weights->key, (guint) strlen (weights->key));
  return g_byte_array_free_to_bytes (key);
}

#undef ADD

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
