/* Programs and their hardware contexts: an NPU has room for few, so they come
 * and go. Those of one file are in one context, whichever device they are of.
 *
 * Who makes or frees a context has the NPU for itself (`exclusive`) but not
 * its lock, so launches on other contexts go on. A context is freed only when
 * no job is between acquisition and start in it. What hangs, and when that is
 * said: xrt-hang.c.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <sys/stat.h>

#include "npu-clock.h"
#include "xrt-private.h"

/* How long a limit is believed: to try for more costs a refusal. */
#define LIMIT_HOLDS_US 1000000

/* Room for one more context. */
typedef enum {
  ROOM_NONE,
  ROOM_LATER, /* all are in use */
  ROOM_MADE,
} Room;

/* --- making the list --------------------------------------------------- */

static void
program_free (gpointer data)
{
  XrtProgram *program = data;

  g_ptr_array_unref (program->idle);
  g_free (program->words);
  g_free (program);
}

static void
context_free (gpointer data)
{
  XrtContext *context = data;

  g_free (context->xclbin);
  g_free (context->identity);
  g_ptr_array_unref (context->idle_lists);
  g_ptr_array_unref (context->programs);
  g_mutex_clear (&context->starting);
  g_cond_clear (&context->work);
  g_free (context);
}

/* What tells the file from others that had or will have its name. */
static char *
identity_of (const char *xclbin)
{
  struct stat status = {0};

  if (stat (xclbin, &status) != 0)
    return g_strdup ("");
  return g_strdup_printf ("%ju %ju %jd.%09ld", (uintmax_t) status.st_ino,
      (uintmax_t) status.st_size, (intmax_t) status.st_mtim.tv_sec,
      status.st_mtim.tv_nsec);
}

/* Overlays of one file share its context. With the lock. */
static XrtContext *
context_for (XrtNpu *npu, const char *xclbin)
{
  g_autofree char *identity = identity_of (xclbin);
  XrtContext *context;

  for (guint i = 0; i < npu->contexts->len; i++) {
    context = g_ptr_array_index (npu->contexts, i);
    if (g_str_equal (context->xclbin, xclbin) &&
        g_str_equal (context->identity, identity))
      return context;
  }
  context = g_new0 (XrtContext, 1);
  context->npu = npu;
  context->xclbin = g_strdup (xclbin);
  context->identity = g_steal_pointer (&identity);
  context->programs = g_ptr_array_new ();
  context->idle_lists = g_ptr_array_new ();
  g_mutex_init (&context->starting);
  g_cond_init (&context->work);
  g_queue_init (&context->in_flight);
  g_ptr_array_add (npu->contexts, context);
  return context;
}

/* Whether the overlay is for this NPU, and its file what it says. */
static gboolean
check_overlay (XrtDevice *device, const XrtOverlay *overlay, GError **error)
{
  const gboolean is_first = device->programs->len == 0;
  XrtApiError cause;

  if (overlay->generation != XRT_GENERATION_ANY &&
      device->npu->generation != XRT_GENERATION_ANY &&
      overlay->generation != device->npu->generation) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
        "overlay '%s' of %s is for %s, but %s is an %s; set 'overlays' to the directory that was built for it",
        overlay->name, device->overlays->directory,
        xrt_generation_name (overlay->generation), device->base.name,
        xrt_generation_name (device->npu->generation));
    return FALSE;
  }
  for (guint i = 0; i < overlay->n_args; i++) {
    guint32 group = 0;

    if (!xrt_api_xclbin_check (
            overlay->xclbin, overlay->kernel, i, &group, &cause)) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_FORMAT,
          "overlay '%s': %s is not an xclbin with its kernel and arguments: %s; build the overlay again, or correct its kernel and args in %s/" XRT_OVERLAYS_FILE,
          overlay->name, overlay->xclbin, cause.message,
          device->overlays->directory);
      return FALSE;
    }
    if (is_first && i == 0)
      device->group = group;
    if (group != device->group) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
          "overlay '%s': its argument %u is in memory group %u, others are in %u; overlays share their buffers, so build them with one group",
          overlay->name, i, group, device->group);
      return FALSE;
    }
  }
  return TRUE;
}

/* --- exclusion --------------------------------------------------------- */

static void
begin_exclusive (XrtNpu *npu)
{
  while (npu->exclusive)
    g_cond_wait (&npu->changed, &npu->lock);
  npu->exclusive = TRUE;
}

