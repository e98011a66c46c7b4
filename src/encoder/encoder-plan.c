/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "encoder-plan.h"

#include <string.h>

#include "encoder-numerics.h"
#include "encoder-weights.h"

/* LayerNorm's epsilon and the scale of the scores, 1 / sqrt (64): as OpenAI's
 * model.py has them. */
#define LAYERNORM_EPSILON 1e-5f
#define ATTENTION_SCALE 0.125f

static const char *const kinds[ENCODER_N_KINDS] = {
    [ENCODER_CONV1] = "conv1",
    [ENCODER_CONV2] = "conv2",
    [ENCODER_ATTENTION_NORM] = "attention norm",
    [ENCODER_QKV] = "qkv",
    [ENCODER_ATTENTION] = "attention",
    [ENCODER_OUT] = "out",
    [ENCODER_MLP_NORM] = "mlp norm",
    [ENCODER_FC1] = "fc1",
    [ENCODER_GELU] = "gelu",
    [ENCODER_FC2] = "fc2",
    [ENCODER_FINAL_NORM] = "final norm",
};

const char *
encoder_stage_kind_name (EncoderStageKind kind)
{
  return kinds[kind];
}

/* --- building ---------------------------------------------------------- */

typedef struct {
  NpuPlan *plan;
  const NpuModel *model;
  char *identity; /* of the model, or NULL */
  PlanOptions options;
  EncoderNumerics numerics;
} Builder;

#define ID(kind, layer) ((NpuStageId){(kind), (gint) (layer)})
#define NO_LAYER -1

#define N_ARGS(...) (sizeof ((guint[]){__VA_ARGS__}) / sizeof (guint))
#define ARGS(...)                                                              \
  ((NpuPlanArgs){.n = N_ARGS (__VA_ARGS__), .buffer = {__VA_ARGS__}})

static void
add_linear (Builder *builder, NpuStageId id, const NpuLinearOp *linear,
    EncoderWeights weights, NpuPlanArgs args, NpuNeeds needs)
{
  const guint n_positions = builder->options.n_positions;
  const gboolean is_conv1 = id.kind == ENCODER_CONV1;
  const NpuOp op = {.kind = NPU_OP_LINEAR,
      .rows = is_conv1 ? 2 * n_positions : n_positions,
      .linear = *linear};
  NpuPlanWeights source = encoder_weights_source (&weights, builder->identity);

  npu_plan_add (builder->plan, id, &op, &source, &args,
      is_conv1 ? ENCODER_FRAMES : ENCODER_POSITIONS, needs);
}

static void
add_layernorm (Builder *builder, NpuStageId id, EncoderWeights weights,
    NpuStorage storage, EncoderBuffer out)
{
  const NpuOp op = {
      .kind = NPU_OP_LAYERNORM,
      .rows = builder->options.n_positions,
      .layernorm = {.n = builder->model->d,
          .y_storage = storage,
          .epsilon = LAYERNORM_EPSILON},
  };
  NpuPlanWeights source = encoder_weights_source (&weights, builder->identity);

  npu_plan_add (builder->plan, id, &op, &source, &ARGS (PLAN_X, out),
      ENCODER_POSITIONS, NPU_NEEDS_SAME_ROWS);
}

static void
add_stem (Builder *builder)
{
  const NpuModel *model = builder->model;
  const guint d = model->d;
  const NpuProduct product = builder->numerics.maps[ENCODER_STEM].product;
  const NpuLinearOp conv1 = {
      .k = 3 * model->n_mels,
      .n = d,
      .a_stride = model->n_mels,
      .product = product,
      .gelu = TRUE,
  };
  const NpuLinearOp conv2 = {
      .k = 3 * d,
      .n = d,
      .a_stride = 2 * d,
      .product = product,
      .gelu = TRUE,
      .residual = TRUE,
  };
  NpuPlanArgs args = ARGS (PLAN_MEL, PLAN_CONV1);

  args.offset[NPU_ARG_C] = d * sizeof (float); /* after the row of zeros */
  add_linear (builder, ID (ENCODER_CONV1, NO_LAYER), &conv1,
      encoder_weights_conv (model->conv1_weight, model->conv1_bias), args,
      NPU_NEEDS_ALL);
  /* A tile of positions reads the frames of two tiles and of a third's
   * edge. */
  add_linear (builder, ID (ENCODER_CONV2, NO_LAYER), &conv2,
      encoder_weights_conv (model->conv2_weight, model->conv2_bias),
      ARGS (PLAN_CONV1, PLAN_X, PLAN_POSITIONAL), NPU_NEEDS_ALL);
}

