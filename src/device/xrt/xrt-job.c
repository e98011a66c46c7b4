/* Launches in flight: started in the caller's thread, waited for in one thread
 * for each context. So a caller's timeout holds whatever XRT does, and the end
 * of a launch is known though nobody waits for it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-clock.h"
#include "xrt-private.h"

/* How long the waiter lets XRT wait before it looks whether it should stop. */
#define SLICE_MS 50

void
xrt_job_init (XrtJob *job, XrtDevice *device, guint64 timeout)
{
  job->device = device;
  job->timeout = timeout;
  job->parts = g_array_new (FALSE, FALSE, sizeof (XrtJobPart));
  job->commands = g_ptr_array_new ();
  job->lists = g_ptr_array_new ();
  job->link.data = job;
  g_cond_init (&job->done);
}

void
xrt_job_clear (XrtJob *job)
{
  g_array_unref (job->parts);
  g_ptr_array_unref (job->commands);
  g_ptr_array_unref (job->lists);
  g_clear_error (&job->error);
  g_cond_clear (&job->done);
}

/* --- parts --------------------------------------------------------------- */

static const XrtJobPart *
get_part (const XrtJob *job, guint i)
{
  return &g_array_index (job->parts, XrtJobPart, i);
}

/* That of command number @i of the job. */
static XrtProgram *
program_of (const XrtJob *job, guint i)
{
  guint part = 0;

  while (i >= get_part (job, part)->n_commands)
    i -= get_part (job, part++)->n_commands;
  return get_part (job, part)->program;
}

/* A launch's time for each of several, without an overflow. */
static guint64
times_parts (guint64 timeout, guint n_parts)
{
  return n_parts > 1 && timeout > G_MAXUINT64 / n_parts
             ? G_MAXUINT64
             : timeout * MAX (n_parts, 1);
}

static guint
count_commands (const XrtJob *job)
{
  guint n = 0;

  for (guint i = 0; i < job->parts->len; i++)
    n += get_part (job, i)->n_commands;
  return n;
}

char *
xrt_job_name (const XrtJob *job)
{
  GString *name = g_string_new (NULL);
  const XrtProgram *before = NULL;
  guint n = 0;

  for (guint i = 0; i < job->parts->len; i++) {
    const XrtProgram *program = get_part (job, i)->program;

    if (program != before)
      g_string_append_printf (
          name, "%s'%s'", n++ > 0 ? ", " : "", program->overlay->name);
    before = program;
  }
  g_string_prepend (name, n > 1 ? "one of the overlays " : "overlay ");
  return g_string_free (name, FALSE);
}

/* --- the waiter -------------------------------------------------------- */

/* Gives back what the job had on loan. With the lock. */
static void
give_back (XrtJob *job)
{
  for (guint i = 0; i < job->commands->len; i++)
    g_ptr_array_add (
        program_of (job, i)->idle, g_ptr_array_index (job->commands, i));
  g_ptr_array_set_size (job->commands, 0);
  for (guint i = 0; i < job->lists->len; i++) {
    xrt_api_list_reset (g_ptr_array_index (job->lists, i));
    g_ptr_array_add (
        job->context->idle_lists, g_ptr_array_index (job->lists, i));
  }
  g_ptr_array_set_size (job->lists, 0);
}

/* Which overlay failed, as far as XRT tells. (transfer full) */
static char *
name_failed (const XrtJob *job, const XrtApiError *cause)
{
  return cause->command < 0 || (guint) cause->command >= count_commands (job)
             ? xrt_job_name (job)
             : g_strdup_printf ("overlay '%s'",
                   program_of (job, (guint) cause->command)->overlay->name);
}

static void
set_failed (XrtJob *job)
{
  g_autofree char *overlay = name_failed (job, &job->cause);
  const char *device = job->device->base.name;
  const char *cause = job->cause.message;

  job->state = XRT_JOB_FAILED;
  if (job->error)
    return; /* not all of it could be started */
  if (job->outcome == XRT_API_TIMED_OUT)
    g_set_error (&job->error, NPU_ERROR, NPU_ERROR_LAUNCH,
        "%s: %s did not end, and the driver stopped it (%s); the overlay may be for another NPU: build it again; it is loaded again for the next launch",
        device, overlay, cause);
  else if (job->outcome != XRT_API_RUNNING)
    g_set_error (&job->error, NPU_ERROR, NPU_ERROR_LAUNCH,
        "%s: %s ended with an error (%s); the kernel's log (sudo dmesg) may tell more; it is loaded again for the next launch",
        device, overlay, cause);
  else /* XRT could not wait */
    xrt_error_set (&job->error, XRT_DOING_WAIT, device, &job->cause);
}

