/* linear on products of rows: A and C go through the run's staging buffers
 * unless they are the program's types already, and what follows the product
 * is done on the host unless the program does it.
 *
 * A launch is a command for each block of the program's rows and columns,
 * columns of one block of rows after each other.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "device/q8-weights.h"
#include "xrt-private.h"

/* --- choosing ---------------------------------------------------------- */

static gboolean
product_matches (const XrtOverlay *overlay, const NpuLinearOp *op)
{
  if (op->product == NPU_PRODUCT_S8)
    return overlay->a_type == XRT_TYPE_INT8 &&
           op->a_storage != NPU_STORAGE_BF16 && op->k % 64 == 0 &&
           op->k <= NPU_Q8_COLUMNS;
  return op->product == NPU_PRODUCT_BF16 && overlay->a_type == XRT_TYPE_BF16 &&
         op->a_storage != NPU_STORAGE_Q8;
}

/* Whether the program does what begins the operation's epilogue, and nothing
 * else, and all of it where it gives bfloat16. */
static gboolean
epilogue_matches (
    const XrtOverlay *overlay, const NpuLinearOp *op, gboolean has_bias)
{
  const gboolean bias_left = has_bias && !overlay->has_bias;
  const gboolean gelu_left = op->gelu && !overlay->has_gelu;
  const gboolean residual_left = op->residual && !overlay->has_residual;

  if ((overlay->has_gelu && (!op->gelu || bias_left)) ||
      (overlay->has_residual && (!op->residual || bias_left || gelu_left)))
    return FALSE;
  if (overlay->has_residual && overlay->n != op->n)
    return FALSE; /* its rows would have to be those of all columns */
  return overlay->c_type != XRT_TYPE_BF16 ||
         (op->c_storage == NPU_STORAGE_BF16 &&
             op->c_layout == NPU_LAYOUT_ROWS && !bias_left && !gelu_left &&
             !residual_left);
}

static gboolean
layout_matches (const XrtOverlay *overlay, const NpuLinearOp *op)
{
  if (op->c_layout == NPU_LAYOUT_QKV_TILES)
    return op->tiles_for && overlay->n % NPU_HEAD_DIM == 0 &&
           op->n == 3 * op->heads * NPU_HEAD_DIM && !op->residual;
  if (op->c_storage == NPU_STORAGE_Q8)
    return !op->residual && op->n % 64 == 0 && op->n <= NPU_Q8_COLUMNS;
  return TRUE;
}

guint
xrt_linear_match (const XrtOverlay *overlay, const NpuOp *described)
{
  const NpuLinearOp *op = &described->linear;

  if (overlay->op != NPU_OP_LINEAR || overlay->layout != XRT_LAYOUT_ROWS ||
      !described->weight || overlay->k != op->k || op->n % overlay->n != 0 ||
      !product_matches (overlay, op) ||
      !epilogue_matches (overlay, op, described->bias != NULL) ||
      !layout_matches (overlay, op))
    return 0;
  /* What is done on the device counts most, then few commands. */
  return 1 + (overlay->n >> 4) + (overlay->rows >> 6) +
         ((guint) (overlay->has_bias + overlay->has_gelu +
                   overlay->has_residual)
             << 16);
}

/* --- before ------------------------------------------------------------ */

/* Rows that the launch's commands take. */
static gsize
command_rows (const XrtKernel *kernel, const NpuLaunch *launch)
{
  const guint rows = kernel->program->overlay->rows;

  return (gsize) xrt_count_chunks (launch, rows) * rows;
}

/* Bytes of a q8 tile to int8, whose zero is 0. */
static void
recentre (guint8 *y, const guint8 *x, gsize n)
{
  for (gsize i = 0; i < n; i++)
    y[i] = (guint8) (x[i] - NPU_Q8_ZERO);
}

static void
pack_q8_tile (const XrtKernel *kernel, XrtRun *run, const NpuLaunch *launch,
    guint index, guint8 *to)
{
  const NpuLinearOp *op = &kernel->op.linear;
  const guint tile = launch->first_tile + index;
  const guint rows = xrt_tile_rows (launch, tile);
  float *scale = run->row_scale + (gsize) index * NPU_TILE_ROWS;
  const guint8 *a = xrt_arg (launch, NPU_ARG_A);

  if (op->a_storage == NPU_STORAGE_Q8) {
    a += tile * NPU_Q8_TILE_SIZE (op->k);
    memcpy (scale, a + NPU_Q8_TILE_SCALES (op->k), rows * sizeof *scale);
    recentre (to, a, (gsize) rows * op->k);
  } else {
    const float *x =
        (const float *) a + (gsize) tile * NPU_TILE_ROWS * op->a_stride;

    kernel->kernels->quantize_q8 (
        to, scale, x, op->a_stride, kernel->signs, (int) rows, (int) op->k);
    recentre (to, to, (gsize) rows * op->k);
  }
}

