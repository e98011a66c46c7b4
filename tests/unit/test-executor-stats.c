/* What the statistics mean: each definition provoked on a device that is
 * slow, fast, or told when to complete.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>
#include <string.h>

#include "executor/npu-executor.h"
#include "executor-rig.h"
#include "fake-device.h"
#include "npu-clock.h"

#define MS ((guint64) 1000000)
#define SECOND ((guint64) 1000000000)

static void
run_and_get (Rig *rig, guint n_times, NpuStats *stats)
{
  GError *error = NULL;

  rig_run (rig, n_times, &error);
  g_assert_no_error (error);
  rig_assert_right (rig);
  npu_executor_get_run_stats (rig->executor, stats);
}

/* --- stalls ----------------------------------------------------------- */

static void
test_slow_device (void)
{
  FakeOptions slow = {.mode = FAKE_ON_WAIT, .tile = rig_tile};
  guint depth, batch;

  for (depth = 2; depth <= NPU_EXECUTOR_MAX_DEPTH; depth++) {
    for (batch = 1; batch <= 5; batch++) {
      g_autoptr (NpuDevice) device = fake_device_new (&slow);
      g_autoptr (Rig) rig = rig_new (device, depth, 40, batch, SECOND);
      NpuStats stats;

      run_and_get (rig, 2, &stats);
      g_assert_cmpuint (stats.stalls, ==, 0);
      g_assert_cmpuint (stats.tiles, ==, 80);
      g_assert_cmpuint (stats.launches, ==, 2 * ((40 + batch - 1) / batch));
    }
  }
}

/* Whatever the depth: each launch had completed before the next one came. */
static void
test_slow_host (void)
{
  FakeOptions fast = {.mode = FAKE_AT_ONCE, .tile = rig_tile};
  g_autoptr (NpuDevice) device = fake_device_new (&fast);
  guint depth, n_stages;

  for (depth = 1; depth <= NPU_EXECUTOR_MAX_DEPTH; depth++) {
    g_autoptr (Rig) rig = rig_new (device, depth, 10, 1, SECOND);
    NpuStats stats;

    for (n_stages = 1; n_stages <= 3; n_stages++) {
      rig->stage.needs = n_stages == 2 ? NPU_NEEDS_SAME_ROWS : NPU_NEEDS_ALL;
      run_and_get (rig, n_stages, &stats);
      g_assert_cmpuint (stats.stalls, ==, n_stages * (10 - 1));
    }
  }
}

/* Alone in flight, a launch has always completed when the next one comes. */
static void
test_depth_one (void)
{
  FakeOptions slow = {.mode = FAKE_ON_WAIT, .tile = rig_tile};
  g_autoptr (NpuDevice) device = fake_device_new (&slow);
  g_autoptr (Rig) rig = rig_new (device, 1, 10, 1, SECOND);
  NpuStats stats;

  run_and_get (rig, 2, &stats);
  g_assert_cmpuint (stats.stalls, ==, 2 * (10 - 1));
}

typedef struct {
  NpuDevice *device;
  guint64 drained_at; /* a bit per tile */
  guint64 stalled_at;
} Gate;

static gboolean
drain_at (const NpuStage *stage, guint slot, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  Gate *gate = user_data;

  if (gate->drained_at >> launch->first_tile & 1)
    fake_device_complete_all (gate->device);
  return TRUE;
}

static void
note_stall (const NpuStage *stage, NpuExecutorEvent event,
    const NpuExecutorEventInfo *info, gpointer user_data)
{
  Gate *gate = user_data;

  if (info->stalled)
    gate->stalled_at |= (guint64) 1 << info->first_tile;
}

