/* Hardware contexts: their limit, their queues, and the engine that works them
 * off. Commands of one context run in order; contexts that need the same
 * columns of the array take turns.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <drm/drm.h>
#include <drm/amdxdna_accel.h>

#define CORE_ROWS 4
#define IDLE_MS                                                                \
  2000 /* how long the driver waits before it gives a context up */

int64_t
sim_now (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000ll + now.tv_nsec;
}

void
sim_sleep_until (int64_t ns)
{
  const struct timespec until = {ns / 1000000000, ns % 1000000000};

  while (sim_now () < ns && clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME,
                                &until, NULL) == EINTR)
    ;
}

bool
sim_wake (void)
{
  const int64_t now = sim_now (), last = sim.last_asked;

  sim.last_asked = now;
  return sim.settings.sleep_ms && last &&
         now - last > sim.settings.sleep_ms * 1000000ll;
}

/* FALSE when the time is over. */
static bool
wait_until (pthread_cond_t *condition, int64_t ns)
{
  const struct timespec until = {ns / 1000000000, ns % 1000000000};

  return pthread_cond_timedwait (condition, &sim.lock, &until) != ETIMEDOUT;
}

unsigned
sim_contexts_limit (void)
{
  if (sim.settings.contexts)
    return sim.settings.contexts;
  return sim_device ()->strix ? 16 : 6;
}

unsigned
sim_columns (void)
{
  return sim_device ()->strix ? 8 : 4;
}

static SimContext *
find (SimClient *client, uint32_t id)
{
  for (SimContext *context = sim.contexts; context; context = context->next)
    if (context->client == client && context->id == id && !context->leaving)
      return context;
  return NULL;
}

/* --- the engine */

static void
take_array (SimContext *context)
{
  while (sim.columns_used &&
         sim.columns_used + context->columns > sim_columns () &&
         !context->client->lost)
    pthread_cond_wait (&sim.array, &sim.lock);
  sim.columns_used += context->columns;
}

static void
leave_array (SimContext *context)
{
  sim.columns_used -= context->columns;
  pthread_cond_broadcast (&sim.array);
}

/* A command that never ends, but for the watchdog. */
static SimState
hang (SimContext *context)
{
  const int64_t end = sim_now () + sim.settings.watchdog_ms * 1000000ll;

  while (!context->stop && !context->client->lost) {
    if (!sim.settings.watchdog_ms)
      pthread_cond_wait (&context->work, &sim.lock);
    else if (!wait_until (&context->work, end))
      return SIM_TIMEOUT;
  }
  return SIM_ABORTED;
}

/* The way of a submission to the array. Others may be on theirs meanwhile, and
 * the array at work. With the lock, which is let go. */
static void
wait_for_arrival (const SimJob *job)
{
  const int64_t arrival =
      job->submitted + (int64_t) (sim.settings.latency_us * 1000);

  if (arrival <= sim_now ())
    return;
  pthread_mutex_unlock (&sim.lock);
  sim_sleep_until (arrival);
  pthread_mutex_lock (&sim.lock);
}

static SimState
run (SimContext *context, SimJob *job)
{
  int64_t start;
  bool corrupt;
  SimState state;

  if (context->stop || context->client->lost)
    return SIM_ABORTED;
  wait_for_arrival (job);
  if (context->stop || context->client->lost)
    return SIM_ABORTED;
  take_array (context);
  start = sim_now ();
  if (job->queued)
    start += (int64_t) (sim.settings.queued_us * 1000);
  if (sim_wake ()) {
    sim.counters.wakes++;
    start += (int64_t) (sim.settings.wake_us * 1000);
  }
  if (sim.last_on_array != context) {
    sim.counters.switches += sim.last_on_array != NULL;
    sim.last_on_array = context;
    start += (int64_t) (sim.settings.switch_us * 1000);
  }
  if (sim_fails (SIM_FAIL_HANG))
    state = hang (context);
  else if (sim_fails (SIM_FAIL_ERROR))
    state = SIM_ERROR;
  else if (sim_fails (SIM_FAIL_ABORT))
    state = SIM_ABORTED;
  else {
    corrupt = sim_fails (SIM_FAIL_CORRUPT);
    pthread_mutex_unlock (&sim.lock);
    sim_sleep_until (start);
    state = sim_command_run (context, job, start, corrupt);
    pthread_mutex_lock (&sim.lock);
  }
  leave_array (context);
  sim.last_asked = sim_now ();
  return context->client->lost ? SIM_ABORTED : state;
}

