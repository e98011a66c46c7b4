/* The executor's face: devices and slots, runs and their statistics.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-executor.h"

#include <string.h>

#include "npu-executor-private.h"

/* Gives every slot a run of @device. */
static gboolean
add_device (NpuExecutor *executor, NpuDevice *device, GError **error)
{
  const NpuRunOptions options = {
      .stream = executor, .timeout = executor->timeout};
  guint index = executor->n_devices;
  guint i;

  if (index == NPU_EXECUTOR_MAX_DEVICES) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "the stages use more than %d devices", NPU_EXECUTOR_MAX_DEVICES);
    return FALSE;
  }
  for (i = 0; i < executor->depth; i++) {
    executor->slots[i].runs[index] = npu_run_new (device, &options, error);
    if (executor->slots[i].runs[index] == NULL) {
      while (i-- > 0)
        g_clear_pointer (&executor->slots[i].runs[index], npu_run_free);
      return FALSE;
    }
  }
  executor->devices[executor->n_devices++] = device;
  return TRUE;
}

NpuExecutor *
npu_executor_new (
    NpuDevice *device, guint depth, guint64 timeout, GError **error)
{
  NpuExecutor *executor;
  guint i;

  if (depth < 1 || depth > NPU_EXECUTOR_MAX_DEPTH) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "depth %u is not between 1 and %d", depth, NPU_EXECUTOR_MAX_DEPTH);
    return NULL;
  }
  if (timeout == 0) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "a timeout of 0 leaves a launch no time");
    return NULL;
  }

  executor = g_new0 (NpuExecutor, 1);
  executor->depth = depth;
  executor->timeout = timeout;
  pthread_mutex_init (&executor->stats_lock, NULL);
  for (i = 0; i < depth; i++)
    g_snprintf (
        executor->slots[i].lane, sizeof executor->slots[i].lane, "slot %u", i);
  if (!add_device (executor, device, error))
    g_clear_pointer (&executor, npu_executor_free);
  return executor;
}

void
npu_executor_free (NpuExecutor *executor)
{
  guint i, device;

  if (executor == NULL)
    return;
  for (i = 0; i < executor->depth; i++) {
    for (device = 0; device < executor->n_devices; device++)
      npu_run_free (executor->slots[i].runs[device]);
  }
  pthread_mutex_destroy (&executor->stats_lock);
  g_free (executor);
}

guint
npu_executor_get_depth (NpuExecutor *executor)
{
  return executor->depth;
}

void
npu_executor_set_observer (
    NpuExecutor *executor, NpuExecutorObserver observer, gpointer user_data)
{
  executor->observer = observer;
  executor->observer_data = user_data;
}

void
npu_executor_set_trace (NpuExecutor *executor, NpuTrace *trace)
{
  guint i;

  executor->trace = trace;
  if (trace == NULL)
    return;
  npu_trace_add_lane (trace, "host");
  for (i = 0; i < executor->depth; i++)
    npu_trace_add_lane (trace, executor->slots[i].lane);
}

/* --- a run ------------------------------------------------------------ */

static gboolean
check_stages (NpuExecutor *executor, const NpuStage *stages, guint n_stages,
    GError **error)
{
  guint i;

  for (i = 0; i < n_stages; i++) {
    const NpuStage *stage = &stages[i];

    if (stage->n_tiles == 0)
      continue;
    if (stage->batch == 0 || stage->launch.kernel == NULL) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS, "stage '%s' has no %s",
          stage->name, stage->batch == 0 ? "tiles per launch" : "kernel");
      return FALSE;
    }
    if (npu_ring_find_device (executor, stage->launch.kernel->device) ==
            executor->n_devices &&
        !add_device (executor, stage->launch.kernel->device, error))
      return FALSE;
  }
  return TRUE;
}

/* Launches that an earlier run gave up must be over before their runs, and
 * the buffers they write to, are used again. */