static void
pack_bf16_tile (
    const XrtKernel *kernel, const NpuLaunch *launch, guint index, guint8 *to)
{
  const NpuLinearOp *op = &kernel->op.linear;
  const guint tile = launch->first_tile + index;
  const guint rows = xrt_tile_rows (launch, tile);
  const guint8 *a = xrt_arg (launch, NPU_ARG_A);

  for (guint i = 0; i < rows; i++) {
    const gsize first = ((gsize) tile * NPU_TILE_ROWS + i) * op->a_stride;
    guint16 *row = (guint16 *) to + (gsize) i * op->k;

    if (op->a_storage == NPU_STORAGE_BF16)
      memcpy (row, (const guint16 *) a + first, op->k * sizeof *row);
    else
      kernel->kernels->convert_bf16 (row, (const float *) a + first, op->k);
  }
}

/* Packs the launch's rows of A; those that are not there become zeros. */
static gboolean
stage_a (const XrtKernel *kernel, XrtRun *run, const NpuLaunch *launch,
    GError **error)
{
  const gsize row_size =
      kernel->op.linear.k * xrt_type_size (kernel->program->overlay->a_type);
  const gsize size = command_rows (kernel, launch) * row_size;
  const gsize valid = xrt_launch_rows (launch) * row_size;
  const gboolean is_q8 = kernel->op.linear.product == NPU_PRODUCT_S8;

  if (!xrt_run_stage (run, &run->staging_in, size, error))
    return FALSE;
  if (is_q8 && run->n_row_scales < (gsize) launch->n_tiles * NPU_TILE_ROWS) {
    run->n_row_scales = (gsize) launch->n_tiles * NPU_TILE_ROWS;
    run->row_scale = g_renew (float, run->row_scale, run->n_row_scales);
  }
  for (guint i = 0; i < launch->n_tiles; i++) {
    guint8 *to = run->staging_in->data + i * NPU_TILE_ROWS * row_size;

    if (is_q8)
      pack_q8_tile (kernel, run, launch, i, to);
    else
      pack_bf16_tile (kernel, launch, i, to);
  }
  memset (run->staging_in->data + valid, 0, size - valid);
  return npu_buffer_sync (run->staging_in, NPU_SYNC_TO_DEVICE, 0, size, error);
}

static gboolean
stages_in (const XrtKernel *kernel, const NpuLaunch *launch)
{
  return !kernel->a_is_direct ||
         !xrt_chunks_are_whole (launch, kernel->program->overlay->rows);
}

static gboolean
stages_out (const XrtKernel *kernel, const NpuLaunch *launch)
{
  return !kernel->c_is_direct ||
         !xrt_chunks_are_whole (launch, kernel->program->overlay->rows);
}

static gboolean
prepare (const XrtKernel *kernel, XrtRun *run, const NpuLaunch *launch,
    GError **error)
{
  const XrtOverlay *overlay = kernel->program->overlay;
  const gsize c_size = command_rows (kernel, launch) * kernel->op.linear.n *
                       xrt_type_size (overlay->c_type);
  const gsize a_row = kernel->op.linear.k * sizeof (guint16);
  const gsize r_row = kernel->op.linear.n * sizeof (float);

  if (stages_out (kernel, launch) &&
      !xrt_run_stage (run, &run->staging_out, c_size, error))
    return FALSE;
  if (overlay->has_residual && (launch->sync_args & NPU_ARG_BIT (NPU_ARG_R)) &&
      !xrt_sync_rows (launch, NPU_ARG_R, r_row, NPU_SYNC_TO_DEVICE, error))
    return FALSE;
  if (!stages_in (kernel, launch))
    return !(launch->sync_args & NPU_ARG_BIT (NPU_ARG_A)) ||
           xrt_sync_rows (launch, NPU_ARG_A, a_row, NPU_SYNC_TO_DEVICE, error);
  /* The plan takes it for the device's, which wrote it last. */
  if (kernel->a_is_direct && !(launch->sync_args & NPU_ARG_BIT (NPU_ARG_A)) &&
      !xrt_sync_rows (launch, NPU_ARG_A, a_row, NPU_SYNC_FROM_DEVICE, error))
    return FALSE;
  return stage_a (kernel, run, launch, error);
}

