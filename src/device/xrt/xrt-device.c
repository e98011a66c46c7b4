/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "xrt-private.h"

/* What launches wait for each other before anybody told a timeout. */
#define DEFAULT_TIMEOUT ((guint64) 10000000000)

#define MAX_INDEX 255

static void
xrt_device_free (NpuDevice *base)
{
  XrtDevice *device = (XrtDevice *) base;

  xrt_siblings_remove (device);
  xrt_awake_stop (device);
  xrt_contexts_close (device);
  xrt_overlays_free (device->overlays);
  if (device->api)
    xrt_api_device_free (device->api);
  npu_device_free (base->host);
  g_cond_clear (&device->changed);
  g_cond_clear (&device->keep);
  g_mutex_clear (&device->lock);
  g_mutex_clear (&device->objects);
  g_free (base->name);
  g_free (base->description);
  g_free (base->note);
  g_free (device);
}

static const NpuDeviceClass xrt_device_class = {
    .free = xrt_device_free,
    .batch_for = xrt_batch_for,
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
    .wait = xrt_run_wait,
    .is_done = xrt_run_is_done,
};

/* --- opening ----------------------------------------------------------- */

static gboolean
fail_no_device (guint index, guint n, const char *cause, GError **error)
{
  if (n == 1)
    g_set_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND,
        "there is no device xrt:%u: the only NPU is xrt:0", index);
  else if (n > 1)
    g_set_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND,
        "there is no device xrt:%u: the NPUs are xrt:0 to xrt:%u", index,
        n - 1);
  else
    g_set_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND,
        "there is no NPU: XRT finds no device%s%s; on a Ryzen AI machine load "
        "its driver (sudo modprobe amdxdna, Linux 6.14 or later) and see "
        "whether xrt-smi examine shows it, or use device=cpu",
        cause ? ": " : "", cause ? cause : "");
  return FALSE;
}

static gboolean
open_api (XrtDevice *device, GError **error)
{
  XrtApiError cause = {0};
  unsigned n = 0;

  if (!xrt_api_count_devices (&n, &cause)) {
    if (cause.code)
      return xrt_error_set (error, XRT_DOING_OPEN, device->base.name, &cause);
    return fail_no_device (device->index, 0, cause.message, error);
  }
  if (device->index >= n) {
    if (n == 0 && xrt_error_set_forbidden (device->base.name, error))
      return FALSE;
    return fail_no_device (device->index, n, NULL, error);
  }
  device->api = xrt_api_device_open (device->index, &cause);
  return device->api ||
         xrt_error_set (error, XRT_DOING_OPEN, device->base.name, &cause);
}

/* The PCI device id of what is at this address; "" where it is not told. */
static char *
pci_id_of (const char *bdf)
{
  g_autofree char *path =
      g_strdup_printf ("/sys/bus/pci/devices/%s/device", bdf);
  char *id = NULL;

  if (!*bdf || strchr (bdf, '/') ||
      !g_file_get_contents (path, &id, NULL, NULL))
    return g_strdup ("");
  return g_strstrip (id);
}

static void
describe (XrtDevice *device)
{
  g_autofree char *pci_id = NULL;
  char name[64], bdf[32];

  xrt_api_device_name (device->api, name, sizeof name, bdf, sizeof bdf);
  pci_id = pci_id_of (bdf);
  device->generation = xrt_generation_of (name, pci_id);
  device->base.description = g_strdup_printf (
      "%s (%s at %s, %u overlays; what has none: %s)", device->base.name,
      *name ? name : "NPU", *bdf ? bdf : "an unknown address",
      device->overlays->list->len, device->base.host->description);
}

gboolean
xrt_device_is_there (void)
{
  XrtApiError cause = {0};
  unsigned n = 0;

  return xrt_api_count_devices (&n, &cause) && n > 0;
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
        "device %s needs the property 'overlays': the directory of the "
        "NPU's compiled programs, with an " XRT_OVERLAYS_FILE,
        name);
    return NULL;
  }
  device = g_new0 (XrtDevice, 1);
  device->base.klass = &xrt_device_class;
  device->base.name = g_strdup_printf ("xrt:%u", (guint) index);
  device->index = (guint) index;
  device->timeout = DEFAULT_TIMEOUT;
  g_mutex_init (&device->objects);
  g_mutex_init (&device->lock);
  g_cond_init (&device->changed);
  g_cond_init (&device->keep);
  device->keep_awake = options->keep_awake;

  device->base.host = cpu_device_open (options, error);
  device->cpu = (CpuDevice *) device->base.host;
  if (!device->cpu || !open_api (device, error) ||
      !(device->overlays = xrt_overlays_read (options->overlays, error))) {
    xrt_device_free (&device->base);
    return NULL;
  }
  describe (device);
  if (!xrt_contexts_open (device, error) || !xrt_awake_start (device, error)) {
    xrt_device_free (&device->base);
    return NULL;
  }
  xrt_siblings_add (device);
  return &device->base;
}
