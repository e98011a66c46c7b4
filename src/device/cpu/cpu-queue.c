/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-queue.h"

#include "cpu-lane.h"
#include "cpu-relax.h"
#include "device/npu-deadline.h"
#include "npu-clock.h"

#define TURN 8 /* units: the tiles of a usual launch */

/* A host that is back sooner has nothing else to do. */
#define AT_ONCE 5000u /* ns */

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

static void
add_ready (CpuDevice *device, gint n)
{
  atomic_fetch_add_explicit (&device->n_ready, (guint) n, memory_order_relaxed);
}

/* Takes the next @n units of the run that is first. */
static void
take (CpuDevice *device, CpuRun *run, guint n)
{
  if (run->next_unit == 0)
    run->times.start = npu_clock_ns ();
  run->next_unit += n;
  add_ready (device, -(gint) n);
  device->n_taken += n;
  if (run->next_unit == run->units.n_units)
    leave (device, run);
  if (device->n_taken >= TURN)
    end_turn (device);
}

/* @n units are done. To wake a thread with the lock held would let it run at
 * once on one core, only to sleep again for the lock. */
static void
finish (CpuDevice *device, CpuRun *run, guint n)
{
  const gboolean waited_for = run->waited_for;
  const guint group = run->group;

  run->n_unfinished -= n;
  if (run->n_unfinished > 0)
    return;
  run->times.end = npu_clock_ns ();
  atomic_store_explicit (&run->in_flight, FALSE, memory_order_release);
  if (waited_for) {
    g_mutex_unlock (&device->lock);
    g_cond_broadcast (&device->done[group]);
    cpu_device_lock (device);
  }
}

void
cpu_queue_run_units (CpuDevice *device, CpuRun *run, CpuWorker *lane)
{
  const guint first = run->next_unit;
  const guint n = cpu_units_to_take (&run->units, device, first);

  take (device, run, n);
  g_mutex_unlock (&device->lock);
  cpu_units_run (&run->units, device, first, n, lane);
  cpu_device_lock (device);
  finish (device, run, n);
}

/* --- runs ---------------------------------------------------------------- */

static gboolean
is_in_flight (CpuRun *run)
{
  return atomic_load_explicit (&run->in_flight, memory_order_acquire);
}

NpuRun *
cpu_run_new (NpuDevice *base, const NpuRunOptions *options, GError **error)
{
  CpuDevice *device = (CpuDevice *) base;
  CpuRun *run = g_new0 (CpuRun, 1);

  run->link.data = run;
  run->base.device = base;
  atomic_init (&run->in_flight, FALSE);
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
  cpu_units_clear (&run->units);
  cpu_chain_clear (&run->chain);
  g_free (run);
}

/* Whether the thread that submits comes from the last verb of its stream, and
 * will wait as soon. */
static gboolean
host_is_idle (const CpuStream *stream, guint64 now)
{
  return now - stream->left < AT_ONCE;
}

gboolean
cpu_run_submit (NpuRun *base, const NpuLaunch *launch, GError **error)
{
  CpuRun *run = (CpuRun *) base;
  CpuDevice *device = (CpuDevice *) base->device;
  CpuStream *stream = run->stream;
  const guint64 now = npu_clock_ns ();
  guint n_called;

  g_assert (!is_in_flight (run));
  run->chain.n_links = 0;
  run->next_unit = 0;
  cpu_units_cut (&run->units, device, launch);

  cpu_device_lock (device);
  run->n_unfinished = run->units.n_units;
  atomic_store_explicit (&run->in_flight, TRUE, memory_order_relaxed);
  run->ready_time = device->latency ? now + device->latency : 0;
  if (g_queue_is_empty (&stream->queue))
    g_queue_push_tail_link (&device->ready, &stream->link);
  g_queue_push_tail_link (&stream->queue, &run->link);
  add_ready (device, (gint) run->units.n_units);
  n_called = cpu_workers_needed (device, host_is_idle (stream, now));
  stream->left = now;
  g_mutex_unlock (&device->lock);

  /* Without the lock, which they would sleep for again. */
  cpu_workers_call (device, n_called);
  return TRUE;
}

/* A list is a chain for the thread that waits, unless that computes nothing. */
guint
cpu_run_count_joined (NpuRun *base, const NpuLaunch *launches, guint n_launches)
{
  return cpu_lanes_are_workers ((CpuDevice *) base->device) ? 1 : n_launches;
}

gboolean
cpu_run_submit_list (
    NpuRun *base, const NpuLaunch *launches, guint n_launches, GError **error)
{
  CpuRun *run = (CpuRun *) base;
  CpuDevice *device = (CpuDevice *) base->device;

  g_assert (!is_in_flight (run));
  cpu_chain_set (&run->chain, device, launches, n_launches);
  atomic_store_explicit (&run->in_flight, TRUE, memory_order_release);
  return TRUE;
}

