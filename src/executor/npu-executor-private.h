/* What the ring and the executor's face share: the slots and the current run.
 *
 * Launches of a run are numbered from 0 in the order of submission; number i
 * goes through slot i % depth. They are completed in the same order, so what
 * is in flight is always [n_completed, n_submitted).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <pthread.h>

#include "npu-busy-time.h"
#include "npu-clock.h"
#include "npu-executor.h"

G_BEGIN_DECLS

/* The executor's own device, and those of kernels that it could not open. */
#define NPU_EXECUTOR_MAX_DEVICES 4

G_STATIC_ASSERT (NPU_EXECUTOR_MAX_DEPTH <= NPU_BUSY_TIME_MAX);

typedef struct {
  NpuRun *runs[NPU_EXECUTOR_MAX_DEVICES];
  /* Timed out, perhaps still in flight. */
  gboolean lost[NPU_EXECUTOR_MAX_DEVICES];
  char lane[16];

  /* The launch in flight. */
  guint stage;
  guint device;
  guint first_tile, n_tiles; /* of the stage; prepare may renumber launch's */
  NpuLaunch launch;
  guint64 prepare_start, prepare_end;
  guint64 submitted;
  gboolean stalled;
} NpuSlot;

typedef struct {
  guint64 first_launch; /* its number in the run */
  guint64 n_launches;
  guint64 n_submitted, n_completed;
  NpuStats stats;
} NpuStageProgress;

struct _NpuExecutor {
  guint depth;
  guint64 timeout;
  NpuDevice *devices[NPU_EXECUTOR_MAX_DEVICES];
  guint n_devices;
  NpuSlot slots[NPU_EXECUTOR_MAX_DEPTH];

  NpuExecutorObserver observer;
  gpointer observer_data;
  NpuTrace *trace;
  gint cancelled; /* atomic */

  /* The current run. At most two neighbouring stages have launches in flight:
   * the first launch of a stage goes after one of the stage before completed,
   * which itself went after all of the one before that. */
  const NpuStage *stages;
  NpuStageProgress progress[2];
  guint64 n_submitted, n_completed;
  guint64 run_start;
  guint64 stage_end; /* when the last stage that is done was done */
  NpuStats run;
  NpuBusyTime busy;
  /* What was completed last, for the observer. */
  guint completed_stage, completed_first_tile, completed_n_tiles;

  /* Not a GMutex: ThreadSanitizer does not know those. */
  pthread_mutex_t stats_lock;
  NpuStats last_run, totals;
};

/* Fails with CANCELLED once npu_executor_cancel() was called. */
gboolean npu_ring_check_cancelled (NpuExecutor *executor, GError **error);

/* Index of @device among the executor's, or n_devices. */
guint npu_ring_find_device (NpuExecutor *executor, NpuDevice *device);

/* Submits all launches of the run's stage @index, which has tiles, and
 * completes older ones where that takes it. */
gboolean npu_ring_run_stage (
    NpuExecutor *executor, guint index, GError **error);

/* Completes and finishes all that is in flight. */
gboolean npu_ring_drain (NpuExecutor *executor, GError **error);

/* After an error: waits for all that is in flight, and finishes nothing;
 * @timed_out tells that the error was a timeout. */
void npu_ring_abandon (NpuExecutor *executor, gboolean timed_out);

G_END_DECLS
