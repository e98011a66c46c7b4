/* What a plan is made with: kernels on the device or beside it, stages, and
 * the buffers between them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "encoder-plan.h"
#include "encoder-weights.h"

G_BEGIN_DECLS

/* Carries the plan through its making: after a failure every step is left out
 * and @error stays as it is. */
typedef struct {
  EncoderPlan *plan;
  const NpuModel *model;
  char *identity; /* of the model, or NULL */
  PlanOptions options;
  NpuType int8_type; /* of weights that stand for int8, where they are */
  GArray *pending;   /* of PlanPending: stages whose kernels are not open yet */
  GError *error;
} PlanBuilder;

/* Where a stage's operands are; in the order of the operation's arguments. */
typedef struct {
  PlanBuffer buffer[NPU_MAX_ARGS];
  gsize offset[NPU_MAX_ARGS];
} PlanArgs;

#define PLAN_ARGS(...) ((PlanArgs){.buffer = {__VA_ARGS__}})

/* Weights on their way into a kernel. */
typedef struct {
  EncoderWeights from;
  EncoderFloats *floats;
  gboolean is_read;
  char *key; /* or NULL */
} PlanWeights;

void plan_weights_init (PlanWeights *weights, const PlanBuilder *builder,
    const EncoderWeights *from, EncoderFloats *floats);
void plan_weights_clear (PlanWeights *weights);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (PlanWeights, plan_weights_clear)

/* Gets a kernel for the stage @name where the operation can be done; @weights
 * is NULL where that has none, and else is read where nobody else has such a
 * kernel. On a plan of the CPU alone in any thread. */
NpuKernel *plan_open_kernel (const PlanBuilder *builder, const char *name,
    const NpuOp *op, PlanWeights *weights, GError **error);
/* On the plan's own device, and only where that is not the CPU; NULL without
 * an error where it does not do the operation. */
NpuKernel *plan_open_on_device (const PlanBuilder *builder, const char *name,
    const NpuOp *op, PlanWeights *weights, GError **error);

/* Adds a stage; takes @name and @kernel, which is NULL after a failure. */
void plan_add_opened (PlanBuilder *builder, char *name, const NpuOp *op,
    NpuKernel *kernel, guint n_args, const PlanArgs *args, NpuNeeds needs);
/* Adds a stage whose kernel has weights, to be opened by plan_open_pending();
 * takes @name. */
void plan_add_weighted (PlanBuilder *builder, char *name, const NpuOp *op,
    const EncoderWeights *weights, guint n_args, const PlanArgs *args,
    NpuNeeds needs);

/* Gives a stage its kernel. */
void plan_set_kernel (
    PlanBuilder *builder, guint stage, const NpuOp *op, NpuKernel *kernel);

/* plan-pending.c: a stage whose kernel is not open yet. */
typedef struct {
  guint stage; /* its index in the plan */
  NpuOp op;    /* without weights */
  EncoderWeights weights;
  NpuKernel *kernel; /* once it is open */
  GError *error;     /* or why it is not */
} PlanPending;

/* Opens the kernels that are not open yet: on the CPU in as many threads as
 * the device has workers. What they pack does not depend on the threads. */
void plan_open_pending (PlanBuilder *builder);
/* Frees builder->pending. */
void plan_clear_pending (PlanBuilder *builder);

/* Finds out what crosses between host and device, and allocates the buffers
 * with what is constant in them. */
void plan_add_buffers (PlanBuilder *builder);

/* plan-memory.c: allocates what the stages read and write; values that are
 * never needed at the same time are in the same memory. All kernels are
 * open. */
void plan_add_memory (PlanBuilder *builder);

/* plan-sync.c: sets every stage's sync_args. The mel comes from the host, and
 * the states go there. */
void plan_set_syncs (EncoderPlan *plan);

G_END_DECLS
