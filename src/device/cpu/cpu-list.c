/* A list is a row of commands, of which one is current. Its units are taken by
 * counting up, by the list's own thread and by whoever has joined; the thread
 * goes on to the next command when all units are done. Counters are never set
 * back, so one who comes late finds nothing to take; what a late one looks at
 * lives until it has left, though the list may have ended long before.
 *
 * Nobody sleeps between two commands. Nobody spins without a list in flight, or
 * for longer than SPIN without finding a unit; a thread that waits for others'
 * last units gives its core away after that time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cpu-list.h"

#include <stdatomic.h>
#include <time.h>

#include "cpu-lane.h"
#include "cpu-relax.h"
#include "npu-clock.h"

#define SPIN 20000u   /* ns */
#define PAUSES 32     /* between two looks at the clock */
#define CHECK_EVERY 8 /* units, at cancellation and time */

#define NOT_BEGUN 0u
#define ENDED G_MAXUINT

/* Each in a cache line of its own. */
typedef struct {
  NpuCommand command;
  atomic_uint next; /* the first unit that nobody took, or beyond */
  atomic_uint done;
} __attribute__ ((aligned (64))) CpuCommand;

struct _CpuList {
  CpuCommand *commands;
  guint n_commands;
  const gint *cancelled; /* atomic, of the caller; or NULL */
  atomic_uint current;   /* number of the current command, from 1 */
  atomic_uint n_left; /* helpers that found nothing and may be called again */
  atomic_uint refs;

  /* under the device's lock */
  GList link;
  guint n_helpers, max_helpers; /* helpers that left are counted until they
                                 * are called again */
};

static CpuList *
list_new (const NpuCommand *commands, guint n_commands, guint max_helpers,
    const gint *cancelled)
{
  CpuList *list = g_new0 (CpuList, 1);

  list->commands = g_aligned_alloc0 (n_commands, sizeof (CpuCommand), 64);
  for (guint i = 0; i < n_commands; i++)
    list->commands[i].command = commands[i];
  list->n_commands = n_commands;
  list->max_helpers = max_helpers;
  list->cancelled = cancelled;
  list->link.data = list;
  atomic_init (&list->refs, 1);
  return list;
}

static void
list_unref (CpuList *list)
{
  if (atomic_fetch_sub_explicit (&list->refs, 1, memory_order_acq_rel) > 1)
    return;
  g_aligned_free (list->commands);
  g_free (list);
}

/* Runs one unit; FALSE where none is left. @is_cancelled is looked up before
 * the unit counts as done: until then the list's caller is there. */
static gboolean
run_unit (CpuList *list, CpuCommand *command, gboolean *is_cancelled)
{
  const guint n_units = command->command.n_units;
  guint unit;

  if (atomic_load_explicit (&command->next, memory_order_relaxed) >= n_units)
    return FALSE;
  unit = atomic_fetch_add_explicit (&command->next, 1, memory_order_relaxed);
  if (unit >= n_units)
    return FALSE;
  command->command.run (command->command.data, unit);
  *is_cancelled = list->cancelled && g_atomic_int_get (list->cancelled);
  atomic_fetch_add_explicit (&command->done, 1, memory_order_release);
  return TRUE;
}

/* --- workers ----------------------------------------------------------- */

CpuList *
cpu_device_next_list (CpuDevice *device)
{
  for (GList *link = device->lists.head; link; link = link->next) {
    CpuList *list = link->data;

    if (list->n_helpers < list->max_helpers) {
      list->n_helpers++;
      atomic_fetch_add_explicit (&list->refs, 1, memory_order_relaxed);
      return list;
    }
  }
  return NULL;
}

void
cpu_list_help (CpuDevice *device, CpuList *list)
{
  const guint64 end = npu_clock_ns () + CPU_LIST_TURN;
  guint64 idle_since = 0, now;
  gboolean left = FALSE, is_cancelled = FALSE;
  guint current;

  while ((current = atomic_load_explicit (
              &list->current, memory_order_acquire)) != ENDED) {
    if (current != NOT_BEGUN &&
        run_unit (list, &list->commands[current - 1], &is_cancelled)) {
      idle_since = 0;
      left = is_cancelled; /* not called again: the list is about to end */
      if (is_cancelled || npu_clock_ns () >= end)
        break;
      continue;
    }
    now = npu_clock_ns ();
    if (idle_since == 0)
      idle_since = now;
    if (now - idle_since >= SPIN) {
      left = TRUE;
      break;
    }
    for (guint i = 0; i < PAUSES && atomic_load_explicit (&list->current,
                                        memory_order_relaxed) == current;
         i++)
      cpu_relax ();
  }

  g_mutex_lock (&device->lock);
  if (left)
    atomic_fetch_add_explicit (&list->n_left, 1, memory_order_relaxed);
  else
    list->n_helpers--;
  g_mutex_unlock (&device->lock);
  list_unref (list);
}

/* --- the list's own thread ---------------------------------------------- */