static void
use_buffers (SimJob *job)
{
  sim_bo_use (job->packet);
  for (unsigned i = 0; i < job->n_bos; i++)
    sim_bo_use (job->bos[i]);
}

static void
release_buffers (SimJob *job)
{
  for (unsigned i = 0; i < job->n_bos; i++)
    sim_bo_unuse (job->bos[i]);
  sim_command_release (job);
  sim_bo_unuse (job->packet);
  free (job->bos);
}

static void
finish (SimContext *context, SimJob *job, SimState state)
{
  if (state != SIM_COMPLETED) {
    context->errors++;
    sim_debug ("context %u: a submission ends in state %d", context->id, state);
  }
  sim_command_set_state (job->packet, state);
  release_buffers (job);
  context->completed++;
  pthread_cond_broadcast (&context->done);
}

/* After the watchdog has reset the array, what was queued is aborted too. */
static void
abort_queue (SimContext *context)
{
  const uint64_t end = context->submitted;

  while (context->completed < end)
    finish (context, &context->jobs[context->completed % SIM_MAX_DEPTH],
        SIM_ABORTED);
}

static void *
engine (void *data)
{
  SimContext *context = data;

  pthread_mutex_lock (&sim.lock);
  for (;;) {
    SimJob *job;
    SimState state;

    while (!context->stop && context->completed == context->submitted)
      pthread_cond_wait (&context->work, &sim.lock);
    if (context->completed == context->submitted)
      break;
    job = &context->jobs[context->completed % SIM_MAX_DEPTH];
    state = run (context, job);
    finish (context, job, state);
    if (state == SIM_TIMEOUT)
      abort_queue (context);
  }
  pthread_mutex_unlock (&sim.lock);
  return NULL;
}

/* --- life */

static bool
start_engine (SimContext *context)
{
  pthread_condattr_t attributes;
  sigset_t all, old;
  int error;

  pthread_condattr_init (&attributes);
  pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
  pthread_cond_init (&context->work, &attributes);
  pthread_cond_init (&context->done, &attributes);
  pthread_condattr_destroy (&attributes);

  sigfillset (&all);
  pthread_sigmask (SIG_SETMASK, &all, &old);
  error = pthread_create (&context->engine, NULL, engine, context);
  pthread_sigmask (SIG_SETMASK, &old, NULL);
  return !error;
}

int
sim_context_create (SimClient *client, uint32_t n_tiles, uint32_t *id)
{
  SimContext *context;
  unsigned n = 0;

  for (context = sim.contexts; context; context = context->next)
    n++;
  if (sim_fails (SIM_FAIL_BUSY))
    return -EBUSY;
  if (!n_tiles || n >= sim_contexts_limit () || sim_fails (SIM_FAIL_CONTEXT))
    return -EINVAL;
  if (!client->heap)
    return -ENOENT;
  if (n_tiles / CORE_ROWS > sim_columns ())
    return -ENOSPC;

  context = calloc (1, sizeof *context);
  if (!context)
    return -ENOMEM;
  context->client = client;
  context->columns = n_tiles / CORE_ROWS ? n_tiles / CORE_ROWS : 1;
  context->id = ++sim.last_context;
  if (!start_engine (context)) {
    free (context);
    return -ENOMEM;
  }
  context->next = sim.contexts;
  sim.contexts = context;
  if (n + 1 > sim.counters.most_contexts)
    sim.counters.most_contexts = n + 1;
  *id = context->id;
  return 0;
}

