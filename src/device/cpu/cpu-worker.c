/* A worker: takes units of launches, and helps with lists.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cpu-worker.h"

#include <sys/prctl.h>

#include "cpu-lane.h"
#include "cpu-list.h"
#include "cpu-queue.h"
#include "npu-clock.h"

/* What a worker knows; times of npu_clock_ns(). */
typedef struct {
  CpuDevice *device;
  guint64 last_unit; /* when it was taken, where lists wait */
  guint64 idle;      /* when it had done its last, 0: it has looked for more */
} Worker;

/* Helps with a list, if there is one. Lists go before the ring's units, as they
 * take microseconds; but not when this worker's last unit is long ago. With the
 * lock held, which is let go meanwhile. */
static gboolean
help_with_list (Worker *worker)
{
  CpuDevice *device = worker->device;
  CpuList *list;

  if (g_queue_is_empty (&device->lists))
    return FALSE;
  if (g_queue_is_empty (&device->ready))
    worker->last_unit = npu_clock_ns ();
  else if (npu_clock_ns () - worker->last_unit >= CPU_LIST_TURN)
    return FALSE;
  list = cpu_device_next_list (device);
  if (!list)
    return FALSE;
  g_mutex_unlock (&device->lock);
  cpu_list_help (device, list);
  cpu_device_lock (device);
  return TRUE;
}

/* Computes the next units of @run, if there is a lane. The same. */
static gboolean
run_units (Worker *worker, CpuRun *run)
{
  CpuDevice *device = worker->device;
  CpuWorker *lane = cpu_lane_enter (device);

  if (!lane)
    return FALSE;
  cpu_queue_run_units (device, run, lane);
  cpu_lane_leave (device, lane);
  worker->idle = npu_clock_ns ();
  if (!g_queue_is_empty (&device->lists))
    worker->last_unit = worker->idle;
  return TRUE;
}

/* Looks for units for a while where this worker has had some. The same. */
static gboolean
look (Worker *worker)
{
  CpuDevice *device = worker->device;
  const guint64 since = worker->idle;
  CpuWorker *lane;

  worker->idle = 0;
  if (since == 0 || cpu_lanes_are_workers (device))
    return FALSE;
  lane = cpu_lane_enter (device);
  if (!lane)
    return FALSE;
  cpu_lane_look (device, since);
  cpu_lane_leave (device, lane);
  return TRUE;
}

/* The same. */
static void
wait_for_time (CpuDevice *device, const CpuRun *run)
{
  device->n_asleep++;
  g_cond_wait_until (
      &device->work, &device->lock, (gint64) (run->ready_time / 1000));
  device->n_asleep--;
}

gpointer
cpu_worker_main (gpointer data)
{
  CpuDevice *device = data;
  Worker worker = {.device = device};
  CpuRun *run;

  cpu_thread_begin ();
  if (device->latency)
    /* The kernel's default slack of 50 us would be half of such a latency. */
    prctl (PR_SET_TIMERSLACK, 1000, 0, 0, 0);

  g_mutex_lock (&device->lock);
  for (;;) {
    if (help_with_list (&worker))
      continue;
    run = cpu_queue_peek (device);
    if (run && device->latency && npu_clock_ns () < run->ready_time) {
      wait_for_time (device, run);
      continue;
    }
    if (run ? run_units (&worker, run) : look (&worker))
      continue;
    if (!run && device->quit)
      break;
    /* Where others compute its units, this one's turn can wait. */
    worker.last_unit = npu_clock_ns ();
    if (!help_with_list (&worker))
      cpu_worker_sleep (device);
  }
  g_mutex_unlock (&device->lock);
  return NULL;
}