/* --- the commands ------------------------------------------------------ */

static guint
n_blocks (const XrtKernel *kernel)
{
  return kernel->op.linear.n / kernel->program->overlay->n;
}

static guint
count (const XrtKernel *kernel, const NpuLaunch *launch)
{
  return xrt_count_chunks (launch, kernel->program->overlay->rows) *
         n_blocks (kernel);
}

static XrtPart
part (const XrtKernel *kernel, const XrtRun *run, const NpuLaunch *launch,
    guint index, XrtRole role)
{
  const XrtOverlay *overlay = kernel->program->overlay;
  const guint chunk = index / n_blocks (kernel);
  const guint block = index % n_blocks (kernel);
  const gsize rows = overlay->rows, n = overlay->n;
  const gsize first_row =
      (gsize) launch->first_tile * NPU_TILE_ROWS + chunk * rows;
  const gsize a_size = rows * overlay->k * xrt_type_size (overlay->a_type);
  const gsize b_size = overlay->k * n * xrt_type_size (overlay->b_type);
  const gsize c_size = rows * n * xrt_type_size (overlay->c_type);

  switch (role) {
    case XRT_ROLE_A:
      if (stages_in (kernel, launch))
        return (XrtPart){run->staging_in, chunk * a_size, a_size};
      return xrt_arg_part (
          launch, NPU_ARG_A, first_row * overlay->k * sizeof (guint16), a_size);
    case XRT_ROLE_B:
      return (XrtPart){kernel->constants, block * b_size, b_size};
    case XRT_ROLE_BIAS:
      return (XrtPart){kernel->constants,
          kernel->bias_offset + block * n * sizeof (float), n * sizeof (float)};
    case XRT_ROLE_R: /* one block of columns: see epilogue_matches() */
      return xrt_arg_part (launch, NPU_ARG_R, first_row * n * sizeof (float),
          rows * n * sizeof (float));
    default:
      if (stages_out (kernel, launch))
        return (XrtPart){run->staging_out, index * c_size, c_size};
      return xrt_arg_part (launch, NPU_ARG_C,
          first_row * n * xrt_type_size (overlay->c_type), c_size);
  }
}

/* --- after ------------------------------------------------------------- */

/* Columns [first, first + n) of q‖k‖v to the tiles of their heads. */
static void
store_qkv (const XrtKernel *kernel, const NpuLaunch *launch, guint tile,
    guint rows, const float *c, guint first, guint n)
{
  const guint heads = kernel->op.linear.heads;

  for (guint i = 0; i < n / NPU_HEAD_DIM; i++) {
    const guint column_tile = first / NPU_HEAD_DIM + i;
    const guint operand = column_tile / heads; /* 0, 1, 2: q, k, v */

    npu_kernel_pack_tile (kernel->op.linear.tiles_for, NPU_ARG_Q + operand,
        xrt_arg (launch, NPU_ARG_QKV_Q + operand),
        (column_tile % heads) * N_TILES (kernel->op.rows) + tile,
        c + i * NPU_HEAD_DIM, n, rows);
  }
}

/* Where the host's part of the epilogue puts a tile's columns from @first. */
static float *
target (const XrtKernel *kernel, const NpuLaunch *launch, guint tile,
    guint first, float *scratch, gsize *stride)
{
  const NpuLinearOp *op = &kernel->op.linear;

  if (op->c_layout == NPU_LAYOUT_QKV_TILES) {
    *stride = kernel->program->overlay->n;
    return scratch;
  }
  *stride = op->n;
  if (op->c_storage != NPU_STORAGE_F32)
    return scratch + first;
  return (float *) xrt_arg (launch, NPU_ARG_C) +
         (gsize) tile * NPU_TILE_ROWS * op->n + first;
}

