/* A worker: takes tiles of launches, and helps with lists.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cpu-worker.h"

#include <stdlib.h>
#include <sys/prctl.h>

#include "cpu-list.h"
#include "cpu-queue.h"
#include "npu-clock.h"

static guint8 *
aligned_new (gsize size)
{
  void *data = NULL;

  if (posix_memalign (&data, 64, MAX (size, 64)))
    return NULL;
  return data;
}

/* Helps with a list, if there is one. Lists go before the ring's tiles, as they
 * take microseconds; but not when this worker's last tile is long ago. With the
 * lock held, which is let go meanwhile. */
static gboolean
help_with_list (CpuDevice *device, guint64 *last_tile)
{
  CpuList *list;

  if (g_queue_is_empty (&device->lists))
    return FALSE;
  if (g_queue_is_empty (&device->ready))
    *last_tile = npu_clock_ns ();
  else if (npu_clock_ns () - *last_tile >= CPU_LIST_TURN)
    return FALSE;
  list = cpu_device_next_list (device);
  if (!list)
    return FALSE;
  g_mutex_unlock (&device->lock);
  cpu_list_help (device, list);
  g_mutex_lock (&device->lock);
  return TRUE;
}

/* Waits for a run to take a tile of; NULL to quit. With the lock held. */
static CpuRun *
next_run (CpuDevice *device, guint64 *last_tile)
{
  for (;;) {
    CpuRun *run;

    if (help_with_list (device, last_tile))
      continue;
    run = cpu_queue_peek (device);
    if (!run) {
      if (device->quit)
        return NULL;
      device->n_asleep++;
      g_cond_wait (&device->work, &device->lock);
    } else if (device->latency && npu_clock_ns () < run->ready_time) {
      g_cond_wait_until (
          &device->work, &device->lock, (gint64) (run->ready_time / 1000));
    } else {
      return run;
    }
  }
}

/* @n is 1, or 2 where the kernel has that. */
static void
run_tiles (CpuWorker *worker, const NpuLaunch *launch, guint tile, guint n)
{
  const CpuKernel *kernel = (const CpuKernel *) launch->kernel;

  if (worker->scratch_size < kernel->scratch_size) {
    free (worker->scratch);
    worker->scratch = aligned_new (kernel->scratch_size);
    if (!worker->scratch)
      g_error ("no memory for %" G_GSIZE_FORMAT " bytes of a worker's scratch",
          kernel->scratch_size);
    worker->scratch_size = kernel->scratch_size;
  }
  if (n == 2)
    kernel->run_pair (kernel, launch, tile, worker);
  else
    kernel->run_tile (kernel, launch, tile, worker);
}

/* Of a tile, seen by the device's observer. */
static void
run_tile_observed (
    const CpuDevice *device, CpuWorker *worker, const CpuRun *run, guint tile)
{
  const guint64 start = npu_clock_ns ();

  run_tiles (worker, &run->launch, tile, 1);
  device->tile_observer (worker->number, run->launch.kernel, tile, start,
      npu_clock_ns (), device->tile_observer_data);
}

/* How many tiles of a run a worker takes. Not two of the last ones, so that
 * workers end together, and one where each is observed. */
static guint
n_tiles_to_take (const CpuDevice *device, const CpuRun *run)
{
  const CpuKernel *kernel = (const CpuKernel *) run->launch.kernel;
  const guint rest = run->launch.n_tiles - run->next_tile;

  return kernel->run_pair && rest >= 2 * device->base.n_workers &&
                 !device->tile_observer
             ? 2
             : 1;
}

gpointer
cpu_worker_main (gpointer data)
{
  CpuDevice *device = data;
  CpuWorker worker = {.gemm = cpu_gemm_thread_new ()};
  guint64 last_tile = 0; /* when it was taken, where lists wait */
  CpuRun *run;

  if (device->latency)
    /* The kernel's default slack of 50 us would be half of such a latency. */
    prctl (PR_SET_TIMERSLACK, 1000, 0, 0, 0);

  g_mutex_lock (&device->lock);
  worker.number = device->n_begun++;
  while ((run = next_run (device, &last_tile))) {
    const guint tile = run->launch.first_tile + run->next_tile;
    const guint n = n_tiles_to_take (device, run);

    cpu_queue_take (device, run, n);
    g_mutex_unlock (&device->lock);

    if (G_UNLIKELY (device->tile_observer != NULL))
      run_tile_observed (device, &worker, run, tile);
    else
      run_tiles (&worker, &run->launch, tile, n);

    g_mutex_lock (&device->lock);
    if (!g_queue_is_empty (&device->lists))
      last_tile = npu_clock_ns ();
    cpu_queue_finish (device, run, n);
  }
  g_mutex_unlock (&device->lock);

  free (worker.scratch);
  cpu_gemm_thread_free (worker.gemm);
  return NULL;
}