int
sim_context_destroy (SimClient *client, uint32_t id)
{
  SimContext *context = find (client, id), **link;
  const int64_t end = sim_now () + IDLE_MS * 1000000ll;

  if (!context)
    return -EINVAL;
  context->leaving = true;
  while (context->completed < context->submitted && !client->lost)
    if (!wait_until (&context->done, end))
      break;
  context->stop = true;
  pthread_cond_broadcast (&context->work);
  pthread_mutex_unlock (&sim.lock);
  pthread_join (context->engine, NULL);
  pthread_mutex_lock (&sim.lock);
  pthread_cond_broadcast (&context->done);
  while (context->waiters)
    pthread_cond_wait (&context->done, &sim.lock);

  for (link = &sim.contexts; *link && *link != context; link = &(*link)->next)
    ;
  if (*link)
    *link = context->next;
  if (sim.last_on_array == context)
    sim.last_on_array = NULL;
  pthread_cond_destroy (&context->work);
  pthread_cond_destroy (&context->done);
  for (int i = 0; i < context->n_cus; i++)
    array_free (context->arrays[i]);
  free (context);
  return 0;
}

static void
load_program (SimContext *context, int cu, uint32_t handle)
{
  SimBo *pdi = sim_bo_find (context->client, handle);
  char *why = context->why[cu];
  const size_t why_size = sizeof context->why[cu];

  if (!pdi || pdi->type != AMDXDNA_BO_DEV) {
    snprintf (why, why_size, "its PDI is in no device buffer");
    sim_violation (SIM_WRONG_BUFFER,
        "context %u: the PDI of unit %d is not in "
        "a device buffer",
        context->id, cu);
    return;
  }
  context->runnable[cu] = sim_programs_parse (
      &context->programs[cu], sim_bo_device (pdi, 0), pdi->size, why, why_size);
  if (context->runnable[cu] && context->programs[cu].list[0].cores[0]) {
    context->arrays[cu] = sim_design_load (&context->programs[cu],
        sim_bo_device (pdi, 0), pdi->size, why, why_size);
    context->runnable[cu] = context->arrays[cu] != NULL;
  }
  if (!context->runnable[cu])
    sim_debug ("context %u, unit %d: %s", context->id, cu, why);
}

int
sim_context_config (SimClient *client, uint32_t id, uint32_t type,
    const void *value, uint32_t size)
{
  SimContext *context = find (client, id);
  const struct amdxdna_hwctx_param_config_cu *config = value;

  if (!context)
    return -EINVAL;
  if (type != DRM_AMDXDNA_HWCTX_CONFIG_CU)
    return -EOPNOTSUPP;
  if (sim_fails (SIM_FAIL_CONFIG))
    return -EINVAL;
  if (!value || size < sizeof *config || context->configured ||
      !config->num_cus || config->num_cus > SIM_MAX_CUS ||
      size < sizeof *config + config->num_cus * sizeof *config->cu_configs)
    return -EINVAL;
  context->n_cus = config->num_cus;
  for (int i = 0; i < context->n_cus; i++)
    load_program (context, i, config->cu_configs[i].cu_bo);
  context->configured = true;
  return 0;
}

/* --- the queue */

/* Waits for a place in the queue, as the driver's submission does. */
static int
wait_for_place (SimContext *context)
{
  const bool full =
      context->submitted - context->completed >= sim.settings.depth;

  sim.counters.blocked += full;
  while (context->submitted - context->completed >= sim.settings.depth) {
    if (context->client->lost)
      return -ENODEV;
    if (context->leaving)
      return -EINVAL;
    pthread_cond_wait (&context->done, &sim.lock);
  }
  return context->client->lost ? -ENODEV : 0;
}

