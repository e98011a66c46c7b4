/* Which memory the activations are in: what is needed no more gives its place
 * to what comes later.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plan-private.h"

/* What is in a buffer from one writing to the last reading. */
typedef struct {
  guint buffer;
  guint first, last; /* stages, of which the first writes it; the number of
                      * stages where it is needed after them all */
  gsize size;
  gboolean is_unread;   /* since it was written last */
  gboolean on_the_host; /* which alone writes and reads it */
  guint memory;         /* its index */
} PlanValue;

typedef struct {
  NpuPlan *plan;
  GArray *values; /* of PlanValue */
  guint *current; /* [n_buffers]: index of the value, or G_MAXUINT */
} Liveness;

static PlanValue *
value_at (const Liveness *self, guint index)
{
  return &g_array_index (self->values, PlanValue, index);
}

/* --- values ------------------------------------------------------------ */

static void
begin_value (Liveness *self, guint buffer, guint first)
{
  const PlanValue value = {
      .buffer = buffer, .first = first, .on_the_host = TRUE};

  self->current[buffer] = self->values->len;
  g_array_append_val (self->values, value);
}

static void
use_value (Liveness *self, guint index, guint arg, gboolean is_written)
{
  NpuPlanStage *stage = plan_stage (self->plan, index);
  const guint which = self->current[stage->args[arg]];
  PlanValue *value = value_at (self, which);

  value->last = index;
  value->is_unread = is_written;
  value->size =
      MAX (value->size, stage->kernel->arg_size[arg] + stage->offset[arg]);
  value->on_the_host &= (stage->kernel->host_args & NPU_ARG_BIT (arg)) != 0;
  stage->memory[arg] = which; /* of the value, for now */
}

static gboolean
reads_buffer (const NpuPlanStage *stage, guint buffer)
{
  for (guint arg = 0; arg < NPU_MAX_ARGS; arg++)
    if ((stage->reads & NPU_ARG_BIT (arg)) && stage->args[arg] == buffer)
      return TRUE;
  return FALSE;
}

/* What is read and was not written comes from the host, which writes it before
 * the first stage or as a part of it. What a stage both reads and writes stays
 * where it is. */
static void
find_values_of (Liveness *self, guint index)
{
  const NpuPlanStage *stage = plan_stage (self->plan, index);

  for (guint arg = 0; arg < NPU_MAX_ARGS; arg++)
    if (stage->reads & NPU_ARG_BIT (arg)) {
      if (self->current[stage->args[arg]] == G_MAXUINT)
        begin_value (self, stage->args[arg], 0);
      use_value (self, index, arg, FALSE);
    }
  for (guint arg = 0; arg < NPU_MAX_ARGS; arg++)
    if (stage->writes & NPU_ARG_BIT (arg)) {
      if (!reads_buffer (stage, stage->args[arg]))
        begin_value (self, stage->args[arg], index);
      use_value (self, index, arg, TRUE);
    }
}

static void
find_values (Liveness *self)
{
  const guint n_stages = self->plan->stages->len;

  for (guint i = 0; i < self->plan->buffers->len; i++)
    self->current[i] = G_MAXUINT;
  for (guint i = 0; i < n_stages; i++)
    find_values_of (self, i);
  /* The host reads what no stage does, and writes a constant only once. */
  for (guint i = 0; i < self->values->len; i++) {
    PlanValue *value = value_at (self, i);

    if (value->is_unread ||
        (plan_buffer (self->plan, value->buffer)->role & NPU_BUFFER_CONSTANT))
      value->last = n_stages;
  }
}

/* --- places ------------------------------------------------------------ */

/* Whether every launch of stage @last has completed before one of stage @first
 * is prepared: see the ring's guarantees in npu-executor.h. */
static gboolean
is_over (const NpuPlan *plan, guint last, guint first)
{
  return first >= last + 2 ||
         (first > last && plan_stage (plan, first)->needs == NPU_NEEDS_ALL);
}

/* What the host writes without a sync may reach memory as late as its caches
 * please: it keeps away from what a device writes. */
static gboolean
may_share (const Liveness *self, const PlanValue *a, const PlanValue *b)
{
  return a->on_the_host == b->on_the_host &&
         (is_over (self->plan, a->last, b->first) ||
             is_over (self->plan, b->last, a->first));
}

static gboolean
has_room (const Liveness *self, const GArray *placed, guint memory, guint value)
{
  for (guint i = 0; i < placed->len; i++) {
    const PlanValue *other = value_at (self, g_array_index (placed, guint, i));

    if (other->memory == memory &&
        !may_share (self, other, value_at (self, value)))
      return FALSE;
  }
  return TRUE;
}

static gint
compare_values (gconstpointer a, gconstpointer b, gpointer user_data)
{
  const guint i = *(const guint *) a, j = *(const guint *) b;
  const PlanValue *x = value_at (user_data, i), *y = value_at (user_data, j);

  if (x->size != y->size)
    return x->size > y->size ? -1 : 1;
  return i < j ? -1 : i > j;
}

/* The largest first, each in the first memory that has room: a memory is as
 * large as the first value in it. */
static void
place_values (Liveness *self, GArray *sizes)
{
  g_autoptr (GArray) order = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GArray) placed = g_array_new (FALSE, FALSE, sizeof (guint));

  for (guint i = 0; i < self->values->len; i++)
    g_array_append_val (order, i);
  g_array_sort_with_data (order, compare_values, self);
  for (guint i = 0; i < order->len; i++) {
    const guint which = g_array_index (order, guint, i);
    PlanValue *value = value_at (self, which);

    while (value->memory < sizes->len &&
           !has_room (self, placed, value->memory, which))
      value->memory++;
    if (value->memory == sizes->len)
      g_array_append_val (sizes, value->size);
    g_array_append_val (placed, which);
  }
}

/* --- buffers ----------------------------------------------------------- */

static void
use_places (const Liveness *self)
{
  const NpuPlan *plan = self->plan;

  for (guint i = 0; i < plan->stages->len; i++) {
    NpuPlanStage *stage = plan_stage (plan, i);

    for (guint arg = 0; arg < NPU_MAX_ARGS; arg++)
      if ((stage->reads | stage->writes) & NPU_ARG_BIT (arg))
        stage->memory[arg] = value_at (self, stage->memory[arg])->memory;
  }
}

void
plan_add_memory (NpuPlan *plan)
{
  g_autofree guint *current = g_new (guint, plan->buffers->len);
  g_autoptr (GArray) values = g_array_new (FALSE, FALSE, sizeof (PlanValue));
  g_autoptr (GArray) sizes = g_array_new (FALSE, FALSE, sizeof (gsize));
  Liveness self = {.plan = plan, .values = values, .current = current};

  find_values (&self);
  place_values (&self, sizes);
  use_places (&self);
  for (guint i = 0; i < sizes->len && !plan->error; i++) {
    NpuBuffer *memory = npu_buffer_new (
        plan->device, g_array_index (sizes, gsize, i), &plan->error);

    if (memory)
      g_ptr_array_add (plan->memory, memory);
  }
  for (guint i = 0; i < values->len && !plan->error; i++) {
    const PlanValue *value = value_at (&self, i);

    plan_buffer (plan, value->buffer)->memory = value->memory;
  }
}