static void
test_chosen_stalls (void)
{
  FakeOptions gated = {.mode = FAKE_ON_WAIT};
  g_autoptr (NpuDevice) device = fake_device_new (&gated);
  guint round;

  for (round = 0; round < 100; round++) {
    guint depth = 2 + round % (NPU_EXECUTOR_MAX_DEPTH - 1);
    g_autoptr (Rig) rig = rig_new (device, depth, 40, 1, SECOND);
    Gate gate = {
        .device = device,
        .drained_at = ((guint64) g_test_rand_int () << 32 |
                          (guint32) g_test_rand_int ()) &
                      (((guint64) 1 << 40) - 1),
    };
    NpuStage stage = rig->stage;
    NpuStats stats;

    stage.prepare = drain_at;
    stage.finish = NULL;
    stage.user_data = &gate;
    npu_executor_set_observer (rig->executor, note_stall, &gate);
    g_assert_true (npu_executor_run (rig->executor, &stage, 1, NULL));
    npu_executor_get_run_stats (rig->executor, &stats);
    /* A stage's first launch does not count. */
    g_assert_cmphex (gate.stalled_at, ==, gate.drained_at & ~(guint64) 1);
    g_assert_cmpuint (
        stats.stalls, ==, (guint) __builtin_popcountll (gate.stalled_at));
  }
}

static gboolean
overtake (const NpuStage *stage, guint slot, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  if (launch->first_tile % 3 == 2)
    fake_device_complete_newest (user_data);
  return TRUE;
}

/* The newest launch has completed, but an older one keeps the device busy. */
static void
test_overtaking (void)
{
  FakeOptions gated = {.mode = FAKE_ON_WAIT};
  g_autoptr (NpuDevice) device = fake_device_new (&gated);
  g_autoptr (Rig) rig = rig_new (device, 3, 40, 1, SECOND);
  NpuStage stage = rig->stage;
  NpuStats stats;

  stage.prepare = overtake;
  stage.finish = NULL;
  stage.user_data = device;
  g_assert_true (npu_executor_run (rig->executor, &stage, 1, NULL));
  npu_executor_get_run_stats (rig->executor, &stats);
  g_assert_cmpuint (stats.stalls, ==, 0);
}

/* --- times ------------------------------------------------------------ */

static void
test_dma_times (void)
{
  FakeOptions options = {
      .n_workers = 2,
      .launch_time = MS / 2,
      .sync_time = 2 * MS,
      .tile = rig_tile,
  };
  g_autoptr (NpuDevice) device = fake_device_new (&options);
  g_autoptr (Rig) rig = rig_new (device, 3, 40, 2, 60 * SECOND);
  guint64 written, read;
  NpuStats stats;

  run_and_get (rig, 1, &stats);
  written = fake_device_get_sync_time (device, NPU_SYNC_TO_DEVICE);
  read = fake_device_get_sync_time (device, NPU_SYNC_FROM_DEVICE);
  g_test_message ("injected %.3f and %.3f ms, measured %.3f and %.3f ms",
      written / 1e6, read / 1e6, stats.dma_write_time / 1e6,
      stats.dma_read_time / 1e6);
  g_assert_cmpuint (written, >=, 20 * 2 * MS);
  g_assert_cmpuint (stats.dma_write_time, >=, written);
  g_assert_cmpfloat (
      (double) stats.dma_write_time, <=, 1.25 * (double) written);
  g_assert_cmpuint (stats.dma_read_time, >=, read);
  g_assert_cmpfloat ((double) stats.dma_read_time, <=, 1.25 * (double) read);
  g_assert_cmpuint (
      stats.dma_write_time + stats.dma_read_time, <=, stats.total_time);
}

static int
compare_starts (gconstpointer a, gconstpointer b)
{
  const FakeRecord *x = a, *y = b;

  return x->start < y->start ? -1 : x->start > y->start;
}

/* Of all launches by the device's own account. */
static guint64
busy_time_of_log (NpuDevice *device)
{
  guint n_records, i;
  const FakeRecord *log = fake_device_get_log (device, &n_records);
  g_autofree FakeRecord *sorted = g_memdup2 (log, n_records * sizeof *log);
  guint64 busy = 0, until = 0;

  qsort (sorted, n_records, sizeof *sorted, compare_starts);
  for (i = 0; i < n_records; i++) {
    guint64 start = MAX (sorted[i].start, until);

    if (sorted[i].end > start) {
      busy += sorted[i].end - start;
      until = sorted[i].end;
    }
  }
  return busy;
}

