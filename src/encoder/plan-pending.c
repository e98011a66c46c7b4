/* The kernels of a plan that have weights, which take most of the time of its
 * making: reading, rotating, rounding and packing them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plan-builder.h"

/* What the threads share. */
typedef struct {
  const PlanBuilder *builder;
  gint next;   /* atomic: the first that no thread took */
  gint failed; /* atomic: take no more */
} Opening;

static gboolean
open_one (
    const PlanBuilder *builder, PlanPending *pending, EncoderFloats *floats)
{
  const PlanStage *stage =
      &g_array_index (builder->plan->stages, PlanStage, pending->stage);
  g_auto (PlanWeights) weights = {0};

  plan_weights_init (&weights, builder, &pending->weights, floats);
  pending->kernel = plan_open_kernel (
      builder, stage->name, &pending->op, &weights, &pending->error);
  return pending->kernel != NULL;
}

/* In order: before one that failed, all were taken. */
static gpointer
open_some (gpointer data)
{
  Opening *opening = data;
  const GArray *all = opening->builder->pending;
  g_auto (EncoderFloats) floats = {0};

  while (!g_atomic_int_get (&opening->failed)) {
    const guint i = (guint) g_atomic_int_add (&opening->next, 1);

    if (i >= all->len)
      break;
    if (!open_one (
            opening->builder, &g_array_index (all, PlanPending, i), &floats))
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
plan_open_pending (PlanBuilder *builder)
{
  const EncoderPlan *plan = builder->plan;
  GArray *all = builder->pending;
  Opening opening = {.builder = builder};
  /* An NPU is given one after the other: what it does may depend on what it
   * has. */
  const guint most =
      plan->device == plan->host ? npu_device_get_n_workers (plan->host) : 1;

  if (builder->error)
    return;
  open_in_threads (&opening, MIN (most, all->len));
  for (guint i = 0; i < all->len && !builder->error; i++) {
    PlanPending *pending = &g_array_index (all, PlanPending, i);

    if (pending->error)
      builder->error = g_steal_pointer (&pending->error);
    else if (pending->kernel)
      plan_set_kernel (builder, pending->stage, &pending->op,
          g_steal_pointer (&pending->kernel));
  }
  plan_clear_pending (builder);
}

void
plan_clear_pending (PlanBuilder *builder)
{
  for (guint i = 0; i < builder->pending->len; i++) {
    PlanPending *pending = &g_array_index (builder->pending, PlanPending, i);

    npu_kernel_unref (pending->kernel);
    g_clear_error (&pending->error);
  }
  g_array_set_size (builder->pending, 0);
}
