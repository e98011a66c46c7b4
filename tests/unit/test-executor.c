/* The executor's results at every depth and batch, its edges, and what an
 * observer sees.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>
#include <string.h>
#include <time.h>

#include "executor/npu-executor.h"
#include "executor-rig.h"
#include "fake-device.h"

#define SECOND ((guint64) 1000000000)

/* A device that takes launches in any order, delays them by any time, reads
 * inputs late and overwrites them when it is done. */
static const FakeOptions wild = {
    .n_workers = 4,
    .launch_time = 20000,
    .scramble = TRUE,
    .scribble = TRUE,
    .watch_input = TRUE,
    .tile = rig_tile,
};

static void
test_every_depth_and_batch (void)
{
  g_autoptr (NpuDevice) device = fake_device_new (&wild);
  guint depth, batch;

  for (depth = 1; depth <= NPU_EXECUTOR_MAX_DEPTH; depth++) {
    for (batch = 1; batch <= NPU_EXECUTOR_MAX_BATCH; batch++) {
      g_autoptr (Rig) rig = rig_new (device, depth, 53, batch, 60 * SECOND);
      GError *error = NULL;

      rig_run (rig, 1, &error);
      g_assert_no_error (error);
      rig_assert_right (rig);
      g_assert_cmpuint (rig->n_finished, ==, (53 + batch - 1) / batch);
    }
  }
  g_assert_cmpuint (fake_device_get_violations (device), ==, 0);
}

static void
test_edges (void)
{
  static const struct {
    guint depth, n_tiles, batch, group, n_launches;
  } cases[] = {
      {3, 0, 4, 0, 0},    /* nothing to do */
      {3, 1, 24, 0, 1},   /* batch beyond the tiles */
      {16, 3, 1, 0, 3},   /* depth beyond the launches */
      {16, 5, 24, 0, 1},  /* both */
      {2, 12, 5, 6, 4},   /* batch across groups */
      {2, 12, 24, 6, 2},  /* batch beyond a group */
      {2, 7, 24, 100, 1}, /* a group beyond the tiles */
      {2, 7, 3, 4, 3},    /* a short last group */
      {1, 4, G_MAXINT, 0, 1},
  };
  g_autoptr (NpuDevice) device = fake_device_new (&wild);
  guint i;

  for (i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Rig) rig = rig_new (device, cases[i].depth, cases[i].n_tiles,
        MIN (cases[i].batch, 24), 60 * SECOND);
    NpuStats stats;
    GError *error = NULL;

    rig->stage.batch = cases[i].batch;
    rig->stage.tiles_per_group = cases[i].group;
    rig_run (rig, 1, &error);
    g_assert_no_error (error);
    rig_assert_right (rig);
    npu_executor_get_run_stats (rig->executor, &stats);
    g_assert_cmpuint (stats.tiles, ==, cases[i].n_tiles);
    g_assert_cmpuint (stats.launches, ==, cases[i].n_launches);
  }
}

static void
test_no_stages (void)
{
  g_autoptr (NpuDevice) device = fake_device_new (&wild);
  g_autoptr (Rig) rig = rig_new (device, 3, 4, 1, SECOND);
  NpuStats stats, none = {0};
  GError *error = NULL;

  rig_run (rig, 0, &error);
  g_assert_no_error (error);
  npu_executor_get_run_stats (rig->executor, &stats);
  g_assert_cmpmem (&stats, sizeof stats, &none, sizeof none);
}

