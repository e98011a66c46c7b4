/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "encoder-plan.h"

#include <string.h>

#include "encoder-numerics.h"
#include "encoder-weights.h"
#include "npu-kernels.h"
#include "plan-builder.h"

#define N_TILES(rows) (((rows) + NPU_TILE_ROWS - 1) / NPU_TILE_ROWS)

/* LayerNorm's epsilon and the scale of the scores, 1 / sqrt (64): as OpenAI's
 * model.py has them. */
#define LAYERNORM_EPSILON 1e-5f
#define ATTENTION_SCALE 0.125f

/* --- building ---------------------------------------------------------- */

/* What differs between the linear maps. */
typedef struct {
  guint rows, k, n, a_stride;
  NpuType a_type, b_type, c_type;
  NpuLayout c_layout;
  gboolean gelu, residual;
  NpuKernel *tiles_for;
} LinearShape;

static NpuOp
linear_op (const PlanBuilder *builder, const LinearShape *shape)
{
  return (NpuOp){
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
      .tiles_for = shape->tiles_for,
  };
}

/* Takes @name. */
static void
add_linear (PlanBuilder *builder, char *name, const LinearShape *shape,
    EncoderWeights weights, guint n_args, const PlanArgs *args, NpuNeeds needs)
{
  const NpuOp op = linear_op (builder, shape);

  plan_add_weighted (builder, name, &op, &weights, n_args, args, needs);
}

/* Takes @name. */
static void
add_layernorm (PlanBuilder *builder, char *name, EncoderWeights weights,
    NpuType type, PlanBuffer out)
{
  const NpuOp op = {
      .kind = NPU_OP_LAYERNORM,
      .rows = builder->options.n_positions,
      .n = builder->plan->d,
      .c_type = type,
      .epsilon = LAYERNORM_EPSILON,
  };

  plan_add_weighted (builder, name, &op, &weights, 2, &PLAN_ARGS (PLAN_X, out),
      NPU_NEEDS_SAME_ROWS);
}

/* Of rows between the stages, of weights, and of attention tiles. */
static NpuType
plan_type (const PlanBuilder *builder)
{
  switch (builder->options.precision) {
    case NPU_PRECISION_INT8:
      return NPU_TYPE_Q8;
    case NPU_PRECISION_BF16:
      return NPU_TYPE_BF16;
    default:
      return NPU_TYPE_F32;
  }
}

/* Whether the linear maps of a block are not to be int8. The first block is too
 * early for it: there a few positions turn into those with huge channels, or do
 * not, by very little, and with int8 more of them tip over than with float16 in
 * the whole encoder. And a CPU without int8 products has 16-bit ones, which are
 * as fast there. With int16 all are of that type. */
static gboolean
is_careful (const PlanBuilder *builder, guint layer)
{
  return layer == 0 || builder->options.precision == NPU_PRECISION_INT16 ||
         (builder->options.precision == NPU_PRECISION_INT8 &&
             builder->int8_type != NPU_TYPE_Q8);
}

/* The weights' type there, and in the convolutions, whose rows overlap. */
static NpuType
careful_type (const PlanBuilder *builder)
{
  switch (builder->options.precision) {
    case NPU_PRECISION_F32:
      return NPU_TYPE_F32;
    case NPU_PRECISION_INT16:
      return NPU_TYPE_S16;
    default:
      return NPU_TYPE_BF16;
  }
}

/* Rows that are bfloat16 or, beside int8, stay in float. */
static NpuType
careful_rows (const PlanBuilder *builder)
{
  return builder->options.precision == NPU_PRECISION_BF16 ? NPU_TYPE_BF16
                                                          : NPU_TYPE_F32;
}