/* The oldest job is over. With the lock. */
static void
complete (XrtContext *context, XrtJob *job)
{
  job->times.end = npu_clock_ns ();
  job->times.start = MAX (job->submitted, context->last_end);
  context->last_end = job->times.end;
  context->n_submissions -= job->n_submissions;
  g_queue_unlink (&context->in_flight, &job->link);
  if (job->outcome == XRT_API_COMPLETED && !job->error) {
    job->state = XRT_JOB_DONE;
  } else {
    set_failed (job);
    context->lost = TRUE;
  }
  give_back (job);
  g_cond_broadcast (&job->done);
  g_cond_broadcast (&context->npu->changed);
}

/* What the first failure of a job was. With the lock. */
static void
note_outcome (XrtJob *job, XrtApiState outcome, const XrtApiError *cause)
{
  if (job->outcome != XRT_API_COMPLETED || outcome == XRT_API_COMPLETED)
    return;
  job->outcome = outcome;
  job->cause = *cause;
  if (job->cause.command >= 0)
    job->cause.command += (int) (job->n_ended * XRT_MAX_CHAIN);
}

/* Whether a submission is over: RUNNING after a slice in which it was not.
 * FALSE where XRT could not wait. That says nothing of the submission, which
 * may still be writing to its buffers, so its state is looked at. */
static gboolean
wait_or_look (XrtApiCommand *last, XrtApiList *list, XrtApiState *state,
    XrtApiError *cause)
{
  if (xrt_api_wait (last, list, SLICE_MS, state, cause))
    return TRUE;
  *state = xrt_api_state (last, list);
  if (*state == XRT_API_RUNNING)
    g_usleep (1000);
  return FALSE;
}

/* Waits a while for the job's oldest submission that has not ended. With the
 * lock, which it lets go meanwhile. */
static void
wait_for_next (XrtContext *context, XrtJob *job)
{
  XrtNpu *npu = context->npu;
  const guint first = job->n_ended * XRT_MAX_CHAIN;
  const guint last = MIN (first + XRT_MAX_CHAIN, job->commands->len) - 1;
  XrtApiCommand *command = g_ptr_array_index (job->commands, last);
  XrtApiList *list =
      job->lists->len > 0 ? g_ptr_array_index (job->lists, job->n_ended) : NULL;
  XrtApiState state = XRT_API_RUNNING;
  XrtApiError cause = {.command = -1};
  gboolean waited;

  g_mutex_unlock (&npu->lock);
  waited = wait_or_look (command, list, &state, &cause);
  g_mutex_lock (&npu->lock);
  if (!waited)
    note_outcome (job, XRT_API_RUNNING, &cause);
  if (state == XRT_API_RUNNING)
    return;
  note_outcome (job, state, &cause);
  if (++job->n_ended == job->n_submissions)
    complete (context, job);
}

gpointer
xrt_context_waiter (gpointer data)
{
  XrtContext *context = data;
  XrtNpu *npu = context->npu;

  g_mutex_lock (&npu->lock);
  while (!context->stop) {
    XrtJob *job = g_queue_peek_head (&context->in_flight);

    if (job)
      wait_for_next (context, job);
    else
      g_cond_wait (&context->work, &npu->lock);
  }
  g_mutex_unlock (&npu->lock);
  return NULL;
}

/* --- start ------------------------------------------------------------- */

/* Takes a command of the job's next program, an idle one or a new one. With the
 * lock, which it lets go where it makes one. */
static gboolean
borrow_command (XrtJob *job, XrtApiError *cause)
{
  XrtProgram *program = program_of (job, job->commands->len);
  GPtrArray *idle = program->idle;
  XrtNpu *npu = job->device->npu;
  XrtApiCommand *command;

  if (idle->len > 0) {
    command = g_ptr_array_steal_index_fast (idle, idle->len - 1);
  } else {
    g_mutex_unlock (&npu->lock);
    g_mutex_lock (&npu->objects);
    command = xrt_api_command_new (program->kernel, cause);
    g_mutex_unlock (&npu->objects);
    g_mutex_lock (&npu->lock);
  }
  if (command)
    g_ptr_array_add (job->commands, command);
  return command != NULL;
}

