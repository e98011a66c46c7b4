/* The launches that wait for the CPU's workers. Each stream has its own in the
 * order in which they were submitted, and streams are served in turn, a few
 * units at a time: one with many launches in flight does not hold up others. A
 * thread that waits for its run computes too, while it is that run's turn.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "cpu-chain.h"

G_BEGIN_DECLS

typedef struct {
  gconstpointer id;
  guint n_runs; /* that are its, in flight or not */
  GQueue queue; /* of CpuRun with units that no thread took, oldest first */
  GList link;   /* in the device's `ready` */
  guint64 left; /* when its thread last came back from a verb */
} CpuStream;

typedef struct {
  NpuRun base;
  CpuStream *stream;
  guint group;     /* of waiting threads */
  CpuUnits units;  /* of its launch */
  guint next_unit; /* the first that no thread took */
  guint n_unfinished;
  atomic_bool in_flight; /* set with the lock held */
  gboolean waited_for;   /* a thread sleeps until it is done */
  guint64 ready_time;    /* when it may start */
  CpuChain chain;        /* instead, where it has several launches */
  NpuRunTimes times;
  GList link; /* in the stream's queue */
} CpuRun;

/* With the device's lock held: the run to take units of, or NULL. */
CpuRun *cpu_queue_peek (CpuDevice *device);
/* The same: takes the next units of that run and computes them in @lane, while
 * the lock is let go. Where they are its last, the run is its owner's from
 * there on. */
void cpu_queue_run_units (CpuDevice *device, CpuRun *run, CpuWorker *lane);

/* Of the device's class. */
NpuRun *cpu_run_new (
    NpuDevice *device, const NpuRunOptions *options, GError **error);
void cpu_run_free (NpuRun *run);
gboolean cpu_run_submit (NpuRun *run, const NpuLaunch *launch, GError **error);
guint cpu_run_count_joined (
    NpuRun *run, const NpuLaunch *launches, guint n_launches);
gboolean cpu_run_submit_list (
    NpuRun *run, const NpuLaunch *launches, guint n_launches, GError **error);
gboolean cpu_run_wait (
    NpuRun *run, guint64 timeout, NpuRunTimes *times, GError **error);
gboolean cpu_run_is_done (NpuRun *run);
void cpu_run_cancel (NpuRun *run);

G_END_DECLS
