/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "xrt-private.h"

#define MAX_INDEX 255

static void
xrt_device_free (NpuDevice *base)
{
  XrtDevice *device = (XrtDevice *) base;

  if (device->npu) {
    xrt_contexts_close (device);
    xrt_npu_unref (device->npu);
  }
  xrt_overlays_free (device->overlays);
  npu_device_unref (base->host);
  g_free (base->name);
  g_free (base->description);
  g_free (device);
}

/* What is left of its contexts would be in the way of who opens it again. */
static void
xrt_device_forget (NpuDevice *base)
{
  XrtDevice *device = (XrtDevice *) base;

  xrt_npu_forget (device->npu);
  xrt_contexts_drop_idle (device->npu);
}

static const NpuDeviceClass xrt_device_class = {
    .free = xrt_device_free,
    .query = xrt_query,
    .forget = xrt_device_forget,
    .buffer_new = xrt_buffer_new,
    .buffer_free = xrt_buffer_free,
    .buffer_sync = xrt_buffer_sync,
    .kernel_open = xrt_kernel_open,
    .kernel_free = xrt_kernel_free,
    .pack_tile = xrt_attention_pack_tile,
    .run_new = xrt_run_new,
    .run_free = xrt_run_free,
    .prepare = xrt_run_prepare,
    .finish = xrt_run_finish,
    .submit = xrt_run_submit,
    .count_joined = xrt_run_count_joined,
    .submit_list = xrt_run_submit_list,
    .wait = xrt_run_wait,
    .is_done = xrt_run_is_done,
};

/* --- opening ----------------------------------------------------------- */

/* For what has no overlay: the CPU that others use too. */
static NpuDevice *
open_host (const NpuDeviceOptions *options, GError **error)
{
  NpuDeviceOptions cpu = *options;

  cpu.note = NULL;
  return npu_device_open ("cpu", &cpu, error);
}

static gboolean
open_parts (XrtDevice *device, guint index, const NpuDeviceOptions *options,
    GError **error)
{
  device->base.host = open_host (options, error);
  device->cpu = (CpuDevice *) device->base.host;
  if (!device->cpu || !(device->npu = xrt_npu_open (index, error)) ||
      !(device->overlays = xrt_overlays_read (options->overlays, error)))
    return FALSE;
  device->base.name = g_strdup (device->npu->name);
  device->base.description = g_strdup_printf (
      "%s (%s, %u overlays; what has none: %s)", device->npu->name,
      device->npu->description, device->overlays->list->len,
      npu_device_get_description (device->base.host));
  return xrt_contexts_open (device, error) &&
         (!device->keep_awake || xrt_awake_start (device->npu, error));
}

NpuDevice *
xrt_device_open (
    const char *name, const NpuDeviceOptions *options, GError **error)
{
  guint64 index = 0;
  XrtDevice *device;

  if (strcmp (name, "xrt") != 0 &&
      !g_ascii_string_to_unsigned (
          name + strlen ("xrt:"), 10, 0, MAX_INDEX, &index, NULL)) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "device '%s' is not known; it must be auto, cpu, xrt or xrt:N", name);
    return NULL;
  }
  if (!options->overlays) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "device %s needs the property 'overlays': the directory of the NPU's compiled programs, with an " XRT_OVERLAYS_FILE,
        name);
    return NULL;
  }
  device = g_new0 (XrtDevice, 1);
  device->base.klass = &xrt_device_class;
  device->keep_awake = options->keep_awake;
  if (!open_parts (device, (guint) index, options, error)) {
    xrt_device_free (&device->base);
    return NULL;
  }
  return &device->base;
}

gboolean
xrt_device_is_there (void)
{
  return xrt_npu_is_there ();
}