static void
run_epilogue (const XrtKernel *kernel, const XrtRun *run,
    const NpuLaunch *launch, guint index, guint block, float *c, gsize stride)
{
  const NpuLinearOp *op = &kernel->op.linear;
  const XrtOverlay *overlay = kernel->program->overlay;
  const guint tile = launch->first_tile + index;
  const int rows = (int) xrt_tile_rows (launch, tile), n = (int) overlay->n;
  const guint first = block * overlay->n;
  const guint chunk = index * NPU_TILE_ROWS / overlay->rows;
  const gsize row =
      ((gsize) chunk * n_blocks (kernel) + block) * overlay->rows +
      index * NPU_TILE_ROWS % overlay->rows;
  const guint8 *acc = run->staging_out->data +
                      row * overlay->n * xrt_type_size (overlay->c_type);
  NpuEpilogue epilogue = {
      .bias = kernel->bias ? kernel->bias + first : NULL,
      /* As on the CPU: short for what becomes bytes. */
      .gelu = !kernel->does_gelu ? NPU_GELU_NONE
              : kernel->c_signs  ? NPU_GELU_SHORT
                                 : NPU_GELU_EXACT,
  };

  if (kernel->does_residual) {
    epilogue.residual = (const float *) xrt_arg (launch, NPU_ARG_R) +
                        (gsize) tile * NPU_TILE_ROWS * op->n + first;
    epilogue.residual_stride = op->n;
  }
  if (op->product == NPU_PRODUCT_S8)
    kernel->kernels->epilogue_s32 (c, (ptrdiff_t) stride, (const gint32 *) acc,
        n, run->row_scale + (gsize) index * NPU_TILE_ROWS,
        kernel->weight_scale + first, kernel->zeros, &epilogue, rows, n);
  else
    kernel->kernels->epilogue_f32 (
        c, (ptrdiff_t) stride, (const float *) acc, n, &epilogue, rows, n);
}

/* A tile whose columns are all in the scratch: to C, in its type. */
static void
store_rows (const XrtKernel *kernel, const NpuLaunch *launch, guint tile,
    const float *c)
{
  const NpuLinearOp *op = &kernel->op.linear;
  const guint rows = xrt_tile_rows (launch, tile);
  guint8 *y = xrt_arg (launch, NPU_ARG_C);

  if (op->c_storage == NPU_STORAGE_Q8) {
    y += tile * NPU_Q8_TILE_SIZE (op->n);
    kernel->kernels->quantize_q8 (y, (float *) (y + NPU_Q8_TILE_SCALES (op->n)),
        c, op->n, kernel->c_signs, (int) rows, (int) op->n);
  } else if (op->c_storage == NPU_STORAGE_BF16) {
    kernel->kernels->convert_bf16 (
        (guint16 *) y + (gsize) tile * NPU_TILE_ROWS * op->n, c,
        (gsize) rows * op->n);
  }
}

static void
finish_tile (const XrtKernel *kernel, const XrtRun *run,
    const NpuLaunch *launch, guint index, float *scratch)
{
  const guint n = kernel->program->overlay->n;
  const guint tile = launch->first_tile + index;

  for (guint block = 0; block < n_blocks (kernel); block++) {
    gsize stride;
    float *c = target (kernel, launch, tile, block * n, scratch, &stride);

    run_epilogue (kernel, run, launch, index, block, c, stride);
    if (kernel->op.linear.c_layout == NPU_LAYOUT_QKV_TILES)
      store_qkv (
          kernel, launch, tile, xrt_tile_rows (launch, tile), c, block * n, n);
  }
  if (kernel->op.linear.c_layout == NPU_LAYOUT_ROWS)
    store_rows (kernel, launch, tile, scratch);
}

/* bfloat16 rows of a program that does it all, from the staging buffer. */
static void
copy_rows (const XrtKernel *kernel, const XrtRun *run, const NpuLaunch *launch)
{
  const gsize rows = kernel->program->overlay->rows;
  const gsize n = kernel->program->overlay->n, pitch = kernel->op.linear.n;
  const guint16 *from = (const guint16 *) run->staging_out->data;
  guint16 *to = (guint16 *) xrt_arg (launch, NPU_ARG_C) +
                (gsize) launch->first_tile * NPU_TILE_ROWS * pitch;

  for (gsize row = 0; row < xrt_launch_rows (launch); row++)
    for (gsize block = 0; block < pitch / n; block++)
      memcpy (to + row * pitch + block * n,
          from + ((row / rows * (pitch / n) + block) * rows + row % rows) * n,
          n * sizeof *to);
}

/* Syncs the valid rows of the staging buffer: whole commands, and of the last
 * one the first rows in each block of columns. */
