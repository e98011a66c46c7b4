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

/* Of this type. Their tiles are packed by the attention, wherever that is. */
static gboolean
does_qkv (NpuDevice *device, const NpuModel *model, guint rows, NpuType type)
{
  NpuDevice *host = npu_device_get_host (device);
  const NpuOp attention = {.kind = NPU_OP_ATTENTION,
      .rows = rows,
      .n = model->d,
      .heads = model->n_heads,
      .a_type = type,
      .scale = 1};
  NpuKernel *kernel = npu_kernel_get (
      does (device, &attention) ? device : host, &attention, NULL, NULL);
  const NpuOp qkv = {.kind = NPU_OP_LINEAR,
      .rows = rows,
      .k = model->d,
      .n = 3 * model->d,
      .heads = model->n_heads,
      .a_type = type,
      .b_type = type,
      .c_type = type,
      .c_layout = NPU_LAYOUT_QKV_TILES,
      .tiles_for = kernel};
  const gboolean does_it = kernel && does (device, &qkv);

  npu_kernel_unref (kernel);
  return does_it;
}

/* The type of weights that stands for int8: Q8 where an NPU does a part of the
 * encoder in it, or where the CPU has such products; else S16. */
static NpuType
int8_type (const NpuModel *model, NpuDevice *device, guint n_positions)
{
  NpuDevice *host = npu_device_get_host (device);
  /* The first block has nothing in int8: see set_int8(). */
  const gboolean has_int8 = model->n_layers > 1;

  if (npu_device_has_product (host, NPU_TYPE_Q8))
    return NPU_TYPE_Q8;
  if (device != host && has_int8 &&
      (does_other_maps (device, model->d, n_positions) ||
          does_qkv (device, model, n_positions, NPU_TYPE_Q8)))
    return NPU_TYPE_Q8;
  return NPU_TYPE_S16;
}

/* --- the table --------------------------------------------------------- */

static gboolean
check_int16 (NpuDevice *device, GError **error)
{
  NpuDevice *host = npu_device_get_host (device);

  if (npu_device_has_product (host, NPU_TYPE_S16))
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
      "precision is int16, but products of 16-bit integers are no faster than float's on this device, %s; use f32, which is as exact, or auto",
      npu_device_get_description (host));
  return FALSE;
}

static void
set_maps (EncoderNumerics *numerics, NpuType rows, NpuType weights)
{
  for (guint i = 0; i < ENCODER_N_ROLES; i++) {
    numerics->types[i].rows = rows;
    numerics->types[i].weights = weights;
  }
  numerics->types[ENCODER_STEM].rows = NPU_TYPE_F32;
}

/* The first block is too early for int8: there a few positions turn into those
 * with huge channels, or do not, by very little, and with int8 more of them tip
 * over than with float16 in the whole encoder. Its maps are of bfloat16 on an
 * NPU, which has nothing finer, and so are the convolutions, whose rows
 * overlap; on a CPU they are 16-bit integers, as fast and closer to float: in
 * base twice as many positions tip over with bfloat16. All maps are where
 * nobody has int8 products: they are as fast there. */
static void
set_int8 (EncoderNumerics *numerics, NpuType int8)
{
  set_maps (numerics, NPU_TYPE_F32, NPU_TYPE_BF16);
  if (int8 == NPU_TYPE_Q8) {
    numerics->types[ENCODER_BLOCKS].rows = NPU_TYPE_Q8;
    numerics->types[ENCODER_BLOCKS].weights = NPU_TYPE_Q8;
  }
  numerics->tiles = NPU_TYPE_Q8;
  numerics->host_bf16 = NPU_TYPE_S16;
}

gboolean
encoder_numerics_resolve (const NpuModel *model, NpuDevice *device,
    NpuPrecision precision, guint n_positions, EncoderNumerics *numerics,
    GError **error)
{
  *numerics = (EncoderNumerics){
      .tiles = NPU_TYPE_F32,
      .attended = NPU_TYPE_F32,
      .host_bf16 = NPU_TYPE_BF16,
  };
  switch (precision) {
    case NPU_PRECISION_INT8:
      set_int8 (numerics, int8_type (model, device, n_positions));
      return TRUE;
    case NPU_PRECISION_BF16:
      set_maps (numerics, NPU_TYPE_BF16, NPU_TYPE_BF16);
      numerics->tiles = numerics->attended = NPU_TYPE_BF16;
      return TRUE;
    case NPU_PRECISION_INT16:
      set_maps (numerics, NPU_TYPE_F32, NPU_TYPE_S16);
      numerics->host_only = TRUE;
      return check_int16 (device, error);
    default:
      set_maps (numerics, NPU_TYPE_F32, NPU_TYPE_F32);
      numerics->host_only = TRUE;
      return TRUE;
  }
}

gboolean
encoder_numerics_suits_npu (const NpuModel *model, NpuDevice *device)
{
  return device != npu_device_get_host (device) &&
         does_qkv (device, model, model->n_positions, NPU_TYPE_BF16);
}
