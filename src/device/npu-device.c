/* The verbs of a device: argument checks, then the device's own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-device.h"

#include <string.h>

#include "cpu/cpu-device.h"
#include "npu-device-kinds.h"
#ifdef HAVE_XRT
#include "xrt/xrt-device.h"
#endif

/* --- opening ----------------------------------------------------------- */

#ifdef HAVE_XRT
#define XRT_OPEN xrt_device_open
#else
static NpuDevice *
no_xrt (const char *name, const NpuDeviceOptions *options, GError **error)
{
  g_set_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND,
      "device '%s' cannot be opened: this build has no XRT support; "
      "use device=cpu, or device=auto which takes what there is",
      name);
  return NULL;
}

#define XRT_OPEN no_xrt
#endif

static NpuDeviceOpenFunc xrt_open = XRT_OPEN;

void
npu_device_replace_xrt (NpuDeviceOpenFunc open)
{
  xrt_open = open ? open : XRT_OPEN;
}

/* That there is no NPU is no news; that its overlays are not there is. */
static gboolean
is_news (const GError *refused)
{
  if (!g_error_matches (refused, NPU_ERROR, NPU_ERROR_NOT_FOUND))
    return TRUE;
#ifdef HAVE_XRT
  return xrt_open == xrt_device_open && xrt_device_is_there ();
#else
  return FALSE;
#endif
}

static NpuDevice *
open_best (const NpuDeviceOptions *options, GError **error)
{
  g_autoptr (GError) refused = NULL;
  NpuDevice *device;

  if (options->overlays) {
    device = xrt_open ("xrt", options, &refused);
    if (device)
      return device;
  }
  device = cpu_device_open (options, error);
  if (device && refused && !g_file_test (options->overlays, G_FILE_TEST_IS_DIR))
    device->note = g_strdup_printf (
        "There is no folder of overlays '%s', so that no NPU was looked for",
        options->overlays);
  else if (device && refused && is_news (refused))
    device->note = g_strdup (refused->message);
  else if (device && refused)
    g_info ("device=auto takes the CPU: %s", refused->message);
  return device;
}

NpuDevice *
npu_device_open (
    const char *name, const NpuDeviceOptions *options, GError **error)
{
  static const NpuDeviceOptions defaults = {0};

  if (!options)
    options = &defaults;
  if (strcmp (name, "auto") == 0)
    return open_best (options, error);
  if (strcmp (name, "cpu") == 0)
    return cpu_device_open (options, error);
  if (strcmp (name, "xrt") == 0 || g_str_has_prefix (name, "xrt:"))
    return xrt_open (name, options, error);

  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "device '%s' is not known; it must be auto, cpu, xrt or xrt:N", name);
  return NULL;
}

/* --- verbs ------------------------------------------------------------- */

void
npu_device_free (NpuDevice *device)
{
  if (device)
    device->klass->free (device);
}

guint
npu_device_batch_for (NpuDevice *device, const NpuOp *op, guint depth)
{
  return device->klass->batch_for (device, op, depth);
}

NpuBuffer *
npu_buffer_new (NpuDevice *device, gsize size, GError **error)
{
  return device->klass->buffer_new (device, size, error);
}

void
npu_buffer_free (NpuBuffer *buffer)
{
  if (buffer)
    buffer->device->klass->buffer_free (buffer);
}

gboolean
npu_buffer_sync (NpuBuffer *buffer, NpuSyncDirection direction, gsize offset,
    gsize size, GError **error)
{
  g_return_val_if_fail (
      offset <= buffer->size && size <= buffer->size - offset, FALSE);
  return buffer->device->klass->buffer_sync (
      buffer, direction, offset, size, error);
}

NpuKernel *
npu_kernel_open (NpuDevice *device, const NpuOp *op, GError **error)
{
  g_return_val_if_fail (op->rows > 0, NULL);
  return device->klass->kernel_open (device, op, error);
}

void
npu_kernel_free (NpuKernel *kernel)
{
  if (kernel)
    kernel->device->klass->kernel_free (kernel);
}

void
npu_kernel_pack_tile (const NpuKernel *kernel, guint arg, guint8 *data,
    guint tile, const float *x, gsize stride, guint rows)
{
  g_return_if_fail (arg <= NPU_ARG_V && rows >= 1 && rows <= 64);
  kernel->device->klass->pack_tile (kernel, arg, data, tile, x, stride, rows);
}

NpuRun *
npu_run_new (NpuDevice *device, GError **error)
{
  return device->klass->run_new (device, error);
}

void
npu_run_free (NpuRun *run)
{
  if (run)
    run->device->klass->run_free (run);
}

/* A launch beyond its buffers would write over other memory. */
static gboolean
launch_fits (const NpuLaunch *launch, GError **error)
{
  const NpuKernel *kernel = launch->kernel;

  for (guint i = 0; i < NPU_MAX_ARGS; i++) {
    const NpuBuffer *buffer = launch->args[i];
    const gsize size = kernel->arg_size[i], offset = launch->offset[i];

    if (size == 0 ||
        (buffer && offset <= buffer->size && size <= buffer->size - offset))
      continue;
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "argument %u of a launch needs %" G_GSIZE_FORMAT
        " bytes from byte %" G_GSIZE_FORMAT " of a buffer of %" G_GSIZE_FORMAT,
        i, size, offset, buffer ? buffer->size : 0);
    return FALSE;
  }
  return TRUE;
}

gboolean
npu_device_has_host_work (NpuDevice *device)
{
  return device->klass->prepare != NULL;
}

gboolean
npu_run_prepare (NpuRun *run, const NpuLaunch *launch, GError **error)
{
  return !run->device->klass->prepare ||
         (launch_fits (launch, error) &&
             run->device->klass->prepare (run, launch, error));
}

gboolean
npu_run_finish (NpuRun *run, const NpuLaunch *launch, GError **error)
{
  return !run->device->klass->finish ||
         run->device->klass->finish (run, launch, error);
}

gboolean
npu_run_submit (NpuRun *run, const NpuLaunch *launch, GError **error)
{
  g_return_val_if_fail (launch->n_tiles > 0, FALSE);
  return launch_fits (launch, error) &&
         run->device->klass->submit (run, launch, error);
}

gboolean
npu_run_wait (NpuRun *run, guint64 timeout, NpuRunTimes *times, GError **error)
{
  return run->device->klass->wait (run, timeout, times, error);
}

gboolean
npu_run_is_done (NpuRun *run)
{
  return run->device->klass->is_done (run);
}

gboolean
npu_device_run_list (NpuDevice *device, const NpuCommand *commands,
    guint n_commands, guint64 timeout, const gint *cancelled, GError **error)
{
  NpuDevice *host = device->host ? device->host : device;

  if (!host->klass->run_list) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
        "device '%s' runs no lists of commands", device->name);
    return FALSE;
  }
  return host->klass->run_list (
      host, commands, n_commands, timeout, cancelled, error);
}