typedef struct {
  CpuDevice *device;
  CpuList *list; /* NULL: nobody can help */
  const gint *cancelled;
  guint64 timeout, begun;
} CpuListRun;

/* Time in which this thread ran: while the machine is suspended, or others have
 * the core, the list cannot go on. */
static guint64
thread_time (void)
{
  struct timespec now;

  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
  return (guint64) now.tv_sec * 1000000000u + (guint64) now.tv_nsec;
}

static gboolean
must_stop (const CpuListRun *run, GError **error)
{
  if (run->cancelled && g_atomic_int_get (run->cancelled)) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_CANCELLED, "cancelled");
    return TRUE;
  }
  if (thread_time () - run->begun < run->timeout)
    return FALSE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT,
      "the CPU did not complete a list of commands within %" G_GUINT64_FORMAT
      " ms",
      run->timeout / 1000000);
  return TRUE;
}

/* Wakes workers, none where none sleeps. */
static void
call_workers (CpuDevice *device, CpuList *list, guint n, guint n_left)
{
  g_mutex_lock (&device->lock);
  list->n_helpers -= n_left;
  n = cpu_workers_wanted (device, n);
  g_mutex_unlock (&device->lock);
  cpu_workers_call (device, n);
}

static void
wait_for_units (CpuCommand *command, guint n_units)
{
  guint64 since = 0;

  while (
      atomic_load_explicit (&command->done, memory_order_acquire) < n_units) {
    for (guint i = 0; i < PAUSES; i++)
      cpu_relax ();
    if (since == 0)
      since = npu_clock_ns ();
    else if (npu_clock_ns () - since >= SPIN)
      g_thread_yield ();
  }
}

/* All units of a command, with help. */
static gboolean
run_shared (const CpuListRun *run, guint i, GError **error)
{
  CpuList *list = run->list;
  CpuCommand *command = &list->commands[i];
  guint n_units = command->command.n_units, n_run = 0, n_left;
  gboolean stopped = FALSE, is_cancelled = FALSE;

  atomic_store_explicit (&list->current, i + 1, memory_order_release);
  n_left = atomic_exchange_explicit (&list->n_left, 0, memory_order_relaxed);
  if (n_left > 0)
    call_workers (run->device, list, n_left, n_left);
  while (!stopped && run_unit (list, command, &is_cancelled))
    if (is_cancelled || ++n_run % CHECK_EVERY == 0)
      stopped = must_stop (run, error);
  if (stopped) {
    const guint taken = atomic_exchange_explicit (
        &command->next, n_units, memory_order_relaxed);

    n_units = MIN (n_units, taken);
  }
  wait_for_units (command, n_units);
  return !stopped;
}

static gboolean
run_alone (const CpuListRun *run, const NpuCommand *command, GError **error)
{
  for (guint unit = 0; unit < command->n_units; unit++) {
    if (unit % CHECK_EVERY == CHECK_EVERY - 1 && must_stop (run, error))
      return FALSE;
    command->run (command->data, unit);
  }
  return TRUE;
}

static gboolean
run_commands (const CpuListRun *run, const NpuCommand *commands,
    guint n_commands, GError **error)
{
  for (guint i = 0; i < n_commands; i++) {
    if (must_stop (run, error))
      return FALSE;
    /* One unit stays where the last results are. */
    if (!run->list || commands[i].n_units < 2
            ? !run_alone (run, &commands[i], error)
            : !run_shared (run, i, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
run_list (NpuDevice *base, const NpuCommand *commands, guint n_commands,
    guint64 timeout, const gint *cancelled, GError **error)
{
  CpuDevice *device = (CpuDevice *) base;
  const guint max_helpers = base->n_workers - 1;
  CpuListRun run = {.device = device,
      .cancelled = cancelled,
      .timeout = timeout,
      .begun = thread_time ()};
  gboolean done;

  if (max_helpers == 0)
    return run_commands (&run, commands, n_commands, error);

  run.list = list_new (commands, n_commands, max_helpers, cancelled);
  g_mutex_lock (&device->lock);
  g_queue_push_tail_link (&device->lists, &run.list->link);
  atomic_fetch_add_explicit (&device->n_lists, 1, memory_order_relaxed);
  g_mutex_unlock (&device->lock);
  call_workers (device, run.list, max_helpers, 0);

  done = run_commands (&run, commands, n_commands, error);

  atomic_store_explicit (&run.list->current, ENDED, memory_order_release);
  g_mutex_lock (&device->lock);
  g_queue_unlink (&device->lists, &run.list->link);
  atomic_fetch_sub_explicit (&device->n_lists, 1, memory_order_relaxed);
  g_mutex_unlock (&device->lock);
  list_unref (run.list);
  return done;
}

gboolean
cpu_device_run_list (NpuDevice *device, const NpuCommand *commands,
    guint n_commands, guint64 timeout, const gint *cancelled, GError **error)
{
  const CpuThreadState before = cpu_thread_begin ();
  const gboolean done =
      run_list (device, commands, n_commands, timeout, cancelled, error);

  cpu_thread_end (&before);
  return done;
}
