/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-lane.h"

#include <stdlib.h>

#include "cpu-relax.h"
#include "npu-clock.h"

#define PAUSES 32 /* between two looks at the clock */
#define TRIES 64  /* at a lock that is held for some hundred ns */

void
cpu_device_lock (CpuDevice *device)
{
  for (guint i = 0; i < TRIES; i++) {
    if (g_mutex_trylock (&device->lock))
      return;
    cpu_relax ();
  }
  g_mutex_lock (&device->lock);
}

/* --- lanes --------------------------------------------------------------- */

void
cpu_lanes_init (CpuDevice *device)
{
  const guint n = device->base.n_workers;

  device->lanes = g_new0 (CpuWorker, n);
  device->free_lanes = g_new (CpuWorker *, n);
  /* The last one is taken first. */
  for (guint i = 0; i < n; i++) {
    device->lanes[i].number = n - 1 - i;
    device->lanes[i].gemm = cpu_gemm_thread_new ();
    device->free_lanes[i] = &device->lanes[i];
  }
  device->n_lanes = device->n_free = n;
}

void
cpu_lanes_clear (CpuDevice *device)
{
  for (guint i = 0; i < device->n_lanes; i++) {
    free (device->lanes[i].scratch);
    cpu_gemm_thread_free (device->lanes[i].gemm);
  }
  g_free (device->lanes);
  g_free (device->free_lanes);
}

CpuWorker *
cpu_lane_enter (CpuDevice *device)
{
  return device->n_free > 0 ? device->free_lanes[--device->n_free] : NULL;
}

void
cpu_lane_leave (CpuDevice *device, CpuWorker *lane)
{
  device->free_lanes[device->n_free++] = lane;
}

static void
free_lane (gpointer data)
{
  CpuWorker *lane = data;

  free (lane->scratch);
  cpu_gemm_thread_free (lane->gemm);
  g_free (lane);
}

CpuWorker *
cpu_lane_of_thread (void)
{
  static GPrivate own = G_PRIVATE_INIT (free_lane);
  CpuWorker *lane = g_private_get (&own);

  if (!lane) {
    lane = g_new0 (CpuWorker, 1);
    lane->gemm = cpu_gemm_thread_new ();
    g_private_set (&own, lane);
  }
  return lane;
}

gboolean
cpu_lanes_are_workers (const CpuDevice *device)
{
  return device->latency || device->tile_observer;
}

/* --- workers ------------------------------------------------------------- */

#define ALL G_MAXUINT

guint
cpu_workers_wanted (CpuDevice *device, guint n)
{
  const guint n_there = device->n_asleep - device->n_called;

  /* With a latency, one call might wake a worker that waits for an older
   * launch's time, and leave idle ones asleep. */
  if (device->latency)
    return ALL;
  n = MIN (n, n_there);
  device->n_called += n;
  return n > 1 && n == n_there ? ALL : n;
}

guint
cpu_workers_needed (CpuDevice *device, gboolean host_comes)
{
  const guint n_ready =
      atomic_load_explicit (&device->n_ready, memory_order_relaxed);
  /* Whoever sleeps for its run needs all of the others. */
  const guint kept =
      host_comes && device->n_waiting == 0 && !cpu_lanes_are_workers (device);
  const guint n_coming = device->n_called + kept;

  if (device->latency)
    return cpu_workers_wanted (device, 1);
  if (n_ready <= n_coming + device->n_looking || device->n_free <= n_coming)
    return 0;
  return cpu_workers_wanted (device,
      MIN (n_ready - n_coming - device->n_looking, device->n_free - n_coming));
}

void
cpu_workers_call (CpuDevice *device, guint n)
{
  if (n == ALL)
    g_cond_broadcast (&device->work);
  else
    while (n-- > 0)
      g_cond_signal (&device->work);
}

void
cpu_worker_sleep (CpuDevice *device)
{
  device->n_asleep++;
  if (device->latency)
    g_cond_wait (&device->work, &device->lock);
  else
    while (device->n_called == 0 && !device->quit)
      g_cond_wait (&device->work, &device->lock);
  if (device->n_called > 0)
    device->n_called--;
  device->n_asleep--;
}

static gboolean
has_work (CpuDevice *device)
{
  return atomic_load_explicit (&device->n_ready, memory_order_relaxed) > 0 ||
         atomic_load_explicit (&device->n_lists, memory_order_relaxed) > 0;
}

void
cpu_lane_look (CpuDevice *device, guint64 since)
{
  device->n_looking++;
  g_mutex_unlock (&device->lock);
  do
    for (guint i = 0; i < PAUSES && !has_work (device); i++)
      cpu_relax ();
  while (!has_work (device) && npu_clock_ns () - since < CPU_LOOK);
  cpu_device_lock (device);
  device->n_looking--;
}

/* --- what units find in a thread ----------------------------------------- */

#if defined(__SSE2__)
#include <xmmintrin.h>

#define FLOAT_CONTROL 0x1f80u /* to the nearest, denormals, no traps */
#define FLOAT_FLAGS 0x3fu

static guint
set_float_control (guint control)
{
  const guint before = _mm_getcsr ();

  if ((before & ~FLOAT_FLAGS) != (control & ~FLOAT_FLAGS))
    _mm_setcsr (control);
  return before;
}
#elif defined(__aarch64__)
#define FLOAT_CONTROL 0u

static guint
set_float_control (guint control)
{
  guint64 before;

  __asm__ volatile("mrs %0, fpcr" : "=r"(before));
  if (before != control)
    __asm__ volatile("msr fpcr, %0" : : "r"((guint64) control));
  return (guint) before;
}
#else
#define FLOAT_CONTROL 0u

static guint
set_float_control (guint control)
{
  return control;
}
#endif

CpuThreadState
cpu_thread_begin (void)
{
  return (CpuThreadState){
      set_float_control (FLOAT_CONTROL), cpu_gemm_set_threads (1)};
}

void
cpu_thread_end (const CpuThreadState *before)
{
  set_float_control (before->float_control);
  cpu_gemm_set_threads (before->omp_threads);
}