static EncoderRole
role_of_block (guint layer)
{
  return layer == 0 ? ENCODER_FIRST_BLOCK : ENCODER_BLOCKS;
}

/* The attention that reads the tiles says how they are packed: its kernel is
 * opened first. */
static void
add_attention (Builder *builder, guint layer, const NpuModelBlock *block)
{
  const EncoderNumerics *numerics = &builder->numerics;
  const EncoderRole role = role_of_block (layer);
  const NpuStorage rows = numerics->maps[role].rows;
  const NpuStorage tiles =
      role == ENCODER_FIRST_BLOCK ? numerics->first_tiles : numerics->tiles;
  const guint d = builder->model->d;
  const NpuOp attention = {
      .kind = NPU_OP_ATTENTION,
      .rows = builder->options.n_positions,
      .attention = {.heads = builder->model->n_heads,
          .qkv_storage = tiles,
          .o_storage = numerics->attended,
          .scale = ATTENTION_SCALE},
  };
  NpuKernel *kernel = npu_plan_open_kernel (
      builder->plan, ID (ENCODER_ATTENTION, layer), &attention);
  const NpuLinearOp qkv = {
      .k = d,
      .n = 3 * d,
      .a_storage = rows,
      .product = numerics->maps[role].product,
      .c_storage = tiles,
      .c_layout = NPU_LAYOUT_QKV_TILES,
      .heads = builder->model->n_heads,
      .tiles_for = kernel,
  };
  const NpuLinearOp out = {
      .k = d,
      .n = d,
      .a_storage = numerics->attended,
      .product = numerics->maps[role].product,
      .residual = TRUE,
  };

  add_layernorm (builder, ID (ENCODER_ATTENTION_NORM, layer),
      encoder_weights_plain (block->attn_ln_weight, block->attn_ln_bias), rows,
      PLAN_NORM);
  add_linear (builder, ID (ENCODER_QKV, layer), &qkv,
      encoder_weights_qkv (block), ARGS (PLAN_NORM, PLAN_Q, PLAN_K, PLAN_V),
      NPU_NEEDS_SAME_ROWS);
  /* A query tile reads all keys and values. */
  npu_plan_add_opened (builder->plan, ID (ENCODER_ATTENTION, layer), &attention,
      kernel, &ARGS (PLAN_Q, PLAN_K, PLAN_V, PLAN_ATTENTION), ENCODER_POSITIONS,
      NPU_NEEDS_ALL);
  add_linear (builder, ID (ENCODER_OUT, layer), &out,
      encoder_weights_plain (block->out_weight, block->out_bias),
      ARGS (PLAN_ATTENTION, PLAN_X, PLAN_X), NPU_NEEDS_SAME_ROWS);
}

/* An NPU's GELU is an operation of its own: where it has both, the product and
 * the GELU are two stages there. FALSE where they are not. */