static void
end_exclusive (XrtNpu *npu)
{
  npu->exclusive = FALSE;
  g_cond_broadcast (&npu->changed);
}

/* --- coming ------------------------------------------------------------ */

/* Makes the context; exclusive, without the lock. */
static gboolean
load (XrtContext *context, XrtApiError *cause)
{
  const guint64 start = npu_clock_ns ();

  context->api =
      xrt_api_context_new (context->npu->api, context->xclbin, cause);
  context->cost.load_time = npu_clock_ns () - start;
  return context->api != NULL;
}

static gboolean
start_waiter (XrtContext *context, GError **error)
{
  g_autoptr (GError) cause = NULL;

  context->stop = context->lost = FALSE;
  context->last_end = 0;
  context->waiter =
      g_thread_try_new ("npuenc-xrt", xrt_context_waiter, context, &cause);
  if (!context->waiter)
    g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
        "%s: cannot start a thread that waits for launches: %s",
        context->npu->name, cause->message);
  return context->waiter != NULL;
}

/* --- going ------------------------------------------------------------- */

static void
free_commands (GPtrArray *commands)
{
  for (guint i = 0; i < commands->len; i++)
    xrt_api_command_free (g_ptr_array_index (commands, i));
  g_ptr_array_set_size (commands, 0);
}

static void
free_lists (GPtrArray *lists)
{
  for (guint i = 0; i < lists->len; i++)
    xrt_api_list_free (g_ptr_array_index (lists, i));
  g_ptr_array_set_size (lists, 0);
}

static void
free_program_objects (XrtProgram *program)
{
  free_commands (program->idle);
  if (program->kernel)
    xrt_api_kernel_free (g_steal_pointer (&program->kernel));
}

/* Frees all of XRT's objects of a context, the context last: that ends what
 * is in flight. Nobody may get a command meanwhile: XRT would give it memory
 * of one that is in flight. */
static void
free_objects (XrtContext *context)
{
  g_mutex_lock (&context->npu->objects);
  free_lists (context->idle_lists);
  for (GList *link = context->in_flight.head; link; link = link->next) {
    XrtJob *job = link->data;

    free_lists (job->lists);
    free_commands (job->commands);
  }
  for (guint i = 0; i < context->programs->len; i++) {
    XrtProgram *program = g_ptr_array_index (context->programs, i);

    free_program_objects (program);
  }
  xrt_api_context_free (g_steal_pointer (&context->api));
  g_mutex_unlock (&context->npu->objects);
}

/* Marks the jobs whose context is gone; @cause may be NULL. With the lock. */
static void
fail_jobs (XrtContext *context, const GError *cause)
{
  g_autoptr (GError) gone = g_error_new (NPU_ERROR, NPU_ERROR_LAUNCH,
      "%s: a launch did not end when its context was needed for another",
      context->npu->name);
  XrtJob *job;

  while ((job = g_queue_peek_head (&context->in_flight))) {
    g_queue_pop_head_link (&context->in_flight);
    job->state = XRT_JOB_FAILED;
    if (!job->error)
      job->error = g_error_copy (cause ? cause : gone);
    g_cond_broadcast (&job->done);
  }
  context->n_submissions = 0;
}

/* The rest of xrt_context_unload(), when exclusive. */
static void
unload (XrtContext *context, const GError *cause)
{
  XrtNpu *npu = context->npu;

  context->lost = TRUE; /* nobody starts in it */
  g_cond_broadcast (&npu->changed);
  while (context->n_pins > 0)
    g_cond_wait (&npu->changed, &npu->lock);
  if (!cause)
    xrt_context_drain (context);
  context->stop = TRUE;
  g_cond_broadcast (&context->work);
  g_mutex_unlock (&npu->lock);
  g_thread_join (g_steal_pointer (&context->waiter));
  free_objects (context);
  g_mutex_lock (&npu->lock);
  fail_jobs (context, cause);
  context->resident = context->lost = FALSE;
  npu->n_resident--;
}

void
xrt_context_unload (XrtContext *context, const GError *cause)
{
  begin_exclusive (context->npu);
  if (context->resident)
    unload (context, cause);
  end_exclusive (context->npu);
}

/* --- room for one more ------------------------------------------------- */

/* Evicts the context that is the cheapest to bring back; FALSE where all are
 * in use. Exclusive, with the lock. */
