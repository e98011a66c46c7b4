/* The client's side of a plan: buffers and stages are declared, one after the
 * other.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "device/op-args.h"
#include "npu-kernels.h"
#include "plan-private.h"

#define N_TILES(rows) (((rows) + NPU_TILE_ROWS - 1) / NPU_TILE_ROWS)

static void
stage_clear (gpointer data)
{
  NpuPlanStage *stage = data;

  npu_kernel_unref (stage->kernel);
  g_free (stage->name);
}

NpuPlan *
npu_plan_new (NpuDevice *device, const NpuPlanOptions *options)
{
  NpuPlan *plan = g_new0 (NpuPlan, 1);

  plan->device = device;
  plan->host = npu_device_get_host (device);
  plan->options = *options;
  plan->memory =
      g_ptr_array_new_with_free_func ((GDestroyNotify) npu_buffer_free);
  plan->stages = g_array_new (FALSE, FALSE, sizeof (NpuPlanStage));
  g_array_set_clear_func (plan->stages, stage_clear);
  plan->buffers = g_array_new (FALSE, FALSE, sizeof (PlanBuffer));
  plan->pending = g_array_new (FALSE, FALSE, sizeof (PlanPending));
  g_array_set_clear_func (plan->pending, plan_pending_clear);
  return plan;
}

void
npu_plan_free (NpuPlan *plan)
{
  if (!plan)
    return;
  g_array_unref (plan->pending);
  g_array_unref (plan->stages);
  g_array_unref (plan->buffers);
  g_ptr_array_unref (plan->memory);
  g_clear_error (&plan->error);
  g_free (plan);
}

guint
npu_plan_declare (NpuPlan *plan, NpuBufferRole role)
{
  const PlanBuffer buffer = {role, G_MAXUINT};

  g_array_append_val (plan->buffers, buffer);
  return plan->buffers->len - 1;
}

/* --- stages ------------------------------------------------------------ */

char *
plan_stage_name (const NpuPlan *plan, NpuStageId id)
{
  const char *kind = plan->options.kinds[id.kind];

  return id.layer < 0 ? g_strdup (kind)
                      : g_strdup_printf ("block %d %s", id.layer, kind);
}

NpuOp
plan_host_op (const NpuPlan *plan, const NpuOp *op)
{
  NpuOp host_op = *op;

  if (op->kind == NPU_OP_LINEAR && op->linear.product == NPU_PRODUCT_BF16)
    host_op.linear.product = plan->options.host_bf16;
  return host_op;
}

/* Its pointers are not kept: they live until the kernel is open. */
void
plan_set_kernel (NpuPlan *plan, guint index, const NpuOp *op, NpuKernel *kernel)
{
  NpuPlanStage *stage = plan_stage (plan, index);
  const NpuOp asked =
      kernel->device == plan->host ? plan_host_op (plan, op) : *op;
  NpuSupport support;

  stage->kernel = kernel;
  if (!npu_device_query (
          kernel->device, &asked, plan->options.depth, &support, &plan->error))
    return;
  stage->batch = support.batch;
  stage->product = support.product;
  stage->op = npu_op_to_keep (&asked);
  if (asked.kind == NPU_OP_LINEAR)
    stage->op.linear.tiles_for = NULL;
}

/* Returns the stage's index. */
static guint
append_stage (NpuPlan *plan, NpuStageId id, const NpuOp *op,
    const NpuPlanArgs *args, NpuPlanRows rows, NpuNeeds needs)
{
  NpuPlanStage stage = {
      .id = id,
      .name = plan_stage_name (plan, id),
      .rows = rows,
      .groups = op->kind == NPU_OP_ATTENTION ? op->attention.heads : 1,
      .reads = npu_op_reads (op),
      .writes = npu_op_writes (op),
      .needs = needs,
  };

  for (guint i = 0; i < NPU_MAX_ARGS; i++) {
    stage.args[i] = i < args->n ? args->buffer[i] : NPU_NO_BUFFER;
    stage.offset[i] = args->offset[i];
  }
  g_array_append_val (plan->stages, stage);
  return plan->stages->len - 1;
}

