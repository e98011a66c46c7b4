/* What a launch costs besides its work: an empty kernel through the device, and
 * what of that is the executor's own, outside of the device's verbs.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "bench.h"
#include "device/npu-device-impl.h"
#include "npu-clock.h"

#define N_LAUNCHES 2000
#define ROUNDS 25

/* --- a device whose verbs are timed ------------------------------------ */

typedef struct {
  NpuDevice base;
  NpuDevice *real;
  guint64 time; /* ns in its verbs */
} TimedDevice;

typedef struct {
  NpuRun base;
  NpuRun *real;
} TimedRun;

static TimedDevice *
timed (const NpuRun *run)
{
  return (TimedDevice *) run->device;
}

static NpuRun *
real (const NpuRun *run)
{
  return ((const TimedRun *) run)->real;
}

static NpuRun *
timed_run_new (NpuDevice *device, const NpuRunOptions *options, GError **error)
{
  NpuRun *inner = npu_run_new (((TimedDevice *) device)->real, options, error);
  TimedRun *run;

  if (inner == NULL)
    return NULL;
  run = g_new0 (TimedRun, 1);
  run->base.device = device;
  run->real = inner;
  return &run->base;
}

static void
timed_run_free (NpuRun *run)
{
  npu_run_free (real (run));
  g_free (run);
}

static gboolean
timed_submit (NpuRun *run, const NpuLaunch *launch, GError **error)
{
  const guint64 start = npu_clock_ns ();
  const gboolean done = npu_run_submit (real (run), launch, error);

  timed (run)->time += npu_clock_ns () - start;
  return done;
}

static gboolean
timed_wait (NpuRun *run, guint64 timeout, NpuRunTimes *times, GError **error)
{
  const guint64 start = npu_clock_ns ();
  const gboolean done = npu_run_wait (real (run), timeout, times, error);

  timed (run)->time += npu_clock_ns () - start;
  return done;
}

static gboolean
timed_is_done (NpuRun *run)
{
  const guint64 start = npu_clock_ns ();
  const gboolean done = npu_run_is_done (real (run));

  timed (run)->time += npu_clock_ns () - start;
  return done;
}

static const NpuDeviceClass timed_class = {
    .run_new = timed_run_new,
    .run_free = timed_run_free,
    .submit = timed_submit,
    .wait = timed_wait,
    .is_done = timed_is_done,
};

/* --- measuring --------------------------------------------------------- */

static guint64
thread_time_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
  return (guint64) now.tv_sec * 1000000000u + (guint64) now.tv_nsec;
}

/* Medians over one launch through the ring, in us. */
static gboolean
time_launches (
    TimedDevice *device, const NpuLaunch *launch, Bench *bench, GError **error)
{
  const NpuStage stage = {
      .name = "empty",
      .launch = *launch,
      .n_tiles = N_LAUNCHES,
      .batch = 1,
  };
  NpuExecutor *executor =
      npu_executor_new (&device->base, BENCH_LAUNCH_DEPTH, 10000000000, error);
  double own[ROUNDS], host[ROUNDS], all[ROUNDS];
  gboolean done = executor != NULL;
  NpuStats stats;

  for (guint i = 0; done && i < ROUNDS; i++) {
    const guint64 start = thread_time_ns ();

    device->time = 0;
    done = npu_executor_run (executor, &stage, 1, error);
    host[i] = (double) (thread_time_ns () - start) / 1e3 / N_LAUNCHES;
    npu_executor_get_run_stats (executor, &stats);
    all[i] = (double) stats.total_time / 1e3 / N_LAUNCHES;
    own[i] = (double) (stats.total_time - device->time) / 1e3 / N_LAUNCHES;
  }
  npu_executor_free (executor);
  if (done) {
    bench->executor_us = bench_median (own, ROUNDS);
    bench->host_us = bench_median (host, ROUNDS);
    bench->empty_launch_us = bench_median (all, ROUNDS);
  }
  return done;
}

/* The least work that a CPU takes: GELU of one column. */
gboolean
bench_run_launch (Bench *bench, GError **error)
{
  const NpuOp op = {
      .kind = NPU_OP_GELU, .rows = 64 * N_LAUNCHES, .gelu = {.n = 1}};
  TimedDevice device = {.base = *bench->device, .real = bench->device};
  NpuKernel *kernel = npu_kernel_open (bench->device, &op, error);
  NpuBuffer *x = NULL;
  gboolean done;

  device.base.klass = &timed_class;
  if (kernel == NULL)
    return FALSE;
  x = npu_buffer_new (bench->device, kernel->arg_size[NPU_ARG_X], error);
  done = x != NULL;
  if (done) {
    const NpuLaunch launch = {
        .kernel = kernel, .args = {x, x}, .rows = op.rows};

    kernel->device = &device.base;
    done = time_launches (&device, &launch, bench, error);
    kernel->device = bench->device;
  }
  npu_buffer_free (x);
  npu_kernel_unref (kernel);
  return done;
}
