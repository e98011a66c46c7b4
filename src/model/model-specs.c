/* What the tensors of Whisper's encoder and decoder are called, and their
 * shapes: the names of openai/whisper (model.py), which whisper.cpp keeps, and
 * of Hugging Face transformers (modeling_whisper.py). Keys have no bias; one
 * that a file has anyway would shift every score of a row alike, which softmax
 * does not see.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-private.h"

#define MODEL(field) G_STRUCT_OFFSET (NpuModel, field)
#define BLOCK(field) G_STRUCT_OFFSET (NpuModelBlock, field)
#define DECODER(field) G_STRUCT_OFFSET (NpuDecoderWeights, field)
#define ATTENTION(field) G_STRUCT_OFFSET (NpuAttentionWeights, field)
#define MLP(field) G_STRUCT_OFFSET (NpuMlpWeights, field)
#define VECTOR                                                                 \
  {                                                                            \
    NPU_DIM_D                                                                  \
  }
#define MATRIX                                                                 \
  {                                                                            \
    NPU_DIM_D, NPU_DIM_D                                                       \
  }

const NpuTensorSpec npu_model_specs[NPU_N_MODEL_SPECS] = {
    {"conv1.weight", "conv1.weight", MODEL (conv1_weight),
        {NPU_DIM_D, NPU_DIM_MELS, NPU_DIM_3}},
    {"conv1.bias", "conv1.bias", MODEL (conv1_bias), VECTOR},
    {"conv2.weight", "conv2.weight", MODEL (conv2_weight),
        {NPU_DIM_D, NPU_DIM_D, NPU_DIM_3}},
    {"conv2.bias", "conv2.bias", MODEL (conv2_bias), VECTOR},
    {"positional_embedding", "embed_positions.weight",
        MODEL (positional_embedding), {NPU_DIM_POSITIONS, NPU_DIM_D}},
    {"ln_post.weight", "layer_norm.weight", MODEL (ln_post_weight), VECTOR},
    {"ln_post.bias", "layer_norm.bias", MODEL (ln_post_bias), VECTOR},
};

const NpuTensorSpec npu_block_specs[NPU_N_BLOCK_SPECS] = {
    {"attn_ln.weight", "self_attn_layer_norm.weight", BLOCK (attn_ln_weight),
        VECTOR},
    {"attn_ln.bias", "self_attn_layer_norm.bias", BLOCK (attn_ln_bias), VECTOR},
    {"attn.query.weight", "self_attn.q_proj.weight", BLOCK (query_weight),
        MATRIX},
    {"attn.query.bias", "self_attn.q_proj.bias", BLOCK (query_bias), VECTOR},
    {"attn.key.weight", "self_attn.k_proj.weight", BLOCK (key_weight), MATRIX},
    {"attn.value.weight", "self_attn.v_proj.weight", BLOCK (value_weight),
        MATRIX},
    {"attn.value.bias", "self_attn.v_proj.bias", BLOCK (value_bias), VECTOR},
    {"attn.out.weight", "self_attn.out_proj.weight", BLOCK (out_weight),
        MATRIX},
    {"attn.out.bias", "self_attn.out_proj.bias", BLOCK (out_bias), VECTOR},
    {"mlp_ln.weight", "final_layer_norm.weight", BLOCK (mlp_ln_weight), VECTOR},
    {"mlp_ln.bias", "final_layer_norm.bias", BLOCK (mlp_ln_bias), VECTOR},
    {"mlp.0.weight", "fc1.weight", BLOCK (fc1_weight), {NPU_DIM_4D, NPU_DIM_D}},
    {"mlp.0.bias", "fc1.bias", BLOCK (fc1_bias), {NPU_DIM_4D}},
    {"mlp.2.weight", "fc2.weight", BLOCK (fc2_weight), {NPU_DIM_D, NPU_DIM_4D}},
    {"mlp.2.bias", "fc2.bias", BLOCK (fc2_bias), VECTOR},
};

static const NpuTensorSpec decoder_specs[] = {
    {"token_embedding.weight", "embed_tokens.weight", DECODER (token_embedding),
        {NPU_DIM_VOCAB, NPU_DIM_D}},
    {"positional_embedding", "embed_positions.weight",
        DECODER (positional_embedding), {NPU_DIM_TEXT_POSITIONS, NPU_DIM_D}},
    {"ln.weight", "layer_norm.weight", DECODER (ln_weight), VECTOR},
    {"ln.bias", "layer_norm.bias", DECODER (ln_bias), VECTOR},
};

/* After "" and "self_", or "cross_" and "encoder_". */
static const NpuTensorSpec attention_specs[] = {
    {"attn_ln.weight", "attn_layer_norm.weight", ATTENTION (ln_weight), VECTOR},
    {"attn_ln.bias", "attn_layer_norm.bias", ATTENTION (ln_bias), VECTOR},
    {"attn.query.weight", "attn.q_proj.weight", ATTENTION (query_weight),
        MATRIX},
    {"attn.query.bias", "attn.q_proj.bias", ATTENTION (query_bias), VECTOR},
    {"attn.key.weight", "attn.k_proj.weight", ATTENTION (key_weight), MATRIX},
    {"attn.value.weight", "attn.v_proj.weight", ATTENTION (value_weight),
        MATRIX},
    {"attn.value.bias", "attn.v_proj.bias", ATTENTION (value_bias), VECTOR},
    {"attn.out.weight", "attn.out_proj.weight", ATTENTION (out_weight), MATRIX},
    {"attn.out.bias", "attn.out_proj.bias", ATTENTION (out_bias), VECTOR},
};

