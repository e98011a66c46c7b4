/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xrt-rig.h"

#include <dlfcn.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- results ------------------------------------------------------------ */

static FILE *results;

static void
print_result (const char *text)
{
  fputs (text, results);
  fflush (results);
}

void
rig_keep_stdout (void)
{
  results = fdopen (dup (STDOUT_FILENO), "w");
  if (!results || dup2 (STDERR_FILENO, STDOUT_FILENO) < 0)
    g_error ("stdout cannot be kept: %s", g_strerror (errno));
  g_set_print_handler (print_result);
}

NpuDevice *
rig_open (const char *overlays)
{
  const NpuDeviceOptions options = {.overlays = overlays, .threads = 2};
  g_autoptr (GError) error = NULL;
  NpuDevice *device = npu_device_open ("xrt", &options, &error);

  g_assert_no_error (error);
  g_assert_nonnull (device);
  return device;
}

/* --- the simulator ----------------------------------------------------- */

static void *
find (const char *name)
{
  void *symbol = dlsym (RTLD_DEFAULT, name);

  if (!symbol)
    g_error ("the simulated driver is not preloaded: no %s", name);
  return symbol;
}

void
rig_sim (const char *name, const char *value)
{
  int (*set) (const char *, const char *) =
      (int (*) (const char *, const char *)) find ("npusim_set");

  g_assert_cmpint (set (name, value), ==, 0);
}

NpusimCounters
rig_counters (void)
{
  void (*get) (NpusimCounters *) =
      (void (*) (NpusimCounters *)) find ("npusim_get_counters");
  NpusimCounters counters = {.size = sizeof counters};

  get (&counters);
  return counters;
}

void
rig_assert_clean (void)
{
  const char *(*last) (void) =
      (const char *(*) (void) ) find ("npusim_last_violation");
  const NpusimCounters counters = rig_counters ();

  if (counters.violations > 0)
    g_test_message ("violation: %s", last ());
  g_assert_cmpuint (counters.violations, ==, 0);
  g_assert_cmpuint (counters.bos, ==, 0);
  g_assert_cmpuint (counters.contexts, ==, 0);
  g_assert_cmpuint (counters.in_flight, ==, 0);
  g_assert_cmpuint (counters.leaked_bos, ==, 0);
  g_assert_cmpuint (counters.leaked_contexts, ==, 0);
  g_assert_cmpuint (counters.most_in_flight, <=, 4);
}

/* --- overlays ---------------------------------------------------------- */

void
rig_overlay_load (RigOverlay *overlay, const char *overlays, const char *name)
{
  g_autofree char *xclbin = g_strdup_printf ("%s/%s.xclbin", overlays, name);
  g_autofree char *instructions = g_strdup_printf ("%s/%s.bin", overlays, name);

  g_assert_true (g_file_get_contents (
      xclbin, &overlay->xclbin, &overlay->xclbin_size, NULL));
  g_assert_true (g_file_get_contents (
      instructions, &overlay->instructions, &overlay->instructions_size, NULL));
}

void
rig_overlay_clear (RigOverlay *overlay)
{
  g_free (overlay->xclbin);
  g_free (overlay->instructions);
}

static void
write_file (const char *folder, const char *name, const char *data, gsize size)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  g_assert_true (g_file_set_contents (path, data, (gssize) size, NULL));
}

char *
rig_folder_new (const RigOverlay *overlay, const char *group, const char *keys)
{
  char *folder = g_dir_make_tmp ("xrt-XXXXXX", NULL);
  g_autofree char *ini =
      g_strconcat (group, "xclbin=x.xclbin\ninstructions=i.bin\n", keys, NULL);

  g_assert_nonnull (folder);
  write_file (folder, "overlays.ini", ini, strlen (ini));
  write_file (folder, "x.xclbin", overlay->xclbin, overlay->xclbin_size);
  write_file (
      folder, "i.bin", overlay->instructions, overlay->instructions_size);
  return folder;
}

void
rig_folder_free (char *folder)
{
  static const char *const names[] = {"overlays.ini", "x.xclbin", "i.bin"};

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (folder, names[i], NULL);

    g_remove (path);
  }
  g_rmdir (folder);
  g_free (folder);
}

/* --- operations -------------------------------------------------------- */

RigOp *
rig_op_new (NpuDevice *device, const NpuOp *op, NpuBuffer *const *share)
{
  g_autoptr (GError) error = NULL;
  RigOp *made = g_new0 (RigOp, 1);

  made->kernel = npu_kernel_open (device, op, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < NPU_MAX_ARGS; i++) {
    const gsize size = made->kernel->arg_size[i];

    if (share && share[i]) {
      g_assert_cmpuint (share[i]->size, >=, size);
      made->args[i] = share[i];
    } else if (size > 0) {
      made->args[i] = npu_buffer_new (device, size, &error);
      g_assert_no_error (error);
    }
  }
  return made;
}

void
rig_op_free (RigOp *op, NpuBuffer *const *share)
{
  for (guint i = 0; i < NPU_MAX_ARGS; i++)
    if (!share || !share[i])
      npu_buffer_free (op->args[i]);
  npu_kernel_unref (op->kernel);
  g_free (op);
}

gboolean
rig_op_run (RigOp *op, const RigRun *run, GError **error)
{
  const guint tiles = (run->rows + 63) / 64;
  const guint groups = MAX (run->groups, 1);
  NpuStage stage = {
      .name = "op",
      .launch = {.kernel = op->kernel,
          .rows = run->rows,
          .kv_rows = run->kv_rows,
          .sync_args = run->sync_args},
      .n_tiles = groups * tiles,
      .tiles_per_group =
          groups > 1 ? MAX (op->kernel->groups_per_launch, 1) * tiles : 0,
      .batch = run->batch,
  };
  g_autoptr (NpuExecutor) executor = npu_executor_new (op->kernel->device,
      run->depth, run->timeout ? run->timeout : 20 * SECOND, error);

  memcpy (stage.launch.args, op->args, sizeof op->args);
  return executor && npu_executor_run (executor, &stage, 1, error);
}

/* --- numbers ----------------------------------------------------------- */

float *
rig_random (gsize n, guint32 seed)
{
  GRand *rand = g_rand_new_with_seed (seed);
  float *x = g_new (float, n);

  for (gsize i = 0; i < n; i++)
    x[i] = (float) g_rand_double_range (rand, -1.0, 1.0);
  g_rand_free (rand);
  return x;
}

guint16
rig_to_bf16 (float x)
{
  guint32 bits;

  memcpy (&bits, &x, sizeof bits);
  return (guint16) ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float
rig_from_bf16 (guint16 x)
{
  const guint32 bits = (guint32) x << 16;
  float y;

  memcpy (&y, &bits, sizeof y);
  return y;
}

double
rig_cosine (const float *a, const float *b, gsize n)
{
  double ab = 0, aa = 0, bb = 0;

  for (gsize i = 0; i < n; i++) {
    ab += (double) a[i] * b[i];
    aa += (double) a[i] * a[i];
    bb += (double) b[i] * b[i];
  }
  return ab / sqrt (aa * bb);
}
