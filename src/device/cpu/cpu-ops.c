/* The operations on the CPU: oneDNN's products and the tile kernels, one
 * 64-row output tile at a time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cpu-device.h"

#include <math.h>
#include <string.h>

#define N_TILES(rows) (((rows) + NPU_TILE_ROWS - 1) / NPU_TILE_ROWS)
#define PADDED_ROWS(rows) ((gsize) N_TILES (rows) * NPU_TILE_ROWS)
#define ALIGNED(size) (((size) + 63) & ~(gsize) 63)

/* Levels of int8 weights, and those that never saturate 16 bits when a pair of
 * products is added there. */
#define MAX_WEIGHT 127
#define MAX_WEIGHT_16_BITS 63

static inline guint8 *
arg (const NpuLaunch *launch, guint i)
{
  return launch->args[i]->data + launch->offset[i];
}

static inline guint
rows_of_tile (const NpuLaunch *launch, guint row_tile)
{
  return MIN (launch->rows - row_tile * NPU_TILE_ROWS, NPU_TILE_ROWS);
}

/* --- linear ------------------------------------------------------------ */

/* A worker's scratch while it computes a linear tile. */
typedef struct {
  guint8 *a;   /* [64][k] dense, f32 or q8 with scales */
  guint8 *acc; /* [64][block] */
  float *c;    /* [64][block], or [64][n] where rows are quantised */
  guint8 *onednn;
  gsize size;
} LinearScratch;

static LinearScratch
linear_scratch (const CpuKernel *kernel, guint8 *base)
{
  const NpuOp *op = &kernel->op;
  const gsize block = cpu_gemm_block_columns (kernel->gemm);
  const gsize a_size = op->b_type == NPU_TYPE_Q8
                           ? NPU_Q8_TILE_SIZE (op->k)
                           : NPU_TILE_ROWS * (gsize) op->k * sizeof (float);
  const gsize acc_size = NPU_TILE_ROWS * block * sizeof (float);
  const gsize c_size =
      op->c_type == NPU_TYPE_Q8 && op->c_layout == NPU_LAYOUT_ROWS
          ? NPU_TILE_ROWS * (gsize) op->n * sizeof (float)
          : acc_size;
  LinearScratch scratch;
  gsize offset = 0;

  scratch.a = base + offset;
  offset += ALIGNED (a_size);
  scratch.acc = base + offset;
  offset += ALIGNED (acc_size);
  scratch.c = (float *) (base + offset);
  offset += ALIGNED (c_size);
  scratch.onednn = base + offset;
  offset += ALIGNED (cpu_gemm_scratch_size (kernel->gemm));
  scratch.size = offset;
  return scratch;
}

/* The tile's rows of A, dense: as they are, quantised, or gathered where rows
 * overlap (oneDNN takes no row stride below k). */
static const void *
linear_a (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    guint rows, const LinearScratch *scratch, const float **row_scale)
{
  const NpuOp *op = &kernel->op;
  const float *x;

  if (op->a_type == NPU_TYPE_Q8) {
    const guint8 *a = arg (launch, NPU_ARG_A) + tile * NPU_Q8_TILE_SIZE (op->k);

    *row_scale = (const float *) (a + NPU_Q8_TILE_SCALES (op->k));
    return a;
  }

  x = (const float *) arg (launch, NPU_ARG_A) +
      (gsize) tile * NPU_TILE_ROWS * op->a_stride;
  if (op->b_type == NPU_TYPE_Q8) {
    float *scale = (float *) (scratch->a + NPU_Q8_TILE_SCALES (op->k));

    kernel->kernels->quantize_q8 (
        scratch->a, scale, x, op->a_stride, kernel->signs, rows, op->k);
    *row_scale = scale;
    return scratch->a;
  }
  if (op->b_type == NPU_TYPE_BF16) {
    for (guint i = 0; i < rows; i++)
      kernel->kernels->convert_bf16 ((guint16 *) scratch->a + (gsize) i * op->k,
          x + (gsize) i * op->a_stride, op->k);
    return scratch->a;
  }
  if (op->a_stride == op->k)
    return x;
  for (guint i = 0; i < rows; i++)
    memcpy (scratch->a + (gsize) i * op->k * sizeof (float),
        x + (gsize) i * op->a_stride, op->k * sizeof (float));
  return scratch->a;
}