static gboolean
borrow_list (XrtJob *job, XrtApiError *cause)
{
  GPtrArray *idle = job->context->idle_lists;
  XrtNpu *npu = job->device->npu;
  XrtApiList *list;

  if (idle->len > 0) {
    list = g_ptr_array_steal_index_fast (idle, idle->len - 1);
  } else {
    g_mutex_unlock (&npu->lock);
    g_mutex_lock (&npu->objects);
    list = xrt_api_list_new (job->context->api, cause);
    g_mutex_unlock (&npu->objects);
    g_mutex_lock (&npu->lock);
  }
  if (list)
    g_ptr_array_add (job->lists, list);
  return list != NULL;
}

/* Gets commands, and lists for several, for a pinned context. With the lock,
 * which it lets go meanwhile. */
static gboolean
borrow (XrtJob *job, guint n_commands, GError **error)
{
  XrtApiError cause;
  gboolean done = TRUE;

  while (done && job->commands->len < n_commands)
    done = borrow_command (job, &cause);
  while (done && n_commands > 1 && job->lists->len < job->n_submissions)
    done = borrow_list (job, &cause);
  return done || xrt_error_set (
                     error, XRT_DOING_LAUNCH, job->device->npu->name, &cause);
}

/* Waits until the context takes the job; FALSE without @error where it was
 * lost meanwhile. With the lock. */
static gboolean
wait_for_room (XrtJob *job, GError **error)
{
  XrtContext *context = job->context;
  XrtNpu *npu = job->device->npu;
  NpuDeadline deadline = npu_deadline_in (job->timeout);

  while (!context->lost && context->n_submissions > 0 &&
         context->n_submissions + job->n_submissions > XRT_MAX_IN_FLIGHT)
    if (!npu_deadline_wait (&deadline, &npu->changed, &npu->lock)) {
      g_autofree char *name = xrt_job_name (job);

      g_set_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT,
          "%s: a launch before this one of %s did not end within %" G_GUINT64_FORMAT
          " ms",
          npu->name, name, job->timeout / 1000000);
      return FALSE;
    }
  return !context->lost;
}

/* How many of the job's submissions the driver has. A list is one chain, so
 * that each is waited for, whichever of them failed: until then the NPU may
 * write. */
static guint
start_all (XrtJob *job, XrtApiError *cause)
{
  XrtApiCommand **commands = (XrtApiCommand **) job->commands->pdata;
  const guint n_commands = job->commands->len;

  if (job->lists->len == 0)
    return xrt_api_command_start (commands[0], cause) ? 1 : 0;
  for (guint i = 0; i < job->lists->len; i++) {
    const guint first = i * XRT_MAX_CHAIN;

    if (!xrt_api_list_start (g_ptr_array_index (job->lists, i),
            commands + first, MIN (n_commands - first, XRT_MAX_CHAIN), cause))
      return i;
  }
  return job->lists->len;
}

/* Submits the commands, which are bound. With the lock, which it lets go
 * meanwhile: the next in this context wait for `starting`. Where the driver
 * took a part, the job is in flight, and its error is that of its wait. */
static gboolean
submit (XrtJob *job, GError **error)
{
  XrtContext *context = job->context;
  XrtNpu *npu = job->device->npu;
  GError **failure = error;
  XrtApiError cause;
  guint n_started;

  job->submitted = npu_clock_ns ();
  context->n_submissions += job->n_submissions;
  g_mutex_unlock (&npu->lock);
  n_started = start_all (job, &cause);
  g_mutex_lock (&npu->lock);
  if (n_started > 0) {
    job->state = XRT_JOB_IN_FLIGHT;
    g_queue_push_tail_link (&context->in_flight, &job->link);
    g_cond_signal (&context->work);
    failure = &job->error;
  }
  if (n_started < job->n_submissions) {
    context->n_submissions -= job->n_submissions - n_started;
    context->lost = TRUE;
    job->n_submissions = n_started;
    xrt_error_set (failure, XRT_DOING_LAUNCH, npu->name, &cause);
  }
  return n_started > 0;
}

