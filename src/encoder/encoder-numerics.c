/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "encoder-numerics.h"

static gboolean
does (NpuDevice *device, const NpuOp *op)
{
  NpuSupport support;

  return npu_device_query (device, op, 1, &support, NULL);
}

/* A block's linear maps in int8 but for the first, of queries, keys and
 * values. */
static gboolean
does_other_maps (NpuDevice *device, guint d, guint rows)
{
  const NpuOp out = {.kind = NPU_OP_LINEAR,
      .rows = rows,
      .k = d,
      .n = d,
      .b_type = NPU_TYPE_Q8,
      .residual = TRUE};
  const NpuOp fc1 = {.kind = NPU_OP_LINEAR,
      .rows = rows,
      .k = d,
      .n = 4 * d,
      .a_type = NPU_TYPE_Q8,
      .b_type = NPU_TYPE_Q8,
      .c_type = NPU_TYPE_Q8,
      .gelu = TRUE};
  const NpuOp fc2 = {.kind = NPU_OP_LINEAR,
      .rows = rows,
      .k = 4 * d,
      .n = d,
      .a_type = NPU_TYPE_Q8,
      .b_type = NPU_TYPE_Q8,
      .residual = TRUE};

  return does (device, &out) || does (device, &fc1) || does (device, &fc2);
}

/* Their tiles are packed by the attention, wherever that is. */
static gboolean
does_qkv (NpuDevice *device, const NpuModel *model, guint rows)
{
  NpuDevice *host = npu_device_get_host (device);
  const NpuOp attention = {.kind = NPU_OP_ATTENTION,
      .rows = rows,
      .n = model->d,
      .heads = model->n_heads,
      .a_type = NPU_TYPE_Q8,
      .scale = 1};
  NpuKernel *kernel = npu_kernel_get (
      does (device, &attention) ? device : host, &attention, NULL, NULL);
  const NpuOp qkv = {.kind = NPU_OP_LINEAR,
      .rows = rows,
      .k = model->d,
      .n = 3 * model->d,
      .heads = model->n_heads,
      .a_type = NPU_TYPE_Q8,
      .b_type = NPU_TYPE_Q8,
      .c_type = NPU_TYPE_Q8,
      .c_layout = NPU_LAYOUT_QKV_TILES,
      .tiles_for = kernel};
  const gboolean does_it = kernel && does (device, &qkv);

  npu_kernel_unref (kernel);
  return does_it;
}

NpuType
encoder_int8_type (const NpuModel *model, NpuDevice *device, guint n_positions)
{
  NpuDevice *host = npu_device_get_host (device);
  /* The first block has nothing in int8: see is_careful(). */
  const gboolean has_int8 = model->n_layers > 1;

  if (npu_device_has_product (host, NPU_TYPE_Q8))
    return NPU_TYPE_Q8;
  if (device != host && has_int8 &&
      (does_other_maps (device, model->d, n_positions) ||
          does_qkv (device, model, n_positions)))
    return NPU_TYPE_Q8;
  return NPU_TYPE_S16;
}
