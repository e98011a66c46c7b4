/* The launches that wait for the CPU's workers. Each stream has its own in the
 * order in which they were submitted, and streams are served in turn, a few
 * tiles at a time: one with many launches in flight does not hold up others.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "cpu-device.h"

G_BEGIN_DECLS

typedef struct {
  gconstpointer id;
  guint n_runs; /* that are its, in flight or not */
  GQueue queue; /* of CpuRun with tiles that no worker took, oldest first */
  GList link;   /* in the device's `ready` */
} CpuStream;

typedef struct {
  NpuRun base;
  CpuStream *stream;
  guint group; /* of waiting threads */
  NpuLaunch launch;
  guint next_tile; /* the first that no worker took */
  guint n_unfinished;
  gboolean in_flight;
  gboolean waited_for; /* a thread sleeps until it is done */
  guint64 ready_time;  /* when it may start */
  NpuRunTimes times;
  GList link; /* in the stream's queue */
} CpuRun;

/* With the device's lock held: the run to take tiles of, or NULL. */
CpuRun *cpu_queue_peek (CpuDevice *device);
/* The same: takes the next @n tiles of that run. */
void cpu_queue_take (CpuDevice *device, CpuRun *run, guint n);
/* The same: @n tiles are done. Where they are the last, the lock is let go
 * while a waiting thread is woken, and the run is its owner's from there on. */
void cpu_queue_finish (CpuDevice *device, CpuRun *run, guint n);

/* Of the device's class. */
NpuRun *cpu_run_new (
    NpuDevice *device, const NpuRunOptions *options, GError **error);
void cpu_run_free (NpuRun *run);
gboolean cpu_run_submit (NpuRun *run, const NpuLaunch *launch, GError **error);
gboolean cpu_run_wait (
    NpuRun *run, guint64 timeout, NpuRunTimes *times, GError **error);
gboolean cpu_run_is_done (NpuRun *run);
void cpu_run_cancel (NpuRun *run);

G_END_DECLS
