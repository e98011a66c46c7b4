/* Launches that fail, hang or are cancelled: what the caller is told, that
 * nothing is left in flight, and that the executor works afterwards.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>
#include <unistd.h>

#include "executor/npu-executor.h"
#include "executor-rig.h"
#include "fake-device.h"

#define MS ((guint64) 1000000)
#define SECOND ((guint64) 1000000000)

#define N_TILES 20
#define N_LAUNCHES 10 /* of two tiles */

static const FakeOptions wild = {
    .n_workers = 3,
    .launch_time = 50000,
    .scramble = TRUE,
    .scribble = TRUE,
    .watch_input = TRUE,
    .tile = rig_tile,
};

static void
assert_works (Rig *rig)
{
  GError *error = NULL;

  fake_device_behave (rig->device);
  rig->fail_prepare_at = rig->fail_finish_at = G_MAXUINT;
  rig_run (rig, 1, &error);
  g_assert_no_error (error);
  rig_assert_right (rig);
  g_assert_cmpuint (fake_device_get_violations (rig->device), ==, 0);
}

/* --- failures --------------------------------------------------------- */

typedef enum {
  FAIL_PREPARE,
  FAIL_SUBMIT,
  FAIL_LAUNCH,
  FAIL_FINISH,
} Failure;

static const struct {
  NpuError code;
  const char *message; /* of tiles 2n to 2n + 1 */
} failures[] = {
    [FAIL_PREPARE] = {NPU_ERROR_FAILED,
        "writing tiles %u-%u of stage 'rig' failed: the test refuses to "
        "prepare"},
    [FAIL_SUBMIT] = {NPU_ERROR_FAILED,
        "submission of tiles %u-%u of stage 'rig' failed: the test refuses "
        "to submit"},
    [FAIL_LAUNCH] = {NPU_ERROR_LAUNCH,
        "launch of tiles %u-%u of stage 'rig' failed: the test lets the "
        "launch fail"},
    [FAIL_FINISH] = {NPU_ERROR_FAILED,
        "reading tiles %u-%u of stage 'rig' failed: the test refuses to "
        "finish"},
};

static void
inject (Rig *rig, Failure failure, guint n)
{
  switch (failure) {
    case FAIL_PREPARE:
      rig->fail_prepare_at = n;
      break;
    case FAIL_SUBMIT:
      fake_device_fail_submit_at (rig->device, n);
      break;
    case FAIL_LAUNCH:
      fake_device_fail_launch_at (rig->device, n);
      break;
    case FAIL_FINISH:
      rig->fail_finish_at = n;
      break;
  }
}

static void
test_failure (gconstpointer data)
{
  Failure failure = (Failure) GPOINTER_TO_INT (data);
  g_autoptr (NpuDevice) device = fake_device_new (&wild);
  guint depth, n;

  for (depth = 1; depth <= NPU_EXECUTOR_MAX_DEPTH; depth++) {
    g_autoptr (Rig) rig = rig_new (device, depth, N_TILES, 2, 60 * SECOND);

    for (n = 0; n < N_LAUNCHES; n++) {
      g_autofree char *message = NULL;
      NpuStats before, stats;
      GError *error = NULL;

      inject (rig, failure, n);
      npu_executor_get_stats (rig->executor, &before);
      g_assert_false (rig_run (rig, 1, &error));
      g_assert_error (error, NPU_ERROR, (int) failures[failure].code);
      message = g_strdup_printf (failures[failure].message, 2 * n, 2 * n + 1);
      g_assert_cmpstr (error->message, ==, message);
      g_clear_error (&error);

      g_assert_cmpuint (fake_device_get_in_flight (device), ==, 0);
      /* Nothing is read after a failure. */
      if (failure == FAIL_LAUNCH)
        g_assert_cmpuint (rig->n_finished, ==, n);
      else if (failure == FAIL_FINISH)
        g_assert_cmpuint (rig->n_finished, ==, n + 1);
      else
        g_assert_cmpuint (rig->n_finished, ==, n < depth ? 0 : n - depth + 1);

      /* What was read before it counts. */
      npu_executor_get_run_stats (rig->executor, &stats);
      g_assert_cmpuint (
          stats.tiles, ==, 2 * (failure == FAIL_FINISH ? n : rig->n_finished));
      npu_stats_add (&before, &stats);
      npu_executor_get_stats (rig->executor, &stats);
      g_assert_cmpmem (&stats, sizeof stats, &before, sizeof before);
      assert_works (rig);
    }
  }
}

static gboolean
refuse_silently (const NpuStage *stage, guint slot, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  return FALSE;
}

