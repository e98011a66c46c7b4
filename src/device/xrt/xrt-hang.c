/* Launches that do not end in time. A context is shared by all elements of the
 * process that use its file, and what is in flight in it runs in order: a
 * launch may be late because it hangs, or because others before it are long.
 * Only what hangs is ended, with its context, and so with all behind it.
 *
 * What is at the head of the queue hangs when its own time is over and the
 * driver's watchdog has not ended it either. Time that others grant their
 * launches is theirs, and nobody's short timeout ends it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-clock.h"
#include "xrt-private.h"

/* What the kernel driver's watchdog takes to end a launch that hangs, 2 s, and
 * something. After that the context is freed under it. */
#define WATCHDOG_NS ((guint64) 3 * 1000000000)

/* How long whatever is at the head may take from now on. */
static guint64
patience_for (const XrtJob *head)
{
  return head->given_up ? WATCHDOG_NS : MAX (WATCHDOG_NS, head->granted);
}

/* Whether the head has been at work for as long as its owner grants it. */
static gboolean
is_overdue (const XrtContext *context, const XrtJob *head)
{
  return npu_clock_ns () - MAX (head->submitted, context->last_end) >=
         head->granted;
}

static gboolean
is_head (const XrtContext *context, const XrtJob *job, guint64 submitted)
{
  return g_queue_peek_head ((GQueue *) &context->in_flight) == job &&
         job->submitted == submitted;
}

/* Until the head is another; FALSE where it hangs. With the lock, which it lets
 * go meanwhile, and then the job may be gone. */
static gboolean
wait_for_head (XrtContext *context, XrtJob *head)
{
  XrtNpu *npu = context->npu;
  const guint64 submitted = head->submitted;

  while (is_head (context, head, submitted)) {
    const gboolean given_up = head->given_up;
    NpuDeadline deadline = npu_deadline_in (patience_for (head));

    while (is_head (context, head, submitted) && head->given_up == given_up)
      if (!npu_deadline_wait (&deadline, &npu->changed, &npu->lock))
        return !is_head (context, head, submitted);
  }
  return TRUE;
}

gboolean
xrt_context_drain (XrtContext *context)
{
  XrtJob *head;

  while ((head = g_queue_peek_head (&context->in_flight)))
    if (!wait_for_head (context, head))
      return FALSE;
  return TRUE;
}

/* Ends what hangs at the head, and all in its context. */
static void
unload_hung (XrtContext *context, const XrtJob *head)
{
  g_autofree char *name = xrt_job_name (head);
  g_autoptr (GError) cause = g_error_new (NPU_ERROR, NPU_ERROR_LAUNCH,
      "%s: %s was stopped, since a launch before this one did not end in time; it is loaded again for the next launch",
      context->npu->name, name);

  xrt_context_unload (context, cause);
}

static void
set_given_up (XrtContext *context, XrtJob *job)
{
  job->given_up = TRUE;
  g_cond_broadcast (&context->npu->changed);
}

void
xrt_job_give_up (XrtJob *job)
{
  XrtContext *context = job->context;

  set_given_up (context, job);
  while (job->state == XRT_JOB_IN_FLIGHT) {
    XrtJob *head = g_queue_peek_head (&context->in_flight);

    if (!wait_for_head (context, head))
      unload_hung (context, head);
  }
}

gboolean
xrt_context_end_hung (XrtContext *context)
{
  XrtJob *head = g_queue_peek_head (&context->in_flight);

  if (!head || !is_overdue (context, head))
    return FALSE;
  set_given_up (context, head);
  if (!wait_for_head (context, head))
    unload_hung (context, head);
  return TRUE;
}
