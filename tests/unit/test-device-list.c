/* Lists of dependent commands on the CPU device: order, every unit once, help
 * of any number of workers, beside a ring's launches and other lists.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "device/npu-device.h"

#include <string.h>

#define N_COMMANDS 60
#define MAX_UNITS 37
#define SECOND 1000000000u

/* Each command reads all of what the one before wrote. */
typedef struct {
  guint64 values[N_COMMANDS + 1][MAX_UNITS];
  guint n_run[N_COMMANDS][MAX_UNITS];
} Chain;

typedef struct {
  Chain *chain;
  guint i;
  guint n_before; /* units of the command before */
} Link;

static guint
units_of (guint command)
{
  static const guint n[] = {1, 1, 2, MAX_UNITS, 5, 1, 0, 16};

  return n[command % G_N_ELEMENTS (n)];
}

static void
run_link (gpointer data, guint unit)
{
  const Link *link = data;
  guint64 sum = unit;

  for (guint i = 0; i < link->n_before; i++)
    sum = sum * 31 + link->chain->values[link->i][i];
  link->chain->values[link->i + 1][unit] = sum;
  link->chain->n_run[link->i][unit]++;
}

static void
link_commands (Chain *chain, Link *links, NpuCommand *commands)
{
  memset (chain, 0, sizeof *chain);
  for (guint i = 0; i < N_COMMANDS; i++) {
    links[i] = (Link){chain, i, i ? units_of (i - 1) : 0};
    commands[i] = (NpuCommand){run_link, &links[i], units_of (i)};
  }
}

/* In one thread, without a device. */
static void
run_plainly (Chain *chain)
{
  Link links[N_COMMANDS];
  NpuCommand commands[N_COMMANDS];

  link_commands (chain, links, commands);
  for (guint i = 0; i < N_COMMANDS; i++)
    for (guint unit = 0; unit < commands[i].n_units; unit++)
      run_link (&links[i], unit);
}

