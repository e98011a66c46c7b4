/* The pipelined executor: a ring of `depth` slots, each with one launch in
 * flight, fed from the thread that calls npu_executor_run().
 *
 * Launches are submitted in the order of stages and tiles, and completed and
 * finished in that same order, whatever order the device completes them in.
 * What the ring guarantees, and a plan of stages may rely on:
 * - a slot is prepared only after its last launch completed and was finished;
 * - a launch is prepared and submitted only after what its stage needs has
 *   completed and was finished;
 * - so when a launch of stage s with NPU_NEEDS_SAME_ROWS is prepared, every
 *   launch of stage s - 2 and before has completed: at most two neighbouring
 *   stages are ever in flight together. A buffer that such a stage s writes
 *   must not be one that stage s - 1 still reads, other than in the same rows.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "device/npu-device.h"
#include "npu-stats.h"
#include "npu-trace.h"

G_BEGIN_DECLS

#define NPU_EXECUTOR_MAX_DEPTH 16
#define NPU_EXECUTOR_MAX_BATCH 24

typedef struct _NpuExecutor NpuExecutor;
typedef struct _NpuStage NpuStage;

/* What of the stage before must have completed before a launch may go. */
typedef enum {
  NPU_NEEDS_ALL,       /* every launch of every stage before */
  NPU_NEEDS_SAME_ROWS, /* those of the stage before that wrote its own row
                        * tiles or earlier ones, in every group: tile r of
                        * each group needs tile r of each group there. After
                        * a stage without tiles as NPU_NEEDS_ALL */
} NpuNeeds;

/**
 * NpuStageFunc:
 * @stage: the stage
 * @slot: index of the slot, 0 to depth - 1
 * @launch: (inout): the launch; a prepare function may set its args to the
 *   slot's own buffers, and its first_tile to where the tiles are in those
 *
 * Host work on one launch, with the syncs that belong to it. prepare runs
 * before its submission, when the slot is free; finish after its completion,
 * with the launch as prepare left it. Both in the thread of
 * npu_executor_run(); a prepare and a finish of one slot never overlap. In a
 * run that fails or is cancelled, launches that were in flight are not
 * finished.
 *
 * Returns: %FALSE with @error set to end the run with this error.
 */
typedef gboolean (*NpuStageFunc) (const NpuStage *stage, guint slot,
    NpuLaunch *launch, gpointer user_data, GError **error);

/* One operation over all tiles of a window, or over a list of loose tiles. Its
 * kernel may be of another device than the executor's, over the same buffers;
 * that device must outlive the executor too. */
struct _NpuStage {
  const char *name;        /* "block 3 attention"; static or owned by caller */
  NpuLaunch launch;        /* kernel, args, rows; tiles are filled in */
  guint n_tiles;           /* 64-row output tiles; 0 = the stage is skipped */
  guint tiles_per_group;   /* a launch never spans two groups (attention: the
                            * tiles of one head); 0 = no groups */
  guint groups_per_launch; /* where not 0, a launch covers this many whole
                            * groups instead, the last one those that are
                            * left, whatever the batch */
  guint batch;             /* tiles per launch, at least 1 */
  NpuNeeds needs;
  NpuStageFunc prepare; /* or NULL */
  NpuStageFunc finish;  /* or NULL */
  gpointer user_data;
};

/* Seen by an observer: what happened to a launch. */
typedef enum {
  NPU_EVENT_LAUNCHED,   /* submitted while the ring filled: nothing waited for,
                         * other than the drain before a NPU_NEEDS_ALL stage */
  NPU_EVENT_OVERLAPPED, /* submitted in the steady state, after waiting for the
                         * oldest launch */
  NPU_EVENT_DRAINED,    /* completed, no launch of its stage left to submit */
  NPU_EVENT_STAGE_DONE, /* a stage's last launch has completed */
} NpuExecutorEvent;

typedef struct {
  guint stage; /* index in the list */
  guint slot;
  guint first_tile, n_tiles;
  /* LAUNCHED, OVERLAPPED: the ring was found drained. */
  gboolean stalled;
  /* OVERLAPPED: the launch of the same stage that was waited for; no tiles
   * where it was one of the stage before, which was reported as DRAINED. */
  guint completed_first_tile, completed_n_tiles;
  /* STAGE_DONE: of this stage. Its total_time begins where the stage before
   * was done (the first stage's: where the run began) and ends with its last
   * finish: the stages' times add up to the run's. While two stages overlap,
   * the time is the earlier one's. */
  const NpuStats *stats;
} NpuExecutorEventInfo;

typedef void (*NpuExecutorObserver) (const NpuStage *stage,
    NpuExecutorEvent event, const NpuExecutorEventInfo *info,
    gpointer user_data);

/**
 * npu_executor_new:
 * @device: must outlive the executor
 * @depth: slots, 1 to 16; 1 is sequential
 * @timeout: ns that one launch may take, from when all before it have
 *   completed and the host waits for it; not 0
 *
 * Returns: (transfer full): an executor, or %NULL with @error set.
 */
NPU_API NpuExecutor *npu_executor_new (
    NpuDevice *device, guint depth, guint64 timeout, GError **error);
/* Waits for launches that timed out and are still in flight, for as long as
 * they take. Kernels and buffers of the stages are freed after this. */
NPU_API void npu_executor_free (NpuExecutor *executor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuExecutor, npu_executor_free)

NPU_API guint npu_executor_get_depth (NpuExecutor *executor);

/* Called from the running thread; NULL switches it off. Not while running. */
NPU_API void npu_executor_set_observer (
    NpuExecutor *executor, NpuExecutorObserver observer, gpointer user_data);

/* (transfer none) (nullable): records every launch from now on. Not while
 * running. */
NPU_API void npu_executor_set_trace (NpuExecutor *executor, NpuTrace *trace);

/**
 * npu_executor_run:
 * @stages: n_stages of them, in order
 *
 * Runs all launches of all stages through the ring and returns when the last
 * has completed. The outputs are the same, bit for bit, at every depth and
 * batch. One run at a time; it allocates nothing per launch.
 *
 * After a failure nothing more is submitted, and what is in flight is waited
 * for: each launch for the timeout, and once one has timed out, those behind
 * it for what is left of the timeout since their submission. The executor can
 * be used again, but while a launch that timed out is still in flight, runs
 * fail at once with TIMEOUT, and its buffers and kernel must stay.
 *
 * Returns: %FALSE with @error set (LAUNCH, TIMEOUT, CANCELLED, SETTINGS for a
 * stage that cannot be, or what prepare, finish or the device set) after every
 * launch that was in flight has completed or timed out. The message names the
 * stage and the tiles.
 */
NPU_API gboolean npu_executor_run (NpuExecutor *executor,
    const NpuStage *stages, guint n_stages, GError **error);

/* From any thread: the current run stops submitting and fails with CANCELLED;
 * runs fail at once until npu_executor_resume(). */
NPU_API void npu_executor_cancel (NpuExecutor *executor);
NPU_API void npu_executor_resume (NpuExecutor *executor);

/* Totals of the runs that ended since the executor was made or reset, failed
 * ones included. From any thread. */
NPU_API void npu_executor_get_stats (NpuExecutor *executor, NpuStats *stats);
NPU_API void npu_executor_reset_stats (NpuExecutor *executor);

/* Of the last run that ended; all zero before the first, and where the last one
 * failed before it began. From any thread. */
NPU_API void npu_executor_get_run_stats (
    NpuExecutor *executor, NpuStats *stats);

G_END_DECLS
