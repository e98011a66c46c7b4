/* The pipelined executor: a ring of `depth` slots, each with one launch in
 * flight, fed from the thread that calls npu_executor_run().
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
  NPU_NEEDS_SAME_ROWS, /* those that wrote its own row tiles: both stages have
                        * one tile per 64 rows, tile r needs tile r */
} NpuNeeds;

/**
 * NpuStageFunc:
 * @stage: the stage
 * @slot: index of the slot, 0 to depth - 1
 * @launch: (inout): the launch; a prepare function may set its args to the
 *   slot's own buffers
 *
 * Host work on one launch. prepare runs before its submission, when the slot
 * is free; finish after its completion. Both in the thread of
 * npu_executor_run(); a prepare and a finish of one slot never overlap.
 */
typedef gboolean (*NpuStageFunc) (const NpuStage *stage, guint slot,
    NpuLaunch *launch, gpointer user_data, GError **error);

/* One operation over all tiles of a window, or over a list of loose tiles. */
struct _NpuStage {
  const char *name;      /* "block 3 attention"; static or owned by caller */
  NpuLaunch launch;      /* kernel, args, rows; tiles are filled in */
  guint n_tiles;         /* 64-row output tiles */
  guint tiles_per_group; /* a launch never spans two groups (attention: the
                          * tiles of one head); 0 = no groups */
  guint batch;           /* tiles per launch, at least 1 */
  NpuNeeds needs;
  NpuStageFunc prepare;  /* or NULL */
  NpuStageFunc finish;   /* or NULL */
  gpointer user_data;
};

/* Seen by an observer: what happened to a launch. */
typedef enum {
  NPU_EVENT_LAUNCHED,   /* submitted while the ring filled: nothing waited for */
  NPU_EVENT_OVERLAPPED, /* submitted in the steady state, after waiting for the
                         * oldest launch */
  NPU_EVENT_DRAINED,    /* completed, no launch of its stage left to submit */
  NPU_EVENT_STAGE_DONE, /* a stage's last launch has completed */
} NpuExecutorEvent;

typedef struct {
  guint stage; /* index in the list */
  guint slot;
  guint first_tile, n_tiles;
  gboolean stalled;        /* LAUNCHED, OVERLAPPED: the ring was found drained */
  const NpuStats *stats;   /* STAGE_DONE: of this stage */
} NpuExecutorEventInfo;

typedef void (*NpuExecutorObserver) (const NpuStage *stage,
    NpuExecutorEvent event, const NpuExecutorEventInfo *info,
    gpointer user_data);

/**
 * npu_executor_new:
 * @device: must outlive the executor
 * @depth: slots, 1 to 16; 1 is sequential
 * @timeout: ns that one launch may take
 *
 * Returns: (transfer full): an executor, or %NULL with @error set.
 */
NPU_API NpuExecutor *npu_executor_new (NpuDevice *device, guint depth,
    guint64 timeout, GError **error);
NPU_API void npu_executor_free (NpuExecutor *executor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuExecutor, npu_executor_free)

NPU_API guint npu_executor_get_depth (NpuExecutor *executor);

/* Called from the running thread; NULL switches it off. Not while running. */
NPU_API void npu_executor_set_observer (NpuExecutor *executor,
    NpuExecutorObserver observer, gpointer user_data);

/* (transfer none): records every launch from now on. Not while running. */
NPU_API void npu_executor_set_trace (NpuExecutor *executor, NpuTrace *trace);

/**
 * npu_executor_run:
 * @stages: n_stages of them, in order
 *
 * Runs all launches of all stages through the ring and returns when the last
 * has completed. The outputs are the same, bit for bit, at every depth and
 * batch.
 *
 * Returns: %FALSE with @error set (LAUNCH, TIMEOUT, CANCELLED or what prepare
 * or finish set) after every launch that was in flight has completed or
 * timed out.
 */
NPU_API gboolean npu_executor_run (NpuExecutor *executor,
    const NpuStage *stages, guint n_stages, GError **error);

/* From any thread: the current run stops submitting and fails with CANCELLED;
 * runs fail at once until npu_executor_resume(). */
NPU_API void npu_executor_cancel (NpuExecutor *executor);
NPU_API void npu_executor_resume (NpuExecutor *executor);

/* Totals since the executor was made or reset. From the running thread. */
NPU_API void npu_executor_get_stats (NpuExecutor *executor, NpuStats *stats);
NPU_API void npu_executor_reset_stats (NpuExecutor *executor);

G_END_DECLS