static gboolean
sync_staged (const XrtKernel *kernel, const XrtRun *run,
    const NpuLaunch *launch, GError **error)
{
  const XrtOverlay *overlay = kernel->program->overlay;
  const gsize row_size = overlay->n * xrt_type_size (overlay->c_type);
  const gsize block_size = overlay->rows * row_size;
  const gsize whole =
      (gsize) (xrt_launch_rows (launch) / overlay->rows) * n_blocks (kernel);
  const gsize rest = xrt_launch_rows (launch) % overlay->rows;

  if (!npu_buffer_sync (
          run->staging_out, NPU_SYNC_FROM_DEVICE, 0, whole * block_size, error))
    return FALSE;
  for (guint i = 0; rest > 0 && i < n_blocks (kernel); i++)
    if (!npu_buffer_sync (run->staging_out, NPU_SYNC_FROM_DEVICE,
            (whole + i) * block_size, rest * row_size, error))
      return FALSE;
  return TRUE;
}

static gboolean
finish (const XrtKernel *kernel, XrtRun *run, const NpuLaunch *launch,
    GError **error)
{
  const XrtOverlay *overlay = kernel->program->overlay;
  const gsize c_row = kernel->op.linear.n * xrt_type_size (overlay->c_type);
  const gboolean crosses = (launch->sync_args & NPU_ARG_BIT (NPU_ARG_C)) != 0;

  if (!stages_out (kernel, launch))
    return !crosses || xrt_sync_rows (launch, NPU_ARG_C, c_row,
                           NPU_SYNC_FROM_DEVICE, error);

  if (!sync_staged (kernel, run, launch, error))
    return FALSE;
  if (overlay->c_type == XRT_TYPE_BF16) {
    copy_rows (kernel, run, launch);
  } else {
    float *scratch = (float *) xrt_run_scratch (
        run, NPU_TILE_ROWS * (gsize) kernel->op.linear.n * sizeof (float));

    for (guint i = 0; i < launch->n_tiles; i++)
      finish_tile (kernel, run, launch, i, scratch);
  }
  /* The plan takes it for the device's, which reads it next. */
  return !kernel->c_is_direct || crosses ||
         xrt_sync_rows (launch, NPU_ARG_C, c_row, NPU_SYNC_TO_DEVICE, error);
}

/* --- opening ----------------------------------------------------------- */

/* weight[n][k] of @size bytes an element, by blocks [k][overlay n]. */
static void
transpose (
    guint8 *to, const guint8 *weight, const XrtKernel *kernel, gsize size)
{
  const gsize k = kernel->op.linear.k, n = kernel->program->overlay->n;

  for (gsize column = 0; column < kernel->op.linear.n; column++) {
    guint8 *block = to + column / n * k * n * size;

    for (gsize i = 0; i < k; i++)
      memcpy (block + (i * n + column % n) * size,
          weight + (column * k + i) * size, size);
  }
}

static void
pack_q8 (XrtKernel *kernel, const float *weight)
{
  const guint n = kernel->op.linear.n, k = kernel->op.linear.k;
  g_autofree gint8 *q = g_malloc ((gsize) n * k);
  g_autofree gint32 *sum = g_new (gint32, n);

  kernel->signs = g_new (float, k);
  npu_rotation_signs (kernel->signs, (int) k);
  kernel->weight_scale = g_new (float, n);
  kernel->zeros = g_new0 (gint32, n);
  q8_weights_quantise (q, kernel->weight_scale, sum, weight, n, k);
  transpose (kernel->constants->data, (const guint8 *) q, kernel, 1);
}

static void
pack_bf16 (XrtKernel *kernel, const float *weight)
{
  const gsize n = (gsize) kernel->op.linear.n * kernel->op.linear.k;
  g_autofree guint16 *rounded = g_new (guint16, n);

  kernel->kernels->convert_bf16 (rounded, weight, n);
  transpose (kernel->constants->data, (const guint8 *) rounded, kernel,
      sizeof *rounded);
}

/* Weights, and behind them the bias where the program adds it. */
static gboolean
pack_constants (XrtKernel *kernel, const NpuOp *described, GError **error)
{
  const NpuLinearOp *op = &described->linear;
  const XrtOverlay *overlay = kernel->program->overlay;
  const gsize weights_size =
      (gsize) op->n * op->k * xrt_type_size (overlay->b_type);
  const gsize bias_size = op->n * sizeof (float);

  kernel->bias_offset = (weights_size + 63) & ~(gsize) 63;
  kernel->constants = npu_buffer_new (kernel->base.device,
      kernel->bias_offset + (overlay->has_bias ? bias_size : 0), error);
  if (!kernel->constants)
    return FALSE;
  if (op->product == NPU_PRODUCT_S8)
    pack_q8 (kernel, described->weight);
  else
    pack_bf16 (kernel, described->weight);
  if (overlay->has_bias && described->bias)
    memcpy (kernel->constants->data + kernel->bias_offset, described->bias,
        bias_size);
  return npu_buffer_sync (
      kernel->constants, NPU_SYNC_TO_DEVICE, 0, kernel->constants->size, error);
}