/* Packs rows as tile number @tile of an attention's argument. */
static void
pack_tile (const NpuAttentionKernel *attention, guint arg, guint8 *data,
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
  pack_tile (((const CpuKernel *) kernel)->attention, arg, data, tile, x,
      stride, rows);
}

/* Columns [first, first + n) of q‖k‖v, n a multiple of 64, to the tiles of
 * their heads. */
static void
store_qkv (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    guint rows, const float *c, guint first, guint n)
{
  const guint heads = kernel->op.heads;
  const guint n_row_tiles = N_TILES (kernel->op.rows);

  for (guint i = 0; i < n / NPU_HEAD_DIM; i++) {
    const guint column_tile = first / NPU_HEAD_DIM + i;
    const guint operand = column_tile / heads; /* 0, 1, 2: q, k, v */

    pack_tile (kernel->attention, NPU_ARG_Q + operand,
        arg (launch, NPU_ARG_QKV_Q + operand),
        (gsize) (column_tile % heads) * n_row_tiles + tile,
        c + i * NPU_HEAD_DIM, n, rows);
  }
}

static void
run_linear (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    CpuWorker *worker)
{
  const NpuOp *op = &kernel->op;
  const NpuKernels *kernels = kernel->kernels;
  const LinearScratch scratch = linear_scratch (kernel, worker->scratch);
  const guint block = cpu_gemm_block_columns (kernel->gemm);
  const guint rows = rows_of_tile (launch, tile);
  const gsize first_row = (gsize) tile * NPU_TILE_ROWS;
  const gboolean in_rows = op->c_layout == NPU_LAYOUT_ROWS;
  const gboolean quantise_rows = in_rows && op->c_type == NPU_TYPE_Q8;
  const float *row_scale = NULL;
  const void *a = linear_a (kernel, launch, tile, rows, &scratch, &row_scale);

  for (guint i = 0; i < op->n / block; i++) {
    const guint first = i * block;
    NpuEpilogue epilogue = {
        .bias = kernel->bias ? kernel->bias + first : NULL,
        .gelu = op->gelu,
    };
    float *c = scratch.c;
    gsize c_stride = block;

    if (in_rows) {
      c_stride = op->n;
      c = quantise_rows
              ? scratch.c + first
              : (float *) arg (launch, NPU_ARG_C) + first_row * op->n + first;
    }
    if (op->residual) {
      epilogue.residual =
          (const float *) arg (launch, NPU_ARG_R) + first_row * op->n + first;
      epilogue.residual_stride = op->n;
    }

    cpu_gemm_run (
        kernel->gemm, worker->gemm, i, a, scratch.acc, scratch.onednn);
    if (op->b_type == NPU_TYPE_Q8)
      kernels->epilogue_s32 (c, c_stride, (const gint32 *) scratch.acc, block,
          row_scale, kernel->weight_scale + first,
          kernel->weight_sum128 + first, &epilogue, rows, block);
    else
      kernels->epilogue_f32 (c, c_stride, (const float *) scratch.acc, block,
          &epilogue, rows, block);
    if (!in_rows)
      store_qkv (kernel, launch, tile, rows, c, first, block);
  }

  if (quantise_rows) {
    guint8 *y = arg (launch, NPU_ARG_C) + tile * NPU_Q8_TILE_SIZE (op->n);

    kernels->quantize_q8 (y, (float *) (y + NPU_Q8_TILE_SCALES (op->n)),
        scratch.c, op->n, kernel->c_signs, rows, op->n);
  }
}

static float *
rotation_signs (guint n)
{
  float *signs = g_new (float, n);

  npu_rotation_signs (signs, (int) n);
  return signs;
}

/* Quantises w[k] to @out, the largest magnitude to @max; returns the scale
 * and the sum of the quantised. */
