/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "xrt-private.h"

NpuBuffer *
xrt_buffer_new (NpuDevice *base, gsize size, GError **error)
{
  XrtDevice *device = (XrtDevice *) base;
  XrtBuffer *buffer = g_new0 (XrtBuffer, 1);
  XrtApiError cause;
  void *data = NULL;

  /* Whole words: what the device's DMA moves. */
  size = (MAX (size, 1) + 63) & ~(gsize) 63;
  buffer->bo =
      xrt_api_bo_new (device->npu->api, size, device->group, &data, &cause);
  if (!buffer->bo) {
    xrt_error_set (error, XRT_DOING_BUFFER, base->name, &cause);
    g_free (buffer);
    return NULL;
  }
  buffer->base.device = base;
  buffer->base.data = data;
  buffer->base.size = size;
  memset (data, 0, size);
  if (!xrt_buffer_sync (&buffer->base, NPU_SYNC_TO_DEVICE, 0, size, error)) {
    xrt_buffer_free (&buffer->base);
    return NULL;
  }
  return &buffer->base;
}

void
xrt_buffer_free (NpuBuffer *base)
{
  XrtBuffer *buffer = (XrtBuffer *) base;

  xrt_api_bo_free (buffer->bo);
  g_free (buffer);
}

gboolean
xrt_buffer_sync (NpuBuffer *base, NpuSyncDirection direction, gsize offset,
    gsize size, GError **error)
{
  XrtBuffer *buffer = (XrtBuffer *) base;
  XrtApiError cause;

  if (size == 0)
    return TRUE;
  return xrt_api_bo_sync (buffer->bo, direction == NPU_SYNC_TO_DEVICE, offset,
             size, &cause) ||
         xrt_error_set (error, XRT_DOING_LAUNCH, base->device->name, &cause);
}

gboolean
xrt_sync_rows (const NpuLaunch *launch, guint arg, gsize row_size,
    NpuSyncDirection direction, GError **error)
{
  const gsize first = (gsize) launch->first_tile * NPU_TILE_ROWS * row_size;

  return npu_buffer_sync (launch->args[arg], direction,
      launch->offset[arg] + first, xrt_launch_rows (launch) * row_size, error);
}
