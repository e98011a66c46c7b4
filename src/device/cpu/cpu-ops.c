/* The operations on the CPU, one 64-row output tile at a time: attention and
 * what goes row by row; and the opening of them all.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cpu-ops.h"

#include <string.h>

#include "device/op-args.h"

gsize
cpu_rows_size (NpuStorage storage, guint rows, guint n)
{
  const gsize tiles = CPU_N_TILES (rows);

  switch (storage) {
    case NPU_STORAGE_Q8:
      return tiles * NPU_Q8_TILE_SIZE (n);
    case NPU_STORAGE_BF16:
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
  const NpuAttentionOp *op = &kernel->op.attention;
  const guint n_row_tiles = CPU_N_TILES (launch->rows);
  const guint head = tile / n_row_tiles, row_tile = tile % n_row_tiles;
  const guint kv_rows = launch->kv_rows ? launch->kv_rows : launch->rows;
  const guint rows = cpu_rows_of_tile (launch, row_tile);
  const gsize first_q = (gsize) head * CPU_N_TILES (kernel->op.rows);
  const gsize first_kv = (gsize) head * CPU_N_TILES (op->kv_rows);
  const gsize n = (gsize) op->heads * NPU_HEAD_DIM;
  const gsize first =
      (gsize) row_tile * NPU_TILE_ROWS * n + head * NPU_HEAD_DIM;
  const gboolean round = op->o_storage == NPU_STORAGE_BF16;
  float *tile_o = (float *) (worker->scratch + attention->scratch_size);
  float *o = round ? tile_o : (float *) cpu_arg (launch, NPU_ARG_O) + first;

  attention->run (o, round ? NPU_HEAD_DIM : n,
      cpu_arg (launch, NPU_ARG_Q) +
          (first_q + row_tile) * attention->q_tile_size,
      cpu_arg (launch, NPU_ARG_K) + first_kv * attention->k_tile_size,
      cpu_arg (launch, NPU_ARG_V) + first_kv * attention->v_tile_size, rows,
      kv_rows, op->scale, worker->scratch);

  for (guint i = 0; round && i < rows; i++)
    kernel->kernels->convert_bf16 (
        (guint16 *) cpu_arg (launch, NPU_ARG_O) + first + i * n,
        tile_o + i * NPU_HEAD_DIM, NPU_HEAD_DIM);
}

static void
open_attention (CpuKernel *kernel)
{
  const NpuAttentionKernel *attention = kernel->attention;
  const NpuAttentionOp *op = &kernel->op.attention;
  const guint rows = kernel->op.rows;
  const gsize q_tiles = (gsize) op->heads * CPU_N_TILES (rows);
  const gsize kv_tiles = (gsize) op->heads * CPU_N_TILES (op->kv_rows);
  NpuKernel *base = &kernel->base;

  kernel->run_tile = run_attention;
  kernel->scratch_size = attention->scratch_size;
  if (op->o_storage == NPU_STORAGE_BF16)
    kernel->scratch_size +=
        NPU_TILE_ROWS * (gsize) NPU_HEAD_DIM * sizeof (float);
  base->arg_size[NPU_ARG_Q] = q_tiles * attention->q_tile_size;
  base->arg_size[NPU_ARG_K] = kv_tiles * attention->k_tile_size;
  base->arg_size[NPU_ARG_V] = kv_tiles * attention->v_tile_size;
  base->arg_size[NPU_ARG_O] =
      cpu_rows_size (op->o_storage, rows, op->heads * NPU_HEAD_DIM);
}

/* --- layernorm and gelu ------------------------------------------------ */

static void
run_layernorm (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    CpuWorker *worker)
{
  const NpuLayerNormOp *op = &kernel->op.layernorm;
  const guint rows = cpu_rows_of_tile (launch, tile);
  const gsize first = (gsize) tile * NPU_TILE_ROWS * op->n;
  const float *x = (const float *) cpu_arg (launch, NPU_ARG_X) + first;
  guint8 *y = cpu_arg (launch, NPU_ARG_Y);
  float *to;

  if (op->y_storage == NPU_STORAGE_Q8) {
    y += tile * NPU_Q8_TILE_SIZE (op->n);
    kernel->kernels->layernorm_q8 (y,
        (float *) (y + NPU_Q8_TILE_SCALES (op->n)), x, op->n, kernel->gamma,
        kernel->bias, op->epsilon, rows, op->n);
    return;
  }
  to = op->y_storage == NPU_STORAGE_BF16 ? (float *) worker->scratch
                                         : (float *) y + first;
  kernel->kernels->layernorm_f32 (to, op->n, x, op->n, kernel->gamma,
      kernel->bias, op->epsilon, rows, op->n);
  if (op->y_storage == NPU_STORAGE_BF16)
    kernel->kernels->convert_bf16 (
        (guint16 *) y + first, to, (gsize) rows * op->n);
}

static void
run_gelu (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    CpuWorker *worker)
{
  const guint8 *x = cpu_arg (launch, NPU_ARG_X);
  guint8 *y = cpu_arg (launch, NPU_ARG_Y);
  const NpuGeluOp *op = &kernel->op.gelu;
  const gsize first = (gsize) tile * NPU_TILE_ROWS * op->n;
  const gsize n = (gsize) cpu_rows_of_tile (launch, tile) * op->n;
  float *scratch = (float *) worker->scratch;

  if (op->storage == NPU_STORAGE_F32) {
    kernel->kernels->gelu_f32 (
        (float *) y + first, (const float *) x + first, n);
    return;
  }
  cpu_expand_bf16 (scratch, (const guint16 *) x + first, n);
  kernel->kernels->gelu_f32 (scratch, scratch, n);
  kernel->kernels->convert_bf16 ((guint16 *) y + first, scratch, n);
}

