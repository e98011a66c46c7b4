/* What a plan is made with: kernels on the device or beside it, stages, and
 * the buffers between them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "encoder-plan.h"

G_BEGIN_DECLS

/* Carries the plan through its making: after a failure every step is left out
 * and @error stays as it is. */
typedef struct {
  EncoderPlan *plan;
  const NpuModel *model;
  PlanOptions options;
  gsize sizes[PLAN_N_BUFFERS];
  GError *error;
} PlanBuilder;

/* Where a stage's operands are; in the order of the operation's arguments. */
typedef struct {
  PlanBuffer buffer[NPU_MAX_ARGS];
  gsize offset[NPU_MAX_ARGS];
} PlanArgs;

#define PLAN_ARGS(...) ((PlanArgs){.buffer = {__VA_ARGS__}})

/* Opens a kernel for the stage @name where the operation can be done; NULL
 * after a failure. */
NpuKernel *plan_open_kernel (
    PlanBuilder *builder, const char *name, const NpuOp *op);
/* On the plan's own device, and only where that is not the CPU; NULL without
 * an error where it does not do the operation. */
NpuKernel *plan_open_on_device (
    PlanBuilder *builder, const char *name, const NpuOp *op);

/* Adds a stage; takes @name and @kernel, which is NULL after a failure. */
void plan_add_stage (PlanBuilder *builder, char *name, const NpuOp *op,
    NpuKernel *kernel, guint n_args, const PlanArgs *args, NpuNeeds needs);

/* Finds out what crosses between host and device, and allocates the buffers
 * with what is constant in them. */
void plan_add_buffers (PlanBuilder *builder);

/* plan-sync.c: sets every stage's sync_args. The mel comes from the host, and
 * the states go there. */
void plan_set_syncs (EncoderPlan *plan);

G_END_DECLS
