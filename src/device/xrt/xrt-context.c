/* Programs and their hardware contexts: a device has room for few, so they
 * come and go.
 *
 * Who makes or frees a context has the device for itself (`exclusive`) but not
 * its lock, so launches on other contexts go on. A context is freed only when
 * no job is between acquisition and start in it. A launch that hangs is first
 * left to the driver's watchdog, which ends it and tells; where there is none,
 * freeing the context ends it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-clock.h"
#include "xrt-private.h"

/* What the kernel driver's watchdog takes to end a launch that hangs, 2 s, and
 * something. After that the context is freed under it. */
#define WATCHDOG_US 3000000

/* How long a limit is believed: to try for more costs a refusal. */
#define LIMIT_HOLDS_US 1000000

/* Between two looks whether other devices have a context to spare. */
#define SIBLINGS_US 1000

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

  g_ptr_array_unref (context->idle_lists);
  g_ptr_array_unref (context->programs);
  g_mutex_clear (&context->starting);
  g_cond_clear (&context->work);
  g_free (context);
}

/* Overlays of one file share its context. */
static XrtContext *
context_for (XrtDevice *device, const char *xclbin)
{
  XrtContext *context;

  for (guint i = 0; i < device->contexts->len; i++) {
    context = g_ptr_array_index (device->contexts, i);
    if (g_str_equal (context->xclbin, xclbin))
      return context;
  }
  context = g_new0 (XrtContext, 1);
  context->device = device;
  context->xclbin = xclbin;
  context->programs = g_ptr_array_new ();
  context->idle_lists = g_ptr_array_new ();
  g_mutex_init (&context->starting);
  g_cond_init (&context->work);
  g_queue_init (&context->in_flight);
  g_ptr_array_add (device->contexts, context);
  return context;
}

/* Whether the overlay is for this NPU, and its file what it says. */
static gboolean
check_overlay (XrtDevice *device, const XrtOverlay *overlay, GError **error)
{
  const gboolean is_first = device->programs->len == 0;
  XrtApiError cause;

  if (overlay->generation != XRT_GENERATION_ANY &&
      device->generation != XRT_GENERATION_ANY &&
      overlay->generation != device->generation) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
        "overlay '%s' of %s is for %s, but %s is an %s; set 'overlays' to the "
        "directory that was built for it",
        overlay->name, device->overlays->directory,
        xrt_generation_name (overlay->generation), device->base.name,
        xrt_generation_name (device->generation));
    return FALSE;
  }
  for (guint i = 0; i < overlay->n_args; i++) {
    guint32 group = 0;

    if (!xrt_api_xclbin_check (
            overlay->xclbin, overlay->kernel, i, &group, &cause)) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_FORMAT,
          "overlay '%s': %s is not an xclbin with its kernel and arguments: "
          "%s; build the overlay again, or correct its kernel and args in "
          "%s/" XRT_OVERLAYS_FILE,
          overlay->name, overlay->xclbin, cause.message,
          device->overlays->directory);
      return FALSE;
    }
    if (is_first && i == 0)
      device->group = group;
    if (group != device->group) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
          "overlay '%s': its argument %u is in memory group %u, others are in "
          "%u; overlays share their buffers, so build them with one group",
          overlay->name, i, group, device->group);
      return FALSE;
    }
  }
  return TRUE;
}

gboolean
xrt_contexts_open (XrtDevice *device, GError **error)
{
  device->programs = g_ptr_array_new_with_free_func (program_free);
  device->contexts = g_ptr_array_new_with_free_func (context_free);
  device->max_resident = G_MAXUINT;
  for (guint i = 0; i < device->overlays->list->len; i++) {
    const XrtOverlay *overlay = g_ptr_array_index (device->overlays->list, i);
    XrtProgram *program;
    gsize n_words;
    guint32 *words;

    if (!check_overlay (device, overlay, error))
      return FALSE;
    words = xrt_overlay_read_instructions (overlay, &n_words, error);
    if (!words)
      return FALSE;
    program = g_new0 (XrtProgram, 1);
    program->overlay = overlay;
    program->words = words;
    program->n_words = n_words;
    program->idle = g_ptr_array_new ();
    program->context = context_for (device, overlay->xclbin);
    g_ptr_array_add (program->context->programs, program);
    g_ptr_array_add (device->programs, program);
  }
  return TRUE;
}