static void
test_compute_time (void)
{
  guint n_workers, depth;

  for (n_workers = 1; n_workers <= 3; n_workers++) {
    for (depth = 1; depth <= NPU_EXECUTOR_MAX_DEPTH; depth += 5) {
      FakeOptions options = {
          .n_workers = n_workers,
          .launch_time = MS,
          .scramble = TRUE,
          .tile = rig_tile,
      };
      g_autoptr (NpuDevice) device = fake_device_new (&options);
      g_autoptr (Rig) rig = rig_new (device, depth, 48, 1, 60 * SECOND);
      NpuStats stats;

      rig->stage.needs = NPU_NEEDS_SAME_ROWS;
      run_and_get (rig, 2, &stats);
      g_assert_cmpuint (stats.compute_time, ==, busy_time_of_log (device));
      g_assert_cmpuint (stats.compute_time, <=, stats.total_time);
    }
  }
}

/* One worker behind a deep ring: launches spend most of their time waiting. */
static void
test_queue_does_not_count (void)
{
  FakeOptions options = {
      .n_workers = 1, .launch_time = 2 * MS, .tile = rig_tile};
  g_autoptr (NpuDevice) device = fake_device_new (&options);
  g_autoptr (Rig) rig = rig_new (device, 8, 32, 1, 60 * SECOND);
  guint64 in_flight_time = 0, computed = 0;
  const FakeRecord *log;
  guint n_records, i;
  NpuStats stats;

  run_and_get (rig, 1, &stats);
  log = fake_device_get_log (device, &n_records);
  for (i = 0; i < n_records; i++) {
    in_flight_time += log[i].end - log[i].submit_time;
    computed += log[i].end - log[i].start;
  }
  g_test_message ("%.1f ms in flight, %.1f ms computing, %.1f ms counted",
      in_flight_time / 1e6, computed / 1e6, stats.compute_time / 1e6);
  g_assert_cmpuint (stats.compute_time, ==, computed);
  g_assert_cmpuint (in_flight_time, >, 4 * stats.compute_time);
}

/* --- sums ------------------------------------------------------------- */

static void
add_stage (const NpuStage *stage, NpuExecutorEvent event,
    const NpuExecutorEventInfo *info, gpointer user_data)
{
  if (event == NPU_EVENT_STAGE_DONE)
    npu_stats_add (user_data, info->stats);
}

static void
test_stages_sum (void)
{
  FakeOptions options = {
      .n_workers = 2,
      .launch_time = MS,
      .sync_time = MS / 10,
      .scramble = TRUE,
      .tile = rig_tile,
  };
  g_autoptr (NpuDevice) device = fake_device_new (&options);
  guint depth;

  for (depth = 1; depth <= 4; depth++) {
    g_autoptr (Rig) rig = rig_new (device, depth, 20, 2, 60 * SECOND);
    NpuStats sum = {0}, stats;
    guint64 start, wall;

    npu_executor_set_observer (rig->executor, add_stage, &sum);
    rig->stage.needs = depth % 2 ? NPU_NEEDS_SAME_ROWS : NPU_NEEDS_ALL;
    start = npu_clock_ns ();
    run_and_get (rig, 5, &stats);
    wall = npu_clock_ns () - start;
    g_test_message ("stages %.3f, run %.3f, wall clock %.3f ms",
        sum.total_time / 1e6, stats.total_time / 1e6, wall / 1e6);
    g_assert_cmpmem (&sum, sizeof sum, &stats, sizeof stats);
    g_assert_cmpuint (stats.total_time, <=, wall);
    g_assert_cmpfloat ((double) stats.total_time, >=, 0.95 * (double) wall);
  }
}

