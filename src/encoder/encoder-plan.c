/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "encoder-plan.h"

#include <string.h>

#include "encoder-weights.h"
#include "npu-encoder.h"
#include "npu-kernels.h"

#define N_TILES(rows) (((rows) + NPU_TILE_ROWS - 1) / NPU_TILE_ROWS)

/* LayerNorm's epsilon and the scale of the scores, 1 / sqrt (64): as OpenAI's
 * model.py has them. */
#define LAYERNORM_EPSILON 1e-5f
#define ATTENTION_SCALE 0.125f

/* Where a stage's operands are; in the order of the operation's arguments. */
typedef struct {
  PlanBuffer buffer[NPU_MAX_ARGS];
  gsize offset[NPU_MAX_ARGS];
} PlanArgs;

#define ARGS(...) ((PlanArgs){.buffer = {__VA_ARGS__}})

static void
plan_stage_clear (gpointer data)
{
  PlanStage *stage = data;

  npu_kernel_free (stage->kernel);
  g_free (stage->name);
}

/* --- building ---------------------------------------------------------- */

/* Carries the plan through its making: after a failure every step is left
 * out and @error stays as it is. */
typedef struct {
  EncoderPlan *plan;
  const NpuModel *model;
  PlanOptions options;
  gsize sizes[PLAN_N_BUFFERS];
  GError *error;
} PlanBuilder;

/* Opens the kernel of an operation; where the device has no bfloat16 products,
 * in float. */
static NpuKernel *
open_kernel (NpuDevice *device, NpuOp op, GError **error)
{
  g_autoptr (GError) refused = NULL;
  NpuKernel *kernel;

  if (op.b_type != NPU_TYPE_BF16)
    return npu_kernel_open (device, &op, error);
  kernel = npu_kernel_open (device, &op, &refused);
  if (!kernel && g_error_matches (refused, NPU_ERROR, NPU_ERROR_UNSUPPORTED)) {
    op.b_type = NPU_TYPE_F32;
    return npu_kernel_open (device, &op, error);
  }
  if (!kernel)
    g_propagate_error (error, g_steal_pointer (&refused));
  return kernel;
}

/* Adds a stage, opening its kernel. */
static void
add_stage (PlanBuilder *builder, char *name, const NpuOp *op, guint n_args,
    const PlanArgs *args, NpuNeeds needs)
{
  EncoderPlan *plan = builder->plan;
  PlanStage stage = {
      .name = name,
      .over_frames = args->buffer[0] == PLAN_MEL,
      .groups = op->kind == NPU_OP_ATTENTION ? op->heads : 1,
      .needs = needs,
  };

  if (!builder->error) {
    stage.kernel = open_kernel (plan->device, *op, &builder->error);
    if (builder->error)
      g_prefix_error (&builder->error, "%s: ", name);
  }
  if (builder->error) {
    g_free (name);
    return;
  }

  stage.batch = npu_device_batch_for (plan->device, op, builder->options.depth);
  for (guint i = 0; i < NPU_MAX_ARGS; i++) {
    const PlanBuffer buffer = i < n_args ? args->buffer[i] : PLAN_NO_BUFFER;
    const gsize size = stage.kernel->arg_size[i] + args->offset[i];

    stage.args[i] = buffer;
    stage.offset[i] = args->offset[i];
    if (buffer != PLAN_NO_BUFFER)
      builder->sizes[buffer] = MAX (builder->sizes[buffer], size);
  }
  g_array_append_val (plan->stages, stage);
}

/* What differs between the linear maps. */
typedef struct {
  guint rows, k, n, a_stride;
  NpuType a_type, b_type, c_type;
  NpuLayout c_layout;
  gboolean gelu, residual;
} LinearShape;

/* Takes @weight and @bias, NULL where they could not be read. */
static void
add_linear (PlanBuilder *builder, char *name, const LinearShape *shape,
    float *weight, float *bias, guint n_args, const PlanArgs *args,
    NpuNeeds needs)
{
  const NpuOp op = {
      .kind = NPU_OP_LINEAR,
      .rows = shape->rows,
      .k = shape->k,
      .n = shape->n,
      .a_stride = shape->a_stride,
      .heads = builder->plan->n_heads,
      .a_type = shape->a_type,
      .b_type = shape->b_type,
      .c_type = shape->c_type,
      .c_layout = shape->c_layout,
      .gelu = shape->gelu,
      .residual = shape->residual,
      .weight = weight,
      .bias = bias,
  };

  add_stage (builder, name, &op, n_args, args, needs);
  g_free (weight);
  g_free (bias);
}