void
xrt_contexts_close (XrtDevice *device)
{
  g_mutex_lock (&device->lock);
  for (guint i = 0; device->contexts && i < device->contexts->len; i++) {
    XrtContext *context = g_ptr_array_index (device->contexts, i);

    if (context->resident)
      xrt_context_unload (context, NULL);
  }
  g_mutex_unlock (&device->lock);
  g_clear_pointer (&device->programs, g_ptr_array_unref);
  g_clear_pointer (&device->contexts, g_ptr_array_unref);
}

/* --- exclusion --------------------------------------------------------- */

static void
begin_exclusive (XrtDevice *device)
{
  while (device->exclusive)
    g_cond_wait (&device->changed, &device->lock);
  device->exclusive = TRUE;
}

static void
end_exclusive (XrtDevice *device)
{
  device->exclusive = FALSE;
  g_cond_broadcast (&device->changed);
}

/* --- coming ------------------------------------------------------------ */

/* Makes the context; exclusive, without the lock. */
static gboolean
load (XrtContext *context, XrtApiError *cause)
{
  const guint64 start = npu_clock_ns ();

  context->api =
      xrt_api_context_new (context->device->api, context->xclbin, cause);
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
        context->device->base.name, cause->message);
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

/* Frees all of XRT's objects of a context, the context last: that ends what
 * is in flight. Nobody may get a command meanwhile: XRT would give it memory
 * of one that is in flight. */
static void
free_objects (XrtContext *context)
{
  g_mutex_lock (&context->device->objects);
  for (guint i = 0; i < context->idle_lists->len; i++)
    xrt_api_list_free (g_ptr_array_index (context->idle_lists, i));
  g_ptr_array_set_size (context->idle_lists, 0);
  for (GList *link = context->in_flight.head; link; link = link->next) {
    XrtJob *job = link->data;

    if (job->list)
      xrt_api_list_free (g_steal_pointer (&job->list));
    free_commands (job->commands);
  }
  for (guint i = 0; i < context->programs->len; i++) {
    XrtProgram *program = g_ptr_array_index (context->programs, i);

    free_commands (program->idle);
    if (program->kernel)
      xrt_api_kernel_free (g_steal_pointer (&program->kernel));
  }
  xrt_api_context_free (g_steal_pointer (&context->api));
  g_mutex_unlock (&context->device->objects);
}

/* Marks the jobs whose context is gone; @cause may be NULL. With the lock. */
static void
fail_jobs (XrtContext *context, const GError *cause)
{
  g_autoptr (GError) gone = g_error_new (NPU_ERROR, NPU_ERROR_LAUNCH,
      "%s: a launch did not end when its context was needed for another",
      context->device->base.name);
  XrtJob *job;

  while ((job = g_queue_peek_head (&context->in_flight))) {
    g_queue_pop_head_link (&context->in_flight);
    job->state = XRT_JOB_FAILED;
    job->error = g_error_copy (cause ? cause : gone);
    g_cond_broadcast (&job->done);
  }
  context->n_submissions = 0;
}