static void
test_totals (void)
{
  FakeOptions fast = {.mode = FAKE_AT_ONCE, .tile = rig_tile};
  g_autoptr (NpuDevice) device = fake_device_new (&fast);
  g_autoptr (Rig) rig = rig_new (device, 3, 20, 2, SECOND);
  NpuStats sum = {0}, none = {0}, stats, totals;
  guint i;

  npu_executor_get_stats (rig->executor, &totals);
  g_assert_cmpmem (&totals, sizeof totals, &none, sizeof none);
  for (i = 0; i < 3; i++) {
    run_and_get (rig, 1, &stats);
    npu_stats_add (&sum, &stats);
  }
  npu_executor_get_stats (rig->executor, &totals);
  g_assert_cmpmem (&totals, sizeof totals, &sum, sizeof sum);
  g_assert_cmpuint (totals.tiles, ==, 60);
  g_assert_cmpuint (totals.launches, ==, 30);

  npu_executor_reset_stats (rig->executor);
  npu_executor_get_stats (rig->executor, &totals);
  g_assert_cmpmem (&totals, sizeof totals, &none, sizeof none);
  npu_executor_get_run_stats (rig->executor, &totals);
  g_assert_cmpmem (&totals, sizeof totals, &stats, sizeof stats);
}

static void *
read_stats (void *data)
{
  Rig *rig = data;
  NpuStats stats;
  guint64 n_reads = 0;

  do {
    npu_executor_get_stats (rig->executor, &stats);
    /* Runs count whole or not at all. */
    g_assert_cmpuint (stats.tiles % 20, ==, 0);
    g_assert_cmpuint (stats.launches * 2, ==, stats.tiles);
    n_reads++;
  } while (stats.tiles < 20 * 200);
  return GSIZE_TO_POINTER (n_reads);
}

static void
test_other_threads (void)
{
  FakeOptions fast = {.mode = FAKE_AT_ONCE, .tile = rig_tile};
  g_autoptr (NpuDevice) device = fake_device_new (&fast);
  g_autoptr (Rig) rig = rig_new (device, 3, 20, 2, SECOND);
  GThread *reader = g_thread_new ("reader", read_stats, rig);
  guint i;

  for (i = 0; i < 200; i++)
    g_assert_true (rig_run (rig, 1, NULL));
  g_assert_cmpuint (GPOINTER_TO_SIZE (g_thread_join (reader)), >, 0);
}

static void
test_ratios (void)
{
  NpuStats stats = {0};

  g_assert_cmpfloat (npu_stats_dma_overhead (&stats), ==, 0.0);
  g_assert_cmpuint (npu_stats_tile_time (&stats), ==, 0);
  stats.tiles = 3;
  stats.total_time = 1000;
  stats.dma_write_time = 5;
  stats.dma_read_time = 3;
  g_assert_cmpfloat_with_epsilon (npu_stats_dma_overhead (&stats), 0.8, 1e-12);
  g_assert_cmpuint (npu_stats_tile_time (&stats), ==, 333);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func (
      "/executor/stats/a-slow-device-gives-no-stalls", test_slow_device);
  g_test_add_func ("/executor/stats/a-slow-host-gives-stalls", test_slow_host);
  g_test_add_func (
      "/executor/stats/depth-1-stalls-at-every-launch", test_depth_one);
  g_test_add_func (
      "/executor/stats/stalls-are-where-the-ring-drained", test_chosen_stalls);
  g_test_add_func (
      "/executor/stats/a-launch-that-overtakes-is-no-stall", test_overtaking);
  g_test_add_func (
      "/executor/stats/dma-times-are-what-was-injected", test_dma_times);
  g_test_add_func ("/executor/stats/compute-time-is-the-union-of-launches",
      test_compute_time);
  g_test_add_func ("/executor/stats/compute-time-has-no-queueing",
      test_queue_does_not_count);
  g_test_add_func ("/executor/stats/stages-add-up-to-the-run", test_stages_sum);
  g_test_add_func (
      "/executor/stats/totals-add-up-until-they-are-reset", test_totals);
  g_test_add_func (
      "/executor/stats/totals-can-be-read-by-others", test_other_threads);
  g_test_add_func ("/executor/stats/ratios", test_ratios);
  return g_test_run ();
}
