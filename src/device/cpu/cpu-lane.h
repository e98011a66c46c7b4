/* Who computes: lanes for as many threads as the device has workers, which
 * workers and threads that wait for a run take; and the calling of workers.
 *
 * A thread that submits a launch comes back to wait for it, most often at once:
 * then one unit and one lane are kept for it, and a launch of one unit calls
 * nobody.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "cpu-device.h"

G_BEGIN_DECLS

/* How long a thread looks for a unit, or for the end of its run, before it
 * sleeps. */
#define CPU_LOOK 20000u /* ns */

/* As g_mutex_lock(), but without a call of the system where the lock is free
 * soon. */
void cpu_device_lock (CpuDevice *device);

/* FALSE where a thread could not start. */
void cpu_lanes_init (CpuDevice *device);
void cpu_lanes_clear (CpuDevice *device);

/* With the lock held: a lane, or NULL where all are taken. */
CpuWorker *cpu_lane_enter (CpuDevice *device);
void cpu_lane_leave (CpuDevice *device, CpuWorker *lane);

/* The calling thread's own, for units of lists, whose threads are counted
 * otherwise. It goes with the thread. */
CpuWorker *cpu_lane_of_thread (void);

/* The same: whether no thread that waits for a run may compute: where somebody
 * watches what the workers do. */
gboolean cpu_lanes_are_workers (const CpuDevice *device);

/* The same: how many workers to call, who count as called from now on: what
 * cpu_workers_call() gets when the lock is free again. @host_comes tells that
 * the calling thread will wait for its run at once. */
guint cpu_workers_needed (CpuDevice *device, gboolean host_comes);
/* The same, for @n at most who do something else. */
guint cpu_workers_wanted (CpuDevice *device, guint n);
void cpu_workers_call (CpuDevice *device, guint n);

/* By a worker with the lock held: sleeps until it is called, or quit. */
void cpu_worker_sleep (CpuDevice *device);

/* By a thread that has a lane, with the lock held, which is let go meanwhile:
 * looks for a unit or a list until CPU_LOOK after @since, a time of
 * npu_clock_ns(). */
void cpu_lane_look (CpuDevice *device, guint64 since);

/* What units find in every thread: oneDNN without threads of its own, and
 * floats as the C standard has them, not rounded or flushed as an application
 * likes it. */
typedef struct {
  guint float_control;
  int omp_threads;
} CpuThreadState;

CpuThreadState cpu_thread_begin (void);
void cpu_thread_end (const CpuThreadState *before);

G_END_DECLS