static float
quantise_weights (gint8 *out, const float *w, guint k, int max, gint32 *sum)
{
  float largest = 0.0f;

  *sum = 0;
  for (guint j = 0; j < k; j++) {
    const float magnitude = fabsf (w[j]);
    largest = magnitude > largest ? magnitude : largest;
  }
  for (guint j = 0; j < k; j++) {
    out[j] =
        (gint8) (largest > 0.0f ? rintf (w[j] / largest * (float) max) : 0.0f);
    *sum += out[j];
  }
  return largest / (float) max;
}

/* Rotates and quantises weight[n][k] by output column and packs it. */
static gboolean
pack_q8_weight (CpuKernel *kernel, const float *weight, int max, GError **error)
{
  const guint n = kernel->op.n, k = kernel->op.k;
  g_autofree gint8 *q = g_malloc ((gsize) n * k);
  g_autofree float *rotated = g_new (float, k);

  kernel->signs = rotation_signs (k);
  kernel->weight_scale = g_new (float, n);
  kernel->weight_sum128 = g_new (gint32, n);
  for (guint i = 0; i < n; i++) {
    gint32 sum;

    for (guint j = 0; j < k; j++)
      rotated[j] = weight[(gsize) i * k + j] * kernel->signs[j];
    npu_rotation_apply (rotated, (int) k);
    kernel->weight_scale[i] =
        quantise_weights (q + (gsize) i * k, rotated, k, max, &sum);
    kernel->weight_sum128[i] = 128 * sum;
  }
  kernel->gemm = cpu_gemm_new_s8 (q, n, k, error);
  return kernel->gemm != NULL;
}

static gboolean
pack_bf16_weight (CpuKernel *kernel, const float *weight, GError **error)
{
  const gsize n = (gsize) kernel->op.n * kernel->op.k;
  g_autofree guint16 *rounded = g_new (guint16, n);

  kernel->kernels->convert_bf16 (rounded, weight, n);
  kernel->gemm = cpu_gemm_new_bf16 (rounded, kernel->op.n, kernel->op.k, error);
  return kernel->gemm != NULL;
}

static gboolean
pack_f32_weight (CpuKernel *kernel, const float *weight, GError **error)
{
  kernel->gemm = cpu_gemm_new_f32 (weight, kernel->op.n, kernel->op.k, error);
  return kernel->gemm != NULL;
}

static float *
copy_floats (const float *x, gsize n)
{
  return x ? g_memdup2 (x, n * sizeof (float)) : NULL;
}

static gboolean
open_linear (
    CpuKernel *kernel, const NpuOp *op, gboolean s8_is_exact, GError **error)
{
  NpuKernel *base = &kernel->base;
  const gsize tiles = N_TILES (op->rows);
  gboolean packed;

  kernel->run_tile = run_linear;
  if (op->b_type == NPU_TYPE_Q8)
    packed = pack_q8_weight (kernel, op->weight,
        s8_is_exact ? MAX_WEIGHT : MAX_WEIGHT_16_BITS, error);
  else if (op->b_type == NPU_TYPE_BF16)
    packed = pack_bf16_weight (kernel, op->weight, error);
  else
    packed = pack_f32_weight (kernel, op->weight, error);
  if (!packed)
    return FALSE;
  kernel->bias = copy_floats (op->bias, op->n);
  if (op->c_type == NPU_TYPE_Q8 && op->c_layout == NPU_LAYOUT_ROWS)
    kernel->c_signs = rotation_signs (op->n);
  kernel->scratch_size = linear_scratch (kernel, NULL).size;

  base->arg_size[NPU_ARG_A] =
      op->a_type == NPU_TYPE_Q8
          ? tiles * NPU_Q8_TILE_SIZE (op->k)
          : ((PADDED_ROWS (op->rows) - 1) * kernel->op.a_stride + op->k) *
                sizeof (float);
  if (op->c_layout == NPU_LAYOUT_QKV_TILES) {
    base->arg_size[NPU_ARG_QKV_Q] =
        op->heads * tiles * kernel->attention->q_tile_size;
    base->arg_size[NPU_ARG_QKV_K] =
        op->heads * tiles * kernel->attention->k_tile_size;
    base->arg_size[NPU_ARG_QKV_V] =
        op->heads * tiles * kernel->attention->v_tile_size;
  } else {
    base->arg_size[NPU_ARG_C] =
        op->c_type == NPU_TYPE_Q8
            ? tiles * NPU_Q8_TILE_SIZE (op->n)
            : PADDED_ROWS (op->rows) * op->n * sizeof (float);
    if (op->residual)
      base->arg_size[NPU_ARG_R] =
          PADDED_ROWS (op->rows) * op->n * sizeof (float);
  }
  return TRUE;
}

