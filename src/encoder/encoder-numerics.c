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
  const NpuLinearOp maps[] = {
      {.k = d, .n = d, .residual = TRUE}, /* out */
      {.k = d,
          .n = 4 * d,
          .a_storage = NPU_STORAGE_Q8,
          .c_storage = NPU_STORAGE_Q8,
          .gelu = TRUE}, /* fc1 */
      {.k = 4 * d,
          .n = d,
          .a_storage = NPU_STORAGE_Q8,
          .residual = TRUE}, /* fc2 */
  };

  for (guint i = 0; i < G_N_ELEMENTS (maps); i++) {
    NpuOp op = {.kind = NPU_OP_LINEAR, .rows = rows, .linear = maps[i]};

    op.linear.product = NPU_PRODUCT_S8;
    if (does (device, &op))
      return TRUE;
  }
  return FALSE;
}

/* Their tiles are packed by the attention, wherever that is. */
static gboolean
does_qkv (NpuDevice *device, const NpuModel *model, guint rows,
    NpuStorage storage, NpuProduct product)
{
  NpuDevice *host = npu_device_get_host (device);
  const NpuOp attention = {.kind = NPU_OP_ATTENTION,
      .rows = rows,
      .attention = {
          .heads = model->n_heads, .qkv_storage = storage, .scale = 1}};
  NpuKernel *kernel = npu_kernel_get (
      does (device, &attention) ? device : host, &attention, NULL, NULL);
  const NpuOp qkv = {.kind = NPU_OP_LINEAR,
      .rows = rows,
      .linear = {.k = model->d,
          .n = 3 * model->d,
          .heads = model->n_heads,
          .a_storage = storage,
          .product = product,
          .c_storage = storage,
          .c_layout = NPU_LAYOUT_QKV_TILES,
          .tiles_for = kernel}};
  const gboolean does_it = kernel && does (device, &qkv);

  npu_kernel_unref (kernel);
  return does_it;
}

/* The product that stands for int8: S8 where an NPU does a part of the encoder
 * in it, or where the CPU has it; else S16. */
static NpuProduct
int8_product (const NpuModel *model, NpuDevice *device, guint n_positions)
{
  NpuDevice *host = npu_device_get_host (device);
  /* The first block has nothing in int8: see set_int8(). */
  const gboolean has_int8 = model->n_layers > 1;

  if (npu_device_has_product (host, NPU_PRODUCT_S8))
    return NPU_PRODUCT_S8;
  if (device != host && has_int8 &&
      (does_other_maps (device, model->d, n_positions) ||
          does_qkv (
              device, model, n_positions, NPU_STORAGE_Q8, NPU_PRODUCT_S8)))
    return NPU_PRODUCT_S8;
  return NPU_PRODUCT_S16;
}

/* --- the table --------------------------------------------------------- */

static gboolean
check_int16 (NpuDevice *device, GError **error)
{
  NpuDevice *host = npu_device_get_host (device);

  if (npu_device_has_product (host, NPU_PRODUCT_S16))
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
      "precision is int16, but products of 16-bit integers are no faster than float's on this device, %s; use f32, which is as exact, or auto",
      npu_device_get_description (host));
  return FALSE;
}

static void
set_maps (EncoderNumerics *numerics, NpuStorage rows, NpuProduct product)
{
  for (guint i = 0; i < ENCODER_N_ROLES; i++) {
    numerics->maps[i].rows = rows;
    numerics->maps[i].product = product;
  }
  numerics->maps[ENCODER_STEM].rows = NPU_STORAGE_F32;
}

/* The first block is too early for int8: there a few positions turn into those
 * with huge channels, or do not, by very little, and with int8 more of them tip
 * over than with float16 in the whole encoder. Its maps are of bfloat16 on an
 * NPU, which has nothing finer, and so are the convolutions, whose rows
 * overlap; on a CPU they are 16-bit integers, as fast and closer to float: in
 * base twice as many positions tip over with bfloat16. All maps are where
 * nobody has int8 products: they are as fast there.
 *
 * On a CPU with int8 products the first block's attention is of bfloat16, or
 * float where that is no faster: with attention in int8 1 - cosine of the worst
 * of 48 windows of speech is 2.0e-4 in base, and 1.4e-4 without. */
static void
set_int8 (EncoderNumerics *numerics, NpuProduct int8, gboolean is_cpu)
{
  set_maps (numerics, NPU_STORAGE_F32, NPU_PRODUCT_BF16);
  if (int8 == NPU_PRODUCT_S8) {
    numerics->maps[ENCODER_BLOCKS].rows = NPU_STORAGE_Q8;
    numerics->maps[ENCODER_BLOCKS].product = NPU_PRODUCT_S8;
  }
  numerics->tiles = numerics->first_tiles = NPU_STORAGE_Q8;
  if (is_cpu && int8 == NPU_PRODUCT_S8)
    numerics->first_tiles = NPU_STORAGE_BF16;
  numerics->host_bf16 = NPU_PRODUCT_S16;
}

gboolean
encoder_numerics_resolve (const NpuModel *model, NpuDevice *device,
    NpuPrecision precision, guint n_positions, EncoderNumerics *numerics,
    GError **error)
{
  *numerics = (EncoderNumerics){
      .first_tiles = NPU_STORAGE_F32,
      .tiles = NPU_STORAGE_F32,
      .attended = NPU_STORAGE_F32,
      .host_bf16 = NPU_PRODUCT_BF16,
  };
  switch (precision) {
    case NPU_PRECISION_INT8:
      set_int8 (numerics, int8_product (model, device, n_positions),
          device == npu_device_get_host (device));
      return TRUE;
    case NPU_PRECISION_BF16:
      set_maps (numerics, NPU_STORAGE_BF16, NPU_PRODUCT_BF16);
      numerics->first_tiles = numerics->tiles = NPU_STORAGE_BF16;
      numerics->attended = NPU_STORAGE_BF16;
      return TRUE;
    case NPU_PRECISION_INT16:
      set_maps (numerics, NPU_STORAGE_F32, NPU_PRODUCT_S16);
      numerics->host_only = TRUE;
      return check_int16 (device, error);
    default:
      set_maps (numerics, NPU_STORAGE_F32, NPU_PRODUCT_F32);
      numerics->host_only = TRUE;
      return TRUE;
  }
}

gboolean
encoder_numerics_suits_npu (const NpuModel *model, NpuDevice *device)
{
  return device != npu_device_get_host (device) &&
         does_qkv (device, model, model->n_positions, NPU_STORAGE_BF16,
             NPU_PRODUCT_BF16);
}
