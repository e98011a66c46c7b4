/* What a launch costs besides its work: the executor's own share, on a device
 * that completes at once, and an empty kernel's way through the real device.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "bench.h"
#include "npu-clock.h"

#define DEPTH 3
#define N_LAUNCHES 2000
#define ROUNDS 25

/* --- a device that does nothing, at once ------------------------------- */

static guint64 submit_time;

static NpuRun *
null_run_new (NpuDevice *device, GError **error)
{
  NpuRun *run = g_new0 (NpuRun, 1);

  run->device = device;
  return run;
}

static void
null_run_free (NpuRun *run)
{
  g_free (run);
}

static gboolean
null_submit (NpuRun *run, const NpuLaunch *launch, GError **error)
{
  submit_time = npu_clock_ns ();
  return TRUE;
}

static gboolean
null_wait (NpuRun *run, guint64 timeout, NpuRunTimes *times, GError **error)
{
  times->start = times->end = submit_time;
  return TRUE;
}

/* Not done until it is waited for: the ring stays full. */
static gboolean
null_is_done (NpuRun *run)
{
  return FALSE;
}

static const NpuDeviceClass null_class = {
    .run_new = null_run_new,
    .run_free = null_run_free,
    .submit = null_submit,
    .wait = null_wait,
    .is_done = null_is_done,
};

/* --- measuring --------------------------------------------------------- */

/* The median time of a launch of @kernel's through the ring, in us. */
static gboolean
time_launches (
    NpuDevice *device, const NpuLaunch *launch, double *us, GError **error)
{
  const NpuStage stage = {
      .name = "empty",
      .launch = *launch,
      .n_tiles = N_LAUNCHES,
      .batch = 1,
  };
  NpuExecutor *executor = npu_executor_new (device, DEPTH, 10000000000, error);
  double times[ROUNDS];
  gboolean done = executor != NULL;
  NpuStats stats;

  for (guint i = 0; done && i < ROUNDS; i++) {
    done = npu_executor_run (executor, &stage, 1, error);
    npu_executor_get_run_stats (executor, &stats);
    times[i] = (double) stats.total_time / 1e3 / N_LAUNCHES;
  }
  npu_executor_free (executor);
  if (done)
    *us = bench_median (times, ROUNDS);
  return done;
}

static gboolean
time_own (Bench *bench, GError **error)
{
  char name[] = "null";
  NpuDevice device = {.klass = &null_class, .name = name, .description = name};
  NpuKernel kernel = {.device = &device};
  const NpuLaunch launch = {.kernel = &kernel, .rows = 64 * N_LAUNCHES};

  return time_launches (&device, &launch, &bench->own_cost_us, error);
}

/* The least work that the real device takes: GELU of one column. */
static gboolean
time_device (Bench *bench, GError **error)
{
  const NpuOp op = {.kind = NPU_OP_GELU, .rows = 64 * N_LAUNCHES, .n = 1};
  NpuKernel *kernel = npu_kernel_open (bench->device, &op, error);
  NpuBuffer *x = NULL;
  gboolean done;

  if (kernel == NULL)
    return FALSE;
  x = npu_buffer_new (bench->device, kernel->arg_size[NPU_ARG_X], error);
  done = x != NULL;
  if (done) {
    const NpuLaunch launch = {
        .kernel = kernel, .args = {x, x}, .rows = op.rows};

    done =
        time_launches (bench->device, &launch, &bench->launch_cost_us, error);
  }
  npu_buffer_free (x);
  npu_kernel_free (kernel);
  return done;
}

gboolean
bench_run_launch (Bench *bench, GError **error)
{
  return time_own (bench, error) && time_device (bench, error);
}