/* --- attention --------------------------------------------------------- */

static void
run_attention (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    CpuWorker *worker)
{
  const NpuAttentionKernel *attention = kernel->attention;
  const guint n_row_tiles = N_TILES (launch->rows);
  const guint head = tile / n_row_tiles, row_tile = tile % n_row_tiles;
  const guint kv_rows = launch->kv_rows ? launch->kv_rows : launch->rows;
  const gsize first_q = (gsize) head * N_TILES (kernel->op.rows);
  const gsize first_kv = (gsize) head * N_TILES (kernel->op.kv_rows);
  const gsize o_stride = (gsize) kernel->op.heads * NPU_HEAD_DIM;
  float *o = (float *) arg (launch, NPU_ARG_O) +
             (gsize) row_tile * NPU_TILE_ROWS * o_stride + head * NPU_HEAD_DIM;

  attention->run (o, o_stride,
      arg (launch, NPU_ARG_Q) + (first_q + row_tile) * attention->q_tile_size,
      arg (launch, NPU_ARG_K) + first_kv * attention->k_tile_size,
      arg (launch, NPU_ARG_V) + first_kv * attention->v_tile_size,
      rows_of_tile (launch, row_tile), kv_rows, kernel->op.scale,
      worker->scratch);
}

static void
open_attention (CpuKernel *kernel, const NpuOp *op)
{
  const NpuAttentionKernel *attention = kernel->attention;
  const gsize q_tiles = (gsize) op->heads * N_TILES (op->rows);
  const gsize kv_tiles = (gsize) op->heads * N_TILES (kernel->op.kv_rows);
  NpuKernel *base = &kernel->base;

  kernel->run_tile = run_attention;
  kernel->scratch_size = attention->scratch_size;
  base->arg_size[NPU_ARG_Q] = q_tiles * attention->q_tile_size;
  base->arg_size[NPU_ARG_K] = kv_tiles * attention->k_tile_size;
  base->arg_size[NPU_ARG_V] = kv_tiles * attention->v_tile_size;
  base->arg_size[NPU_ARG_O] =
      PADDED_ROWS (op->rows) * op->heads * NPU_HEAD_DIM * sizeof (float);
}

/* --- layernorm and gelu ------------------------------------------------ */

static void
run_layernorm (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    CpuWorker *worker)
{
  const NpuOp *op = &kernel->op;
  const guint rows = rows_of_tile (launch, tile);
  const gsize first = (gsize) tile * NPU_TILE_ROWS * op->n;
  const float *x = (const float *) arg (launch, NPU_ARG_X) + first;
  guint8 *y = arg (launch, NPU_ARG_Y);

  if (op->c_type == NPU_TYPE_Q8) {
    y += tile * NPU_Q8_TILE_SIZE (op->n);
    kernel->kernels->layernorm_q8 (y,
        (float *) (y + NPU_Q8_TILE_SCALES (op->n)), x, op->n, kernel->gamma,
        kernel->bias, op->epsilon, rows, op->n);
  } else {
    kernel->kernels->layernorm_f32 ((float *) y + first, op->n, x, op->n,
        kernel->gamma, kernel->bias, op->epsilon, rows, op->n);
  }
}

static void
run_gelu (const CpuKernel *kernel, const NpuLaunch *launch, guint tile,
    CpuWorker *worker)
{
  const gsize first = (gsize) tile * NPU_TILE_ROWS * kernel->op.n;

  kernel->kernels->gelu_f32 ((float *) arg (launch, NPU_ARG_Y) + first,
      (const float *) arg (launch, NPU_ARG_X) + first,
      (gsize) rows_of_tile (launch, tile) * kernel->op.n);
}

