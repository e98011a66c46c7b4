/* The ring of launches in flight: fill, steady, drain.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-executor-private.h"

#include "npu-schedule.h"

/* --- errors ----------------------------------------------------------- */

/* Moves @cause to @error, with @before and the launch's name in front. */
static gboolean
fail_launch (NpuExecutor *executor, NpuSlot *slot, const char *before,
    GError *cause, GError **error)
{
  guint first = slot->first_tile;
  guint last = first + slot->n_tiles - 1;
  const char *stage = executor->stages[slot->stage].name;
  char tiles[48];

  if (first == last)
    g_snprintf (tiles, sizeof tiles, "tile %u", first);
  else
    g_snprintf (tiles, sizeof tiles, "tiles %u-%u", first, last);

  if (cause == NULL) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
        "%s %s of stage '%s' failed", before, tiles, stage);
  } else if (g_error_matches (cause, NPU_ERROR, NPU_ERROR_TIMEOUT)) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT,
        "%s %s of stage '%s' did not complete within %" G_GUINT64_FORMAT " ms",
        before, tiles, stage, executor->timeout / 1000000);
    g_error_free (cause);
  } else {
    g_propagate_prefixed_error (
        error, cause, "%s %s of stage '%s' failed: ", before, tiles, stage);
  }
  return FALSE;
}

gboolean
npu_ring_check_cancelled (NpuExecutor *executor, GError **error)
{
  if (G_LIKELY (!g_atomic_int_get (&executor->cancelled)))
    return TRUE;
  g_set_error_literal (
      error, NPU_ERROR, NPU_ERROR_CANCELLED, "the run was cancelled");
  return FALSE;
}

/* --- completion ------------------------------------------------------- */

static NpuSlot *
slot_of (NpuExecutor *executor, guint64 launch)
{
  return &executor->slots[launch % executor->depth];
}

static void
notify (NpuExecutor *executor, const NpuSlot *slot, NpuExecutorEvent event,
    const NpuStats *stats, gboolean same_stage_completed)
{
  NpuExecutorEventInfo info = {
      .stage = slot->stage,
      .slot = (guint) (slot - executor->slots),
      .first_tile = slot->first_tile,
      .n_tiles = slot->n_tiles,
      .stats = stats,
  };

  if (executor->observer == NULL)
    return;
  if (event == NPU_EVENT_LAUNCHED || event == NPU_EVENT_OVERLAPPED)
    info.stalled = slot->stalled;
  if (same_stage_completed) {
    info.completed_first_tile = executor->completed_first_tile;
    info.completed_n_tiles = executor->completed_n_tiles;
  }
  executor->observer (
      &executor->stages[slot->stage], event, &info, executor->observer_data);
}

/* Whether a launch of @stage has host work before or after it, its stage's or
 * its device's. */
static gboolean
has_prepare (const NpuStage *stage)
{
  return stage->prepare != NULL ||
         npu_device_has_host_work (stage->launch.kernel->device);
}

static gboolean
has_finish (const NpuStage *stage)
{
  return stage->finish != NULL ||
         npu_device_has_host_work (stage->launch.kernel->device);
}

/* The stage's host work first: it may say where the launch's tiles are. */
static gboolean
prepare_launch (NpuExecutor *executor, NpuSlot *slot, GError **error)
{
  const NpuStage *stage = &executor->stages[slot->stage];
  const guint index = (guint) (slot - executor->slots);

  return (!stage->prepare || stage->prepare (stage, index, &slot->launch,
                                 stage->user_data, error)) &&
         npu_run_prepare (slot->runs[slot->device], &slot->launch, error);
}

static gboolean
finish_launch (NpuExecutor *executor, NpuSlot *slot, GError **error)
{
  const NpuStage *stage = &executor->stages[slot->stage];
  const guint index = (guint) (slot - executor->slots);

  return npu_run_finish (slot->runs[slot->device], &slot->launch, error) &&
         (!stage->finish || stage->finish (stage, index, &slot->launch,
                                stage->user_data, error));
}

static void
trace_launch (NpuExecutor *executor, const NpuSlot *slot,
    const NpuRunTimes *times, guint64 wait_start, guint64 wait_end,
    guint64 finish_end)
{
  const NpuStage *stage = &executor->stages[slot->stage];
  guint first = slot->first_tile, n = slot->n_tiles;
  NpuTrace *trace = executor->trace;

  if (has_prepare (stage))
    npu_trace_add (trace, slot->lane, stage->name, "dma-write",
        slot->prepare_start, slot->prepare_end, first, n);
  if (slot->stalled)
    npu_trace_mark (
        trace, "host", stage->name, "stall", slot->submitted, first, n);
  npu_trace_add (trace, slot->lane, stage->name, "queue", slot->submitted,
      times->start, first, n);
  npu_trace_add (trace, slot->lane, stage->name, "compute", times->start,
      times->end, first, n);
  if (times->end > wait_start)
    npu_trace_add (
        trace, "host", stage->name, "wait", wait_start, wait_end, first, n);
  if (has_finish (stage))
    npu_trace_add (trace, slot->lane, stage->name, "dma-read", wait_end,
        finish_end, first, n);
}

