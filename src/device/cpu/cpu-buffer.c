/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "cpu-device.h"

typedef struct {
  NpuBuffer base;
  gpointer memory;
} CpuBuffer;

/* Not cleared here but by calloc(), which has no need to touch what is fresh
 * from the kernel: memory that no window reaches stays out of the process. */
NpuBuffer *
cpu_buffer_new (NpuDevice *device, gsize size, GError **error)
{
  CpuBuffer *buffer;
  const gsize alignment = 64;
  guint8 *memory =
      size <= G_MAXSIZE - alignment ? calloc (1, size + alignment) : NULL;

  if (!memory) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
        "no memory for a buffer of %" G_GSIZE_FORMAT " bytes", size);
    return NULL;
  }
  buffer = g_new0 (CpuBuffer, 1);
  buffer->memory = memory;
  buffer->base.device = device;
  buffer->base.data =
      memory + (alignment - GPOINTER_TO_SIZE (memory) % alignment);
  buffer->base.size = size;
  return &buffer->base;
}

void
cpu_buffer_free (NpuBuffer *base)
{
  CpuBuffer *buffer = (CpuBuffer *) base;

  free (buffer->memory);
  g_free (buffer);
}

gboolean
cpu_buffer_sync (NpuBuffer *buffer, NpuSyncDirection direction, gsize offset,
    gsize size, GError **error)
{
  return TRUE; /* host and device are one */
}