/* The rest of xrt_context_unload(), when exclusive. */
static void
unload (XrtContext *context, const GError *cause)
{
  XrtDevice *device = context->device;
  NpuDeadline watchdog = npu_deadline_in (WATCHDOG_US * (guint64) 1000);

  context->lost = TRUE; /* nobody starts in it */
  g_cond_broadcast (&device->changed);
  while (context->n_pins > 0)
    g_cond_wait (&device->changed, &device->lock);
  while (!g_queue_is_empty (&context->in_flight) &&
         npu_deadline_wait (&watchdog, &device->changed, &device->lock))
    ;
  context->stop = TRUE;
  g_cond_broadcast (&context->work);
  g_mutex_unlock (&device->lock);
  g_thread_join (g_steal_pointer (&context->waiter));
  free_objects (context);
  g_mutex_lock (&device->lock);
  fail_jobs (context, cause);
  context->resident = context->lost = FALSE;
  device->n_resident--;
}

void
xrt_context_unload (XrtContext *context, const GError *cause)
{
  begin_exclusive (context->device);
  if (context->resident)
    unload (context, cause);
  end_exclusive (context->device);
}

/* --- room for one more ------------------------------------------------- */

/* Evicts the context that is the cheapest to bring back; FALSE where all are
 * in use. Exclusive, with the lock. */
static gboolean
evict_one (XrtDevice *device)
{
  const guint n = device->contexts->len;
  g_autofree const XrtCost **costs = g_new (const XrtCost *, n);
  int chosen;

  for (guint i = 0; i < n; i++) {
    XrtContext *context = g_ptr_array_index (device->contexts, i);

    context->cost.may_go = context->resident && context->n_pins == 0 &&
                           g_queue_is_empty (&context->in_flight);
    costs[i] = &context->cost;
  }
  chosen = xrt_cost_choose (costs, n);
  if (chosen >= 0)
    unload (g_ptr_array_index (device->contexts, (guint) chosen), NULL);
  return chosen >= 0;
}

XrtRoom
xrt_contexts_give (XrtDevice *device)
{
  XrtRoom room = XRT_ROOM_NONE;

  g_mutex_lock (&device->lock);
  if (device->exclusive) {
    room = XRT_ROOM_LATER;
  } else if (device->n_resident > 0) {
    begin_exclusive (device);
    room = evict_one (device) ? XRT_ROOM_MADE : XRT_ROOM_LATER;
    end_exclusive (device);
  }
  g_mutex_unlock (&device->lock);
  return room;
}

/* Takes a context from another device of this process that is the same NPU;
 * LATER after a moment's wait. Exclusive, with the lock, which it lets go. */
static XrtRoom
take_one (XrtDevice *device)
{
  XrtRoom room;

  g_mutex_unlock (&device->lock);
  room = xrt_siblings_make_room (device);
  if (room == XRT_ROOM_LATER)
    g_usleep (SIBLINGS_US);
  g_mutex_lock (&device->lock);
  return room;
}

/* There is room for what is there, and no more; until others may have gone. */
static void
learn_limit (XrtDevice *device)
{
  device->max_resident = device->n_resident;
  device->learnt = g_get_monotonic_time ();
}

static void
forget_limit (XrtDevice *device)
{
  if (g_get_monotonic_time () - device->learnt > LIMIT_HOLDS_US)
    device->max_resident = G_MAXUINT;
}

/* Loads the context, evicting as many others as it takes; LATER when launches
 * of this device are over. Exclusive, with the lock, which it lets go
 * meanwhile. */
static XrtRoom
load_evicting (XrtContext *context, NpuDeadline *deadline, XrtApiError *cause)
{
  XrtDevice *device = context->device;

  cause->code = 0;
  forget_limit (device);
  for (;;) {
    gboolean loaded;

    if (device->n_resident >= device->max_resident && !evict_one (device))
      return XRT_ROOM_LATER;
    g_mutex_unlock (&device->lock);
    loaded = load (context, cause);
    g_mutex_lock (&device->lock);
    if (loaded)
      return XRT_ROOM_MADE;
    if (!xrt_error_is_no_room (cause))
      return XRT_ROOM_NONE;
    if (device->n_resident > 0)
      learn_limit (device);
    else if (take_one (device) == XRT_ROOM_NONE || deadline->left <= 0)
      return XRT_ROOM_NONE;
  }
}