/* Accounts for the completed launch of @slot; ends its stage with its last. */
static void
account_completed (NpuExecutor *executor, NpuSlot *slot)
{
  NpuStageProgress *progress = &executor->progress[slot->stage % 2];

  progress->n_completed++;
  progress->stats.tiles += slot->n_tiles;
  executor->completed_stage = slot->stage;
  executor->completed_first_tile = slot->first_tile;
  executor->completed_n_tiles = slot->n_tiles;

  if (progress->n_submitted == progress->n_launches)
    notify (executor, slot, NPU_EVENT_DRAINED, NULL, FALSE);
  if (progress->n_completed == progress->n_launches) {
    guint64 now = npu_clock_ns ();

    progress->stats.total_time = now - executor->stage_end;
    executor->stage_end = now;
    npu_stats_add (&executor->run, &progress->stats);
    notify (executor, slot, NPU_EVENT_STAGE_DONE, &progress->stats, FALSE);
  }
}

/* Waits for the oldest launch in flight and finishes it. */
static gboolean
complete_oldest (NpuExecutor *executor, GError **error)
{
  NpuSlot *slot = slot_of (executor, executor->n_completed);
  const NpuStage *stage = &executor->stages[slot->stage];
  NpuStats *stats = &executor->progress[slot->stage % 2].stats;
  NpuRun *run = slot->runs[slot->device];
  NpuRunTimes times = {0};
  guint64 wait_start, wait_end, finish_end;
  GError *cause = NULL;

  wait_start = npu_clock_ns ();
  if (!npu_run_wait (run, executor->timeout, &times, &cause)) {
    executor->n_completed++;
    slot->lost[slot->device] = !npu_run_is_done (run);
    if (executor->trace != NULL)
      npu_trace_mark (executor->trace, slot->lane, stage->name, "error",
          npu_clock_ns (), slot->first_tile, slot->n_tiles);
    return fail_launch (executor, slot, "launch of", cause, error);
  }
  wait_end = finish_end = npu_clock_ns ();
  executor->n_completed++;
  if (!npu_ring_check_cancelled (executor, error))
    return FALSE;

  /* A device's clock may be coarser than the host's. */
  times.start = CLAMP (times.start, slot->submitted, wait_end);
  times.end = CLAMP (times.end, times.start, wait_end);
  stats->compute_time += npu_busy_time_add (
      &executor->busy, slot->submitted, times.start, times.end);

  if (has_finish (stage)) {
    if (!finish_launch (executor, slot, &cause))
      return fail_launch (executor, slot, "reading", cause, error);
    finish_end = npu_clock_ns ();
    stats->dma_read_time += finish_end - wait_end;
  }

  if (G_UNLIKELY (executor->trace != NULL))
    trace_launch (executor, slot, &times, wait_start, wait_end, finish_end);
  account_completed (executor, slot);
  return TRUE;
}