static void
run_lists (NpuDevice *device, guint n)
{
  g_autofree Chain *expected = g_new (Chain, 1);
  g_autofree Chain *chain = g_new (Chain, 1);
  Link links[N_COMMANDS];
  NpuCommand commands[N_COMMANDS];

  run_plainly (expected);
  for (guint i = 0; i < n; i++) {
    g_autoptr (GError) error = NULL;

    link_commands (chain, links, commands);
    npu_device_run_list (
        device, commands, N_COMMANDS, (guint64) 100 * SECOND, NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpmem (chain, sizeof *chain, expected, sizeof *expected);
    if (i % 16 == 0)
      g_usleep (100); /* workers fall asleep */
  }
}

static NpuDevice *
open_device (guint threads)
{
  const NpuDeviceOptions options = {.threads = threads};
  g_autoptr (GError) error = NULL;
  NpuDevice *device = npu_device_open ("cpu", &options, &error);

  g_assert_no_error (error);
  return device;
}

static void
test_order (gconstpointer data)
{
  g_autoptr (NpuDevice) device = open_device (GPOINTER_TO_UINT (data));

  run_lists (device, 300);
}

static gpointer
run_lists_of (gpointer device)
{
  run_lists (device, 100);
  return NULL;
}

static void
test_several (void)
{
  g_autoptr (NpuDevice) device = open_device (3);
  GThread *threads[4];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("lists", run_lists_of, device);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

/* --- beside a ring's launches --------------------------------------------- */

enum { ROWS = 512, WIDTH = 64 };

typedef struct {
  NpuDevice *device;
  gint stop; /* atomic */
} Lists;

static gpointer
run_until_stopped (gpointer data)
{
  Lists *lists = data;

  while (!g_atomic_int_get (&lists->stop))
    run_lists (lists->device, 20);
  return NULL;
}

/* Lists without end do not keep a launch from its tiles. */
static void
test_beside_launches (void)
{
  g_autoptr (NpuDevice) device = open_device (2);
  Lists lists = {.device = device};
  const NpuOp op = {.kind = NPU_OP_GELU, .rows = ROWS, .gelu = {.n = WIDTH}};
  g_autoptr (GError) error = NULL;
  NpuKernel *kernel = npu_kernel_open (device, &op, &error);
  NpuBuffer *x, *y;
  NpuRun *run = npu_run_new (device, NULL, NULL);
  GThread *threads[3];

  g_assert_no_error (error);
  x = npu_buffer_new (device, kernel->arg_size[NPU_ARG_X], NULL);
  y = npu_buffer_new (device, kernel->arg_size[NPU_ARG_Y], NULL);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("lists", run_until_stopped, &lists);
  for (guint i = 0; i < 20; i++) {
    const NpuLaunch launch = {
        .kernel = kernel, .args = {x, y}, .rows = ROWS, .n_tiles = ROWS / 64};

    ((float *) x->data)[ROWS * WIDTH - 1] = 30 + i;
    npu_run_submit (run, &launch, &error);
    g_assert_no_error (error);
    npu_run_wait (run, (guint64) 100 * SECOND, NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpfloat (((float *) y->data)[ROWS * WIDTH - 1], ==, 30 + i);
  }
  g_atomic_int_set (&lists.stop, 1);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  npu_run_free (run);
  npu_kernel_unref (kernel);
  npu_buffer_free (x);
  npu_buffer_free (y);
}

/* --- ends ------------------------------------------------------------------
 */

typedef struct {
  gint n_run; /* atomic */
  gint cancelled;
} Count;

static void
cancel_at_ten (gpointer data, guint unit)
{
  Count *count = data;

  const gint n = g_atomic_int_add (&count->n_run, 1);

  if (n == 10)
    g_atomic_int_set (&count->cancelled, 1);
  while (n > 10 && !g_atomic_int_get (&count->cancelled))
    g_thread_yield (); /* whoever is the tenth may not be running */
}

/* Soon means that most units of a command are not run any more. */
static void
test_cancelled (gconstpointer data)
{
  g_autoptr (NpuDevice) device = open_device (GPOINTER_TO_UINT (data));

  for (guint i = 0; i < 50; i++) {
    Count count = {0};
    const NpuCommand commands[] = {
        {cancel_at_ten, &count, 100000}, {cancel_at_ten, &count, 1}};
    g_autoptr (GError) error = NULL;

    g_assert_false (npu_device_run_list (
        device, commands, 2, (guint64) 100 * SECOND, &count.cancelled, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_CANCELLED);
    g_assert_cmpint (count.n_run, <, 100000);
  }
}

static void
work (gpointer data, guint unit)
{
  volatile guint x = 0;

  while (x < 10000)
    x++;
}

static void
test_timeout (gconstpointer data)
{
  g_autoptr (NpuDevice) device = open_device (GPOINTER_TO_UINT (data));
  const NpuCommand command = {work, NULL, G_MAXINT};
  g_autoptr (GError) error = NULL;

  g_assert_false (
      npu_device_run_list (device, &command, 1, SECOND / 100, NULL, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT);
  run_lists (device, 1);
}

static void
add (const char *name, guint threads, void (*test) (gconstpointer data))
{
  g_autofree char *path =
      g_strdup_printf ("/device-list/%s/%u-threads", name, threads);

  g_test_add_data_func (path, GUINT_TO_POINTER (threads), test);
}

int
main (int argc, char **argv)
{
  static const guint threads[] = {1, 2, 3, 8};

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++) {
    add ("order", threads[i], test_order);
    add ("cancelled", threads[i], test_cancelled);
    add ("timeout", threads[i], test_timeout);
  }
  g_test_add_func ("/device-list/several", test_several);
  g_test_add_func ("/device-list/beside-launches", test_beside_launches);
  return g_test_run ();
}