static gboolean
fail_to_load (XrtContext *context, const XrtApiError *cause, GError **error)
{
  const XrtProgram *program = g_ptr_array_index (context->programs, 0);
  g_autofree char *what = g_strdup_printf ("%s, overlay '%s' (%s),",
      context->device->base.name, program->overlay->name, context->xclbin);

  if (!xrt_error_is_no_room (cause))
    return xrt_error_set (error, XRT_DOING_CONTEXT, what, cause);
  g_set_error (error, NPU_ERROR, NPU_ERROR_BUSY,
      "%s has no hardware context left: other programs have them all, or use "
      "the NPU for themselves; close them, or use device=cpu (XRT: %s)",
      context->device->base.name, cause->message);
  return FALSE;
}

/* Waits for a change, or a while: the caller looks again. */
static gboolean
wait_for_change (XrtDevice *device, NpuDeadline *deadline, GError **error)
{
  if (npu_deadline_wait (deadline, &device->changed, &device->lock))
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_BUSY,
      "%s has all of its contexts in use by launches that do not end; raise "
      "the timeout, or use fewer encoders at once",
      device->base.name);
  return FALSE;
}

/* The same for what is still in flight in a lost context; then that hangs, and
 * is given up. */
static void
wait_for_the_lost (XrtContext *context, NpuDeadline *deadline)
{
  g_autoptr (GError) cause = NULL;

  if (!wait_for_change (context->device, deadline, &cause))
    xrt_context_unload (context, cause);
}

/* Brings a context that is not there, or is lost. With the lock. */
static gboolean
make_resident (XrtContext *context, NpuDeadline *deadline, GError **error)
{
  XrtDevice *device = context->device;
  XrtApiError cause;
  XrtRoom room;
  gboolean done = TRUE;

  if (device->exclusive)
    return wait_for_change (device, deadline, error);
  if (context->resident && !g_queue_is_empty (&context->in_flight)) {
    wait_for_the_lost (context, deadline);
    return TRUE;
  }

  begin_exclusive (device);
  if (context->resident)
    unload (context, NULL);
  room = load_evicting (context, deadline, &cause);
  if (room == XRT_ROOM_MADE) {
    done = start_waiter (context, error);
    if (done) {
      context->resident = TRUE;
      device->n_resident++;
    } else {
      free_objects (context);
    }
  } else if (room == XRT_ROOM_NONE) {
    done = fail_to_load (context, &cause, error);
  }
  end_exclusive (device);
  return room == XRT_ROOM_LATER ? wait_for_change (device, deadline, error)
                                : done;
}

/* Opens the program's kernel in its context. With the lock. */
static gboolean
open_kernel (XrtProgram *program, GError **error)
{
  XrtDevice *device = program->context->device;
  XrtApiError cause;

  program->kernel = xrt_api_kernel_new (device->api, program->context->api,
      program->overlay->kernel, program->words, program->n_words, &cause);
  return program->kernel || xrt_error_set (error, XRT_DOING_CONTEXT,
                                program->overlay->name, &cause);
}

gboolean
xrt_context_pin (XrtProgram *program, GError **error)
{
  XrtContext *context = program->context;
  XrtDevice *device = context->device;
  NpuDeadline deadline = npu_deadline_in (device->timeout);

  while (!context->resident || context->lost)
    if (!make_resident (context, &deadline, error))
      return FALSE;
  if (!program->kernel && !open_kernel (program, error))
    return FALSE;
  context->n_pins++;
  xrt_awake_launched (device);
  if (device->last_used != context) {
    device->last_used = context;
    xrt_cost_use (&context->cost, ++device->n_uses);
  }
  return TRUE;
}

void
xrt_context_unpin (XrtContext *context)
{
  context->n_pins--;
  g_cond_broadcast (&context->device->changed);
}