static const NpuTensorSpec mlp_specs[] = {
    {"mlp_ln.weight", "final_layer_norm.weight", MLP (ln_weight), VECTOR},
    {"mlp_ln.bias", "final_layer_norm.bias", MLP (ln_bias), VECTOR},
    {"mlp.0.weight", "fc1.weight", MLP (fc1_weight), {NPU_DIM_4D, NPU_DIM_D}},
    {"mlp.0.bias", "fc1.bias", MLP (fc1_bias), {NPU_DIM_4D}},
    {"mlp.2.weight", "fc2.weight", MLP (fc2_weight), {NPU_DIM_D, NPU_DIM_4D}},
    {"mlp.2.bias", "fc2.bias", MLP (fc2_bias), VECTOR},
};

#define SPECS(specs) specs, G_N_ELEMENTS (specs)

const NpuSpecGroup npu_encoder_group = {SPECS (npu_model_specs), "", "", 0};
const NpuSpecGroup npu_encoder_block_group = {
    SPECS (npu_block_specs), "", "", 0};
const NpuSpecGroup npu_decoder_group = {SPECS (decoder_specs), "", "", 0};
const NpuSpecGroup npu_decoder_block_groups[NPU_N_DECODER_BLOCK_GROUPS] = {
    {SPECS (attention_specs), "", "self_",
        G_STRUCT_OFFSET (NpuDecoderBlock, self)},
    {SPECS (attention_specs), "cross_", "encoder_",
        G_STRUCT_OFFSET (NpuDecoderBlock, cross)},
    {SPECS (mlp_specs), "", "", G_STRUCT_OFFSET (NpuDecoderBlock, mlp)},
};

guint
npu_dims_to_shape (
    const NpuDim *dims, const NpuModelConfig *config, guint64 shape[4])
{
  guint n = 0;

  for (; n < 4 && dims[n] != NPU_DIM_END; n++) {
    switch (dims[n]) {
      case NPU_DIM_3:
        shape[n] = 3;
        break;
      case NPU_DIM_MELS:
        shape[n] = config->n_mels;
        break;
      case NPU_DIM_POSITIONS:
        shape[n] = config->encoder.n_positions;
        break;
      case NPU_DIM_D:
        shape[n] = config->encoder.d;
        break;
      case NPU_DIM_4D:
        shape[n] = 4 * (guint64) config->encoder.d;
        break;
      case NPU_DIM_VOCAB:
        shape[n] = config->n_vocab;
        break;
      case NPU_DIM_TEXT_POSITIONS:
        shape[n] = config->decoder.n_positions;
        break;
      case NPU_DIM_END:
        g_assert_not_reached ();
    }
  }
  return n;
}

guint
npu_tensor_spec_shape (
    const NpuTensorSpec *spec, const NpuModel *model, guint64 shape[4])
{
  const NpuModelConfig config = {
      .n_mels = model->n_mels,
      .encoder = {.d = model->d, .n_positions = model->n_positions},
  };

  return npu_dims_to_shape (spec->shape, &config, shape);
}