/* Whole rows of float on their way to or from bfloat16. */
static gsize
rows_scratch_size (NpuStorage storage, guint n)
{
  return storage == NPU_STORAGE_BF16 ? NPU_TILE_ROWS * n * sizeof (float) : 0;
}

static void
open_layernorm (CpuKernel *kernel, const NpuOp *described)
{
  const NpuLayerNormOp *op = &described->layernorm;
  NpuKernel *base = &kernel->base;

  kernel->run_tile = run_layernorm;
  kernel->gamma = cpu_copy_floats (described->weight, op->n);
  kernel->bias = cpu_copy_floats (described->bias, op->n);
  if (op->y_storage == NPU_STORAGE_Q8) {
    g_autofree float *signs = cpu_rotation_signs (op->n);

    for (guint i = 0; i < op->n; i++) {
      kernel->gamma[i] *= signs[i];
      kernel->bias[i] *= signs[i];
    }
  }
  kernel->scratch_size = rows_scratch_size (op->y_storage, op->n);
  base->arg_size[NPU_ARG_X] =
      cpu_rows_size (NPU_STORAGE_F32, described->rows, op->n);
  base->arg_size[NPU_ARG_Y] =
      cpu_rows_size (op->y_storage, described->rows, op->n);
}

static void
open_gelu (CpuKernel *kernel)
{
  const NpuGeluOp *op = &kernel->op.gelu;

  kernel->run_tile = run_gelu;
  kernel->scratch_size = rows_scratch_size (op->storage, op->n);
  kernel->base.arg_size[NPU_ARG_X] = kernel->base.arg_size[NPU_ARG_Y] =
      cpu_rows_size (op->storage, kernel->op.rows, op->n);
}

/* --- kernels ----------------------------------------------------------- */

/* Whether the storages of @op go together on this device. */
static gboolean
storages_go_together (const NpuOp *op)
{
  switch (op->kind) {
    case NPU_OP_LINEAR:
      return op->weight && cpu_linear_is_supported (&op->linear);
    case NPU_OP_ATTENTION:
      return op->attention.heads > 0 &&
             op->attention.o_storage != NPU_STORAGE_Q8;
    case NPU_OP_LAYERNORM:
      return op->layernorm.n > 0 && op->weight && op->bias &&
             (op->layernorm.y_storage != NPU_STORAGE_Q8 ||
                 cpu_is_q8_columns (op->layernorm.n));
    case NPU_OP_GELU:
      return op->gelu.n > 0 && op->gelu.storage != NPU_STORAGE_Q8;
    case NPU_OP_PROGRAM:
      return FALSE;
  }
  return FALSE;
}

gboolean
cpu_op_is_supported (const NpuOp *op, GError **error)
{
  g_autofree char *text = NULL;

  if (storages_go_together (op))
    return TRUE;
  text = npu_op_to_string (op);
  g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
      "the CPU device does not do %s", text);
  return FALSE;
}

/* Of what is not a few numbers a column. */
static gsize
packed_size_of (const CpuKernel *kernel)
{
  if (kernel->gemm)
    return cpu_gemm_packed_size (kernel->gemm);
  return kernel->gamma ? 2 * kernel->op.layernorm.n * sizeof (float) : 0;
}

/* Of the operation's tiles; NULL where it has none. */
static const NpuAttentionKernel *
attention_of (const NpuKernels *kernels, const NpuOp *op)
{
  const guint arg = op->kind == NPU_OP_LINEAR ? NPU_ARG_QKV_Q : NPU_ARG_Q;

  if (!npu_op_is_tiles (op, arg))
    return NULL;
  switch (npu_op_get_storage (op, arg)) {
    case NPU_STORAGE_Q8:
      return &kernels->attention_s8;
    case NPU_STORAGE_BF16:
      return &kernels->attention_bf16;
    default:
      return &kernels->attention_f32;
  }
}

NpuKernel *
cpu_kernel_open (NpuDevice *base, const NpuOp *op, GError **error)
{
  const CpuDevice *device = (const CpuDevice *) base;
  CpuKernel *kernel;

  if (!cpu_op_is_supported (op, error))
    return NULL;

  kernel = g_new0 (CpuKernel, 1);
  kernel->base.device = base;
  kernel->base.host_args = NPU_ARG_BIT (NPU_MAX_ARGS) - 1;
  kernel->kernels = &device->host.kernels;
  kernel->attention = attention_of (&device->host.kernels, op);
  kernel->op = npu_op_to_keep (op);

  switch (op->kind) {
    case NPU_OP_LINEAR:
      if (!cpu_linear_open (kernel, op, error)) {
        cpu_kernel_free (&kernel->base);
        return NULL;
      }
      break;
    case NPU_OP_ATTENTION:
      open_attention (kernel);
      break;
    case NPU_OP_LAYERNORM:
      open_layernorm (kernel, op);
      break;
    case NPU_OP_GELU:
      open_gelu (kernel);
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
