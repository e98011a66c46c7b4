/* The operations on the CPU, one 64-row output tile at a time: attention and
 * what goes row by row; and the opening of them all.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cpu-ops.h"

#include <string.h>

gsize
cpu_rows_size (NpuType type, guint rows, guint n)
{
  const gsize tiles = CPU_N_TILES (rows);

  switch (type) {
    case NPU_TYPE_Q8:
      return tiles * NPU_Q8_TILE_SIZE (n);
    case NPU_TYPE_BF16:
      return tiles * NPU_TILE_ROWS * n * sizeof (guint16);
    default:
      return tiles * NPU_TILE_ROWS * n * sizeof (float);
  }
}

gboolean
cpu_is_q8_columns (guint n)
{
  return n > 0 && n % 64 == 0 && n <= NPU_Q8_COLUMNS;
}

float *
cpu_copy_floats (const float *x, gsize n)
{
  return x ? g_memdup2 (x, n * sizeof (float)) : NULL;
}

float *
cpu_rotation_signs (guint n)
{
  float *signs = g_new (float, n);

  npu_rotation_signs (signs, (int) n);
  return signs;
}

void
cpu_expand_bf16 (float *y, const guint16 *x, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    const guint32 bits = (guint32) x[i] << 16;

    memcpy (&y[i], &bits, sizeof bits);
  }
}

/* --- attention --------------------------------------------------------- */

void
cpu_pack_tile (const NpuAttentionKernel *attention, guint arg, guint8 *data,
    gsize tile, const float *x, gsize stride, guint rows)
{
  switch (arg) {
    case NPU_ARG_Q:
      attention->pack_q (data + tile * attention->q_tile_size, x, stride, rows);
      break;
    case NPU_ARG_K:
      attention->pack_k (data + tile * attention->k_tile_size, x, stride, rows);
      break;
    default:
      attention->pack_v (data + tile * attention->v_tile_size, x, stride, rows);
      break;
  }
}

void
cpu_kernel_pack_tile (const NpuKernel *kernel, guint arg, guint8 *data,
    guint tile, const float *x, gsize stride, guint rows)
{
  cpu_pack_tile (((const CpuKernel *) kernel)->attention, arg, data, tile, x,
      stride, rows);
}

static void
run_attention (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    CpuWorker *worker)
{
  const NpuAttentionKernel *attention = kernel->attention;
  const guint n_row_tiles = CPU_N_TILES (launch->rows);
  const guint head = tile / n_row_tiles, row_tile = tile % n_row_tiles;
  const guint kv_rows = launch->kv_rows ? launch->kv_rows : launch->rows;
  const guint rows = cpu_rows_of_tile (launch, row_tile);
  const gsize first_q = (gsize) head * CPU_N_TILES (kernel->op.rows);
  const gsize first_kv = (gsize) head * CPU_N_TILES (kernel->op.kv_rows);
  const gsize n = (gsize) kernel->op.heads * NPU_HEAD_DIM;
  const gsize first =
      (gsize) row_tile * NPU_TILE_ROWS * n + head * NPU_HEAD_DIM;
  const gboolean round = kernel->op.c_type == NPU_TYPE_BF16;
  float *tile_o = (float *) (worker->scratch + attention->scratch_size);
  float *o = round ? tile_o : (float *) cpu_arg (launch, NPU_ARG_O) + first;

  attention->run (o, round ? NPU_HEAD_DIM : n,
      cpu_arg (launch, NPU_ARG_Q) +
          (first_q + row_tile) * attention->q_tile_size,
      cpu_arg (launch, NPU_ARG_K) + first_kv * attention->k_tile_size,
      cpu_arg (launch, NPU_ARG_V) + first_kv * attention->v_tile_size, rows,
      kv_rows, kernel->op.scale, worker->scratch);

  for (guint i = 0; round && i < rows; i++)
    kernel->kernels->convert_bf16 (
        (guint16 *) cpu_arg (launch, NPU_ARG_O) + first + i * n,
        tile_o + i * NPU_HEAD_DIM, NPU_HEAD_DIM);
}

