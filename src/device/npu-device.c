/* The verbs of a device: what it is and can do, its buffers, its lists.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-device-impl.h"
#include "npu-device-private.h"

/* --- what a device is --------------------------------------------------- */

const char *
npu_device_get_name (const NpuDevice *device)
{
  return device->name;
}

const char *
npu_device_get_description (const NpuDevice *device)
{
  return device->description;
}

NpuDevice *
npu_device_get_host (NpuDevice *device)
{
  return device->host ? device->host : device;
}

const NpuHost *
npu_host_of (NpuDevice *device)
{
  return npu_device_get_host (device)->tables;
}

guint
npu_device_get_n_workers (const NpuDevice *device)
{
  return device->host ? device->host->n_workers : device->n_workers;
}

NpuDeviceUsage
npu_device_get_usage (NpuDevice *device)
{
  return (NpuDeviceUsage){
      .n_kernels = (guint) npu_device_count (&device->n_kernels, 0),
      .packed_size = npu_device_count (&device->packed_size, 0),
      .buffers_size = npu_device_count (&device->buffers_size, 0),
  };
}

gboolean
npu_device_query (NpuDevice *device, const NpuOp *op, guint depth,
    NpuSupport *support, GError **error)
{
  static const float any[1];
  NpuProduct wanted = NPU_PRODUCT_F32;
  NpuOp asked = *op;

  if (op->kind == NPU_OP_LINEAR || op->kind == NPU_OP_LAYERNORM)
    asked.weight = asked.bias = any;
  if (op->kind == NPU_OP_LINEAR)
    wanted = op->linear.product;
  *support = (NpuSupport){.product = wanted};
  return device->klass->query (device, &asked, depth, support, error);
}

gboolean
npu_device_has_product (NpuDevice *device, NpuProduct product)
{
  const NpuOp op = {.kind = NPU_OP_LINEAR,
      .rows = 64,
      .linear = {.k = 64, .n = 64, .product = product}};
  NpuSupport support;

  return npu_device_query (device, &op, 1, &support, NULL) &&
         support.product == product && support.rate > 1.0;
}

/* --- a device that goes ------------------------------------------------- */

gboolean
npu_device_fail (NpuDevice *device, GError *cause, GError **error)
{
  if (g_error_matches (cause, NPU_ERROR, NPU_ERROR_LOST))
    npu_device_forget (device);
  if (cause)
    g_propagate_error (error, cause);
  return FALSE;
}

/* --- buffers ------------------------------------------------------------ */

NpuBuffer *
npu_buffer_new (NpuDevice *device, gsize size, GError **error)
{
  GError *cause = NULL;
  NpuBuffer *buffer = device->klass->buffer_new (device, size, &cause);

  if (buffer)
    npu_device_count (&device->buffers_size, (gssize) buffer->size);
  else
    npu_device_fail (device, cause, error);
  return buffer;
}

void
npu_buffer_free (NpuBuffer *buffer)
{
  if (!buffer)
    return;
  npu_device_count (&buffer->device->buffers_size, -(gssize) buffer->size);
  buffer->device->klass->buffer_free (buffer);
}

gboolean
npu_buffer_sync (NpuBuffer *buffer, NpuSyncDirection direction, gsize offset,
    gsize size, GError **error)
{
  GError *cause = NULL;

  if (offset > buffer->size || size > buffer->size - offset) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "%" G_GSIZE_FORMAT " bytes from byte %" G_GSIZE_FORMAT
        " are not in a buffer of %" G_GSIZE_FORMAT,
        size, offset, buffer->size);
    return FALSE;
  }
  return buffer->device->klass->buffer_sync (
             buffer, direction, offset, size, &cause) ||
         npu_device_fail (buffer->device, cause, error);
}

/* --- lists -------------------------------------------------------------- */

gboolean
npu_device_run_list (NpuDevice *device, const NpuCommand *commands,
    guint n_commands, guint64 timeout, const gint *cancelled, GError **error)
{
  NpuDevice *host = npu_device_get_host (device);

  if (!host->klass->run_list) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
        "device '%s' runs no lists of commands", device->name);
    return FALSE;
  }
  return host->klass->run_list (
      host, commands, n_commands, timeout, cancelled, error);
}