static gboolean
add_fc1_and_gelu (Builder *builder, guint layer, const NpuLinearOp *fused,
    const EncoderWeights *weights)
{
  const NpuStageId fc1_id = ID (ENCODER_FC1, layer);
  const NpuStageId gelu_id = ID (ENCODER_GELU, layer);
  const NpuOp gelu_op = {
      .kind = NPU_OP_GELU,
      .rows = builder->options.n_positions,
      .gelu = {.n = fused->n, .storage = fused->c_storage},
  };
  NpuOp op = {.kind = NPU_OP_LINEAR,
      .rows = builder->options.n_positions,
      .linear = *fused};
  NpuKernel *gelu =
      npu_plan_open_on_device (builder->plan, gelu_id, &gelu_op, NULL);
  NpuKernel *product = NULL;

  op.linear.gelu = FALSE;
  if (gelu) {
    g_auto (NpuPlanWeights) source =
        encoder_weights_source (weights, builder->identity);

    product = npu_plan_open_on_device (builder->plan, fc1_id, &op, &source);
  }
  if (!product) {
    npu_kernel_unref (gelu);
    return FALSE;
  }
  npu_plan_add_opened (builder->plan, fc1_id, &op, product,
      &ARGS (PLAN_NORM, PLAN_FC1), ENCODER_POSITIONS, NPU_NEEDS_SAME_ROWS);
  npu_plan_add_opened (builder->plan, gelu_id, &gelu_op, gelu,
      &ARGS (PLAN_FC1, PLAN_MLP), ENCODER_POSITIONS, NPU_NEEDS_SAME_ROWS);
  return TRUE;
}

static void
add_mlp (Builder *builder, guint layer, const NpuModelBlock *block)
{
  const EncoderRole role = role_of_block (layer);
  const NpuProduct product = builder->numerics.maps[role].product;
  const NpuStorage rows = builder->numerics.maps[role].rows;
  const guint d = builder->model->d;
  const NpuLinearOp fc1 = {
      .k = d,
      .n = 4 * d,
      .a_storage = rows,
      .product = product,
      .c_storage = rows,
      .gelu = TRUE,
  };
  const NpuLinearOp fc2 = {
      .k = 4 * d,
      .n = d,
      .a_storage = rows,
      .product = product,
      .residual = TRUE,
  };
  const EncoderWeights fc1_weights =
      encoder_weights_plain (block->fc1_weight, block->fc1_bias);

  add_layernorm (builder, ID (ENCODER_MLP_NORM, layer),
      encoder_weights_plain (block->mlp_ln_weight, block->mlp_ln_bias), rows,
      PLAN_NORM);
  if (rows != NPU_STORAGE_BF16 ||
      !add_fc1_and_gelu (builder, layer, &fc1, &fc1_weights))
    add_linear (builder, ID (ENCODER_FC1, layer), &fc1, fc1_weights,
        ARGS (PLAN_NORM, PLAN_MLP), NPU_NEEDS_SAME_ROWS);
  add_linear (builder, ID (ENCODER_FC2, layer), &fc2,
      encoder_weights_plain (block->fc2_weight, block->fc2_bias),
      ARGS (PLAN_MLP, PLAN_X, PLAN_X), NPU_NEEDS_SAME_ROWS);
}

/* The residual stream is the host's before the first block of a part and after
 * its last, but where the part has the stem, or the norm. */
static NpuBufferRole
role_of (const Builder *builder, EncoderBuffer buffer)
{
  const guint first = builder->options.first_block;
  const guint end = first + builder->options.n_blocks;

  switch (buffer) {
    case PLAN_MEL:
      return NPU_BUFFER_INPUT;
    case PLAN_POSITIONAL:
      return NPU_BUFFER_CONSTANT;
    case PLAN_X:
      return (first > 0 ? NPU_BUFFER_INPUT : NPU_BUFFER_SCRATCH) |
             (end < builder->model->n_layers ? NPU_BUFFER_OUTPUT
                                             : NPU_BUFFER_SCRATCH);
    case PLAN_STATES:
      return NPU_BUFFER_OUTPUT;
    default:
      return NPU_BUFFER_SCRATCH;
  }
}