void
npu_plan_add_opened (NpuPlan *plan, NpuStageId id, const NpuOp *op,
    NpuKernel *kernel, const NpuPlanArgs *args, NpuPlanRows rows,
    NpuNeeds needs)
{
  guint stage;

  if (plan->error) {
    npu_kernel_unref (kernel);
    return;
  }
  stage = append_stage (plan, id, op, args, rows, needs);
  plan_set_kernel (plan, stage, op, kernel);
}

void
npu_plan_add (NpuPlan *plan, NpuStageId id, const NpuOp *op,
    NpuPlanWeights *weights, const NpuPlanArgs *args, NpuPlanRows rows,
    NpuNeeds needs)
{
  PlanPending pending = {.op = *op, .weights = *weights};

  *weights = (NpuPlanWeights){0};
  if (plan->error) {
    npu_plan_weights_clear (&pending.weights);
    return;
  }
  pending.stage = append_stage (plan, id, op, args, rows, needs);
  g_array_append_val (plan->pending, pending);
  /* What an NPU does may depend on what it already has. */
  if (plan->device != plan->host)
    plan_open_pending (plan);
}

gboolean
npu_plan_open (NpuPlan *plan, GError **error)
{
  plan_open_pending (plan);
  plan_give_back_memory ();
  if (!plan->error) {
    plan_set_syncs (plan);
    plan_add_memory (plan);
  }
  if (!plan->error)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&plan->error));
  return FALSE;
}

/* --- using ------------------------------------------------------------- */

const NpuPlanStage *
npu_plan_find (const NpuPlan *plan, NpuStageId id)
{
  for (guint i = 0; i < plan->stages->len; i++) {
    const NpuPlanStage *stage = plan_stage (plan, i);

    if (stage->id.kind == id.kind && stage->id.layer == id.layer)
      return stage;
  }
  return NULL;
}

NpuBuffer *
npu_plan_get_buffer (const NpuPlan *plan, guint buffer)
{
  const guint memory = plan_buffer (plan, buffer)->memory;

  return memory == G_MAXUINT ? NULL : g_ptr_array_index (plan->memory, memory);
}

gboolean
npu_plan_sync_written (NpuPlan *plan, guint buffer, gsize size, GError **error)
{
  gboolean needed = FALSE;

  for (guint i = 0; i < plan->stages->len; i++) {
    const NpuPlanStage *stage = plan_stage (plan, i);

    for (guint arg = 0; arg < NPU_MAX_ARGS; arg++)
      needed |= stage->args[arg] == buffer &&
                (stage->reads & ~stage->kernel->host_args & NPU_ARG_BIT (arg));
  }
  return !needed || npu_buffer_sync (npu_plan_get_buffer (plan, buffer),
                        NPU_SYNC_TO_DEVICE, 0, size, error);
}

void
npu_plan_fill (const NpuPlan *plan, const guint rows[NPU_PLAN_N_ROWS],
    guint batch, NpuStage *stages)
{
  for (guint i = 0; i < plan->stages->len; i++) {
    const NpuPlanStage *from = plan_stage (plan, i);
    const guint n_rows = rows[from->rows];
    const gboolean on_host = from->kernel->device == plan->host;
    const guint limit = on_host ? batch : MIN (batch, from->batch);
    NpuStage stage = {
        .name = from->name,
        .launch = {.kernel = from->kernel,
            .rows = n_rows,
            .sync_args = from->sync_args},
        .n_tiles = from->groups * N_TILES (n_rows),
        .tiles_per_group = from->groups > 1 ? N_TILES (n_rows) : 0,
        .groups_per_launch = from->kernel->groups_per_launch,
        .batch = batch ? limit : from->batch,
        .needs = from->needs,
    };

    for (guint j = 0; j < NPU_MAX_ARGS; j++)
      if (from->args[j] != NPU_NO_BUFFER) {
        stage.launch.args[j] =
            g_ptr_array_index (plan->memory, from->memory[j]);
        stage.launch.offset[j] = from->offset[j];
      }
    stages[i] = stage;
  }
}
