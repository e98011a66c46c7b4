/* Everything that can go wrong with an NPU, injected by the simulated driver:
 * what the caller is told, that nothing hangs or is left behind, and that the
 * device works afterwards.
 *
 * usage: test-xrt-failures OVERLAYS
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "npu-clock.h"
#include "xrt-rig.h"

/* GLib passes no arguments on to a test's child. */
#define OVERLAYS_OF_CHILD "NPUENC_TEST_OVERLAYS"

static const char *overlays;

#define N_BLOCKS 40

/* A packed program on blocks whose results are known. */
typedef struct {
  NpuDevice *device;
  RigOp *op;
} Rig;

static Rig
rig_new (void)
{
  const NpuOp op = {
      .kind = NPU_OP_PROGRAM, .rows = N_BLOCKS, .program = "gelu_512"};
  Rig rig = {.device = rig_open (overlays)};

  rig.op = rig_op_new (rig.device, &op, NULL);
  /* In units of 1/127: GELU of 1 is 107 of them, that of -1.008 is -20. */
  for (guint i = 0; i < N_BLOCKS * 512; i++)
    ((gint8 *) rig.op->args[NPU_ARG_IN]->data)[i] = i % 3 ? 127 : -128;
  return rig;
}

static void
rig_free (Rig *rig)
{
  rig_op_free (rig->op, NULL);
  npu_device_unref (rig->device);
  rig_assert_clean ();
}

static gboolean
run_blocks (Rig *rig, guint batch, guint depth, guint64 timeout, GError **error)
{
  const RigRun run = {.rows = N_BLOCKS * 64,
      .batch = batch,
      .depth = depth,
      .sync_args = 3,
      .timeout = timeout};

  return rig_op_run (rig->op, &run, error);
}

static void
assert_works (Rig *rig)
{
  g_autoptr (GError) error = NULL;
  const gint8 *out = (gint8 *) rig->op->args[NPU_ARG_OUT]->data;

  rig_sim ("fail", "");
  memset (rig->op->args[NPU_ARG_OUT]->data, 1, N_BLOCKS * 512);
  npu_buffer_sync (rig->op->args[NPU_ARG_OUT], NPU_SYNC_TO_DEVICE, 0,
      N_BLOCKS * 512, &error);
  g_assert_no_error (error);
  run_blocks (rig, 4, 3, 0, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < N_BLOCKS * 512; i++)
    g_assert_cmpint (out[i], ==, i % 3 ? 107 : -20);
}

static void
assert_message (const GError *error, NpuError code, const char *const *parts)
{
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  g_assert_error (error, NPU_ERROR, (int) code);
  for (; *parts; parts++)
    if (!strstr (error->message, *parts))
      g_error ("'%s' is not in: %s", *parts, error->message);
}

#define PARTS(...)                                                             \
  (const char *const[])                                                        \
  {                                                                            \
    __VA_ARGS__, NULL                                                          \
  }

/* --- opening ------------------------------------------------------------ */

/* What npu_device_open() says of @name with @fail injected. */
static GError *
open_error (const char *name, const char *directory, const char *fail)
{
  const NpuDeviceOptions options = {.overlays = directory};
  GError *error = NULL;
  NpuDevice *device;

  rig_sim ("fail", fail);
  device = npu_device_open (name, &options, &error);
  rig_sim ("fail", "");
  g_assert_null (device);
  rig_assert_clean ();
  return error;
}

static void
test_open (void)
{
  g_autoptr (GError) none = open_error ("xrt:1", overlays, "");
  g_autoptr (GError) access = open_error ("xrt", overlays, "access");
  g_autoptr (GError) busy = open_error ("xrt", overlays, "busy-open");
  g_autoptr (GError) without = open_error ("xrt", NULL, "");
  g_autoptr (GError) name = open_error ("xrt:x", overlays, "");
  g_autoptr (GError) iommu = open_error ("xrt", overlays, "iommu");
  g_autoptr (GError) sva = open_error ("xrt", overlays, "sva");

  assert_message (none, NPU_ERROR_NOT_FOUND, PARTS ("no device xrt:1"));
  assert_message (access, NPU_ERROR_OPEN,
      PARTS ("no permission for /dev/accel/accel0", "usermod -aG render"));
  assert_message (busy, NPU_ERROR_BUSY, PARTS ("xrt:0 is busy", "device=cpu"));
  assert_message (without, NPU_ERROR_SETTINGS, PARTS ("'overlays'"));
  assert_message (name, NPU_ERROR_SETTINGS, PARTS ("xrt:N"));
  assert_message (
      iommu, NPU_ERROR_OPEN, PARTS ("the IOMMU is off", "BIOS", "amd_iommu"));
  assert_message (
      sva, NPU_ERROR_OPEN, PARTS ("the IOMMU is off", "SVA", "dmesg"));
}

