/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu-device.h"

/* From here on the kernel's own fresh pages: memory that no window reaches
 * stays out of the process. calloc() gives what was freed before again, and
 * clears it. A sanitizer is to see every byte. */
#if defined(__SANITIZE_ADDRESS__)
#define MAPPED_SIZE G_MAXSIZE
#else
#define MAPPED_SIZE ((gsize) 256 << 10)
#endif

static guint8 *
memory_new (gsize size)
{
  void *memory = NULL;

  if (size >= MAPPED_SIZE) {
    memory = mmap (
        NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
  }
  if (posix_memalign (&memory, 64, MAX (size, 64)))
    return NULL;
  return memset (memory, 0, size);
}

NpuBuffer *
cpu_buffer_new (NpuDevice *device, gsize size, GError **error)
{
  guint8 *memory = memory_new (size);
  NpuBuffer *buffer;

  if (!memory) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
        "no memory for a buffer of %" G_GSIZE_FORMAT " bytes", size);
    return NULL;
  }
  buffer = g_new0 (NpuBuffer, 1);
  buffer->device = device;
  buffer->data = memory;
  buffer->size = size;
  return buffer;
}

void
cpu_buffer_free (NpuBuffer *buffer)
{
  if (buffer->size >= MAPPED_SIZE)
    munmap (buffer->data, buffer->size);
  else
    free (buffer->data);
  g_free (buffer);
}

gboolean
cpu_buffer_sync (NpuBuffer *buffer, NpuSyncDirection direction, gsize offset,
    gsize size, GError **error)
{
  return TRUE; /* host and device are one */
}