static void
add_stem (PlanBuilder *builder)
{
  const NpuModel *model = builder->model;
  const guint d = model->d, n_positions = builder->options.n_positions;
  const NpuType type = careful_type (builder);
  const LinearShape conv1 = {
      .rows = 2 * n_positions,
      .k = 3 * model->n_mels,
      .n = d,
      .a_stride = model->n_mels,
      .b_type = type,
      .gelu = TRUE,
  };
  const LinearShape conv2 = {
      .rows = n_positions,
      .k = 3 * d,
      .n = d,
      .a_stride = 2 * d,
      .b_type = type,
      .gelu = TRUE,
      .residual = TRUE,
  };
  PlanArgs args = PLAN_ARGS (PLAN_MEL, PLAN_CONV1);

  args.offset[NPU_ARG_C] = d * sizeof (float); /* after the row of zeros */
  add_linear (builder, g_strdup ("conv1"), &conv1,
      encoder_weights_conv (model->conv1_weight, model->conv1_bias), 2, &args,
      NPU_NEEDS_ALL);
  /* A tile of positions reads the frames of two tiles and of a third's
   * edge. */
  add_linear (builder, g_strdup ("conv2"), &conv2,
      encoder_weights_conv (model->conv2_weight, model->conv2_bias), 3,
      &PLAN_ARGS (PLAN_CONV1, PLAN_X, PLAN_POSITIONAL), NPU_NEEDS_ALL);
}

/* The attention that reads the tiles says how they are packed: its kernel is
 * opened first. */
static void
add_attention (PlanBuilder *builder, guint layer, const NpuModelBlock *block)
{
  const NpuType type = plan_type (builder);
  const gboolean careful = is_careful (builder, layer);
  const NpuType weight_type = careful ? careful_type (builder) : type;
  const NpuType norm_type = careful ? careful_rows (builder) : type;
  const guint d = builder->plan->d, rows = builder->options.n_positions;
  const NpuOp attention = {
      .kind = NPU_OP_ATTENTION,
      .rows = rows,
      .n = d,
      .heads = builder->plan->n_heads,
      .a_type = type,
      .c_type = careful_rows (builder),
      .scale = ATTENTION_SCALE,
  };
  char *name = g_strdup_printf ("block %u attention", layer);
  NpuKernel *kernel = builder->error ? NULL
                                     : plan_open_kernel (builder, name,
                                           &attention, NULL, &builder->error);
  const LinearShape qkv = {
      .rows = rows,
      .k = d,
      .n = 3 * d,
      .a_type = norm_type,
      .b_type = weight_type,
      .c_type = type,
      .c_layout = NPU_LAYOUT_QKV_TILES,
      .tiles_for = kernel,
  };
  const LinearShape out = {
      .rows = rows,
      .k = d,
      .n = d,
      .a_type = careful_rows (builder),
      .b_type = weight_type,
      .residual = TRUE,
  };

  add_layernorm (builder, g_strdup_printf ("block %u attention norm", layer),
      encoder_weights_plain (block->attn_ln_weight, block->attn_ln_bias),
      norm_type, PLAN_NORM);
  add_linear (builder, g_strdup_printf ("block %u qkv", layer), &qkv,
      encoder_weights_qkv (block), 4,
      &PLAN_ARGS (PLAN_NORM, PLAN_Q, PLAN_K, PLAN_V), NPU_NEEDS_SAME_ROWS);
  /* A query tile reads all keys and values. */
  plan_add_opened (builder, name, &attention, kernel, 4,
      &PLAN_ARGS (PLAN_Q, PLAN_K, PLAN_V, PLAN_ATTENTION), NPU_NEEDS_ALL);
  add_linear (builder, g_strdup_printf ("block %u out", layer), &out,
      encoder_weights_plain (block->out_weight, block->out_bias), 3,
      &PLAN_ARGS (PLAN_ATTENTION, PLAN_X, PLAN_X), NPU_NEEDS_SAME_ROWS);
}

/* An NPU's GELU is an operation of its own: where it has both, the product and
 * the GELU are two stages there. FALSE where they are not. */
static gboolean
add_fc1_and_gelu (PlanBuilder *builder, guint layer, const LinearShape *fused,
    const EncoderWeights *weights)
{
  const NpuOp gelu_op = {
      .kind = NPU_OP_GELU,
      .rows = fused->rows,
      .n = fused->n,
      .a_type = fused->c_type,
      .c_type = fused->c_type,
  };
  NpuOp linear = linear_op (builder, fused);
  g_auto (EncoderFloats) floats = {0};
  g_auto (PlanWeights) read = {0};
  g_autofree char *name = g_strdup_printf ("block %u fc1", layer);
  g_autofree char *gelu_name = g_strdup_printf ("block %u gelu", layer);
  NpuKernel *gelu, *product = NULL;

  if (builder->error)
    return FALSE;
  gelu =
      plan_open_on_device (builder, gelu_name, &gelu_op, NULL, &builder->error);
  if (gelu) {
    plan_weights_init (&read, builder, weights, &floats);
    linear.gelu = FALSE;
    product =
        plan_open_on_device (builder, name, &linear, &read, &builder->error);
  }
  if (!product) {
    npu_kernel_unref (gelu);
    return FALSE;
  }
  plan_add_opened (builder, g_steal_pointer (&name), &linear, product, 2,
      &PLAN_ARGS (PLAN_NORM, PLAN_FC1), NPU_NEEDS_SAME_ROWS);
  plan_add_opened (builder, g_steal_pointer (&gelu_name), &gelu_op, gelu, 2,
      &PLAN_ARGS (PLAN_FC1, PLAN_MLP), NPU_NEEDS_SAME_ROWS);
  return TRUE;
}