static void
add_layernorm (PlanBuilder *builder, char *name, const NpuTensor *weight,
    const NpuTensor *bias, NpuType type, PlanBuffer out)
{
  g_autofree float *gamma = NULL;
  g_autofree float *beta = NULL;
  NpuOp op = {
      .kind = NPU_OP_LAYERNORM,
      .rows = builder->model->n_positions,
      .n = builder->plan->d,
      .c_type = type,
      .epsilon = LAYERNORM_EPSILON,
  };

  if (!builder->error)
    gamma = encoder_weights_plain (weight, &builder->error);
  if (!builder->error)
    beta = encoder_weights_plain (bias, &builder->error);
  op.weight = gamma;
  op.bias = beta;
  add_stage (builder, name, &op, 2, &ARGS (PLAN_X, out), NPU_NEEDS_SAME_ROWS);
}

/* A read of weights that is left out after a failure. */
#define READ(builder, what, from)                                              \
  ((builder)->error ? NULL : encoder_weights_##what (from, &(builder)->error))

/* The weights' type where int8 would cost too much: in the convolutions, whose
 * rows overlap, and in the first block's attention. There a few positions turn
 * into those with huge channels, or do not, by very little: with int8 more of
 * them tip over than with float16 in the whole encoder. */
static NpuType
careful_type (const PlanBuilder *builder)
{
  return builder->options.int8 ? NPU_TYPE_BF16 : NPU_TYPE_F32;
}

static void
add_stem (PlanBuilder *builder)
{
  const NpuModel *model = builder->model;
  const guint d = model->d;
  const NpuType type = careful_type (builder);
  const LinearShape conv1 = {
      .rows = 2 * model->n_positions,
      .k = 3 * model->n_mels,
      .n = d,
      .a_stride = model->n_mels,
      .b_type = type,
      .gelu = TRUE,
  };
  const LinearShape conv2 = {
      .rows = model->n_positions,
      .k = 3 * d,
      .n = d,
      .a_stride = 2 * d,
      .b_type = type,
      .gelu = TRUE,
      .residual = TRUE,
  };
  PlanArgs args = ARGS (PLAN_MEL, PLAN_CONV1);

  args.offset[NPU_ARG_C] = d * sizeof (float); /* after the row of zeros */
  add_linear (builder, g_strdup ("conv1"), &conv1,
      READ (builder, conv, model->conv1_weight),
      READ (builder, plain, model->conv1_bias), 2, &args, NPU_NEEDS_ALL);
  /* A tile of positions reads the frames of two tiles and of a third's
   * edge. */
  add_linear (builder, g_strdup ("conv2"), &conv2,
      READ (builder, conv, model->conv2_weight),
      READ (builder, plain, model->conv2_bias), 3,
      &ARGS (PLAN_CONV1, PLAN_X, PLAN_POSITIONAL), NPU_NEEDS_ALL);
}

static void
add_attention (PlanBuilder *builder, guint layer, const NpuModelBlock *block)
{
  const NpuType type = builder->options.int8 ? NPU_TYPE_Q8 : NPU_TYPE_F32;
  const NpuType weight_type = layer == 0 ? careful_type (builder) : type;
  const NpuType norm_type = layer == 0 ? NPU_TYPE_F32 : type;
  const guint d = builder->plan->d, rows = builder->model->n_positions;
  const LinearShape qkv = {
      .rows = rows,
      .k = d,
      .n = 3 * d,
      .a_type = norm_type,
      .b_type = weight_type,
      .c_type = type,
      .c_layout = NPU_LAYOUT_QKV_TILES,
  };
  const LinearShape out = {
      .rows = rows, .k = d, .n = d, .b_type = weight_type, .residual = TRUE};
  const NpuOp attention = {
      .kind = NPU_OP_ATTENTION,
      .rows = rows,
      .n = d,
      .heads = builder->plan->n_heads,
      .a_type = type,
      .scale = ATTENTION_SCALE,
  };

  add_layernorm (builder, g_strdup_printf ("block %u attention norm", layer),
      block->attn_ln_weight, block->attn_ln_bias, norm_type, PLAN_NORM);
  add_linear (builder, g_strdup_printf ("block %u qkv", layer), &qkv,
      READ (builder, qkv, block), READ (builder, qkv_bias, block), 4,
      &ARGS (PLAN_NORM, PLAN_Q, PLAN_K, PLAN_V), NPU_NEEDS_SAME_ROWS);
  /* A query tile reads all keys and values. */
  add_stage (builder, g_strdup_printf ("block %u attention", layer), &attention,
      4, &ARGS (PLAN_Q, PLAN_K, PLAN_V, PLAN_ATTENTION), NPU_NEEDS_ALL);
  add_linear (builder, g_strdup_printf ("block %u out", layer), &out,
      READ (builder, plain, block->out_weight),
      READ (builder, plain, block->out_bias), 3,
      &ARGS (PLAN_ATTENTION, PLAN_X, PLAN_X), NPU_NEEDS_SAME_ROWS);
}

static void
add_mlp (PlanBuilder *builder, guint layer, const NpuModelBlock *block)
{
  const NpuType type = builder->options.int8 ? NPU_TYPE_Q8 : NPU_TYPE_F32;
  const guint d = builder->plan->d, rows = builder->model->n_positions;
  const LinearShape fc1 = {
      .rows = rows,
      .k = d,
      .n = 4 * d,
      .a_type = type,
      .b_type = type,
      .c_type = type,
      .gelu = TRUE,
  };
  const LinearShape fc2 = {
      .rows = rows,
      .k = 4 * d,
      .n = d,
      .a_type = type,
      .b_type = type,
      .residual = TRUE,
  };

  add_layernorm (builder, g_strdup_printf ("block %u mlp norm", layer),
      block->mlp_ln_weight, block->mlp_ln_bias, type, PLAN_NORM);
  add_linear (builder, g_strdup_printf ("block %u fc1", layer), &fc1,
      READ (builder, plain, block->fc1_weight),
      READ (builder, plain, block->fc1_bias), 2, &ARGS (PLAN_NORM, PLAN_MLP),
      NPU_NEEDS_SAME_ROWS);
  add_linear (builder, g_strdup_printf ("block %u fc2", layer), &fc2,
      READ (builder, plain, block->fc2_weight),
      READ (builder, plain, block->fc2_bias), 3,
      &ARGS (PLAN_MLP, PLAN_X, PLAN_X), NPU_NEEDS_SAME_ROWS);
}

static void
allocate_buffers (PlanBuilder *builder)
{
  EncoderPlan *plan = builder->plan;
  const NpuTensor *positional = builder->model->positional_embedding;
  NpuBuffer *buffer;

  for (guint i = 0; i < PLAN_N_BUFFERS && !builder->error; i++)
    plan->buffers[i] =
        npu_buffer_new (plan->device, builder->sizes[i], &builder->error);
  if (builder->error)
    return;

  buffer = plan->buffers[PLAN_POSITIONAL];
  if (npu_tensor_read (positional, 0, npu_tensor_n_elements (positional),
          (float *) buffer->data, &builder->error))
    npu_buffer_sync (
        buffer, NPU_SYNC_TO_DEVICE, 0, buffer->size, &builder->error);
}

EncoderPlan *
encoder_plan_new (const NpuModel *model, NpuDevice *device,
    const PlanOptions *options, GError **error)
{
  g_autoptr (EncoderPlan) plan = g_new0 (EncoderPlan, 1);
  PlanBuilder builder = {.plan = plan, .model = model, .options = *options};

  plan->device = device;
  plan->n_mels = model->n_mels;
  plan->d = model->d;
  plan->n_heads = model->n_heads;
  plan->n_layers = model->n_layers;
  plan->stages = g_array_new (FALSE, FALSE, sizeof (PlanStage));
  g_array_set_clear_func (plan->stages, plan_stage_clear);

  add_stem (&builder);
  for (guint i = 0; i < model->n_layers; i++) {
    add_attention (&builder, i, &model->blocks[i]);
    add_mlp (&builder, i, &model->blocks[i]);
  }
  add_layernorm (&builder, g_strdup ("final norm"), model->ln_post_weight,
      model->ln_post_bias, NPU_TYPE_F32, PLAN_STATES);
  allocate_buffers (&builder);

  if (builder.error) {
    g_propagate_error (error, builder.error);
    return NULL;
  }
  return g_steal_pointer (&plan);
}

void
encoder_plan_free (EncoderPlan *plan)
{
  if (!plan)
    return;
  g_array_unref (plan->stages);
  for (guint i = 0; i < PLAN_N_BUFFERS; i++)
    npu_buffer_free (plan->buffers[i]);
  g_free (plan);
}

/* --- using ------------------------------------------------------------- */

void
encoder_plan_fill (
    const EncoderPlan *plan, guint n_frames, guint batch, NpuStage *stages)
{
  for (guint i = 0; i < plan->stages->len; i++) {
    const PlanStage *from = &g_array_index (plan->stages, PlanStage, i);
    const guint rows = from->over_frames ? n_frames : n_frames / 2;
    NpuStage stage = {
        .name = from->name,
        .launch = {.kernel = from->kernel, .rows = rows},
        .n_tiles = from->groups * N_TILES (rows),
        .tiles_per_group = from->groups > 1 ? N_TILES (rows) : 0,
        .batch = batch ? batch : from->batch,
        .needs = from->needs,
    };

    for (guint j = 0; j < NPU_MAX_ARGS; j++)
      if (from->args[j] != PLAN_NO_BUFFER) {
        stage.launch.args[j] = plan->buffers[from->args[j]];
        stage.launch.offset[j] = from->offset[j];
      }
    stages[i] = stage;
  }
}
