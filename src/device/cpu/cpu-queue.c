/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-queue.h"

#include "device/npu-deadline.h"
#include "npu-clock.h"

#define TURN 8 /* tiles: those of a usual launch */

/* --- streams ------------------------------------------------------------- */

/* With the lock held, as what follows. */
static CpuStream *
find_stream (CpuDevice *device, gconstpointer id)
{
  CpuStream *stream;

  for (GList *link = device->streams; link; link = link->next) {
    stream = link->data;
    if (stream->id == id)
      return stream;
  }
  stream = g_new0 (CpuStream, 1);
  stream->id = id;
  stream->link.data = stream;
  g_queue_init (&stream->queue);
  device->streams = g_list_prepend (device->streams, stream);
  return stream;
}

static void
end_turn (CpuDevice *device)
{
  device->n_taken = 0;
  g_queue_push_tail_link (
      &device->ready, g_queue_pop_head_link (&device->ready));
}

/* Takes the run out of its stream's queue. */
static void
leave (CpuDevice *device, CpuRun *run)
{
  CpuStream *stream = run->stream;

  g_queue_unlink (&stream->queue, &run->link);
  if (!g_queue_is_empty (&stream->queue))
    return;
  if (g_queue_peek_head (&device->ready) == stream)
    device->n_taken = 0;
  g_queue_unlink (&device->ready, &stream->link);
}

CpuRun *
cpu_queue_peek (CpuDevice *device)
{
  CpuStream *stream = g_queue_peek_head (&device->ready);

  return stream ? g_queue_peek_head (&stream->queue) : NULL;
}

void
cpu_queue_take (CpuDevice *device, CpuRun *run, guint n)
{
  if (run->next_tile == 0)
    run->times.start = npu_clock_ns ();
  run->next_tile += n;
  device->n_taken += n;
  if (run->next_tile == run->launch.n_tiles)
    leave (device, run);
  if (device->n_taken >= TURN)
    end_turn (device);
}

/* To wake a thread with the lock held would let it run at once on one core,
 * only to sleep again for the lock. */
static void
complete (CpuDevice *device, CpuRun *run)
{
  const gboolean waited_for = run->waited_for;
  const guint group = run->group;

  run->times.end = npu_clock_ns ();
  run->in_flight = FALSE;
  if (waited_for) {
    g_mutex_unlock (&device->lock);
    g_cond_broadcast (&device->done[group]);
    g_mutex_lock (&device->lock);
  }
}

void
cpu_queue_finish (CpuDevice *device, CpuRun *run, guint n)
{
  run->n_unfinished -= n;
  if (run->n_unfinished == 0)
    complete (device, run);
}

/* --- runs ---------------------------------------------------------------- */

NpuRun *
cpu_run_new (NpuDevice *base, const NpuRunOptions *options, GError **error)
{
  CpuDevice *device = (CpuDevice *) base;
  CpuRun *run = g_new0 (CpuRun, 1);

  run->link.data = run;
  g_mutex_lock (&device->lock);
  run->stream = find_stream (device, options->stream ? options->stream : run);
  run->stream->n_runs++;
  run->group = device->n_runs++ % CPU_N_WAITERS;
  g_mutex_unlock (&device->lock);
  return &run->base;
}

void
cpu_run_free (NpuRun *base)
{
  CpuRun *run = (CpuRun *) base;
  CpuDevice *device = (CpuDevice *) base->device;
  CpuStream *stream = run->stream;

  cpu_run_wait (base, G_MAXUINT64, NULL, NULL);
  g_mutex_lock (&device->lock);
  if (--stream->n_runs == 0) {
    device->streams = g_list_remove (device->streams, stream);
    g_free (stream);
  }
  g_mutex_unlock (&device->lock);
  g_free (run);
}

/* How many workers to wake for a new launch; with the lock held. To wake one is
 * a system call even where none sleeps, so each is called once; one that woke
 * up by itself is counted twice, which costs a call. */
static guint
n_workers_to_call (CpuDevice *device, guint n_tiles)
{
  guint n = MIN (n_tiles, device->n_asleep);

  /* With a latency, one call might wake a worker that waits for an older
   * launch's time, and leave idle ones asleep. */
  if (device->latency)
    return device->base.n_workers + 1;
  /* All at once is one call. */
  if (n > 1)
    n = device->n_asleep;
  device->n_asleep -= n;
  return n;
}

gboolean
cpu_run_submit (NpuRun *base, const NpuLaunch *launch, GError **error)
{
  CpuRun *run = (CpuRun *) base;
  CpuDevice *device = (CpuDevice *) base->device;
  CpuStream *stream = run->stream;
  guint n_called;

  g_mutex_lock (&device->lock);
  g_assert (!run->in_flight);
  run->launch = *launch;
  run->next_tile = 0;
  run->n_unfinished = launch->n_tiles;
  run->in_flight = TRUE;
  run->ready_time = device->latency ? npu_clock_ns () + device->latency : 0;
  if (g_queue_is_empty (&stream->queue))
    g_queue_push_tail_link (&device->ready, &stream->link);
  g_queue_push_tail_link (&stream->queue, &run->link);
  n_called = n_workers_to_call (device, launch->n_tiles);
  g_mutex_unlock (&device->lock);

  /* Without the lock, which they would sleep for again. */
  if (n_called == 1)
    g_cond_signal (&device->work);
  else if (n_called > 1)
    g_cond_broadcast (&device->work);
  return TRUE;
}

gboolean
cpu_run_wait (NpuRun *base, guint64 timeout, NpuRunTimes *times, GError **error)
{
  CpuRun *run = (CpuRun *) base;
  CpuDevice *device = (CpuDevice *) base->device;
  NpuDeadline deadline = npu_deadline_in (timeout);
  gboolean in_time;

  g_mutex_lock (&device->lock);
  run->waited_for = TRUE;
  while (run->in_flight && npu_deadline_wait (&deadline,
                               &device->done[run->group], &device->lock))
    ;
  run->waited_for = FALSE;
  in_time = !run->in_flight;
  if (in_time && times)
    *times = run->times;
  g_mutex_unlock (&device->lock);

  if (!in_time)
    g_set_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT,
        "the CPU did not complete a launch within %" G_GUINT64_FORMAT " ms",
        timeout / 1000000);
  return in_time;
}

gboolean
cpu_run_is_done (NpuRun *base)
{
  CpuRun *run = (CpuRun *) base;
  CpuDevice *device = (CpuDevice *) base->device;
  gboolean done;

  g_mutex_lock (&device->lock);
  done = !run->in_flight;
  g_mutex_unlock (&device->lock);
  return done;
}

void
cpu_run_cancel (NpuRun *base)
{
  CpuRun *run = (CpuRun *) base;
  CpuDevice *device = (CpuDevice *) base->device;

  g_mutex_lock (&device->lock);
  if (run->in_flight && run->next_tile < run->launch.n_tiles) {
    const guint rest = run->launch.n_tiles - run->next_tile;

    leave (device, run);
    run->next_tile = run->launch.n_tiles;
    cpu_queue_finish (device, run, rest);
  }
  g_mutex_unlock (&device->lock);
}