static void
add_mlp (PlanBuilder *builder, guint layer, const NpuModelBlock *block)
{
  const gboolean careful = is_careful (builder, layer);
  const NpuType type = careful ? careful_type (builder) : plan_type (builder);
  const NpuType rows_type = careful ? careful_rows (builder) : type;
  const guint d = builder->plan->d, rows = builder->options.n_positions;
  const LinearShape fc1 = {
      .rows = rows,
      .k = d,
      .n = 4 * d,
      .a_type = rows_type,
      .b_type = type,
      .c_type = rows_type,
      .gelu = TRUE,
  };
  const LinearShape fc2 = {
      .rows = rows,
      .k = 4 * d,
      .n = d,
      .a_type = rows_type,
      .b_type = type,
      .residual = TRUE,
  };
  const EncoderWeights fc1_weights =
      encoder_weights_plain (block->fc1_weight, block->fc1_bias);

  add_layernorm (builder, g_strdup_printf ("block %u mlp norm", layer),
      encoder_weights_plain (block->mlp_ln_weight, block->mlp_ln_bias),
      rows_type, PLAN_NORM);
  if (rows_type != NPU_TYPE_BF16 ||
      !add_fc1_and_gelu (builder, layer, &fc1, &fc1_weights))
    add_linear (builder, g_strdup_printf ("block %u fc1", layer), &fc1,
        fc1_weights, 2, &PLAN_ARGS (PLAN_NORM, PLAN_MLP), NPU_NEEDS_SAME_ROWS);
  add_linear (builder, g_strdup_printf ("block %u fc2", layer), &fc2,
      encoder_weights_plain (block->fc2_weight, block->fc2_bias), 3,
      &PLAN_ARGS (PLAN_MLP, PLAN_X, PLAN_X), NPU_NEEDS_SAME_ROWS);
}

static void
plan_stage_clear (gpointer data)
{
  PlanStage *stage = data;

  npu_kernel_unref (stage->kernel);
  g_free (stage->name);
}

/* The stem, blocks [first_block, first_block + n_blocks), the final norm. */
static void
add_stages (PlanBuilder *builder)
{
  const NpuModel *model = builder->model;
  const guint first = builder->options.first_block;
  const guint end = first + builder->options.n_blocks;

  if (first == 0)
    add_stem (builder);
  for (guint i = first; i < end; i++) {
    add_attention (builder, i, &model->blocks[i]);
    add_mlp (builder, i, &model->blocks[i]);
  }
  if (end == model->n_layers)
    add_layernorm (builder, g_strdup ("final norm"),
        encoder_weights_plain (model->ln_post_weight, model->ln_post_bias),
        NPU_TYPE_F32, PLAN_STATES);
}

static EncoderPlan *
build (const NpuModel *model, NpuDevice *device, const PlanOptions *options,
    GError **error)
{
  g_autoptr (EncoderPlan) plan = g_new0 (EncoderPlan, 1);
  PlanBuilder builder = {.plan = plan, .model = model, .options = *options};

  if (builder.options.n_positions == 0)
    builder.options.n_positions = model->n_positions;
  if (builder.options.n_blocks == 0)
    builder.options.n_blocks = model->n_layers - builder.options.first_block;
  if (options->precision == NPU_PRECISION_INT8)
    builder.int8_type =
        encoder_int8_type (model, device, builder.options.n_positions);
  plan->device = device;
  plan->host = npu_device_get_host (device);
  plan->n_mels = model->n_mels;
  plan->d = model->d;
  plan->n_heads = model->n_heads;
  plan->n_layers = model->n_layers;
  plan->memory =
      g_ptr_array_new_with_free_func ((GDestroyNotify) npu_buffer_free);
  plan->stages = g_array_new (FALSE, FALSE, sizeof (PlanStage));
  g_array_set_clear_func (plan->stages, plan_stage_clear);
  builder.identity = npu_model_get_identity (model);
  builder.pending = g_array_new (FALSE, FALSE, sizeof (PlanPending));

  add_stages (&builder);
  plan_open_pending (&builder);
  plan_add_buffers (&builder);
  plan_clear_pending (&builder);
  g_array_unref (builder.pending);
  g_free (builder.identity);

  if (builder.error) {
    g_propagate_error (error, builder.error);
    return NULL;
  }
  return g_steal_pointer (&plan);
}

