/* Programs on packed blocks, by their names: a command for each block, straight
 * from and to the caller's buffers.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "xrt-private.h"

guint
xrt_packed_match (const XrtOverlay *overlay, const NpuOp *op)
{
  return overlay->layout == XRT_LAYOUT_PACKED && op->program &&
         strcmp (overlay->name, op->program) == 0;
}

static gboolean
sync_blocks (const NpuLaunch *launch, guint arg, gsize size,
    NpuSyncDirection direction, GError **error)
{
  return !(launch->sync_args & NPU_ARG_BIT (arg)) ||
         npu_buffer_sync (launch->args[arg], direction,
             launch->offset[arg] + launch->first_tile * size,
             launch->n_tiles * size, error);
}

static gboolean
prepare (const XrtKernel *kernel, XrtRun *run, const NpuLaunch *launch,
    GError **error)
{
  return sync_blocks (launch, NPU_ARG_IN, kernel->program->overlay->in_size,
      NPU_SYNC_TO_DEVICE, error);
}

static guint
count (const XrtKernel *kernel, const NpuLaunch *launch)
{
  return launch->n_tiles;
}

static XrtPart
part (const XrtKernel *kernel, const XrtRun *run, const NpuLaunch *launch,
    guint index, XrtRole role)
{
  const gboolean is_in = role == XRT_ROLE_IN;
  const gsize size = is_in ? kernel->program->overlay->in_size
                           : kernel->program->overlay->out_size;

  return xrt_arg_part (launch, is_in ? NPU_ARG_IN : NPU_ARG_OUT,
      (launch->first_tile + index) * size, size);
}

static gboolean
finish (const XrtKernel *kernel, XrtRun *run, const NpuLaunch *launch,
    GError **error)
{
  return sync_blocks (launch, NPU_ARG_OUT, kernel->program->overlay->out_size,
      NPU_SYNC_FROM_DEVICE, error);
}

gboolean
xrt_packed_open (XrtKernel *kernel, const NpuOp *op, GError **error)
{
  const XrtOverlay *overlay = kernel->program->overlay;

  kernel->prepare = prepare;
  kernel->count = count;
  kernel->part = part;
  kernel->finish = finish;
  kernel->base.arg_size[NPU_ARG_IN] = op->rows * overlay->in_size;
  kernel->base.arg_size[NPU_ARG_OUT] = op->rows * overlay->out_size;
  return TRUE;
}