/* The CPU steps in, and says why. */
static void
test_auto (void)
{
  g_autofree char *note = NULL;
  const NpuDeviceOptions options = {.overlays = overlays, .note = &note};
  g_autoptr (GError) error = NULL;
  NpuDevice *device;

  device = npu_device_open ("auto", &options, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (npu_device_get_name (device), ==, "xrt:0");
  g_assert_null (note);
  npu_device_unref (device);

  rig_sim ("fail", "access");
  device = npu_device_open ("auto", &options, &error);
  rig_sim ("fail", "");
  g_assert_no_error (error);
  g_assert_cmpstr (npu_device_get_name (device), ==, "cpu");
  g_test_message ("%s", note);
  g_assert_nonnull (strstr (note, "render"));
  npu_device_unref (device);

  device = npu_device_open ("auto", NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (npu_device_get_name (device), ==, "cpu");
  npu_device_unref (device);
  rig_assert_clean ();
}

/* With a limit, what fails for want of it is told as that. */
static void
test_memlock (void)
{
  const NpuDeviceOptions options = {.overlays = overlays};
  struct rlimit before, small;
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuDevice) device = NULL;

  g_assert_cmpint (getrlimit (RLIMIT_MEMLOCK, &before), ==, 0);
  small = (struct rlimit){65536, before.rlim_max};
  g_assert_cmpint (setrlimit (RLIMIT_MEMLOCK, &small), ==, 0);
  rig_sim ("fail", "memlock");
  device = npu_device_open ("xrt", &options, &error);
  if (device)
    g_assert_null (npu_buffer_new (device, 4096, &error));
  rig_sim ("fail", "");
  setrlimit (RLIMIT_MEMLOCK, &before);
  assert_message (error, NPU_ERROR_FAILED,
      PARTS ("RLIMIT_MEMLOCK is 64 KiB", "ulimit -l unlimited"));
}

static void
test_no_memory (void)
{
  g_autoptr (NpuDevice) device = rig_open (overlays);
  g_autoptr (GError) error = NULL;

  rig_sim ("fail", "memory");
  g_assert_null (npu_buffer_new (device, 4096, &error));
  rig_sim ("fail", "");
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  g_assert_error (error, NPU_ERROR, NPU_ERROR_FAILED);
}

/* --- contexts ----------------------------------------------------------- */

static void
test_no_context (void)
{
  static const char *const fails[] = {"context", "busy"};

  for (gsize i = 0; i < G_N_ELEMENTS (fails); i++) {
    Rig rig = rig_new ();
    g_autoptr (GError) error = NULL;

    rig_sim ("fail", fails[i]);
    g_assert_false (run_blocks (&rig, 4, 3, 0, &error));
    assert_message (error, NPU_ERROR_BUSY,
        PARTS ("no hardware context left", "close them", "device=cpu"));
    assert_works (&rig);
    rig_free (&rig);
  }
}

static gboolean fails_threads;

/* Before libc's: GLib's threads cannot be made, as with a limit of threads. The
 * simulator's can. */
int
pthread_create (pthread_t *thread, const pthread_attr_t *attributes,
    void *(*run) (void *), void *data)
{
  typeof (&pthread_create) real =
      (typeof (real)) dlsym (RTLD_NEXT, "pthread_create");
  Dl_info info;

  if (fails_threads && dladdr ((void *) run, &info) &&
      strstr (info.dli_fname, "libglib"))
    return EAGAIN;
  return real (thread, attributes, run, data);
}

/* The thread that waits for launches cannot be made: an error of the library's,
 * and the context is not kept. */
static void
test_no_thread (void)
{
  Rig rig = rig_new ();
  g_autoptr (GError) error = NULL;

  fails_threads = TRUE;
  g_assert_false (run_blocks (&rig, 4, 3, 0, &error));
  fails_threads = FALSE;
  assert_message (error, NPU_ERROR_FAILED,
      PARTS ("xrt:0", "cannot start a thread that waits for launches"));
  assert_works (&rig);
  rig_free (&rig);
}

/* A context that is made and then refused for its program is no want of
 * contexts: nobody is sent to close other programs. */
static void
test_not_configured (void)
{
  Rig rig = rig_new ();
  g_autoptr (GError) error = NULL;

  rig_sim ("fail", "config");
  g_assert_false (run_blocks (&rig, 4, 3, 0, &error));
  assert_message (error, NPU_ERROR_FAILED,
      PARTS ("overlay 'gelu_512'", "refuses the configuration",
          "build the overlay again for this NPU", "dmesg"));
  g_assert_null (strstr (error->message, "xrt-smi validate"));
  assert_works (&rig);
  rig_free (&rig);
}

/* --- overlays ----------------------------------------------------------- */

#define GROUP "[gelu_512]\nop=gelu\nlayout=packed\nrows=1\nn=512\nargs=in;out\n"

static void
test_overlays (void)
{
  g_auto (RigOverlay) good = {0};
  g_autofree char *garbage = g_malloc0 (100000);

  rig_overlay_load (&good, overlays, "gelu_512");
  {
    char *const x = good.xclbin;
    const gsize x_size = good.xclbin_size, i_size = good.instructions_size;
    const struct {
      const char *keys;
      char *xclbin;
      gsize xclbin_size;
      gsize instructions_size;
      NpuError code;
      const char *part;
    } cases[] = {
        {"", garbage, 100000, i_size, NPU_ERROR_FORMAT, "is not an xclbin"},
        {"", garbage, 0, i_size, NPU_ERROR_FORMAT, "is not an xclbin"},
        {"", x, x_size / 2, i_size, NPU_ERROR_FORMAT, "is not an xclbin"},
        {"kernel=GEMM\n", x, x_size, i_size, NPU_ERROR_FORMAT,
            "no kernel 'GEMM'"},
        {"", x, x_size, i_size - 4, NPU_ERROR_FORMAT, "cut off"},
        {"", x, x_size, i_size - 1, NPU_ERROR_FORMAT, "whole words"},
        {"", x, x_size, 0, NPU_ERROR_FORMAT, "is empty"},
        {"generation=npu2\n", x, x_size, i_size, NPU_ERROR_UNSUPPORTED,
            "is for npu2, but xrt:0 is an npu1"},
    };

    for (gsize j = 0; j < G_N_ELEMENTS (cases); j++) {
      const RigOverlay spoilt = {cases[j].xclbin, good.instructions,
          cases[j].xclbin_size, cases[j].instructions_size};
      char *folder = rig_folder_new (&spoilt, GROUP, cases[j].keys);
      g_autoptr (GError) error = open_error ("xrt", folder, "");

      assert_message (
          error, cases[j].code, PARTS (cases[j].part, "overlay 'gelu_512'"));
      rig_folder_free (folder);
    }
  }
}

/* What is said of overlays that are for @generation; "" where they are taken.
 */
static char *
opened_for (const char *generation)
{
  g_auto (RigOverlay) good = {0};
  g_autofree char *key = g_strdup_printf ("generation=%s\n", generation);
  char *folder, *said;

  rig_overlay_load (&good, overlays, "gelu_512");
  folder = rig_folder_new (&good, GROUP, key);
  {
    const NpuDeviceOptions options = {.overlays = folder};
    g_autoptr (GError) error = NULL;
    g_autoptr (NpuDevice) device = npu_device_open ("xrt", &options, &error);

    said = g_strdup (device ? "" : error->message);
  }
  rig_folder_free (folder);
  return said;
}

/* The names that the kernel's driver has for the NPUs, and their PCI ids. XRT
 * looks once, when it is loaded: each in a process of its own. */
static void
test_generation (gconstpointer data)
{
  const char *const *npu = data; /* generation, name, result */
  g_autofree char *taken = NULL, *refused = NULL, *why = NULL;
  const gboolean is_second = strcmp (npu[2], "npu2") == 0;

  if (!g_test_subprocess ()) {
    g_setenv ("NPUSIM_GENERATION", npu[0], TRUE);
    g_setenv ("NPUSIM_NAME", npu[1], TRUE);
    g_setenv (OVERLAYS_OF_CHILD, overlays, TRUE);
    g_test_trap_subprocess (
        NULL, 120 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_DEFAULT);
    g_unsetenv ("NPUSIM_GENERATION");
    g_unsetenv ("NPUSIM_NAME");
    g_test_trap_assert_passed ();
    return;
  }
  taken = opened_for (npu[2]);
  refused = opened_for (is_second ? "npu1" : "npu2");
  why = g_strdup_printf (
      "is for %s, but xrt:0 is an %s", is_second ? "npu1" : "npu2", npu[2]);
  g_assert_cmpstr (taken, ==, "");
  g_assert_nonnull (strstr (refused, why));
}

static const char *const npus[][3] = {
    {"phoenix", "", "npu1"},
    {"strix", "", "npu2"},
    {"strix-halo", "", "npu2"},
    {"krackan", "", "npu2"},
    {"krackan", "NPU", "npu2"},
    {"phoenix", "NPU Phoenix", "npu1"},
};

/* XRT tells of some failures on stdout, where the results are. */
static void
test_stdout (void)
{
  if (!g_test_subprocess ()) {
    g_setenv (OVERLAYS_OF_CHILD, overlays, TRUE);
    g_test_trap_subprocess (
        NULL, 120 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed ();
    g_test_trap_assert_stdout ("*a result*");
    g_test_trap_assert_stdout_unmatched ("*a library's line*");
    g_test_trap_assert_stderr ("*a library's line*");
    return;
  }
  g_print ("a result\n");
  puts ("a library's line");
  fflush (stdout);
}

/* --- launches ----------------------------------------------------------- */

/* A launch hangs until the driver's watchdog of 2 s, alone or in a list, first
 * or behind others. */
static void
test_hang (void)
{
  static const char *const fails[] = {"hang:n=1", "hang:n=5"};

  for (gsize i = 0; i < G_N_ELEMENTS (fails); i++)
    for (guint batch = 1; batch <= 3; batch += 2)
      for (guint depth = 1; depth <= 8; depth += 7) {
        Rig rig = rig_new ();
        g_autoptr (GError) error = NULL;
        const guint64 start = npu_clock_ns ();
        guint64 taken;

        rig_sim ("fail", fails[i]);
        g_assert_false (run_blocks (&rig, batch, depth, 200 * MS, &error));
        taken = npu_clock_ns () - start;
        /* Also where a ring deeper than the driver's queue waits there. */
        assert_message (error, NPU_ERROR_TIMEOUT, PARTS ("within 200 ms"));
        g_assert_cmpuint (taken, <, 30 * SECOND); /* no hang */
        assert_works (&rig);
        rig_free (&rig);
      }
}

/* The driver has no watchdog: the context is freed under launch or chain. */
static void
test_hang_for_ever (void)
{
  for (guint depth = 1; depth <= 5; depth += 4) {
    Rig rig = rig_new ();
    g_autoptr (GError) error = NULL;

    rig_sim ("watchdog_ms", "0");
    rig_sim ("fail", "hang:n=2");
    g_assert_false (run_blocks (&rig, depth, depth, 100 * MS, &error));
    rig_sim ("watchdog_ms", "2000");
    assert_message (error, NPU_ERROR_TIMEOUT, PARTS ("within 100 ms"));
    assert_works (&rig);
    rig_free (&rig);
  }
}

/* The driver's watchdog is faster than the caller's timeout. */
static void
test_watchdog (void)
{
  Rig rig = rig_new ();
  g_autoptr (GError) error = NULL;

  rig_sim ("watchdog_ms", "100");
  rig_sim ("fail", "hang:n=3");
  g_assert_false (run_blocks (&rig, 1, 4, 0, &error));
  rig_sim ("watchdog_ms", "2000");
  assert_message (error, NPU_ERROR_LAUNCH,
      PARTS ("the driver stopped it", "overlay 'gelu_512'"));
  assert_works (&rig);
  rig_free (&rig);
}

/* Also in the two chains that a launch of 36 commands is. */
static void
test_launch_error (void)
{
  static const char *const fails[] = {
      "error:n=1", "command:n=6", "abort:n=2", "error", "submit:n=2"};

  for (gsize i = 0; i < G_N_ELEMENTS (fails); i++)
    for (guint batch = 1; batch <= N_BLOCKS; batch *= 6) {
      Rig rig = rig_new ();
      g_autoptr (GError) error = NULL;

      rig_sim ("fail", fails[i]);
      g_assert_false (run_blocks (&rig, batch, 3, 0, &error));
      assert_message (
          error, NPU_ERROR_LAUNCH, PARTS ("loaded again for the next launch"));
      assert_works (&rig);
      rig_free (&rig);
    }
}

static void
test_lost (void)
{
  for (guint batch = 1; batch <= 3; batch += 2) {
    Rig rig = rig_new ();
    g_autoptr (GError) error = NULL;
    g_autoptr (GError) again = NULL;

    rig_sim ("fail", "lost:n=7");
    g_assert_false (run_blocks (&rig, batch, 3, 0, &error));
    /* The launch may be told of its own end before its device's. */
    g_assert_true (g_error_matches (error, NPU_ERROR, NPU_ERROR_LAUNCH) ||
                   g_error_matches (error, NPU_ERROR, NPU_ERROR_LOST));
    g_test_message ("%s", error->message);
    g_assert_false (run_blocks (&rig, batch, 3, 0, &again));
    assert_message (
        again, NPU_ERROR_LOST, PARTS ("was lost", "dmesg", "device=cpu"));
    rig_free (&rig);

    rig_sim ("fail", "");
    rig = rig_new ();
    assert_works (&rig);
    rig_free (&rig);
  }
}

static void
test_old_driver (void)
{
  const NpuDeviceOptions options = {.overlays = overlays};
  g_autoptr (GError) error = NULL;
  NpuDevice *device;

  rig_sim ("latency_us", "20000"); /* there is something to wait for */
  rig_sim ("fail", "old");
  device = npu_device_open ("xrt", &options, &error);
  if (device) {
    const NpuOp op = {
        .kind = NPU_OP_PROGRAM, .rows = N_BLOCKS, .program = "gelu_512"};
    Rig rig = {device, rig_op_new (device, &op, NULL)};

    g_assert_false (run_blocks (&rig, 1, 3, 2 * SECOND, &error));
    rig_sim ("fail", "");
    rig_op_free (rig.op, NULL);
    npu_device_unref (device);
  }
  rig_sim ("fail", "");
  rig_sim ("latency_us", "0");
  assert_message (
      error, NPU_ERROR_OPEN, PARTS ("driver that is too old", "Linux 6.14"));
}

/* Failures at random: each run works or tells why, and nothing is left. */
static void
test_storm (void)
{
  static const char *const fails[] = {"error:p=0.02:seed=%u",
      "submit:p=0.02:seed=%u", "hang:p=0.01:seed=%u", "context:p=0.5:seed=%u"};
  Rig rig = rig_new ();
  guint n_failed = 0;

  rig_sim ("watchdog_ms", "100");
  for (guint i = 0; i < 200; i++) {
    g_autofree char *fail =
        g_strdup_printf (fails[i % G_N_ELEMENTS (fails)], i);
    g_autoptr (GError) error = NULL;

    rig_sim ("fail", fail);
    n_failed += !run_blocks (&rig, 1 + i % 5, 1 + i % 7, 60 * MS, &error);
    g_assert_true (!error || error->domain == NPU_ERROR);
  }
  rig_sim ("watchdog_ms", "2000");
  g_test_message ("%u of 200 runs failed", n_failed);
  g_assert_cmpuint (n_failed, >, 20);
  g_assert_cmpuint (n_failed, <, 200);
  assert_works (&rig);
  rig_free (&rig);
}

int
main (int argc, char **argv)
{
  rig_keep_stdout ();
  g_test_init (&argc, &argv, NULL);
  overlays = argc == 2 ? argv[1] : g_getenv (OVERLAYS_OF_CHILD);
  if (!overlays)
    g_error ("usage: %s OVERLAYS", argv[0]);
  g_test_add_func ("/xrt/failures/open", test_open);
  g_test_add_func ("/xrt/failures/auto", test_auto);
  g_test_add_func ("/xrt/failures/memlock", test_memlock);
  g_test_add_func ("/xrt/failures/no-memory", test_no_memory);
  g_test_add_func ("/xrt/failures/no-context", test_no_context);
  g_test_add_func ("/xrt/failures/no-thread", test_no_thread);
  g_test_add_func ("/xrt/failures/not-configured", test_not_configured);
  g_test_add_func ("/xrt/failures/overlays", test_overlays);
  for (gsize i = 0; i < G_N_ELEMENTS (npus); i++) {
    g_autofree char *path =
        g_strdup_printf ("/xrt/failures/generation/%" G_GSIZE_FORMAT, i);

    g_test_add_data_func (path, npus[i], test_generation);
  }
  g_test_add_func ("/xrt/failures/stdout", test_stdout);
  g_test_add_func ("/xrt/failures/hang", test_hang);
  g_test_add_func ("/xrt/failures/hang-for-ever", test_hang_for_ever);
  g_test_add_func ("/xrt/failures/watchdog", test_watchdog);
  g_test_add_func ("/xrt/failures/launch-error", test_launch_error);
  g_test_add_func ("/xrt/failures/lost", test_lost);
  g_test_add_func ("/xrt/failures/old-driver", test_old_driver);
  g_test_add_func ("/xrt/failures/storm", test_storm);
  return g_test_run ();
}