static gboolean
complete_until (NpuExecutor *executor, guint64 n_completed, GError **error)
{
  while (executor->n_completed < n_completed) {
    if (!complete_oldest (executor, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
npu_ring_drain (NpuExecutor *executor, GError **error)
{
  return complete_until (executor, executor->n_submitted, error);
}

/* A device that let one launch time out may hang, so those behind it must not
 * be given a whole timeout each. */
void
npu_ring_abandon (NpuExecutor *executor, gboolean timed_out)
{
  for (guint64 i = executor->n_completed; i < executor->n_submitted; i++)
    npu_run_cancel (slot_of (executor, i)->runs[slot_of (executor, i)->device]);
  for (; executor->n_completed < executor->n_submitted;
       executor->n_completed++) {
    NpuSlot *slot = slot_of (executor, executor->n_completed);
    NpuRun *run = slot->runs[slot->device];
    guint64 timeout = executor->timeout;
    NpuRunTimes times;

    if (timed_out) {
      guint64 taken = npu_clock_ns () - slot->submitted;

      timeout = taken < timeout ? timeout - taken : 0;
    }
    if (timeout > 0 && npu_run_wait (run, timeout, &times, NULL))
      continue;
    slot->lost[slot->device] = !npu_run_is_done (run);
    timed_out |= slot->lost[slot->device];
  }
}

/* --- submission ------------------------------------------------------- */

/* Whether every launch submitted so far has completed, finished or not. */
static gboolean
is_drained (NpuExecutor *executor)
{
  guint64 launch;

  /* The newest is the likeliest still to run. */
  for (launch = executor->n_submitted; launch > executor->n_completed;
       launch--) {
    NpuSlot *slot = slot_of (executor, launch - 1);

    if (!npu_run_is_done (slot->runs[slot->device]))
      return FALSE;
  }
  return TRUE;
}

/* Prepares and submits the next launch; its slot is free. */
static gboolean
submit_next (NpuExecutor *executor, guint stage_index, guint device,
    guint first_tile, guint n_tiles, GError **error)
{
  const NpuStage *stage = &executor->stages[stage_index];
  NpuStageProgress *progress = &executor->progress[stage_index % 2];
  NpuSlot *slot = slot_of (executor, executor->n_submitted);
  GError *cause = NULL;

  if (!npu_ring_check_cancelled (executor, error))
    return FALSE;

  slot->stage = stage_index;
  slot->device = device;
  slot->first_tile = first_tile;
  slot->n_tiles = n_tiles;
  slot->launch = stage->launch;
  slot->launch.first_tile = first_tile;
  slot->launch.n_tiles = n_tiles;
  if (has_prepare (stage)) {
    slot->prepare_start = npu_clock_ns ();
    if (!prepare_launch (executor, slot, &cause))
      return fail_launch (executor, slot, "writing", cause, error);
    slot->prepare_end = npu_clock_ns ();
    progress->stats.dma_write_time += slot->prepare_end - slot->prepare_start;
  }

  slot->stalled = progress->n_submitted > 0 && is_drained (executor);
  slot->submitted = npu_clock_ns ();
  if (!npu_run_submit (slot->runs[device], &slot->launch, &cause))
    return fail_launch (executor, slot, "submission of", cause, error);

  executor->n_submitted++;
  progress->n_submitted++;
  progress->stats.launches++;
  progress->stats.stalls += slot->stalled ? 1 : 0;
  return TRUE;
}

/* How many of the run's launches must have completed before the launch of
 * @stage over these tiles may go. */
static guint64
count_needed (
    NpuExecutor *executor, guint stage_index, guint first_tile, guint n_tiles)
{
  const NpuStage *stage = &executor->stages[stage_index];
  const NpuStage *before = &executor->stages[stage_index - 1];

  return executor->progress[(stage_index - 1) % 2].first_launch +
         npu_schedule_count_for_rows (
             before, npu_schedule_rows_end (stage, first_tile, n_tiles));
}

guint
npu_ring_find_device (NpuExecutor *executor, NpuDevice *device)
{
  guint i;

  for (i = 0; i < executor->n_devices && executor->devices[i] != device; i++)
    ;
  return i;
}

gboolean
npu_ring_run_stage (NpuExecutor *executor, guint index, GError **error)
{
  const NpuStage *stage = &executor->stages[index];
  NpuStageProgress *progress = &executor->progress[index % 2];
  guint device = npu_ring_find_device (executor, stage->launch.kernel->device);
  gboolean same_rows = stage->needs == NPU_NEEDS_SAME_ROWS && index > 0 &&
                       executor->stages[index - 1].n_tiles > 0;
  guint first_tile, n_tiles;

  if (!same_rows && !npu_ring_drain (executor, error))
    return FALSE;

  for (first_tile = 0; first_tile < stage->n_tiles; first_tile += n_tiles) {
    guint64 n_completed = executor->n_completed;
    guint64 needed = 0;
    gboolean waited;

    n_tiles = npu_schedule_launch_tiles (stage, first_tile);
    if (executor->n_submitted - n_completed == executor->depth)
      needed = n_completed + 1;
    if (same_rows)
      needed =
          MAX (needed, count_needed (executor, index, first_tile, n_tiles));
    if (!complete_until (executor, needed, error))
      return FALSE;
    if (first_tile == 0)
      *progress = (NpuStageProgress){
          .first_launch = executor->n_submitted,
          .n_launches = npu_schedule_count (stage),
      };
    if (!submit_next (executor, index, device, first_tile, n_tiles, error))
      return FALSE;

    waited = executor->n_completed > n_completed;
    notify (executor, slot_of (executor, executor->n_submitted - 1),
        waited ? NPU_EVENT_OVERLAPPED : NPU_EVENT_LAUNCHED, NULL,
        waited && executor->completed_stage == index);
  }
  return TRUE;
}
