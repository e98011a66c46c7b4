/* What crosses between host and device in a window: only what one of them
 * wrote last and the other reads.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plan-private.h"

/* Who sees what is in a buffer. */
enum {
  SEEN_BY_HOST = 1 << 0,
  SEEN_BY_DEVICE = 1 << 1,
};

typedef struct {
  guint seen_by;
  NpuPlanStage *writer; /* NULL: the host itself */
  guint writer_arg;
} BufferState;

static guint
side_of (const NpuPlanStage *stage, guint arg)
{
  return stage->kernel->host_args & NPU_ARG_BIT (arg) ? SEEN_BY_HOST
                                                      : SEEN_BY_DEVICE;
}

/* Inputs are synced by the launches that read them, outputs by those that
 * wrote them: once, however many read them afterwards. */
static void
read_buffer (BufferState *state, guint side, NpuPlanStage *reader, guint arg)
{
  if (state->seen_by & side)
    return;
  if (side == SEEN_BY_DEVICE)
    reader->sync_args |= NPU_ARG_BIT (arg);
  else
    state->writer->sync_args |= NPU_ARG_BIT (state->writer_arg);
  state->seen_by |= side;
}

/* Constants were synced once, when they were written. */
static guint
seen_at_first (NpuBufferRole role)
{
  if (role & NPU_BUFFER_CONSTANT)
    return SEEN_BY_HOST | SEEN_BY_DEVICE;
  return role & NPU_BUFFER_INPUT ? SEEN_BY_HOST : 0;
}

void
plan_set_syncs (NpuPlan *plan)
{
  const guint n = plan->buffers->len;
  g_autofree BufferState *states = g_new (BufferState, n);

  for (guint i = 0; i < n; i++)
    states[i] =
        (BufferState){.seen_by = seen_at_first (plan_buffer (plan, i)->role)};
  for (guint i = 0; i < plan->stages->len; i++) {
    NpuPlanStage *stage = plan_stage (plan, i);

    stage->sync_args = 0;
    for (guint arg = 0; arg < NPU_MAX_ARGS; arg++)
      if (stage->reads & NPU_ARG_BIT (arg))
        read_buffer (
            &states[stage->args[arg]], side_of (stage, arg), stage, arg);
    for (guint arg = 0; arg < NPU_MAX_ARGS; arg++)
      if (stage->writes & NPU_ARG_BIT (arg))
        states[stage->args[arg]] =
            (BufferState){side_of (stage, arg), stage, arg};
  }
  for (guint i = 0; i < n; i++)
    if ((plan_buffer (plan, i)->role & NPU_BUFFER_OUTPUT) && states[i].writer)
      read_buffer (&states[i], SEEN_BY_HOST, NULL, 0);
}
