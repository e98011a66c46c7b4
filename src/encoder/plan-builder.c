/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan-builder.h"

/* --- kernels ----------------------------------------------------------- */

void
plan_weights_init (PlanWeights *weights, const PlanBuilder *builder,
    const EncoderWeights *from, EncoderFloats *floats)
{
  *weights = (PlanWeights){.from = *from,
      .floats = floats,
      .key = encoder_weights_key (from, builder->identity)};
}

void
plan_weights_clear (PlanWeights *weights)
{
  g_clear_pointer (&weights->key, g_free);
}

static gboolean
read_weights (gpointer data, NpuOp *op, GError **error)
{
  PlanWeights *weights = data;

  if (!weights->is_read &&
      !encoder_weights_read (&weights->from, weights->floats, error))
    return FALSE;
  weights->is_read = TRUE;
  op->weight = weights->floats->weight;
  op->bias = weights->floats->bias;
  return TRUE;
}

static NpuKernel *
get_kernel (
    NpuDevice *device, const NpuOp *op, PlanWeights *weights, GError **error)
{
  NpuWeightsSource source = {.read = read_weights, .data = weights};

  if (weights)
    source.key = weights->key;
  return npu_kernel_get (device, op, weights ? &source : NULL, error);
}

NpuKernel *
plan_open_on_device (const PlanBuilder *builder, const char *name,
    const NpuOp *op, PlanWeights *weights, GError **error)
{
  const EncoderPlan *plan = builder->plan;
  g_autoptr (GError) refused = NULL;
  NpuKernel *kernel;

  /* There float is the reference: an NPU has nothing as exact. Nor has it the
   * 16-bit integers. */
  if (plan->device == plan->host ||
      builder->options.precision == NPU_PRECISION_F32 ||
      builder->options.precision == NPU_PRECISION_INT16)
    return NULL;
  kernel = get_kernel (plan->device, op, weights, &refused);
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

NpuKernel *
plan_open_kernel (const PlanBuilder *builder, const char *name, const NpuOp *op,
    PlanWeights *weights, GError **error)
{
  NpuDevice *host = builder->plan->host;
  g_autoptr (GError) failure = NULL;
  NpuKernel *kernel =
      plan_open_on_device (builder, name, op, weights, &failure);
  NpuOp host_op = *op;

  if (kernel)
    return kernel;
  if (failure) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  /* Beside int8 products bfloat16 ones are there where an NPU has nothing
   * finer: 16-bit integers are as fast, and closer to float. In base twice as
   * many positions tip over with bfloat16 (is_careful() in encoder-plan.c). */
  if (builder->options.precision == NPU_PRECISION_INT8 &&
      op->b_type == NPU_TYPE_BF16)
    host_op.b_type = NPU_TYPE_S16;
  kernel = get_kernel (host, &host_op, weights, error);
  if (!kernel)
    g_prefix_error (error, "%s: ", name);
  return kernel;
}

/* --- stages ------------------------------------------------------------ */

static void
set_directions (PlanStage *stage, const NpuOp *op)
{
  switch (op->kind) {
    case NPU_OP_LINEAR:
      stage->reads = NPU_ARG_BIT (NPU_ARG_A);
      if (op->residual)
        stage->reads |= NPU_ARG_BIT (NPU_ARG_R);
      stage->writes = NPU_ARG_BIT (NPU_ARG_C);
      if (op->c_layout == NPU_LAYOUT_QKV_TILES)
        stage->writes = NPU_ARG_BIT (NPU_ARG_QKV_Q) |
                        NPU_ARG_BIT (NPU_ARG_QKV_K) |
                        NPU_ARG_BIT (NPU_ARG_QKV_V);
      break;
    case NPU_OP_ATTENTION:
      stage->reads = NPU_ARG_BIT (NPU_ARG_Q) | NPU_ARG_BIT (NPU_ARG_K) |
                     NPU_ARG_BIT (NPU_ARG_V);
      stage->writes = NPU_ARG_BIT (NPU_ARG_O);
      break;
    case NPU_OP_LAYERNORM:
    case NPU_OP_GELU:
    case NPU_OP_PROGRAM:
      stage->reads = NPU_ARG_BIT (NPU_ARG_X);
      stage->writes = NPU_ARG_BIT (NPU_ARG_Y);
      break;
  }
}

void
plan_set_kernel (
    PlanBuilder *builder, guint index, const NpuOp *op, NpuKernel *kernel)
{
  PlanStage *stage = &g_array_index (builder->plan->stages, PlanStage, index);
  NpuSupport support;

  stage->kernel = kernel;
  if (!npu_device_query (kernel->device, op, builder->options.depth, &support,
          &builder->error))
    return;
  stage->batch = support.batch;
}

/* Takes @name; returns the stage's index. */
static guint
append_stage (PlanBuilder *builder, char *name, const NpuOp *op, guint n_args,
    const PlanArgs *args, NpuNeeds needs)
{
  PlanStage stage = {
      .name = name,
      .over_frames = args->buffer[0] == PLAN_MEL,
      .groups = op->kind == NPU_OP_ATTENTION ? op->heads : 1,
      .needs = needs,
  };

  set_directions (&stage, op);
  for (guint i = 0; i < NPU_MAX_ARGS; i++) {
    stage.args[i] = i < n_args ? args->buffer[i] : PLAN_NO_BUFFER;
    stage.offset[i] = args->offset[i];
  }
  g_array_append_val (builder->plan->stages, stage);
  return builder->plan->stages->len - 1;
}

void
plan_add_opened (PlanBuilder *builder, char *name, const NpuOp *op,
    NpuKernel *kernel, guint n_args, const PlanArgs *args, NpuNeeds needs)
{
  guint stage;

  if (builder->error) {
    npu_kernel_unref (kernel);
    g_free (name);
    return;
  }
  stage = append_stage (builder, name, op, n_args, args, needs);
  plan_set_kernel (builder, stage, op, kernel);
}

void
plan_add_weighted (PlanBuilder *builder, char *name, const NpuOp *op,
    const EncoderWeights *weights, guint n_args, const PlanArgs *args,
    NpuNeeds needs)
{
  PlanPending pending = {.op = *op, .weights = *weights};

  if (builder->error) {
    g_free (name);
    return;
  }
  pending.stage = append_stage (builder, name, op, n_args, args, needs);
  g_array_append_val (builder->pending, pending);
  /* What an NPU does may depend on what it already has. */
  if (builder->plan->device != builder->plan->host)
    plan_open_pending (builder);
}

/* --- buffers ----------------------------------------------------------- */

gboolean
encoder_plan_sync_written (
    EncoderPlan *plan, PlanBuffer which, gsize size, GError **error)
{
  gboolean needed = FALSE;

  for (guint i = 0; i < plan->stages->len; i++) {
    const PlanStage *stage = &g_array_index (plan->stages, PlanStage, i);

    for (guint arg = 0; arg < NPU_MAX_ARGS; arg++)
      needed |= stage->args[arg] == which &&
                (stage->reads & ~stage->kernel->host_args & NPU_ARG_BIT (arg));
  }
  return !needed || npu_buffer_sync (plan->buffers[which], NPU_SYNC_TO_DEVICE,
                        0, size, error);
}

static void
fill_positional (PlanBuilder *builder)
{
  const NpuTensor *positional = builder->model->positional_embedding;
  NpuBuffer *buffer = builder->plan->buffers[PLAN_POSITIONAL];
  const gsize n = (gsize) builder->options.n_positions * builder->plan->d;

  if (npu_tensor_read (
          positional, 0, n, (float *) buffer->data, &builder->error))
    encoder_plan_sync_written (
        builder->plan, PLAN_POSITIONAL, buffer->size, &builder->error);
}

void
plan_add_buffers (PlanBuilder *builder)
{
  if (builder->error)
    return;
  plan_set_syncs (builder->plan);
  plan_add_memory (builder);
  if (!builder->error && builder->plan->buffers[PLAN_POSITIONAL])
    fill_positional (builder);
}