static void
open_attention (CpuKernel *kernel, const NpuOp *op)
{
  const NpuAttentionKernel *attention = kernel->attention;
  const gsize q_tiles = (gsize) op->heads * CPU_N_TILES (op->rows);
  const gsize kv_tiles = (gsize) op->heads * CPU_N_TILES (kernel->op.kv_rows);
  NpuKernel *base = &kernel->base;

  kernel->run_tile = run_attention;
  kernel->scratch_size = attention->scratch_size;
  if (op->c_type == NPU_TYPE_BF16)
    kernel->scratch_size +=
        NPU_TILE_ROWS * (gsize) NPU_HEAD_DIM * sizeof (float);
  base->arg_size[NPU_ARG_Q] = q_tiles * attention->q_tile_size;
  base->arg_size[NPU_ARG_K] = kv_tiles * attention->k_tile_size;
  base->arg_size[NPU_ARG_V] = kv_tiles * attention->v_tile_size;
  base->arg_size[NPU_ARG_O] =
      cpu_rows_size (op->c_type, op->rows, op->heads * NPU_HEAD_DIM);
}

/* --- layernorm and gelu ------------------------------------------------ */

static void
run_layernorm (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    CpuWorker *worker)
{
  const NpuOp *op = &kernel->op;
  const guint rows = cpu_rows_of_tile (launch, tile);
  const gsize first = (gsize) tile * NPU_TILE_ROWS * op->n;
  const float *x = (const float *) cpu_arg (launch, NPU_ARG_X) + first;
  guint8 *y = cpu_arg (launch, NPU_ARG_Y);
  float *to;

  if (op->c_type == NPU_TYPE_Q8) {
    y += tile * NPU_Q8_TILE_SIZE (op->n);
    kernel->kernels->layernorm_q8 (y,
        (float *) (y + NPU_Q8_TILE_SCALES (op->n)), x, op->n, kernel->gamma,
        kernel->bias, op->epsilon, rows, op->n);
    return;
  }
  to = op->c_type == NPU_TYPE_BF16 ? (float *) worker->scratch
                                   : (float *) y + first;
  kernel->kernels->layernorm_f32 (to, op->n, x, op->n, kernel->gamma,
      kernel->bias, op->epsilon, rows, op->n);
  if (op->c_type == NPU_TYPE_BF16)
    kernel->kernels->convert_bf16 (
        (guint16 *) y + first, to, (gsize) rows * op->n);
}

static void
run_gelu (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    CpuWorker *worker)
{
  const guint8 *x = cpu_arg (launch, NPU_ARG_X);
  guint8 *y = cpu_arg (launch, NPU_ARG_Y);
  const gsize first = (gsize) tile * NPU_TILE_ROWS * kernel->op.n;
  const gsize n = (gsize) cpu_rows_of_tile (launch, tile) * kernel->op.n;
  float *scratch = (float *) worker->scratch;

  if (kernel->op.a_type == NPU_TYPE_F32) {
    kernel->kernels->gelu_f32 (
        (float *) y + first, (const float *) x + first, n);
    return;
  }
  cpu_expand_bf16 (scratch, (const guint16 *) x + first, n);
  kernel->kernels->gelu_f32 (scratch, scratch, n);
  kernel->kernels->convert_bf16 ((guint16 *) y + first, scratch, n);
}

static void
open_rows (CpuKernel *kernel, const NpuOp *op)
{
  NpuKernel *base = &kernel->base;

  kernel->run_tile = op->kind == NPU_OP_GELU ? run_gelu : run_layernorm;
  kernel->gamma = cpu_copy_floats (op->weight, op->n);
  kernel->bias = cpu_copy_floats (op->bias, op->n);
  if (op->kind == NPU_OP_LAYERNORM && op->c_type == NPU_TYPE_Q8) {
    g_autofree float *signs = cpu_rotation_signs (op->n);

    for (guint i = 0; i < op->n; i++) {
      kernel->gamma[i] *= signs[i];
      kernel->bias[i] *= signs[i];
    }
  }
  if (op->c_type == NPU_TYPE_BF16)
    kernel->scratch_size = NPU_TILE_ROWS * (gsize) op->n * sizeof (float);
  base->arg_size[NPU_ARG_X] = cpu_rows_size (op->a_type, op->rows, op->n);
  base->arg_size[NPU_ARG_Y] = cpu_rows_size (op->c_type, op->rows, op->n);
}