static void
test_settings (void)
{
  g_autoptr (NpuDevice) device = fake_device_new (&wild);
  g_autoptr (Rig) rig = rig_new (device, 3, 4, 1, SECOND);
  static const struct {
    guint depth;
    guint64 timeout;
  } bad[] = {{0, SECOND}, {17, SECOND}, {3, 0}};
  GError *error = NULL;
  guint i;

  for (i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_assert_null (
        npu_executor_new (device, bad[i].depth, bad[i].timeout, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
    g_clear_error (&error);
  }

  rig->stage.batch = 0;
  g_assert_false (rig_run (rig, 1, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
  g_assert_cmpstr (error->message, ==, "stage 'rig' has no tiles per launch");
  g_clear_error (&error);

  rig->stage.batch = 1;
  rig->stage.launch.kernel = NULL;
  g_assert_false (rig_run (rig, 1, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
  g_clear_error (&error);
}

static void
observe (const NpuStage *stage, NpuExecutorEvent event,
    const NpuExecutorEventInfo *info, gpointer user_data)
{
  GString *seen = user_data;

  switch (event) {
    case NPU_EVENT_LAUNCHED:
      g_string_append_printf (
          seen, "launch %u in %u\n", info->first_tile, info->slot);
      break;
    case NPU_EVENT_OVERLAPPED:
      g_string_append_printf (
          seen, "launch %u in %u", info->first_tile, info->slot);
      if (info->completed_n_tiles > 0)
        g_string_append_printf (
            seen, ", %u completed", info->completed_first_tile);
      g_string_append (seen, ", steady\n");
      break;
    case NPU_EVENT_DRAINED:
      g_string_append_printf (seen, "drain %u\n", info->first_tile);
      break;
    case NPU_EVENT_STAGE_DONE:
      g_string_append_printf (
          seen, "%s done, %u tiles\n", stage->name, (guint) info->stats->tiles);
      break;
  }
}

static void
test_observer (void)
{
  FakeOptions slow = {.mode = FAKE_ON_WAIT, .tile = rig_tile};
  g_autoptr (NpuDevice) device = fake_device_new (&slow);
  g_autoptr (Rig) rig = rig_new (device, 2, 4, 1, SECOND);
  g_autoptr (GString) seen = g_string_new (NULL);
  GError *error = NULL;

  npu_executor_set_observer (rig->executor, observe, seen);
  rig_run (rig, 1, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (seen->str, ==,
      "launch 0 in 0\n"
      "launch 1 in 1\n"
      "launch 2 in 0, 0 completed, steady\n"
      "launch 3 in 1, 1 completed, steady\n"
      "drain 2\n"
      "drain 3\n"
      "rig done, 4 tiles\n");

  /* A row-wise stage goes on in the ring of the one before. */
  g_string_truncate (seen, 0);
  rig->stage.needs = NPU_NEEDS_SAME_ROWS;
  rig->stage.n_tiles = 3;
  rig_run (rig, 2, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (seen->str, ==,
      "launch 0 in 0\n"
      "launch 1 in 1\n"
      "launch 2 in 0, 0 completed, steady\n"
      "drain 1\n"
      "launch 0 in 1, steady\n"
      "drain 2\n"
      "rig done, 3 tiles\n"
      "launch 1 in 0, steady\n"
      "launch 2 in 1, 0 completed, steady\n"
      "drain 1\n"
      "drain 2\n"
      "rig done, 3 tiles\n");

  npu_executor_set_observer (rig->executor, NULL, NULL);
  g_string_truncate (seen, 0);
  g_assert_true (rig_run (rig, 1, NULL));
  g_assert_cmpstr (seen->str, ==, "");
}

static void
test_two_devices (void)
{
  g_autoptr (NpuDevice) device = fake_device_new (&wild);
  g_autoptr (NpuDevice) other = fake_device_new (&wild);
  NpuKernel *kernel = fake_kernel_new (other);
  guint depth, n;

  for (depth = 1; depth <= 4; depth++) {
    g_autoptr (Rig) rig = rig_new (device, depth, 30, 4, 60 * SECOND);
    NpuStage stages[3] = {rig->stage, rig->stage, rig->stage};
    GError *error = NULL;

    stages[1].launch.kernel = kernel;
    stages[1].needs = stages[2].needs = NPU_NEEDS_SAME_ROWS;
    npu_executor_run (rig->executor, stages, 3, &error);
    g_assert_no_error (error);
    rig_assert_right (rig);
  }
  fake_device_get_log (device, &n);
  g_assert_cmpuint (n, ==, 4 * 2 * 8);
  fake_device_get_log (other, &n);
  g_assert_cmpuint (n, ==, 4 * 8);
  g_assert_cmpuint (fake_device_get_violations (device), ==, 0);
  g_assert_cmpuint (fake_device_get_violations (other), ==, 0);
  npu_kernel_unref (kernel);
}

#if defined(__has_feature) /* clang's way to say __SANITIZE_* */
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#endif

static gboolean
is_instrumented (void)
{
#ifdef IS_SANITIZED
  return TRUE;
#else
  const char *preload = g_getenv ("LD_PRELOAD");

  return preload != NULL && strstr (preload, "vgpreload") != NULL;
#endif
}

static guint64
cpu_time_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
  return (guint64) now.tv_sec * 1000000000u + (guint64) now.tv_nsec;
}

/* Empty launches that are done at once: all that is left is the executor, and
 * a few uncontended locks of the fake device. CPU time, as a busy machine must
 * not fail the test. */
static void
test_own_cost (void)
{
  enum { N_LAUNCHES = 20000, N_ROUNDS = 9 };
  FakeOptions nothing = {.mode = FAKE_AT_ONCE, .no_log = TRUE};
  g_autoptr (NpuDevice) device = fake_device_new (&nothing);
  g_autoptr (Rig) rig = rig_new (device, 3, 1, 1, SECOND);
  NpuStage stage = rig->stage;
  guint64 best = G_MAXUINT64;
  guint round;

  if (is_instrumented ()) {
    g_test_skip ("times mean nothing under a sanitizer or valgrind");
    return;
  }
  stage.n_tiles = N_LAUNCHES;
  stage.prepare = stage.finish = NULL;
  for (round = 0; round < N_ROUNDS; round++) {
    guint64 start = cpu_time_ns ();

    g_assert_true (npu_executor_run (rig->executor, &stage, 1, NULL));
    best = MIN (best, cpu_time_ns () - start);
  }
  g_test_message ("%" G_GUINT64_FORMAT " ns per launch", best / N_LAUNCHES);
  g_assert_cmpuint (best / N_LAUNCHES, <=, 2000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/executor/results-are-right-at-every-depth-and-batch",
      test_every_depth_and_batch);
  g_test_add_func (
      "/executor/edges-of-tiles-batch-depth-and-groups", test_edges);
  g_test_add_func ("/executor/no-stages-is-no-work", test_no_stages);
  g_test_add_func ("/executor/impossible-settings-are-refused", test_settings);
  g_test_add_func ("/executor/observer-sees-fill-steady-drain", test_observer);
  g_test_add_func ("/executor/stages-may-use-another-device", test_two_devices);
  g_test_add_func ("/executor/own-cost-is-below-2-us-a-launch", test_own_cost);
  return g_test_run ();
}
