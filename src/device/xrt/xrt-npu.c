/* The NPUs that this process has open, each once.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "xrt-private.h"

/* --- opening ------------------------------------------------------------ */

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
        "there is no NPU: XRT finds no device%s%s; on a Ryzen AI machine load its driver (sudo modprobe amdxdna, Linux 6.14 or later) and see whether xrt-smi examine shows it, or use device=cpu",
        cause ? ": " : "", cause ? cause : "");
  return FALSE;
}

static gboolean
open_api (XrtNpu *npu, GError **error)
{
  XrtApiError cause = {0};
  unsigned n = 0;

  if (!xrt_api_count_devices (&n, &cause)) {
    if (cause.code)
      return xrt_error_set (error, XRT_DOING_OPEN, npu->name, &cause);
    return fail_no_device (npu->index, 0, cause.message, error);
  }
  if (npu->index >= n) {
    if (n == 0 && xrt_error_set_forbidden (npu->name, error))
      return FALSE;
    return fail_no_device (npu->index, n, NULL, error);
  }
  npu->api = xrt_api_device_open (npu->index, &cause);
  return npu->api || xrt_error_set (error, XRT_DOING_OPEN, npu->name, &cause);
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
describe (XrtNpu *npu)
{
  g_autofree char *pci_id = NULL;
  char name[64], bdf[32];

  xrt_api_device_name (npu->api, name, sizeof name, bdf, sizeof bdf);
  pci_id = pci_id_of (bdf);
  npu->generation = xrt_generation_of (name, pci_id);
  npu->description = g_strdup_printf (
      "%s at %s", *name ? name : "NPU", *bdf ? bdf : "an unknown address");
}

static void
npu_free (gpointer thing)
{
  XrtNpu *npu = thing;

  xrt_awake_stop (npu);
  g_ptr_array_unref (npu->contexts);
  if (npu->api)
    xrt_api_device_free (npu->api);
  g_cond_clear (&npu->changed);
  g_cond_clear (&npu->keep);
  g_mutex_clear (&npu->lock);
  g_mutex_clear (&npu->objects);
  g_free (npu->name);
  g_free (npu->description);
  g_free (npu);
}

static gpointer
npu_new (gpointer data, NpuCacheEntry *entry, GError **error)
{
  XrtNpu *npu = g_new0 (XrtNpu, 1);

  npu->entry = entry;
  npu->index = *(const guint *) data;
  npu->name = g_strdup_printf ("xrt:%u", npu->index);
  npu->max_resident = G_MAXUINT;
  npu->contexts = g_ptr_array_new ();
  g_mutex_init (&npu->objects);
  g_mutex_init (&npu->lock);
  g_cond_init (&npu->changed);
  g_cond_init (&npu->keep);
  if (!open_api (npu, error)) {
    npu_free (npu);
    return NULL;
  }
  describe (npu);
  return npu;
}

/* --- sharing ------------------------------------------------------------ */

static NpuCache npus;

XrtNpu *
xrt_npu_open (guint index, GError **error)
{
  static const NpuCacheFuncs funcs = {npu_new, npu_free};
  g_autoptr (GBytes) key = g_bytes_new (&index, sizeof index);
  NpuCacheEntry *entry = npu_cache_get (&npus, key, &funcs, &index, error);

  return entry ? npu_cache_entry_get_thing (entry) : NULL;
}

void
xrt_npu_unref (XrtNpu *npu)
{
  npu_cache_entry_unref (npu->entry);
}

void
xrt_npu_forget (XrtNpu *npu)
{
  npu_cache_entry_forget (npu->entry);
}

gboolean
xrt_npu_is_there (void)
{
  XrtApiError cause = {0};
  unsigned n = 0;

  return xrt_api_count_devices (&n, &cause) && n > 0;
}
