/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op-args.h"

#include "npu-kernels.h"

#define QKV_BITS                                                               \
  (NPU_ARG_BIT (NPU_ARG_QKV_Q) | NPU_ARG_BIT (NPU_ARG_QKV_K) |                 \
      NPU_ARG_BIT (NPU_ARG_QKV_V))

/* --- arguments ---------------------------------------------------------- */

guint
npu_op_reads (const NpuOp *op)
{
  switch (op->kind) {
    case NPU_OP_LINEAR:
      return NPU_ARG_BIT (NPU_ARG_A) |
             (op->linear.residual ? NPU_ARG_BIT (NPU_ARG_R) : 0);
    case NPU_OP_ATTENTION:
      return NPU_ARG_BIT (NPU_ARG_Q) | NPU_ARG_BIT (NPU_ARG_K) |
             NPU_ARG_BIT (NPU_ARG_V);
    case NPU_OP_LAYERNORM:
    case NPU_OP_GELU:
    case NPU_OP_PROGRAM:
      break;
  }
  return NPU_ARG_BIT (NPU_ARG_X);
}

guint
npu_op_writes (const NpuOp *op)
{
  switch (op->kind) {
    case NPU_OP_LINEAR:
      return op->linear.c_layout == NPU_LAYOUT_QKV_TILES
                 ? QKV_BITS
                 : NPU_ARG_BIT (NPU_ARG_C);
    case NPU_OP_ATTENTION:
      return NPU_ARG_BIT (NPU_ARG_O);
    case NPU_OP_LAYERNORM:
    case NPU_OP_GELU:
    case NPU_OP_PROGRAM:
      break;
  }
  return NPU_ARG_BIT (NPU_ARG_Y);
}

NpuStorage
npu_op_get_storage (const NpuOp *op, guint arg)
{
  switch (op->kind) {
    case NPU_OP_LINEAR:
      if (arg == NPU_ARG_A)
        return op->linear.a_storage;
      return (npu_op_writes (op) & NPU_ARG_BIT (arg)) ? op->linear.c_storage
                                                      : NPU_STORAGE_F32;
    case NPU_OP_ATTENTION:
      return arg == NPU_ARG_O ? op->attention.o_storage
                              : op->attention.qkv_storage;
    case NPU_OP_LAYERNORM:
      return arg == NPU_ARG_Y ? op->layernorm.y_storage : NPU_STORAGE_F32;
    case NPU_OP_GELU:
      return op->gelu.storage;
    case NPU_OP_PROGRAM:
      break;
  }
  return NPU_STORAGE_F32;
}

gboolean
npu_op_is_tiles (const NpuOp *op, guint arg)
{
  if (op->kind == NPU_OP_ATTENTION)
    return arg != NPU_ARG_O;
  return op->kind == NPU_OP_LINEAR &&
         op->linear.c_layout == NPU_LAYOUT_QKV_TILES &&
         (QKV_BITS & NPU_ARG_BIT (arg)) != 0;
}

guint
npu_op_get_columns (const NpuOp *op)
{
  switch (op->kind) {
    case NPU_OP_LINEAR:
      return op->linear.n;
    case NPU_OP_ATTENTION:
      return op->attention.heads * NPU_HEAD_DIM;
    case NPU_OP_LAYERNORM:
      return op->layernorm.n;
    case NPU_OP_GELU:
      return op->gelu.n;
    case NPU_OP_PROGRAM:
      break;
  }
  return 0;
}

NpuOp
npu_op_to_keep (const NpuOp *op)
{
  NpuOp kept = *op;

  kept.weight = kept.bias = NULL;
  if (op->kind == NPU_OP_LINEAR && op->linear.a_stride == 0)
    kept.linear.a_stride = op->linear.k;
  else if (op->kind == NPU_OP_ATTENTION && op->attention.kv_rows == 0)
    kept.attention.kv_rows = op->rows;
  else if (op->kind == NPU_OP_PROGRAM)
    kept.program = NULL;
  return kept;
}

/* --- words -------------------------------------------------------------- */

const char *
npu_storage_to_string (NpuStorage storage)
{
  switch (storage) {
    case NPU_STORAGE_BF16:
      return "bf16";
    case NPU_STORAGE_Q8:
      return "int8";
    case NPU_STORAGE_F32:
      break;
  }
  return "f32";
}

const char *
npu_product_to_string (NpuProduct product)
{
  switch (product) {
    case NPU_PRODUCT_BF16:
      return "bf16";
    case NPU_PRODUCT_S16:
      return "int16";
    case NPU_PRODUCT_S8:
      return "int8";
    case NPU_PRODUCT_F32:
      break;
  }
  return "f32";
}

static char *
linear_to_string (const NpuLinearOp *op)
{
  return g_strdup_printf (
      "linear with %u columns, inner size %u, reads %s, multiplies %s, writes %s%s",
      op->n, op->k, npu_storage_to_string (op->a_storage),
      npu_product_to_string (op->product),
      npu_storage_to_string (op->c_storage),
      op->c_layout == NPU_LAYOUT_QKV_TILES ? " tiles" : "");
}

char *
npu_op_to_string (const NpuOp *op)
{
  static const char *const names[] = {[NPU_OP_ATTENTION] = "attention",
      [NPU_OP_LAYERNORM] = "layernorm",
      [NPU_OP_GELU] = "gelu"};

  if (op->kind == NPU_OP_LINEAR)
    return linear_to_string (&op->linear);
  if (op->kind == NPU_OP_PROGRAM)
    return g_strdup_printf ("program '%s'", op->program ? op->program : "");
  return g_strdup_printf ("%s with %u columns, reads %s, writes %s",
      names[op->kind], npu_op_get_columns (op),
      npu_storage_to_string (npu_op_get_storage (op, NPU_ARG_X)),
      npu_storage_to_string (npu_op_get_storage (
          op, op->kind == NPU_OP_ATTENTION ? NPU_ARG_O : NPU_ARG_Y)));
}
