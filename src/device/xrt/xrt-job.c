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
  job->commands = g_ptr_array_new ();
  job->link.data = job;
  g_cond_init (&job->done);
}

void
xrt_job_clear (XrtJob *job)
{
  g_ptr_array_unref (job->commands);
  g_clear_error (&job->error);
  g_cond_clear (&job->done);
}

/* --- the waiter -------------------------------------------------------- */

/* Gives back what the job had on loan. With the lock. */
static void
give_back (XrtJob *job)
{
  XrtProgram *program = job->program;

  for (guint i = 0; i < job->commands->len; i++)
    g_ptr_array_add (program->idle, g_ptr_array_index (job->commands, i));
  g_ptr_array_set_size (job->commands, 0);
  if (job->list) {
    xrt_api_list_reset (job->list);
    g_ptr_array_add (
        program->context->idle_lists, g_steal_pointer (&job->list));
  }
}

static void
set_failed (XrtJob *job, XrtApiState state, const XrtApiError *cause)
{
  const char *overlay = job->program->overlay->name;
  const char *device = job->device->base.name;

  job->state = XRT_JOB_FAILED;
  if (state == XRT_API_TIMED_OUT)
    g_set_error (&job->error, NPU_ERROR, NPU_ERROR_LAUNCH,
        "%s: overlay '%s' did not end, and the driver stopped it (%s); the overlay may be for another NPU: build it again; it is loaded again for the next launch",
        device, overlay, cause->message);
  else if (state != XRT_API_RUNNING)
    g_set_error (&job->error, NPU_ERROR, NPU_ERROR_LAUNCH,
        "%s: overlay '%s' ended with an error (%s); the kernel's log (sudo dmesg) may tell more; it is loaded again for the next launch",
        device, overlay, cause->message);
  else /* XRT could not wait */
    xrt_error_set (&job->error, XRT_DOING_WAIT, device, cause);
}

/* The oldest job is over. With the lock. */
static void
complete (XrtContext *context, XrtJob *job, gboolean waited, XrtApiState state,
    const XrtApiError *cause)
{
  job->times.end = npu_clock_ns ();
  job->times.start = MAX (job->submitted, context->last_end);
  context->last_end = job->times.end;
  context->n_submissions -= job->n_submissions;
  g_queue_unlink (&context->in_flight, &job->link);
  give_back (job);
  if (waited && state == XRT_API_COMPLETED) {
    job->state = XRT_JOB_DONE;
  } else {
    set_failed (job, waited ? state : XRT_API_RUNNING, cause);
    context->lost = TRUE;
  }
  g_cond_broadcast (&job->done);
  g_cond_broadcast (&context->npu->changed);
}

/* Whether the job is over: RUNNING after a slice in which it was not. FALSE
 * where XRT could not wait. That says nothing of the job, which may still be
 * writing to its buffers, so its state is looked at. */
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

gpointer
xrt_context_waiter (gpointer data)
{
  XrtContext *context = data;
  XrtNpu *npu = context->npu;

  g_mutex_lock (&npu->lock);
  while (!context->stop) {
    XrtJob *job = g_queue_peek_head (&context->in_flight);
    XrtApiState state = XRT_API_RUNNING;
    XrtApiError cause = {0};
    XrtApiCommand *last;
    XrtApiList *list;
    gboolean waited;

    if (!job) {
      g_cond_wait (&context->work, &npu->lock);
      continue;
    }
    last = g_ptr_array_index (job->commands, job->commands->len - 1);
    list = job->list;
    g_mutex_unlock (&npu->lock);
    waited = wait_or_look (last, list, &state, &cause);
    g_mutex_lock (&npu->lock);
    if (!waited) {
      job->not_waited = TRUE;
      job->wait_cause = cause;
    }
    if (state != XRT_API_RUNNING)
      complete (context, job, !job->not_waited, state,
          job->not_waited ? &job->wait_cause : &cause);
  }
  g_mutex_unlock (&npu->lock);
  return NULL;
}

/* --- start ------------------------------------------------------------- */

/* Gets commands and a list for a pinned context, making what is not idle.
 * With the lock, which it lets go meanwhile. */
