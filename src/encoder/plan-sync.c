/* What crosses between host and device in a window: only what one of them
 * wrote last and the other reads.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plan-builder.h"

/* Who sees what is in a buffer. */
enum {
  SEEN_BY_HOST = 1 << 0,
  SEEN_BY_DEVICE = 1 << 1,
};

typedef struct {
  guint seen_by;
  PlanStage *writer; /* NULL: the host itself */
  guint writer_arg;
} BufferState;

static guint
side_of (const PlanStage *stage, guint arg)
{
  return stage->kernel->host_args & NPU_ARG_BIT (arg) ? SEEN_BY_HOST
                                                      : SEEN_BY_DEVICE;
}

/* Inputs are synced by the launches that read them, outputs by those that
 * wrote them: once, however many read them afterwards. */
static void
read_buffer (BufferState *state, guint side, PlanStage *reader, guint arg)
{
  if (state->seen_by & side)
    return;
  if (side == SEEN_BY_DEVICE)
    reader->sync_args |= NPU_ARG_BIT (arg);
  else
    state->writer->sync_args |= NPU_ARG_BIT (state->writer_arg);
  state->seen_by |= side;
}

void
plan_set_syncs (EncoderPlan *plan)
{
  BufferState states[PLAN_N_BUFFERS] = {
      [PLAN_MEL] = {.seen_by = SEEN_BY_HOST},
      /* Where the part has no stem. */
      [PLAN_X] = {.seen_by = SEEN_BY_HOST},
      /* Synced once, when it was written. */
      [PLAN_POSITIONAL] = {.seen_by = SEEN_BY_HOST | SEEN_BY_DEVICE},
  };

  for (guint i = 0; i < plan->stages->len; i++) {
    PlanStage *stage = &g_array_index (plan->stages, PlanStage, i);

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
  read_buffer (&states[states[PLAN_STATES].writer ? PLAN_STATES : PLAN_X],
      SEEN_BY_HOST, NULL, 0);
}