static gboolean
check_int16 (NpuDevice *device, GError **error)
{
  NpuDevice *host = npu_device_get_host (device);

  if (npu_device_has_product (host, NPU_TYPE_S16))
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
      "precision is int16, but products of 16-bit integers are no faster than "
      "float's on this device, %s; use f32, which is as exact, or auto",
      npu_device_get_description (host));
  return FALSE;
}

EncoderPlan *
encoder_plan_new (const NpuModel *model, NpuDevice *device,
    const PlanOptions *options, GError **error)
{
  if (options->precision == NPU_PRECISION_INT16 && !check_int16 (device, error))
    return NULL;
  return build (model, device, options, error);
}

void
encoder_plan_free (EncoderPlan *plan)
{
  if (!plan)
    return;
  g_array_unref (plan->stages);
  g_ptr_array_unref (plan->memory);
  g_free (plan);
}

/* --- using ------------------------------------------------------------- */

void
encoder_plan_write_frames (
    EncoderPlan *plan, const float *mel, guint n_frames, guint first, guint end)
{
  const guint n_mels = plan->n_mels;
  float *rows = (float *) plan->buffers[PLAN_MEL]->data + n_mels;

  /* Blocks of 16 frames: whole cache lines of the source. */
  for (guint frame = first; frame < end; frame += 16) {
    const guint n = MIN (16, end - frame);

    for (guint band = 0; band < n_mels; band++) {
      const float *from = mel + (gsize) band * n_frames + frame;

      for (guint i = 0; i < n; i++)
        rows[(gsize) (frame + i) * n_mels + band] = from[i];
    }
  }
}

gboolean
encoder_plan_write_edges (EncoderPlan *plan, guint n_frames, GError **error)
{
  const gsize mel_size = plan->n_mels * sizeof (float);
  const gsize row_size = plan->d * sizeof (float);
  guint8 *mel = plan->buffers[PLAN_MEL]->data;

  memset (mel, 0, mel_size);
  memset (mel + (n_frames + 1) * mel_size, 0, mel_size);
  memset (plan->buffers[PLAN_CONV1]->data, 0, row_size);
  return encoder_plan_sync_written (plan, PLAN_CONV1, row_size, error);
}

const PlanStage *
encoder_plan_find (const EncoderPlan *plan, const char *name)
{
  for (guint i = 0; i < plan->stages->len; i++) {
    const PlanStage *stage = &g_array_index (plan->stages, PlanStage, i);

    if (strcmp (stage->name, name) == 0)
      return stage;
  }
  return NULL;
}

void
encoder_plan_fill (
    const EncoderPlan *plan, guint n_frames, guint batch, NpuStage *stages)
{
  for (guint i = 0; i < plan->stages->len; i++) {
    const PlanStage *from = &g_array_index (plan->stages, PlanStage, i);
    const guint rows = from->over_frames ? n_frames : n_frames / 2;
    const gboolean on_host = from->kernel->device == plan->host;
    const guint limit = on_host ? batch : MIN (batch, from->batch);
    NpuStage stage = {
        .name = from->name,
        .launch = {.kernel = from->kernel,
            .rows = rows,
            .sync_args = from->sync_args},
        .n_tiles = from->groups * N_TILES (rows),
        .tiles_per_group = from->groups > 1 ? N_TILES (rows) : 0,
        .groups_per_launch = from->kernel->groups_per_launch,
        .batch = batch ? limit : from->batch,
        .needs = from->needs,
    };

    for (guint j = 0; j < NPU_MAX_ARGS; j++)
      if (from->args[j] != PLAN_NO_BUFFER) {
        stage.launch.args[j] =
            g_ptr_array_index (plan->memory, from->memory[j]);
        stage.launch.offset[j] = from->offset[j];
      }
    stages[i] = stage;
  }
}