static gboolean
borrow (XrtJob *job, guint n_commands, GError **error)
{
  XrtProgram *program = job->program;
  XrtContext *context = program->context;
  XrtNpu *npu = job->device->npu;
  XrtApiError cause;
  gboolean made = TRUE;

  while (program->idle->len > 0 && job->commands->len < n_commands)
    g_ptr_array_add (job->commands,
        g_ptr_array_steal_index_fast (program->idle, program->idle->len - 1));
  if (n_commands > 1 && context->idle_lists->len > 0)
    job->list = g_ptr_array_steal_index_fast (
        context->idle_lists, context->idle_lists->len - 1);
  if (job->commands->len == n_commands && (n_commands == 1 || job->list))
    return TRUE;

  g_mutex_unlock (&npu->lock);
  g_mutex_lock (&npu->objects);
  while (made && job->commands->len < n_commands) {
    XrtApiCommand *command = xrt_api_command_new (program->kernel, &cause);

    if (command)
      g_ptr_array_add (job->commands, command);
    else
      made = FALSE;
  }
  if (made && n_commands > 1 && !job->list) {
    job->list = xrt_api_list_new (context->api, &cause);
    made = job->list != NULL;
  }
  g_mutex_unlock (&npu->objects);
  g_mutex_lock (&npu->lock);
  return made || xrt_error_set (error, XRT_DOING_LAUNCH, npu->name, &cause);
}

/* Waits until the context takes the job; FALSE without @error where it was
 * lost meanwhile. With the lock. */
static gboolean
wait_for_room (XrtJob *job, GError **error)
{
  XrtContext *context = job->program->context;
  XrtNpu *npu = job->device->npu;
  NpuDeadline deadline = npu_deadline_in (job->timeout);

  while (!context->lost && context->n_submissions > 0 &&
         context->n_submissions + job->n_submissions > XRT_MAX_IN_FLIGHT)
    if (!npu_deadline_wait (&deadline, &npu->changed, &npu->lock)) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT,
          "%s: a launch of overlay '%s' before this one did not end within %" G_GUINT64_FORMAT
          " ms",
          npu->name, job->program->overlay->name, job->timeout / 1000000);
      return FALSE;
    }
  return !context->lost;
}

/* Submits the commands, which are bound. With the lock, which it lets go
 * meanwhile: the next in this context wait for `starting`. */
static gboolean
submit (XrtJob *job, GError **error)
{
  XrtContext *context = job->program->context;
  XrtNpu *npu = job->device->npu;
  XrtApiError cause;
  gboolean started;

  job->submitted = npu_clock_ns ();
  context->n_submissions += job->n_submissions;
  g_mutex_unlock (&npu->lock);
  if (job->list)
    started = xrt_api_list_start (job->list,
        (XrtApiCommand *const *) job->commands->pdata, job->commands->len,
        &cause);
  else
    started =
        xrt_api_command_start (g_ptr_array_index (job->commands, 0), &cause);
  g_mutex_lock (&npu->lock);
  if (started) {
    job->state = XRT_JOB_IN_FLIGHT;
    g_queue_push_tail_link (&context->in_flight, &job->link);
    g_cond_signal (&context->work);
    return TRUE;
  }
  context->n_submissions -= job->n_submissions;
  context->lost = TRUE;
  return xrt_error_set (error, XRT_DOING_LAUNCH, npu->name, &cause);
}

/* One try; FALSE without @error where the context was lost before the start.
 * With the lock. */
static gboolean
try_start (XrtJob *job, guint n_commands, XrtBindFunc bind, gpointer user_data,
    GError **error)
{
  XrtContext *context = job->program->context;
  XrtNpu *npu = job->device->npu;
  gboolean done;

  if (!xrt_context_pin (job, error))
    return FALSE;
  done = borrow (job, n_commands, error);
  if (done) {
    g_mutex_unlock (&npu->lock);
    for (guint i = 0; done && i < n_commands; i++)
      done = bind (g_ptr_array_index (job->commands, i), i, user_data, error);
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

gboolean
xrt_job_start (XrtJob *job, XrtProgram *program, guint n_commands,
    XrtBindFunc bind, gpointer user_data, GError **error)
{
  XrtNpu *npu = job->device->npu;
  GError *cause = NULL;
  gboolean started;

  g_mutex_lock (&npu->lock);
  g_assert (job->state != XRT_JOB_IN_FLIGHT);
  g_clear_error (&job->error);
  job->program = program;
  job->n_submissions = (n_commands + XRT_MAX_CHAIN - 1) / XRT_MAX_CHAIN;
  job->state = XRT_JOB_IDLE;
  job->not_waited = job->given_up = FALSE;
  do
    started = try_start (job, n_commands, bind, user_data, &cause);
  while (!started && !cause);
  if (g_error_matches (cause, NPU_ERROR, NPU_ERROR_TIMEOUT))
    xrt_context_end_hung (program->context);
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
  NpuDeadline deadline = npu_deadline_in (timeout);
  gboolean done;

  g_mutex_lock (&npu->lock);
  while (job->state == XRT_JOB_IN_FLIGHT &&
         npu_deadline_wait (&deadline, &job->done, &npu->lock))
    ;
  if (job->state == XRT_JOB_IN_FLIGHT) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_TIMEOUT,
        "%s: overlay '%s' did not end within %" G_GUINT64_FORMAT
        " ms; what hangs is loaded again for the next launch",
        npu->name, job->program->overlay->name, timeout / 1000000);
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
