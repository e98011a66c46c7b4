/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device-registry.h"

#include <string.h>
#include <sys/stat.h>

#include "cpu/cpu-count.h"
#include "cpu/cpu-device.h"
#include "npu-device-impl.h"
#ifdef HAVE_XRT
#include "xrt/xrt-device.h"
#endif

/* --- xrt or none -------------------------------------------------------- */

#ifdef HAVE_XRT
#define XRT_OPEN xrt_device_open
#else
static NpuDevice *
no_xrt (const char *name, const NpuDeviceOptions *options, GError **error)
{
  g_set_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND,
      "device '%s' cannot be opened: this build has no XRT support; use device=cpu, or device=auto which takes what there is",
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

/* --- what makes two devices the same ------------------------------------ */

static gboolean
is_for_one (const NpuDeviceOptions *options)
{
  return options->latency || options->tile_observer;
}

/* Of the CPU that is the device, or beside it. */
static void
add_cpu (GString *key, const NpuDeviceOptions *options)
{
  g_autofree char *cpus = cpu_affinity_to_string ();

  g_string_append_printf (key, "cpu\n%s\n%u\n%s\n%s\n",
      options->pool ? options->pool : "", cpu_device_n_workers (options), cpus,
      cpu_device_level ());
}

static int
compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

static gboolean
is_of_overlays (const char *name)
{
  return g_str_has_suffix (name, ".ini") ||
         g_str_has_suffix (name, ".xclbin") ||
         g_str_has_suffix (name, ".bin") || g_str_has_suffix (name, ".txt");
}

/* What is in the folder, as it is: a file that was written to is another. */
static void
add_overlays (GString *key, const char *folder)
{
  g_autofree char *path = g_canonicalize_filename (folder, NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  g_autoptr (GPtrArray) files = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *file = g_build_filename (path, name, NULL);
    struct stat status = {0};

    if (is_of_overlays (name) && stat (file, &status) == 0)
      g_ptr_array_add (
          files, g_strdup_printf ("%s %ju %ju %jd.%09ld", name,
                     (uintmax_t) status.st_ino, (uintmax_t) status.st_size,
                     (intmax_t) status.st_mtim.tv_sec, status.st_mtim.tv_nsec));
  }
  g_ptr_array_sort (files, compare_texts);
  g_string_append_printf (key, "%s\n", path);
  for (guint i = 0; i < files->len; i++)
    g_string_append_printf (
        key, "%s\n", (const char *) g_ptr_array_index (files, i));
}

static GBytes *
key_of (const char *name, const NpuDeviceOptions *options)
{
  GString *key = g_string_new (NULL);

  add_cpu (key, options);
  if (strcmp (name, "cpu") != 0) {
    g_string_append_printf (key, "%s\n%" G_GUINT64_FORMAT "\n",
        strcmp (name, "xrt") == 0 ? "xrt:0" : name, options->keep_awake);
    if (options->overlays)
      add_overlays (key, options->overlays);
  }
  return g_string_free_to_bytes (key);
}

/* --- opening ------------------------------------------------------------ */

static void
close_device (gpointer thing)
{
  NpuDevice *device = thing;

  device->klass->free (device);
}

static NpuCache devices;

typedef struct {
  const char *name;
  const NpuDeviceOptions *options;
} Wish;

static gpointer
open_new (gpointer data, NpuCacheEntry *entry, GError **error)
{
  const Wish *wish = data;
  NpuDevice *device = strcmp (wish->name, "cpu") == 0
                          ? cpu_device_open (wish->options, error)
                          : xrt_open (wish->name, wish->options, error);

  if (device)
    device->entry = entry;
  return device;
}

static NpuDevice *
open_named (const char *name, const NpuDeviceOptions *options, GError **error)
{
  static const NpuCacheFuncs funcs = {open_new, close_device};
  g_autoptr (GBytes) key = is_for_one (options) ? NULL : key_of (name, options);
  Wish wish = {name, options};
  NpuCacheEntry *entry = npu_cache_get (&devices, key, &funcs, &wish, error);

  return entry ? npu_cache_entry_get_thing (entry) : NULL;
}

static NpuDevice *
open_best (const NpuDeviceOptions *options, GError **error)
{
  g_autoptr (GError) refused = NULL;
  g_autofree char *note = NULL;
  NpuDevice *device;

  if (options->overlays) {
    device = open_named ("xrt", options, &refused);
    if (device)
      return device;
  }
  device = open_named ("cpu", options, error);
  if (device && refused && !g_file_test (options->overlays, G_FILE_TEST_IS_DIR))
    note = g_strdup_printf (
        "There is no folder of overlays '%s', so that no NPU was looked for",
        options->overlays);
  else if (device && refused && is_news (refused))
    note = g_strdup (refused->message);
  else if (device && refused)
    g_info ("device=auto takes the CPU: %s", refused->message);
  if (options->note)
    *options->note = g_steal_pointer (&note);
  return device;
}

NpuDevice *
npu_device_open (
    const char *name, const NpuDeviceOptions *options, GError **error)
{
  static const NpuDeviceOptions defaults = {0};

  if (!options)
    options = &defaults;
  if (options->note)
    *options->note = NULL;
  if (strcmp (name, "auto") == 0)
    return open_best (options, error);
  if (strcmp (name, "cpu") == 0 || strcmp (name, "xrt") == 0 ||
      g_str_has_prefix (name, "xrt:"))
    return open_named (name, options, error);

  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "device '%s' is not known; it must be auto, cpu, xrt or xrt:N", name);
  return NULL;
}

/* --- references --------------------------------------------------------- */

NpuDevice *
npu_device_ref (NpuDevice *device)
{
  g_return_val_if_fail (device->entry != NULL, NULL);
  npu_cache_entry_ref (device->entry);
  return device;
}

void
npu_device_unref (NpuDevice *device)
{
  if (!device)
    return;
  if (device->entry)
    npu_cache_entry_unref (device->entry);
  else
    close_device (device);
}

void
npu_device_forget (NpuDevice *device)
{
  if (device->entry)
    npu_cache_entry_forget (device->entry);
  if (device->klass->forget)
    device->klass->forget (device);
}