static void
test_silent_failure (void)
{
  g_autoptr (NpuDevice) device = fake_device_new (&wild);
  g_autoptr (Rig) rig = rig_new (device, 3, N_TILES, 2, 60 * SECOND);
  NpuStage stage = rig->stage;
  GError *error = NULL;

  stage.batch = 1;
  stage.finish = refuse_silently;
  g_assert_false (npu_executor_run (rig->executor, &stage, 1, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_FAILED);
  g_assert_cmpstr (error->message, ==, "reading tile 0 of stage 'rig' failed");
  g_clear_error (&error);
  assert_works (rig);
}

/* --- timeouts --------------------------------------------------------- */

static void
test_timeout (void)
{
  FakeOptions steady = wild;
  guint depth;

  for (depth = 1; depth <= 8; depth++) {
    g_autoptr (NpuDevice) device = fake_device_new (&steady);
    g_autoptr (Rig) rig = rig_new (device, depth, N_TILES, 2, 100 * MS);
    GError *error = NULL;

    fake_device_hang_at (device, 4, 1);
    g_assert_false (rig_run (rig, 1, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT);
    g_assert_cmpstr (error->message, ==,
        "launch of tiles 8-9 of stage 'rig' did not complete within 100 ms");
    g_clear_error (&error);
    g_assert_cmpuint (rig->n_finished, ==, 4);
    g_assert_cmpuint (fake_device_get_in_flight (device), ==, 1);

    /* Its slot, and whatever it writes, must not be used. */
    fake_device_behave (device);
    g_assert_false (rig_run (rig, 1, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT);
    g_assert_cmpstr (error->message, ==,
        "a launch on device fake that timed out before is still in flight");
    g_clear_error (&error);
    g_assert_cmpuint (rig->n_prepared, ==, 0);

    fake_device_release (device);
    assert_works (rig);
  }
}

/* However deep the ring, a device that hangs costs little more than one
 * timeout. */
static void
test_everything_hangs (void)
{
  g_autoptr (NpuDevice) device = fake_device_new (&wild);
  g_autoptr (Rig) rig = rig_new (device, 10, N_TILES, 2, 300 * MS);
  GError *error = NULL;

  fake_device_hang_at (device, 0, N_LAUNCHES);
  g_assert_false (rig_run (rig, 1, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT);
  g_clear_error (&error);
  g_assert_cmpuint (fake_device_get_hung_time (device), >=, 300 * MS);
  g_assert_cmpuint (fake_device_get_hung_time (device), <=, 2 * 300 * MS);
  g_assert_cmpuint (fake_device_get_in_flight (device), ==, 10);
  fake_device_release (device);
  assert_works (rig);
}

static void *
release_later (void *data)
{
  g_usleep (100 * 1000);
  fake_device_release (data);
  return NULL;
}

static void
test_free_waits (void)
{
  g_autoptr (NpuDevice) device = fake_device_new (&wild);
  Rig *rig = rig_new (device, 3, N_TILES, 2, MS);
  GThread *thread;

  fake_device_hang_at (device, 0, N_LAUNCHES);
  g_assert_false (rig_run (rig, 1, NULL));
  g_assert_cmpuint (fake_device_get_in_flight (device), ==, 3);
  thread = g_thread_new ("release", release_later, device);
  rig_free (rig);
  g_assert_cmpuint (fake_device_get_in_flight (device), ==, 0);
  g_thread_join (thread);
}

/* --- cancel ----------------------------------------------------------- */

static void
test_cancelled_before (void)
{
  g_autoptr (NpuDevice) device = fake_device_new (&wild);
  g_autoptr (Rig) rig = rig_new (device, 3, N_TILES, 2, 60 * SECOND);
  GError *error = NULL;
  guint i;

  npu_executor_cancel (rig->executor);
  for (i = 0; i < 2; i++) {
    g_assert_false (rig_run (rig, 1, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_CANCELLED);
    g_clear_error (&error);
    g_assert_cmpuint (rig->n_prepared, ==, 0);
  }
  npu_executor_resume (rig->executor);
  assert_works (rig);
}

typedef struct {
  Rig *rig;
  guint at; /* launches */
} Canceller;

static void
cancel_at (const NpuStage *stage, NpuExecutorEvent event,
    const NpuExecutorEventInfo *info, gpointer user_data)
{
  Canceller *canceller = user_data;

  if (canceller->rig->n_prepared == canceller->at)
    npu_executor_cancel (canceller->rig->executor);
}

static void
test_cancel_stops_submitting (void)
{
  g_autoptr (NpuDevice) device = fake_device_new (&wild);
  guint depth, at;

  for (depth = 1; depth <= 4; depth++) {
    g_autoptr (Rig) rig = rig_new (device, depth, N_TILES, 2, 60 * SECOND);
    Canceller canceller = {rig, 0};

    for (at = 1; at <= N_LAUNCHES; at++) {
      GError *error = NULL;

      canceller.at = at;
      npu_executor_set_observer (rig->executor, cancel_at, &canceller);
      g_assert_false (rig_run (rig, 1, &error));
      g_assert_error (error, NPU_ERROR, NPU_ERROR_CANCELLED);
      g_clear_error (&error);
      g_assert_cmpuint (rig->n_prepared, ==, at);
      g_assert_cmpuint (rig->n_finished, ==, at > depth ? at - depth : 0);
      g_assert_cmpuint (fake_device_get_in_flight (device), ==, 0);
      npu_executor_set_observer (rig->executor, NULL, NULL);
      npu_executor_resume (rig->executor);
      assert_works (rig);
    }
  }
}

typedef struct {
  NpuExecutor *executor;
  guint delay; /* us */
} Later;

static void *
cancel_later (void *data)
{
  Later *later = data;

  g_usleep (later->delay);
  npu_executor_cancel (later->executor);
  return NULL;
}

static void
test_cancel_any_time (void)
{
  g_autoptr (NpuDevice) device = fake_device_new (&wild);
  guint round, n_cancelled = 0, n_done = 0;

  for (round = 0; round < 400; round++) {
    guint depth = 1 + round % NPU_EXECUTOR_MAX_DEPTH;
    g_autoptr (Rig) rig = rig_new (device, depth, N_TILES, 2, 60 * SECOND);
    Later later = {rig->executor, (guint) g_test_rand_int_range (0, 1000)};
    GThread *thread = g_thread_new ("cancel", cancel_later, &later);
    GError *error = NULL;

    if (rig_run (rig, 1, &error)) {
      rig_assert_right (rig);
      n_done++;
    } else {
      g_assert_error (error, NPU_ERROR, NPU_ERROR_CANCELLED);
      g_clear_error (&error);
      n_cancelled++;
    }
    g_assert_cmpuint (fake_device_get_in_flight (device), ==, 0);
    g_thread_join (thread);
    npu_executor_resume (rig->executor);
    assert_works (rig);
  }
  g_test_message ("%u runs cancelled, %u done before", n_cancelled, n_done);
  g_assert_cmpuint (n_cancelled, >, 0);
}

/* A cancelled run reports the hang it met. */
static void
test_cancel_while_hanging (void)
{
  g_autoptr (NpuDevice) device = fake_device_new (&wild);
  g_autoptr (Rig) rig = rig_new (device, 3, N_TILES, 2, 200 * MS);
  Later later = {rig->executor, 20 * 1000};
  GThread *thread = g_thread_new ("cancel", cancel_later, &later);
  GError *error = NULL;

  fake_device_hang_at (device, 0, 1);
  g_assert_false (rig_run (rig, 1, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT);
  g_clear_error (&error);
  g_thread_join (thread);
  fake_device_release (device);
  npu_executor_resume (rig->executor);
  assert_works (rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/executor/errors/prepare-that-fails",
      GINT_TO_POINTER (FAIL_PREPARE), test_failure);
  g_test_add_data_func ("/executor/errors/submission-that-fails",
      GINT_TO_POINTER (FAIL_SUBMIT), test_failure);
  g_test_add_data_func ("/executor/errors/launch-that-fails",
      GINT_TO_POINTER (FAIL_LAUNCH), test_failure);
  g_test_add_data_func ("/executor/errors/finish-that-fails",
      GINT_TO_POINTER (FAIL_FINISH), test_failure);
  g_test_add_func (
      "/executor/errors/failure-without-an-error", test_silent_failure);
  g_test_add_func (
      "/executor/errors/timeout-names-the-launch-and-guards-its-slot",
      test_timeout);
  g_test_add_func ("/executor/errors/a-hanging-device-costs-one-timeout",
      test_everything_hangs);
  g_test_add_func (
      "/executor/errors/free-waits-for-what-hangs", test_free_waits);
  g_test_add_func (
      "/executor/cancel/runs-fail-until-resumed", test_cancelled_before);
  g_test_add_func ("/executor/cancel/stops-submitting-and-reads-nothing",
      test_cancel_stops_submitting);
  g_test_add_func (
      "/executor/cancel/at-any-time-from-any-thread", test_cancel_any_time);
  g_test_add_func (
      "/executor/cancel/while-a-launch-hangs", test_cancel_while_hanging);
  return g_test_run ();
}