static gboolean
check_lost (NpuExecutor *executor, GError **error)
{
  guint i, device;

  for (i = 0; i < executor->depth; i++) {
    NpuSlot *slot = &executor->slots[i];

    for (device = 0; device < executor->n_devices; device++) {
      if (!slot->lost[device])
        continue;
      if (!npu_run_is_done (slot->runs[device])) {
        g_set_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT,
            "a launch on device %s that timed out before is still in flight",
            npu_device_get_name (executor->devices[device]));
        return FALSE;
      }
      slot->lost[device] = FALSE;
    }
  }
  return TRUE;
}

static void
begin_run (NpuExecutor *executor, const NpuStage *stages)
{
  executor->stages = stages;
  memset (executor->progress, 0, sizeof executor->progress);
  executor->n_submitted = executor->n_completed = 0;
  executor->run = (NpuStats){0};
  executor->busy.n_spans = 0;
  executor->run_start = executor->stage_end = npu_clock_ns ();
}

static void
end_run (NpuExecutor *executor, gboolean ok)
{
  if (ok) {
    executor->run.total_time = executor->stage_end - executor->run_start;
  } else {
    guint i;

    for (i = 0; i < G_N_ELEMENTS (executor->progress); i++) {
      const NpuStageProgress *progress = &executor->progress[i];

      if (progress->n_completed < progress->n_launches)
        npu_stats_add (&executor->run, &progress->stats);
    }
    executor->run.total_time = npu_clock_ns () - executor->run_start;
  }

  pthread_mutex_lock (&executor->stats_lock);
  executor->last_run = executor->run;
  npu_stats_add (&executor->totals, &executor->run);
  pthread_mutex_unlock (&executor->stats_lock);
  executor->stages = NULL;
}

gboolean
npu_executor_run (NpuExecutor *executor, const NpuStage *stages, guint n_stages,
    GError **error)
{
  GError *cause = NULL;
  gboolean ok;
  guint i;

  if (!npu_ring_check_cancelled (executor, error) ||
      !check_lost (executor, error) ||
      !check_stages (executor, stages, n_stages, error)) {
    pthread_mutex_lock (&executor->stats_lock);
    executor->last_run = (NpuStats){0};
    pthread_mutex_unlock (&executor->stats_lock);
    return FALSE;
  }

  begin_run (executor, stages);
  for (i = 0, ok = TRUE; ok && i < n_stages; i++) {
    if (stages[i].n_tiles > 0)
      ok = npu_ring_run_stage (executor, i, &cause);
  }
  ok = ok && npu_ring_drain (executor, &cause);
  if (!ok) {
    npu_ring_abandon (
        executor, g_error_matches (cause, NPU_ERROR, NPU_ERROR_TIMEOUT));
    g_propagate_error (error, cause);
  }
  end_run (executor, ok);
  return ok;
}

/* --- other threads ------------------------------------------------------ */

void
npu_executor_cancel (NpuExecutor *executor)
{
  g_atomic_int_set (&executor->cancelled, TRUE);
}

void
npu_executor_resume (NpuExecutor *executor)
{
  g_atomic_int_set (&executor->cancelled, FALSE);
}

void
npu_executor_get_stats (NpuExecutor *executor, NpuStats *stats)
{
  pthread_mutex_lock (&executor->stats_lock);
  *stats = executor->totals;
  pthread_mutex_unlock (&executor->stats_lock);
}

void
npu_executor_get_run_stats (NpuExecutor *executor, NpuStats *stats)
{
  pthread_mutex_lock (&executor->stats_lock);
  *stats = executor->last_run;
  pthread_mutex_unlock (&executor->stats_lock);
}

void
npu_executor_reset_stats (NpuExecutor *executor)
{
  pthread_mutex_lock (&executor->stats_lock);
  executor->totals = (NpuStats){0};
  pthread_mutex_unlock (&executor->stats_lock);
}
