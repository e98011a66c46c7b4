/* What the files of a plan share.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-plan.h"

G_BEGIN_DECLS

typedef struct {
  NpuBufferRole role;
  guint memory; /* of its last value, or G_MAXUINT */
} PlanBuffer;

/* A stage whose kernel is not open yet. */
typedef struct {
  guint stage; /* its index in the plan */
  NpuOp op;    /* without weights */
  NpuPlanWeights weights;
  NpuKernel *kernel; /* once it is open */
  GError *error;     /* or why it is not */
} PlanPending;

static inline NpuPlanStage *
plan_stage (const NpuPlan *plan, guint index)
{
  return &g_array_index (plan->stages, NpuPlanStage, index);
}

static inline PlanBuffer *
plan_buffer (const NpuPlan *plan, guint index)
{
  return &g_array_index (plan->buffers, PlanBuffer, index);
}

/* plan-build.c */
char *plan_stage_name (const NpuPlan *plan, NpuStageId id);
/* @op as the CPU is asked for it. */
NpuOp plan_host_op (const NpuPlan *plan, const NpuOp *op);
/* Gives a stage its kernel. */
void plan_set_kernel (
    NpuPlan *plan, guint stage, const NpuOp *op, NpuKernel *kernel);

/* plan-open.c: opens the kernels that are not open yet. What they pack does not
 * depend on the threads. */
void plan_open_pending (NpuPlan *plan);
void plan_give_back_memory (void);
void plan_pending_clear (gpointer pending);

/* plan-sync.c: sets every stage's sync_args. */
void plan_set_syncs (NpuPlan *plan);

/* plan-memory.c: allocates what the stages read and write; values that are
 * never needed at the same time are in the same memory. */
void plan_add_memory (NpuPlan *plan);

G_END_DECLS