static gboolean
bind_all (XrtJob *job, XrtBindFunc bind, gpointer user_data, GError **error)
{
  guint n = 0;

  for (guint part = 0; part < job->parts->len; part++)
    for (guint i = 0; i < get_part (job, part)->n_commands; i++)
      if (!bind (g_ptr_array_index (job->commands, n++), part, i, user_data,
              error))
        return FALSE;
  return TRUE;
}

/* One try; FALSE without @error where the context was lost before the start.
 * With the lock. */
static gboolean
try_start (XrtJob *job, guint n_commands, XrtBindFunc bind, gpointer user_data,
    GError **error)
{
  XrtContext *context = job->context;
  XrtNpu *npu = job->device->npu;
  gboolean done;

  if (!xrt_context_pin (job, error))
    return FALSE;
  done = borrow (job, n_commands, error);
  if (done) {
    g_mutex_unlock (&npu->lock);
    done = bind_all (job, bind, user_data, error);
    g_mutex_lock (&context->starting);
    g_mutex_lock (&npu->lock);
    done = done && wait_for_room (job, error) && submit (job, error);
    g_mutex_unlock (&context->starting);
  }
  if (!done)
    give_back (job);
  xrt_context_unpin (context);
  return done;
}

/* With the lock. */
static void
set_parts (XrtJob *job, const XrtJobPart *parts, guint n_parts)
{
  g_array_set_size (job->parts, 0);
  g_array_append_vals (job->parts, parts, n_parts);
  job->context = parts[0].program->context;
  job->granted = times_parts (job->timeout, n_parts);
}

gboolean
xrt_job_start (XrtJob *job, const XrtJobPart *parts, guint n_parts,
    XrtBindFunc bind, gpointer user_data, GError **error)
{
  XrtNpu *npu = job->device->npu;
  GError *cause = NULL;
  guint n_commands;
  gboolean started;

  g_mutex_lock (&npu->lock);
  g_assert (job->state != XRT_JOB_IN_FLIGHT);
  g_clear_error (&job->error);
  set_parts (job, parts, n_parts);
  n_commands = count_commands (job);
  job->n_submissions = (n_commands + XRT_MAX_CHAIN - 1) / XRT_MAX_CHAIN;
  job->state = XRT_JOB_IDLE;
  job->given_up = FALSE;
  job->n_ended = 0;
  job->outcome = XRT_API_COMPLETED;
  do
    started = try_start (job, n_commands, bind, user_data, &cause);
  while (!started && !cause);
  if (g_error_matches (cause, NPU_ERROR, NPU_ERROR_TIMEOUT))
    xrt_context_end_hung (job->context);
  g_mutex_unlock (&npu->lock);
  if (cause)
    g_propagate_error (error, cause);
  return started;
}

/* --- end --------------------------------------------------------------- */

gboolean
xrt_job_wait (XrtJob *job, guint64 timeout, NpuRunTimes *times, GError **error)
{
  XrtNpu *npu = job->device->npu;
  NpuDeadline deadline;
  gboolean done;

  g_mutex_lock (&npu->lock);
  timeout = times_parts (timeout, job->parts->len);
  deadline = npu_deadline_in (timeout);
  while (job->state == XRT_JOB_IN_FLIGHT &&
         npu_deadline_wait (&deadline, &job->done, &npu->lock))
    ;
  if (job->state == XRT_JOB_IN_FLIGHT) {
    g_autofree char *name = xrt_job_name (job);

    g_set_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT,
        "%s: %s did not end within %" G_GUINT64_FORMAT
        " ms; what hangs is loaded again for the next launch",
        npu->name, name, timeout / 1000000);
    xrt_job_give_up (job);
    g_mutex_unlock (&npu->lock);
    return FALSE;
  }
  done = job->state != XRT_JOB_FAILED;
  if (done && times)
    *times = job->times;
  if (!done && error)
    *error = g_error_copy (job->error);
  g_mutex_unlock (&npu->lock);
  return done;
}

gboolean
xrt_job_is_done (XrtJob *job)
{
  XrtNpu *npu = job->device->npu;
  gboolean done;

  g_mutex_lock (&npu->lock);
  done = job->state != XRT_JOB_IN_FLIGHT;
  g_mutex_unlock (&npu->lock);
  return done;
}