static gboolean
evict_one (XrtNpu *npu)
{
  const guint n = npu->contexts->len;
  g_autofree const XrtCost **costs = g_new (const XrtCost *, n);
  int chosen;

  for (guint i = 0; i < n; i++) {
    XrtContext *context = g_ptr_array_index (npu->contexts, i);

    context->cost.may_go = context->resident && context->n_pins == 0 &&
                           g_queue_is_empty (&context->in_flight);
    costs[i] = &context->cost;
  }
  chosen = xrt_cost_choose (costs, n);
  if (chosen >= 0)
    unload (g_ptr_array_index (npu->contexts, (guint) chosen), NULL);
  return chosen >= 0;
}

/* There is room for what is there, and no more; until others may have gone. */
static void
learn_limit (XrtNpu *npu)
{
  npu->max_resident = npu->n_resident;
  npu->learnt = g_get_monotonic_time ();
}

static void
forget_limit (XrtNpu *npu)
{
  if (g_get_monotonic_time () - npu->learnt > LIMIT_HOLDS_US)
    npu->max_resident = G_MAXUINT;
}

/* Loads the context, evicting as many others as it takes; LATER when launches
 * are over. Exclusive, with the lock, which it lets go
 * meanwhile. */
static Room
load_evicting (XrtContext *context, XrtApiError *cause)
{
  XrtNpu *npu = context->npu;

  cause->code = 0;
  forget_limit (npu);
  for (;;) {
    gboolean loaded;

    if (npu->n_resident >= npu->max_resident && !evict_one (npu))
      return ROOM_LATER;
    g_mutex_unlock (&npu->lock);
    loaded = load (context, cause);
    g_mutex_lock (&npu->lock);
    if (loaded)
      return ROOM_MADE;
    if (!xrt_error_is_no_room (cause))
      return ROOM_NONE;
    if (npu->n_resident > 0)
      learn_limit (npu);
    else
      return ROOM_NONE;
  }
}

static gboolean
fail_to_load (XrtContext *context, const XrtApiError *cause, GError **error)
{
  const XrtProgram *program = g_ptr_array_index (context->programs, 0);
  g_autofree char *what = g_strdup_printf ("%s, overlay '%s' (%s),",
      context->npu->name, program->overlay->name, context->xclbin);

  if (!xrt_error_is_no_room (cause))
    return xrt_error_set (error, XRT_DOING_CONTEXT, what, cause);
  g_set_error (error, NPU_ERROR, NPU_ERROR_BUSY,
      "%s has no hardware context left: other programs have them all, or use the NPU for themselves; close them, or use device=cpu (XRT: %s)",
      context->npu->name, cause->message);
  return FALSE;
}

/* Waits for a change, or a while: the caller looks again. */
static gboolean
wait_for_change (XrtNpu *npu, NpuDeadline *deadline, GError **error)
{
  if (npu_deadline_wait (deadline, &npu->changed, &npu->lock))
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_BUSY,
      "%s has all of its contexts in use by launches that do not end; raise the timeout, or use fewer encoders at once",
      npu->name);
  return FALSE;
}

/* The same for what is still in flight in a lost context; what hangs there is
 * ended. */