static void
open_rows (CpuKernel *kernel, const NpuOp *op)
{
  NpuKernel *base = &kernel->base;
  const gsize f32_size = PADDED_ROWS (op->rows) * op->n * sizeof (float);

  kernel->run_tile = op->kind == NPU_OP_GELU ? run_gelu : run_layernorm;
  kernel->gamma = copy_floats (op->weight, op->n);
  kernel->bias = copy_floats (op->bias, op->n);
  if (op->kind == NPU_OP_LAYERNORM && op->c_type == NPU_TYPE_Q8) {
    g_autofree float *signs = rotation_signs (op->n);

    for (guint i = 0; i < op->n; i++) {
      kernel->gamma[i] *= signs[i];
      kernel->bias[i] *= signs[i];
    }
  }
  base->arg_size[NPU_ARG_X] = f32_size;
  base->arg_size[NPU_ARG_Y] =
      op->c_type == NPU_TYPE_Q8 ? N_TILES (op->rows) * NPU_Q8_TILE_SIZE (op->n)
                                : f32_size;
}

/* --- kernels ----------------------------------------------------------- */

static gboolean
is_q8_columns (guint n)
{
  return n > 0 && n % 64 == 0 && n <= NPU_Q8_COLUMNS;
}

/* Whether the types of @op go together on this device. */
static gboolean
op_is_supported (const NpuOp *op, gboolean has_bf16)
{
  switch (op->kind) {
    case NPU_OP_LINEAR:
      if (op->k == 0 || op->n == 0 || !op->weight)
        return FALSE;
      if (op->a_type == NPU_TYPE_Q8 && op->b_type != NPU_TYPE_Q8)
        return FALSE;
      if (op->b_type == NPU_TYPE_Q8 && !is_q8_columns (op->k))
        return FALSE;
      if (op->b_type == NPU_TYPE_BF16 && !has_bf16)
        return FALSE;
      if (op->a_type == NPU_TYPE_Q8 && op->a_stride && op->a_stride != op->k)
        return FALSE;
      if (op->c_layout == NPU_LAYOUT_QKV_TILES)
        return op->n == 3 * op->heads * NPU_HEAD_DIM && !op->residual;
      return op->c_type == NPU_TYPE_F32 ||
             (!op->residual && is_q8_columns (op->n));
    case NPU_OP_ATTENTION:
      return op->heads > 0;
    case NPU_OP_LAYERNORM:
      return op->n > 0 && op->weight && op->bias &&
             op->a_type == NPU_TYPE_F32 &&
             (op->c_type == NPU_TYPE_F32 || is_q8_columns (op->n));
    case NPU_OP_GELU:
      return op->n > 0 && op->a_type == NPU_TYPE_F32 &&
             op->c_type == NPU_TYPE_F32;
    case NPU_OP_PROGRAM:
      return FALSE;
  }
  return FALSE;
}

NpuKernel *
cpu_kernel_open (NpuDevice *base, const NpuOp *op, GError **error)
{
  const CpuDevice *device = (const CpuDevice *) base;
  const NpuType tiles_type =
      op->kind == NPU_OP_ATTENTION ? op->a_type : op->c_type;
  CpuKernel *kernel;

  if (!op_is_supported (op, device->has_bf16)) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
        "the CPU device does not do operation %d with %u columns and types "
        "%d, %d, %d",
        op->kind, op->n, op->a_type, op->b_type, op->c_type);
    return NULL;
  }

  kernel = g_new0 (CpuKernel, 1);
  kernel->base.device = base;
  kernel->base.host_args = NPU_ARG_BIT (NPU_MAX_ARGS) - 1;
  kernel->kernels = &device->kernels;
  kernel->attention = tiles_type == NPU_TYPE_Q8
                          ? &device->kernels.attention_s8
                          : &device->kernels.attention_f32;
  kernel->op = *op;
  kernel->op.weight = kernel->op.bias = NULL;
  if (kernel->op.a_stride == 0)
    kernel->op.a_stride = op->k;
  if (kernel->op.kv_rows == 0)
    kernel->op.kv_rows = op->rows;

  switch (op->kind) {
    case NPU_OP_LINEAR:
      if (!open_linear (kernel, op, device->s8_is_exact, error)) {
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
  g_free (kernel->weight_sum128);
  g_free (kernel->signs);
  g_free (kernel->c_signs);
  g_free (kernel);
}
