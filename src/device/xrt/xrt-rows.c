/* layernorm and gelu on rows: straight from and to the caller's buffers where a
 * launch has whole commands, else through the run's own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "xrt-private.h"

/* What the programs have built in. */
#define EPSILON 1e-5f

static guint
match (const XrtOverlay *overlay, NpuOpKind kind, guint n, NpuStorage written)
{
  if (overlay->op != kind || overlay->layout != XRT_LAYOUT_ROWS ||
      overlay->n != n || written != NPU_STORAGE_BF16)
    return 0;
  return 1 + overlay->rows / NPU_TILE_ROWS;
}

guint
xrt_layernorm_match (const XrtOverlay *overlay, const NpuOp *described)
{
  const NpuLayerNormOp *op = &described->layernorm;

  if (!described->weight || !described->bias ||
      fabsf (op->epsilon - EPSILON) > EPSILON * 1e-3f)
    return 0;
  return match (overlay, NPU_OP_LAYERNORM, op->n, op->y_storage);
}

guint
xrt_gelu_match (const XrtOverlay *overlay, const NpuOp *op)
{
  return match (overlay, NPU_OP_GELU, op->gelu.n, op->gelu.storage);
}

static gsize
x_row (const XrtKernel *kernel)
{
  const XrtOverlay *overlay = kernel->program->overlay;

  return overlay->n * xrt_type_size (overlay->a_type);
}

static gsize
y_row (const XrtKernel *kernel)
{
  const XrtOverlay *overlay = kernel->program->overlay;

  return overlay->n * xrt_type_size (overlay->c_type);
}

static guint
count (const XrtKernel *kernel, const NpuLaunch *launch)
{
  return xrt_count_chunks (launch, kernel->program->overlay->rows);
}

static gboolean
stage (const XrtKernel *kernel, XrtRun *run, const NpuLaunch *launch,
    GError **error)
{
  const gsize rows =
      (gsize) count (kernel, launch) * kernel->program->overlay->rows;
  const gsize valid = xrt_launch_rows (launch) * x_row (kernel);

  if (!xrt_run_stage (run, &run->staging_in, rows * x_row (kernel), error) ||
      !xrt_run_stage (run, &run->staging_out, rows * y_row (kernel), error))
    return FALSE;
  memcpy (run->staging_in->data,
      xrt_arg (launch, NPU_ARG_X) +
          (gsize) launch->first_tile * NPU_TILE_ROWS * x_row (kernel),
      valid);
  memset (run->staging_in->data + valid, 0, rows * x_row (kernel) - valid);
  return npu_buffer_sync (
      run->staging_in, NPU_SYNC_TO_DEVICE, 0, rows * x_row (kernel), error);
}

/* Both ways. */
static gboolean
stages (const XrtKernel *kernel, const NpuLaunch *launch)
{
  return !xrt_chunks_are_whole (launch, kernel->program->overlay->rows);
}

static gboolean
prepare (const XrtKernel *kernel, XrtRun *run, const NpuLaunch *launch,
    GError **error)
{
  const gboolean crosses = (launch->sync_args & NPU_ARG_BIT (NPU_ARG_X)) != 0;

  if (!stages (kernel, launch))
    return !crosses || xrt_sync_rows (launch, NPU_ARG_X, x_row (kernel),
                           NPU_SYNC_TO_DEVICE, error);
  /* Where the device wrote it last, the host must see it to copy it. */
  return (crosses || xrt_sync_rows (launch, NPU_ARG_X, x_row (kernel),
                         NPU_SYNC_FROM_DEVICE, error)) &&
         stage (kernel, run, launch, error);
}

static XrtPart
part (const XrtKernel *kernel, const XrtRun *run, const NpuLaunch *launch,
    guint index, XrtRole role)
{
  const gsize rows = kernel->program->overlay->rows;
  const gsize first = (gsize) launch->first_tile * NPU_TILE_ROWS + index * rows;
  const gsize x = x_row (kernel), y = y_row (kernel);

  if (role == XRT_ROLE_G)
    return (XrtPart){kernel->constants, 0, kernel->constants->size};
  if (role == XRT_ROLE_X)
    return stages (kernel, launch)
               ? (XrtPart){run->staging_in, index * rows * x, rows * x}
               : xrt_arg_part (launch, NPU_ARG_X, first * x, rows * x);
  return stages (kernel, launch)
             ? (XrtPart){run->staging_out, index * rows * y, rows * y}
             : xrt_arg_part (launch, NPU_ARG_Y, first * y, rows * y);
}

static gboolean
finish (const XrtKernel *kernel, XrtRun *run, const NpuLaunch *launch,
    GError **error)
{
  const gboolean crosses = (launch->sync_args & NPU_ARG_BIT (NPU_ARG_Y)) != 0;
  const gsize size = xrt_launch_rows (launch) * y_row (kernel);

  if (!stages (kernel, launch))
    return !crosses || xrt_sync_rows (launch, NPU_ARG_Y, y_row (kernel),
                           NPU_SYNC_FROM_DEVICE, error);
  if (!npu_buffer_sync (run->staging_out, NPU_SYNC_FROM_DEVICE, 0, size, error))
    return FALSE;
  memcpy (xrt_arg (launch, NPU_ARG_Y) +
              (gsize) launch->first_tile * NPU_TILE_ROWS * y_row (kernel),
      run->staging_out->data, size);
  return crosses || xrt_sync_rows (launch, NPU_ARG_Y, y_row (kernel),
                        NPU_SYNC_TO_DEVICE, error);
}

static void
open_rows (XrtKernel *kernel)
{
  const gsize rows =
      xrt_padded_rows (kernel->op.rows, kernel->program->overlay->rows);

  kernel->prepare = prepare;
  kernel->count = count;
  kernel->part = part;
  kernel->finish = finish;
  kernel->stages_in = kernel->stages_out = stages;
  kernel->base.arg_size[NPU_ARG_X] = rows * x_row (kernel);
  kernel->base.arg_size[NPU_ARG_Y] = rows * y_row (kernel);
}

gboolean
xrt_gelu_open (XrtKernel *kernel, const NpuOp *op, GError **error)
{
  open_rows (kernel);
  return TRUE;
}

gboolean
xrt_layernorm_open (XrtKernel *kernel, const NpuOp *op, GError **error)
{
  const gsize size = op->layernorm.n * sizeof (float);

  open_rows (kernel);
  kernel->constants = npu_buffer_new (kernel->base.device, 2 * size, error);
  if (!kernel->constants)
    return FALSE;
  memcpy (kernel->constants->data, op->weight, size);
  memcpy (kernel->constants->data + size, op->bias, size);
  return npu_buffer_sync (
      kernel->constants, NPU_SYNC_TO_DEVICE, 0, 2 * size, error);
}
