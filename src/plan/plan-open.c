/* The kernels of a plan. Those that have weights take most of the time of its
 * making: reading, rotating, rounding and packing them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plan-private.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

/* --- one kernel -------------------------------------------------------- */

void
npu_plan_weights_clear (NpuPlanWeights *weights)
{
  g_clear_pointer (&weights->data, g_free);
  g_clear_pointer (&weights->key, g_free);
}

static void
floats_clear (NpuPlanFloats *floats)
{
  g_free (floats->weight);
  g_free (floats->bias);
  g_free (floats->row);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (NpuPlanFloats, floats_clear)

/* Weights on their way, which the device and the host may both ask for. */
typedef struct {
  const NpuPlanWeights *from;
  NpuPlanFloats *floats;
  gboolean is_read;
} Reading;

static gboolean
read_weights (gpointer data, NpuOp *op, GError **error)
{
  Reading *reading = data;

  if (!reading->is_read &&
      !reading->from->read (reading->from->data, reading->floats, error))
    return FALSE;
  reading->is_read = TRUE;
  op->weight = reading->floats->weight;
  op->bias = reading->floats->bias;
  return TRUE;
}

/* @reading->from is NULL where the operation has no weights. */
static NpuKernel *
get_kernel (
    NpuDevice *device, const NpuOp *op, Reading *reading, GError **error)
{
  NpuWeightsSource source = {.read = read_weights, .data = reading};

  if (!reading->from)
    return npu_kernel_get (device, op, NULL, error);
  source.key = reading->from->key;
  return npu_kernel_get (device, op, &source, error);
}

static NpuKernel *
open_on_device (const NpuPlan *plan, const char *name, const NpuOp *op,
    Reading *reading, GError **error)
{
  g_autoptr (GError) refused = NULL;
  NpuKernel *kernel;

  if (plan->device == plan->host || plan->options.host_only)
    return NULL;
  kernel = get_kernel (plan->device, op, reading, &refused);
  if (kernel)
    return kernel;
  if (g_error_matches (refused, NPU_ERROR, NPU_ERROR_UNSUPPORTED))
    g_debug ("%s: not on %s: %s", name, npu_device_get_name (plan->device),
        refused->message);
  else
    g_propagate_prefixed_error (
        error, g_steal_pointer (&refused), "%s: ", name);
  return NULL;
}

/* On a plan of the CPU alone in any thread. */
static NpuKernel *
open_kernel (const NpuPlan *plan, const char *name, const NpuOp *op,
    Reading *reading, GError **error)
{
  g_autoptr (GError) failure = NULL;
  NpuKernel *kernel = open_on_device (plan, name, op, reading, &failure);
  const NpuOp host_op = plan_host_op (plan, op);

  if (kernel)
    return kernel;
  if (failure) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  kernel = get_kernel (plan->host, &host_op, reading, error);
  if (!kernel)
    g_prefix_error (error, "%s: ", name);
  return kernel;
}

NpuKernel *
npu_plan_open_kernel (NpuPlan *plan, NpuStageId id, const NpuOp *op)
{
  g_autofree char *name = plan_stage_name (plan, id);
  Reading none = {0};

  return plan->error ? NULL : open_kernel (plan, name, op, &none, &plan->error);
}

NpuKernel *
npu_plan_open_on_device (NpuPlan *plan, NpuStageId id, const NpuOp *op,
    const NpuPlanWeights *weights)
{
  g_autofree char *name = plan_stage_name (plan, id);
  g_auto (NpuPlanFloats) floats = {0};
  Reading reading = {weights, &floats, FALSE};

  return plan->error ? NULL
                     : open_on_device (plan, name, op, &reading, &plan->error);
}

/* --- all that wait ----------------------------------------------------- */

/* What the threads share. */
typedef struct {
  const NpuPlan *plan;
  gint next;   /* atomic: the first that no thread took */
  gint failed; /* atomic: take no more */
} Opening;

static gboolean
open_one (const NpuPlan *plan, PlanPending *pending, NpuPlanFloats *floats)
{
  Reading reading = {&pending->weights, floats, FALSE};

  pending->kernel = open_kernel (plan, plan_stage (plan, pending->stage)->name,
      &pending->op, &reading, &pending->error);
  return pending->kernel != NULL;
}

/* In order: before one that failed, all were taken. */
static gpointer
open_some (gpointer data)
{
  Opening *opening = data;
  const GArray *all = opening->plan->pending;
  g_auto (NpuPlanFloats) floats = {0};

  while (!g_atomic_int_get (&opening->failed)) {
    const guint i = (guint) g_atomic_int_add (&opening->next, 1);

    if (i >= all->len)
      break;
    if (!open_one (
            opening->plan, &g_array_index (all, PlanPending, i), &floats))
      g_atomic_int_set (&opening->failed, TRUE);
  }
  return NULL;
}

/* A thread that cannot be had is done without. */
static void
open_in_threads (Opening *opening, guint n_threads)
{
  g_autoptr (GPtrArray) threads = g_ptr_array_new ();

  for (guint i = 1; i < n_threads; i++) {
    GThread *thread =
        g_thread_try_new ("npuenc-load", open_some, opening, NULL);

    if (thread)
      g_ptr_array_add (threads, thread);
  }
  open_some (opening);
  for (guint i = 0; i < threads->len; i++)
    g_thread_join (g_ptr_array_index (threads, i));
}

void
plan_open_pending (NpuPlan *plan)
{
  GArray *all = plan->pending;
  Opening opening = {.plan = plan};
  /* An NPU is given one after the other: what it does may depend on what it
   * has. */
  const guint most =
      plan->device == plan->host ? npu_device_get_n_workers (plan->host) : 1;

  if (plan->error)
    return;
  if (all->len == 0)
    return;
  open_in_threads (&opening, MIN (most, all->len));
  for (guint i = 0; i < all->len && !plan->error; i++) {
    PlanPending *pending = &g_array_index (all, PlanPending, i);

    if (pending->error)
      plan->error = g_steal_pointer (&pending->error);
    else if (pending->kernel)
      plan_set_kernel (plan, pending->stage, &pending->op,
          g_steal_pointer (&pending->kernel));
  }
  g_array_set_size (all, 0);
}

/* What the weights went through, some megabytes a thread, lies between them in
 * the heap: it is given back before the activations are allocated. */
void
plan_give_back_memory (void)
{
#ifdef __GLIBC__
  malloc_trim (0);
#endif
}

void
plan_pending_clear (gpointer data)
{
  PlanPending *pending = data;

  npu_kernel_unref (pending->kernel);
  g_clear_error (&pending->error);
  npu_plan_weights_clear (&pending->weights);
}