static gsize
rows_size (NpuStorage storage, guint op_rows, gsize rows, gsize columns)
{
  switch (storage) {
    case NPU_STORAGE_Q8:
      return N_TILES (op_rows) * NPU_Q8_TILE_SIZE (columns);
    case NPU_STORAGE_BF16:
      return rows * columns * sizeof (guint16);
    default:
      return rows * columns * sizeof (float);
  }
}

static void
set_args (XrtKernel *kernel)
{
  const NpuLinearOp *op = &kernel->op.linear;
  const guint op_rows = kernel->op.rows;
  const gsize tile_rows = (gsize) N_TILES (op_rows) * NPU_TILE_ROWS;
  const gsize command =
      xrt_padded_rows (op_rows, kernel->program->overlay->rows);
  const gsize a_element =
      op->a_storage == NPU_STORAGE_BF16 ? sizeof (guint16) : sizeof (float);
  gsize *size = kernel->base.arg_size;
  guint *host = &kernel->base.host_args;

  size[NPU_ARG_A] = kernel->a_is_direct
                        ? rows_size (op->a_storage, op_rows, command, op->k)
                    : op->a_storage == NPU_STORAGE_Q8
                        ? rows_size (NPU_STORAGE_Q8, op_rows, 0, op->k)
                        : ((tile_rows - 1) * op->a_stride + op->k) * a_element;
  *host |= kernel->a_is_direct ? 0 : NPU_ARG_BIT (NPU_ARG_A);
  if (op->c_layout == NPU_LAYOUT_QKV_TILES) {
    for (guint i = 0; i < 3; i++)
      size[NPU_ARG_QKV_Q + i] = op->tiles_for->arg_size[NPU_ARG_Q + i];
    *host |= NPU_ARG_BIT (NPU_ARG_QKV_Q) | NPU_ARG_BIT (NPU_ARG_QKV_K) |
             NPU_ARG_BIT (NPU_ARG_QKV_V);
    return;
  }
  size[NPU_ARG_C] = rows_size (
      op->c_storage, op_rows, kernel->c_is_direct ? command : tile_rows, op->n);
  *host |= kernel->c_is_direct ? 0 : NPU_ARG_BIT (NPU_ARG_C);
  if (op->residual) {
    size[NPU_ARG_R] = rows_size (NPU_STORAGE_F32, op_rows,
        kernel->does_residual ? tile_rows : command, op->n);
    *host |= kernel->does_residual ? NPU_ARG_BIT (NPU_ARG_R) : 0;
  }
}

gboolean
xrt_linear_open (XrtKernel *kernel, const NpuOp *described, GError **error)
{
  const NpuLinearOp *op = &kernel->op.linear;
  const XrtOverlay *overlay = kernel->program->overlay;
  const gboolean bias_left = described->bias && !overlay->has_bias;
  const XrtType c_type =
      op->c_storage == NPU_STORAGE_BF16 ? XRT_TYPE_BF16 : XRT_TYPE_F32;

  kernel->prepare = prepare;
  kernel->count = count;
  kernel->part = part;
  kernel->finish = finish;
  kernel->stages_in = stages_in;
  kernel->stages_out = stages_out;
  kernel->does_gelu = op->gelu && !overlay->has_gelu;
  kernel->does_residual = op->residual && !overlay->has_residual;
  if (bias_left)
    kernel->bias = g_memdup2 (described->bias, op->n * sizeof (float));
  if (op->c_storage == NPU_STORAGE_Q8 && op->c_layout == NPU_LAYOUT_ROWS) {
    kernel->c_signs = g_new (float, op->n);
    npu_rotation_signs (kernel->c_signs, (int) op->n);
  }
  kernel->a_is_direct = op->a_storage == NPU_STORAGE_BF16 &&
                        overlay->a_type == XRT_TYPE_BF16 &&
                        op->a_stride == op->k;
  kernel->c_is_direct =
      op->c_layout == NPU_LAYOUT_ROWS && op->c_storage != NPU_STORAGE_Q8 &&
      overlay->c_type == c_type && overlay->n == op->n && !bias_left &&
      !kernel->does_gelu && !kernel->does_residual;
  set_args (kernel);
  return pack_constants (kernel, described, error);
}