/* --- waiting ------------------------------------------------------------- */

/* Computes units of the run as long as it is its turn and there is a lane. With
 * the lock held, which is let go meanwhile; FALSE where there is no time left.
 */
static gboolean
run_own_units (CpuDevice *device, CpuRun *run, NpuDeadline *deadline)
{
  gint64 begin = g_get_monotonic_time (), now;
  CpuThreadState before;
  CpuWorker *lane;
  gboolean in_time = TRUE;

  if (cpu_queue_peek (device) != run || cpu_lanes_are_workers (device))
    return TRUE;
  lane = cpu_lane_enter (device);
  if (!lane)
    return TRUE;
  before = cpu_thread_begin ();
  while (in_time && cpu_queue_peek (device) == run) {
    cpu_queue_run_units (device, run, lane);
    now = g_get_monotonic_time ();
    in_time = npu_deadline_spend (deadline, begin, now);
    begin = now;
  }
  cpu_thread_end (&before);
  cpu_lane_leave (device, lane);
  return in_time;
}

/* Looks for a while whether others end the run. With the lock held, which is
 * let go meanwhile. */
static void
look_for_end (CpuDevice *device, CpuRun *run)
{
  const guint64 since = npu_clock_ns ();

  g_mutex_unlock (&device->lock);
  do
    for (guint i = 0; i < 32 && is_in_flight (run); i++)
      cpu_relax ();
  while (is_in_flight (run) && npu_clock_ns () - since < CPU_LOOK);
  cpu_device_lock (device);
}

/* Calls the workers that are needed while this thread computes nothing. With
 * the lock held, which is let go meanwhile. */
static void
call_workers (CpuDevice *device, gboolean host_comes)
{
  const guint n = cpu_workers_needed (device, host_comes);

  if (n == 0)
    return;
  g_mutex_unlock (&device->lock);
  cpu_workers_call (device, n);
  cpu_device_lock (device);
}

/* Sleeps until others have ended the run; FALSE where there is no time left.
 * The same. */
static gboolean
sleep_until_done (CpuDevice *device, CpuRun *run, NpuDeadline *deadline)
{
  gboolean in_time = TRUE;

  device->n_waiting++;
  run->waited_for = TRUE;
  call_workers (device, FALSE);
  while (in_time && is_in_flight (run))
    in_time =
        npu_deadline_wait (deadline, &device->done[run->group], &device->lock);
  run->waited_for = FALSE;
  device->n_waiting--;
  return in_time;
}

/* A list is run by the thread that waits for it. */
static gboolean
run_chain (CpuDevice *device, CpuRun *run, guint64 timeout, NpuRunTimes *times,
    GError **error)
{
  gboolean done;

  run->times.start = npu_clock_ns ();
  done = cpu_chain_run (&run->chain, device, timeout, error);
  run->times.end = npu_clock_ns ();
  if (done && times)
    *times = run->times;
  atomic_store_explicit (&run->in_flight, FALSE, memory_order_release);
  return done;
}

gboolean
cpu_run_wait (NpuRun *base, guint64 timeout, NpuRunTimes *times, GError **error)
{
  CpuRun *run = (CpuRun *) base;
  CpuDevice *device = (CpuDevice *) base->device;
  NpuDeadline deadline = npu_deadline_in (timeout);
  gboolean in_time = TRUE, done;

  if (is_in_flight (run) && run->chain.n_links > 0)
    return run_chain (device, run, timeout, times, error);
  cpu_device_lock (device);
  if (is_in_flight (run))
    in_time = run_own_units (device, run, &deadline);
  if (in_time && is_in_flight (run) && !cpu_lanes_are_workers (device))
    look_for_end (device, run);
  if (is_in_flight (run) && in_time)
    sleep_until_done (device, run, &deadline);
  done = !is_in_flight (run);
  /* A host that has given up does not come back. */
  call_workers (device, done);
  if (done && times)
    *times = run->times;
  run->stream->left = npu_clock_ns ();
  g_mutex_unlock (&device->lock);

  if (!done)
    g_set_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT,
        "the CPU did not complete a launch within %" G_GUINT64_FORMAT " ms",
        timeout / 1000000);
  return done;
}

gboolean
cpu_run_is_done (NpuRun *base)
{
  return !is_in_flight ((CpuRun *) base);
}

void
cpu_run_cancel (NpuRun *base)
{
  CpuRun *run = (CpuRun *) base;
  CpuDevice *device = (CpuDevice *) base->device;

  cpu_chain_cancel (&run->chain);
  cpu_device_lock (device);
  if (is_in_flight (run) && run->chain.n_links == 0 &&
      run->next_unit < run->units.n_units) {
    const guint rest = run->units.n_units - run->next_unit;

    leave (device, run);
    run->next_unit = run->units.n_units;
    add_ready (device, -(gint) rest);
    finish (device, run, rest);
  }
  g_mutex_unlock (&device->lock);
}
