/* How long a device is waited for: the time in which it could work. A process
 * that is stopped in the middle of a launch, for longer than the launch may
 * take, goes on where it was.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/npu-deadline.h"
#include "device/npu-device.h"

#define MS ((guint64) 1000000)
#define TIMEOUT (2000 * MS)
#define STOPPED_US 3000000
#define N_TILES 10
#define TILE_US 30000

/* --- the clock ------------------------------------------------------------ */

static guint
count_waits (guint64 timeout)
{
  NpuDeadline deadline = npu_deadline_in (timeout);
  GMutex lock;
  GCond cond;
  guint n = 0;

  g_mutex_init (&lock);
  g_cond_init (&cond);
  g_mutex_lock (&lock);
  while (n < 10000 && npu_deadline_wait (&deadline, &cond, &lock))
    n++;
  g_mutex_unlock (&lock);
  g_mutex_clear (&lock);
  g_cond_clear (&cond);
  return n;
}

/* It ends, though not all at once. */
static void
test_ends (void)
{
  NpuDeadline never = npu_deadline_in (G_MAXUINT64);

  g_assert_cmpuint (count_waits (0), ==, 0);
  g_assert_cmpuint (count_waits (1), >=, 1);
  g_assert_cmpuint (count_waits (250 * MS), >=, 2);
  g_assert_cmpuint (count_waits (250 * MS), <, 10000);
  g_assert_cmpint (never.left, >, G_MAXINT64 / 2000);
}

/* --- a launch --------------------------------------------------------------
 */

static void
slow_tile (guint worker, const NpuKernel *kernel, guint tile, guint64 start,
    guint64 end, gpointer user_data)
{
  g_usleep (TILE_US);
}

/* A GELU of N_TILES tiles on one worker that is slow: its error, or NULL.
 * @begun: gets a byte when it is waited for. */
static char *
run_slow_launch (int begun, guint64 timeout)
{
  const NpuDeviceOptions options = {.threads = 1, .tile_observer = slow_tile};
  const NpuOp op = {
      .kind = NPU_OP_GELU, .rows = 64 * N_TILES, .gelu = {.n = 64}};
  NpuDevice *device = npu_device_open ("cpu", &options, NULL);
  NpuKernel *kernel = npu_kernel_open (device, &op, NULL);
  NpuBuffer *x = npu_buffer_new (device, kernel->arg_size[NPU_ARG_X], NULL);
  NpuBuffer *y = npu_buffer_new (device, kernel->arg_size[NPU_ARG_Y], NULL);
  const NpuLaunch launch = {
      .kernel = kernel, .args = {x, y}, .rows = op.rows, .n_tiles = N_TILES};
  NpuRun *run = npu_run_new (device, NULL, NULL);
  g_autoptr (GError) error = NULL;
  char *text = NULL;

  g_assert_true (npu_run_submit (run, &launch, NULL));
  g_assert_cmpint (write (begun, "", 1), ==, 1);
  if (!npu_run_wait (run, timeout, NULL, &error))
    text = g_strdup (error->message);
  npu_run_free (run);
  npu_buffer_free (x);
  npu_buffer_free (y);
  npu_kernel_unref (kernel);
  npu_device_unref (device);
  return text;
}

static void
test_stopped (void)
{
  int begun[2], status;
  char byte;
  pid_t child;

  g_assert_cmpint (pipe (begun), ==, 0);
  child = fork ();
  if (child == 0) {
    g_autofree char *error = run_slow_launch (begun[1], TIMEOUT);

    if (error)
      g_printerr ("%s\n", error);
    _exit (error ? 1 : 0);
  }
  g_assert_cmpint (read (begun[0], &byte, 1), ==, 1);
  g_usleep (2 * TILE_US);
  kill (child, SIGSTOP);
  g_assert_cmpint (waitpid (child, &status, WUNTRACED), ==, child);
  g_assert_true (WIFSTOPPED (status)); /* not over before */
  g_usleep (STOPPED_US);
  kill (child, SIGCONT);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  close (begun[0]);
  close (begun[1]);
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, 0);
}

static void
test_too_slow (void)
{
  g_autofree char *error = NULL;
  int begun[2];

  g_assert_cmpint (pipe (begun), ==, 0);
  error = run_slow_launch (begun[1], 10 * MS);
  close (begun[0]);
  close (begun[1]);
  g_assert_nonnull (error);
  g_assert_nonnull (strstr (error, "within 10 ms"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  /* First: it forks, and there must be no other threads. */
  g_test_add_func ("/deadline/a-stopped-process-goes-on", test_stopped);
  g_test_add_func ("/deadline/ends", test_ends);
  g_test_add_func ("/deadline/a-launch-that-is-too-slow", test_too_slow);
  return g_test_run ();
}