/* The stem, blocks [first_block, first_block + n_blocks), the final norm. */
static void
add_stages (Builder *builder)
{
  const NpuModel *model = builder->model;
  const guint first = builder->options.first_block;
  const guint end = first + builder->options.n_blocks;

  for (guint i = 0; i < PLAN_N_BUFFERS; i++)
    npu_plan_declare (builder->plan, role_of (builder, i));
  if (first == 0)
    add_stem (builder);
  for (guint i = first; i < end; i++) {
    add_attention (builder, i, &model->blocks[i]);
    add_mlp (builder, i, &model->blocks[i]);
  }
  if (end == model->n_layers)
    add_layernorm (builder, ID (ENCODER_FINAL_NORM, NO_LAYER),
        encoder_weights_plain (model->ln_post_weight, model->ln_post_bias),
        NPU_STORAGE_F32, PLAN_STATES);
}

static gboolean
fill_positional (const Builder *builder, GError **error)
{
  NpuBuffer *buffer = npu_plan_get_buffer (builder->plan, PLAN_POSITIONAL);
  const gsize n = (gsize) builder->options.n_positions * builder->model->d;

  return !buffer || (npu_tensor_read (builder->model->positional_embedding, 0,
                         n, (float *) buffer->data, error) &&
                        npu_plan_sync_written (builder->plan, PLAN_POSITIONAL,
                            buffer->size, error));
}

static NpuPlan *
new_plan (const Builder *builder, NpuDevice *device)
{
  const NpuPlanOptions options = {
      .depth = builder->options.depth,
      .kinds = kinds,
      .host_only = builder->numerics.host_only,
      .host_bf16 = builder->numerics.host_bf16,
  };

  return npu_plan_new (device, &options);
}

EncoderPlan *
encoder_plan_new (const NpuModel *model, NpuDevice *device,
    const PlanOptions *options, GError **error)
{
  g_autoptr (EncoderPlan) plan = g_new0 (EncoderPlan, 1);
  g_autofree char *identity = npu_model_get_identity (model);
  Builder builder = {.model = model, .identity = identity, .options = *options};

  if (builder.options.n_positions == 0)
    builder.options.n_positions = model->n_positions;
  if (builder.options.n_blocks == 0)
    builder.options.n_blocks = model->n_layers - builder.options.first_block;
  if (!encoder_numerics_resolve (model, device, options->precision,
          builder.options.n_positions, &builder.numerics, error))
    return NULL;
  plan->n_mels = model->n_mels;
  plan->d = model->d;
  plan->plan = builder.plan = new_plan (&builder, device);
  add_stages (&builder);
  if (!npu_plan_open (plan->plan, error) || !fill_positional (&builder, error))
    return NULL;
  return g_steal_pointer (&plan);
}

void
encoder_plan_free (EncoderPlan *plan)
{
  if (!plan)
    return;
  npu_plan_free (plan->plan);
  g_free (plan);
}

/* --- using ------------------------------------------------------------- */

void
encoder_plan_write_frames (
    EncoderPlan *plan, const float *mel, guint n_frames, guint first, guint end)
{
  const guint n_mels = plan->n_mels;
  float *rows =
      (float *) npu_plan_get_buffer (plan->plan, PLAN_MEL)->data + n_mels;

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
  guint8 *mel = npu_plan_get_buffer (plan->plan, PLAN_MEL)->data;

  memset (mel, 0, mel_size);
  memset (mel + (n_frames + 1) * mel_size, 0, mel_size);
  memset (npu_plan_get_buffer (plan->plan, PLAN_CONV1)->data, 0, row_size);
  return npu_plan_sync_written (plan->plan, PLAN_CONV1, row_size, error);
}

void
encoder_plan_fill (
    const EncoderPlan *plan, guint n_frames, guint batch, NpuStage *stages)
{
  const guint rows[NPU_PLAN_N_ROWS] = {
      [ENCODER_FRAMES] = n_frames, [ENCODER_POSITIONS] = n_frames / 2};

  npu_plan_fill (plan->plan, rows, batch, stages);
}