/* --- kernels ----------------------------------------------------------- */

/* Whether the types of @op go together on this device. */
static gboolean
types_go_together (const NpuOp *op)
{
  /* A type of products, not of rows or tiles. */
  if (op->a_type == NPU_TYPE_S16 || op->c_type == NPU_TYPE_S16)
    return FALSE;
  switch (op->kind) {
    case NPU_OP_LINEAR:
      return cpu_linear_is_supported (op);
    case NPU_OP_ATTENTION:
      return op->heads > 0 && op->c_type != NPU_TYPE_Q8;
    case NPU_OP_LAYERNORM:
      return op->n > 0 && op->weight && op->bias &&
             op->a_type == NPU_TYPE_F32 &&
             (op->c_type != NPU_TYPE_Q8 || cpu_is_q8_columns (op->n));
    case NPU_OP_GELU:
      return op->n > 0 && op->a_type == op->c_type && op->a_type != NPU_TYPE_Q8;
    case NPU_OP_PROGRAM:
      return FALSE;
  }
  return FALSE;
}

gboolean
cpu_op_is_supported (const NpuOp *op, GError **error)
{
  if (types_go_together (op))
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
      "the CPU device does not do operation %d with %u columns and types %d, %d, %d",
      op->kind, op->n, op->a_type, op->b_type, op->c_type);
  return FALSE;
}

/* Of what is not a few numbers a column. */
static gsize
packed_size_of (const CpuKernel *kernel)
{
  return kernel->gemm ? cpu_gemm_packed_size (kernel->gemm)
                      : (kernel->gamma ? 2 * kernel->op.n * sizeof (float) : 0);
}

static const NpuAttentionKernel *
attention_of (const NpuKernels *kernels, NpuType tiles)
{
  switch (tiles) {
    case NPU_TYPE_Q8:
      return &kernels->attention_s8;
    case NPU_TYPE_BF16:
      return &kernels->attention_bf16;
    default:
      return &kernels->attention_f32;
  }
}

NpuKernel *
cpu_kernel_open (NpuDevice *base, const NpuOp *op, GError **error)
{
  const CpuDevice *device = (const CpuDevice *) base;
  const NpuType tiles_type =
      op->kind == NPU_OP_ATTENTION ? op->a_type : op->c_type;
  CpuKernel *kernel;

  if (!cpu_op_is_supported (op, error))
    return NULL;

  kernel = g_new0 (CpuKernel, 1);
  kernel->base.device = base;
  kernel->base.host_args = NPU_ARG_BIT (NPU_MAX_ARGS) - 1;
  kernel->kernels = &device->host.kernels;
  kernel->attention = attention_of (&device->host.kernels, tiles_type);
  kernel->op = *op;
  kernel->op.weight = kernel->op.bias = NULL;
  kernel->op.program = NULL;
  kernel->op.tiles_for = NULL;
  if (kernel->op.a_stride == 0)
    kernel->op.a_stride = op->k;
  if (kernel->op.kv_rows == 0)
    kernel->op.kv_rows = op->rows;

  switch (op->kind) {
    case NPU_OP_LINEAR:
      if (!cpu_linear_open (kernel, op, error)) {
        cpu_kernel_free (&kernel->base);
        return NULL;
      }
      break;
    case NPU_OP_ATTENTION:
      open_attention (kernel, op);
      break;
    case NPU_OP_LAYERNORM:
    case NPU_OP_GELU:
      open_rows (kernel, op);
      break;
    case NPU_OP_PROGRAM: /* refused above */
      break;
  }
  kernel->base.packed_size = packed_size_of (kernel);
  return &kernel->base;
}

void
cpu_kernel_free (NpuKernel *base)
{
  CpuKernel *kernel = (CpuKernel *) base;

  cpu_gemm_free (kernel->gemm);
  g_free (kernel->bias);
  g_free (kernel->gamma);
  g_free (kernel->weight_scale);
  g_free (kernel->zero_sum);
  g_free (kernel->signs);
  g_free (kernel->c_signs);
  g_free (kernel);
}