static gboolean
wait_for_the_lost (XrtContext *context, NpuDeadline *deadline, GError **error)
{
  g_autoptr (GError) cause = NULL;

  if (wait_for_change (context->npu, deadline, &cause) ||
      xrt_context_end_hung (context))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

/* Brings a context that is not there, or is lost. With the lock. */
static gboolean
make_resident (XrtContext *context, NpuDeadline *deadline, GError **error)
{
  XrtNpu *npu = context->npu;
  XrtApiError cause;
  Room room;
  gboolean done = TRUE;

  if (npu->exclusive)
    return wait_for_change (npu, deadline, error);
  if (context->resident && !g_queue_is_empty (&context->in_flight))
    return wait_for_the_lost (context, deadline, error);

  begin_exclusive (npu);
  if (context->resident)
    unload (context, NULL);
  room = load_evicting (context, &cause);
  if (room == ROOM_MADE) {
    done = start_waiter (context, error);
    if (done) {
      context->resident = TRUE;
      npu->n_resident++;
    } else {
      free_objects (context);
    }
  } else if (room == ROOM_NONE) {
    done = fail_to_load (context, &cause, error);
  }
  end_exclusive (npu);
  return room == ROOM_LATER ? wait_for_change (npu, deadline, error) : done;
}

/* Opens the program's kernel in its context. With the lock. */
static gboolean
open_kernel (XrtProgram *program, GError **error)
{
  XrtNpu *npu = program->context->npu;
  XrtApiError cause;

  program->kernel = xrt_api_kernel_new (npu->api, program->context->api,
      program->overlay->kernel, program->words, program->n_words, &cause);
  return program->kernel || xrt_error_set (error, XRT_DOING_CONTEXT,
                                program->overlay->name, &cause);
}

gboolean
xrt_context_pin (XrtJob *job, GError **error)
{
  XrtContext *context = job->context;
  XrtNpu *npu = context->npu;
  NpuDeadline deadline = npu_deadline_in (job->timeout);

  while (!context->resident || context->lost)
    if (!make_resident (context, &deadline, error))
      return FALSE;
  for (guint i = 0; i < job->parts->len; i++) {
    XrtProgram *program = g_array_index (job->parts, XrtJobPart, i).program;

    if (!program->kernel && !open_kernel (program, error))
      return FALSE;
  }
  context->n_pins++;
  xrt_awake_launched (job->device);
  if (npu->last_used != context) {
    npu->last_used = context;
    xrt_cost_use (&context->cost, ++npu->n_uses);
  }
  return TRUE;
}

void
xrt_context_unpin (XrtContext *context)
{
  context->n_pins--;
  g_cond_broadcast (&context->npu->changed);
}

/* --- programs of a device ---------------------------------------------- */

static XrtProgram *
program_new (const XrtOverlay *overlay, GError **error)
{
  XrtProgram *program;
  gsize n_words;
  guint32 *words = xrt_overlay_read_instructions (overlay, &n_words, error);

  if (!words)
    return NULL;
  program = g_new0 (XrtProgram, 1);
  program->overlay = overlay;
  program->words = words;
  program->n_words = n_words;
  program->idle = g_ptr_array_new ();
  return program;
}

/* Gives the device's programs their contexts. */
static void
join_contexts (XrtDevice *device)
{
  XrtNpu *npu = device->npu;

  g_mutex_lock (&npu->lock);
  begin_exclusive (npu);
  for (guint i = 0; i < device->programs->len; i++) {
    XrtProgram *program = g_ptr_array_index (device->programs, i);

    program->context = context_for (npu, program->overlay->xclbin);
    g_ptr_array_add (program->context->programs, program);
  }
  end_exclusive (npu);
  g_mutex_unlock (&npu->lock);
}

gboolean
xrt_contexts_open (XrtDevice *device, GError **error)
{
  device->programs = g_ptr_array_new_with_free_func (program_free);
  for (guint i = 0; i < device->overlays->list->len; i++) {
    const XrtOverlay *overlay = g_ptr_array_index (device->overlays->list, i);
    XrtProgram *program;

    if (!check_overlay (device, overlay, error))
      return FALSE;
    program = program_new (overlay, error);
    if (!program)
      return FALSE;
    g_ptr_array_add (device->programs, program);
  }
  join_contexts (device);
  return TRUE;
}

/* Frees what XRT has of the program, and its context if it was the last one
 * there. Exclusive, with the lock. */
static void
leave_context (XrtProgram *program)
{
  XrtContext *context = program->context;
  XrtNpu *npu = context->npu;

  if (context->programs->len == 1 && context->resident)
    unload (context, NULL);
  g_mutex_unlock (&npu->lock);
  g_mutex_lock (&npu->objects);
  free_program_objects (program);
  g_mutex_unlock (&npu->objects);
  g_mutex_lock (&npu->lock);
  g_ptr_array_remove (context->programs, program);
  if (context->programs->len > 0)
    return;
  if (npu->last_used == context)
    npu->last_used = NULL;
  g_ptr_array_remove (npu->contexts, context);
  context_free (context);
}

void
xrt_contexts_close (XrtDevice *device)
{
  XrtNpu *npu = device->npu;

  if (!device->programs)
    return;
  g_mutex_lock (&npu->lock);
  begin_exclusive (npu);
  for (guint i = 0; i < device->programs->len; i++) {
    XrtProgram *program = g_ptr_array_index (device->programs, i);

    if (program->context)
      leave_context (program);
  }
  end_exclusive (npu);
  g_mutex_unlock (&npu->lock);
  g_clear_pointer (&device->programs, g_ptr_array_unref);
}

void
xrt_contexts_drop_idle (XrtNpu *npu)
{
  g_mutex_lock (&npu->lock);
  begin_exclusive (npu);
  while (evict_one (npu))
    ;
  end_exclusive (npu);
  g_mutex_unlock (&npu->lock);
}