static int
name_buffers (
    SimClient *client, SimJob *job, const uint32_t *handles, uint32_t n)
{
  job->bos = calloc (n ? n : 1, sizeof *job->bos);
  if (!job->bos)
    return -ENOMEM;
  for (uint32_t i = 0; i < n; i++) {
    job->bos[i] = sim_bo_find (client, handles[i]);
    if (!job->bos[i]) {
      free (job->bos);
      return -ENOENT;
    }
  }
  job->n_bos = n;
  return 0;
}

/* Whoever is told so may free everything at once: no command is left in
 * progress. */
static void
lose_device (void)
{
  sim.lost = true;
  for (SimClient *client = sim.clients; client; client = client->next)
    client->lost = true;
  for (SimContext *context = sim.contexts; context; context = context->next) {
    for (uint64_t seq = context->completed; seq < context->submitted; seq++)
      sim_command_set_state (
          context->jobs[seq % SIM_MAX_DEPTH].packet, SIM_ABORTED);
    pthread_cond_broadcast (&context->work);
    pthread_cond_broadcast (&context->done);
  }
  pthread_cond_broadcast (&sim.array);
}

int
sim_context_submit (SimClient *client, uint32_t id, uint32_t packet,
    const uint32_t *handles, uint32_t n_handles, uint64_t *seq)
{
  SimContext *context = find (client, id);
  SimJob job = {.packet = sim_bo_find (client, packet)};
  uint64_t in_flight;
  int error;

  if (!context || !job.packet || job.packet->type == AMDXDNA_BO_DEV)
    return -EINVAL;
  if (sim_fails (SIM_FAIL_LOST)) {
    lose_device ();
    return -ENODEV;
  }
  if (sim_fails (SIM_FAIL_SUBMIT))
    return -EINVAL;
  if (job.packet->uses)
    sim_violation (SIM_RESUBMITTED,
        "command buffer %u was submitted again while in flight", packet);
  error = name_buffers (client, &job, handles, n_handles);
  if (error)
    return error;
  use_buffers (&job);
  context->waiters++;
  error = wait_for_place (context);
  context->waiters--;
  if (!error)
    error = sim_command_read (context, &job);
  if (error) {
    release_buffers (&job);
    pthread_cond_broadcast (&context->done);
    return error;
  }

  sim_command_set_state (job.packet, SIM_NEW);
  in_flight = context->submitted - context->completed;
  job.queued = in_flight > 0;
  job.submitted = sim_now ();
  context->jobs[context->submitted % SIM_MAX_DEPTH] = job;
  *seq = context->submitted++;
  sim.counters.submissions++;
  if (in_flight + 1 > sim.counters.most_in_flight)
    sim.counters.most_in_flight = in_flight + 1;
  pthread_cond_signal (&context->work);
  return 0;
}

bool
sim_contexts_write (const SimBo *bo, uint64_t offset, uint64_t size)
{
  for (SimContext *context = sim.contexts; context; context = context->next)
    for (uint64_t seq = context->completed; seq < context->submitted; seq++)
      if (sim_command_writes (
              &context->jobs[seq % SIM_MAX_DEPTH], bo, offset, size))
        return true;
  return false;
}

int
sim_context_wait (
    SimClient *client, uint32_t id, uint64_t seq, uint32_t timeout_ms)
{
  SimContext *context = find (client, id);
  const int64_t end = sim_now () + timeout_ms * 1000000ll;
  int error = 0;

  if (!context || seq >= context->submitted)
    return -EINVAL;
  context->waiters++;
  while (context->completed <= seq && !error) {
    if (client->lost)
      error = -ENODEV;
    else if (context->leaving)
      error = -EINVAL;
    else if (!timeout_ms)
      pthread_cond_wait (&context->done, &sim.lock);
    else if (!wait_until (&context->done, end) && context->completed <= seq)
      error = -ETIME;
  }
  context->waiters--;
  if (context->leaving)
    pthread_cond_broadcast (&context->done);
  return error;
}
