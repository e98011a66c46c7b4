/* From named tensors to an encoder: naming schemes, hyper-parameters, shapes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-private.h"

#include <string.h>

#define MODEL(field) G_STRUCT_OFFSET (NpuModel, field)
#define BLOCK(field) G_STRUCT_OFFSET (NpuModelBlock, field)
#define VECTOR                                                                 \
  {                                                                            \
    NPU_DIM_D                                                                  \
  }
#define MATRIX                                                                 \
  {                                                                            \
    NPU_DIM_D, NPU_DIM_D                                                       \
  }

/* The names of openai/whisper (model.py, AudioEncoder), which whisper.cpp
 * keeps, and of Hugging Face transformers (modeling_whisper.py). Keys have no
 * bias; one that a file has anyway would shift every score of a row alike,
 * which softmax does not see. */
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

/* How a file names its encoder: whole models, and the encoder saved alone by
 * either library. */
typedef struct {
  const char *prefix; /* of every tensor of the encoder */
  const char *blocks; /* then, of those of a block, before its number */
  gboolean hugging_face;
} Scheme;

static const Scheme schemes[] = {
    {"encoder.", "blocks.", FALSE},
    {"model.encoder.", "layers.", TRUE},
    {"encoder.", "layers.", TRUE},
    {"model.encoder.", "blocks.", FALSE},
    {"", "blocks.", FALSE},
    {"", "layers.", TRUE},
};

static const char *
spec_name (const NpuTensorSpec *spec, const Scheme *scheme)
{
  return scheme->hugging_face ? spec->hugging_face : spec->openai;
}

static char *
block_prefix (const Scheme *scheme, guint layer)
{
  return g_strdup_printf ("%s%s%u.", scheme->prefix, scheme->blocks, layer);
}

guint
npu_tensor_spec_shape (
    const NpuTensorSpec *spec, const NpuModel *model, guint64 shape[4])
{
  guint n = 0;

  for (; n < 4 && spec->shape[n] != NPU_DIM_END; n++) {
    switch (spec->shape[n]) {
      case NPU_DIM_3:
        shape[n] = 3;
        break;
      case NPU_DIM_MELS:
        shape[n] = model->n_mels;
        break;
      case NPU_DIM_POSITIONS:
        shape[n] = model->n_positions;
        break;
      case NPU_DIM_D:
        shape[n] = model->d;
        break;
      case NPU_DIM_4D:
        shape[n] = 4 * (guint64) model->d;
        break;
      case NPU_DIM_END:
        g_assert_not_reached ();
    }
  }
  return n;
}

/* The first scheme for which the file has the encoder's first tensor and any
 * tensor of a block. */
static const Scheme *
find_scheme (const NpuTensorTable *table)
{
  for (guint i = 0; i < G_N_ELEMENTS (schemes); i++) {
    const Scheme *scheme = &schemes[i];
    g_autofree char *first =
        g_strconcat (scheme->prefix, npu_model_specs[0].openai, NULL);
    g_autofree char *blocks =
        g_strconcat (scheme->prefix, scheme->blocks, NULL);
    GHashTableIter iter;
    gpointer name;

    if (!npu_tensor_table_lookup (table, first))
      continue;
    g_hash_table_iter_init (&iter, table->by_name);
    while (g_hash_table_iter_next (&iter, &name, NULL)) {
      if (g_str_has_prefix (name, blocks))
        return scheme;
    }
  }
  return NULL;
}

static gboolean
fail_no_encoder (const NpuTensorTable *table, GError **error)
{
  return npu_model_fail (error, NPU_ERROR_FORMAT, table->file, NULL,
      NPU_NO_OFFSET,
      "no Whisper encoder among its %u tensors: expected encoder.conv1.weight, "
      "encoder.blocks.0.attn_ln.weight and so on (OpenAI's names) or "
      "model.encoder.conv1.weight, "
      "model.encoder.layers.0.self_attn_layer_norm.weight and so on (Hugging "
      "Face's); use a whole Whisper model or its encoder",
      g_hash_table_size (table->by_name));
}

/* One more than the highest block number in any name: a block that is missing
 * below it is found missing later. */
static gboolean
count_layers (const NpuTensorTable *table, const Scheme *scheme,
    guint *n_layers, GError **error)
{
  g_autofree char *prefix = g_strconcat (scheme->prefix, scheme->blocks, NULL);
  const gsize length = strlen (prefix);
  GHashTableIter iter;
  gpointer name, entry;

  *n_layers = 0;
  g_hash_table_iter_init (&iter, table->by_name);
  while (g_hash_table_iter_next (&iter, &name, &entry)) {
    const char *number = (const char *) name + length;
    char *end;
    guint64 layer;

    if (!g_str_has_prefix (name, prefix))
      continue;
    layer = g_ascii_isdigit (*number) ? g_ascii_strtoull (number, &end, 10)
                                      : G_MAXUINT64;
    if (layer >= NPU_MODEL_MAX_LAYERS || *end != '.')
      return npu_model_fail (error, NPU_ERROR_FORMAT, table->file, name,
          ((NpuTableEntry *) entry)->tensor.offset,
          "expected a block number from 0 to %d after '%s'; not a Whisper "
          "model",
          NPU_MODEL_MAX_LAYERS - 1, prefix);
    *n_layers = MAX (*n_layers, (guint) layer + 1);
  }
  return TRUE;
}

/* The width and the mel bands, from the first convolution. */
static gboolean
find_sizes (NpuModel *model, const NpuTensorTable *table, const Scheme *scheme,
    GError **error)
{
  g_autofree char *name =
      g_strconcat (scheme->prefix, npu_model_specs[0].openai, NULL);
  const NpuTensor *conv1 = &npu_tensor_table_lookup (table, name)->tensor;
  g_autofree char *shape = npu_shape_to_string (conv1->shape, conv1->n_dims);

  if (conv1->n_dims != 3 || conv1->shape[2] != 3 ||
      (conv1->shape[1] != 80 && conv1->shape[1] != 128))
    return npu_model_fail (error, NPU_ERROR_FORMAT, table->file, conv1->name,
        conv1->offset,
        "its shape is %s, expected [width][80][3] or [width][128][3]; not a "
        "Whisper model",
        shape);
  if (conv1->shape[0] < 64 || conv1->shape[0] > NPU_MODEL_MAX_D ||
      conv1->shape[0] % 64 != 0)
    return npu_model_fail (error, NPU_ERROR_FORMAT, table->file, conv1->name,
        conv1->offset,
        "its shape is %s, but a Whisper encoder's width is a multiple of 64 "
        "from 64 to %d; not a Whisper model",
        shape, NPU_MODEL_MAX_D);

  model->d = conv1->shape[0];
  model->n_mels = conv1->shape[1];
  model->n_heads = model->d / 64;
  model->n_positions = NPU_MODEL_POSITIONS;
  return TRUE;
}

/* Names the missing tensor as either library would. */
static gboolean
fail_missing (const NpuTensorTable *table, const Scheme *scheme,
    const NpuTensorSpec *spec, gint layer, GError **error)
{
  g_autofree char *block_openai = NULL, *block_hugging_face = NULL;

  if (layer >= 0) {
    block_openai = g_strdup_printf ("blocks.%d.", layer);
    block_hugging_face = g_strdup_printf ("layers.%d.", layer);
  }
  return npu_model_fail (error, NPU_ERROR_FORMAT, table->file, NULL,
      NPU_NO_OFFSET,
      "the tensor encoder.%s%s (OpenAI's name; Hugging Face's: "
      "model.encoder.%s%s) is missing among its %u tensors, whose encoder's "
      "names begin with '%s'; if it is one of several shards, use a model in "
      "one file",
      block_openai ? block_openai : "", spec->openai,
      block_hugging_face ? block_hugging_face : "", spec->hugging_face,
      g_hash_table_size (table->by_name), scheme->prefix);
}

/* whisper.cpp keeps the biases of convolutions as [d][1]. */
static void
drop_trailing_ones (NpuTensor *tensor, guint n_dims)
{
  while (tensor->n_dims > n_dims && tensor->shape[tensor->n_dims - 1] == 1)
    tensor->n_dims--;
}

static gboolean
resolve_tensor (const NpuModel *model, const NpuTensorTable *table,
    const Scheme *scheme, const NpuTensorSpec *spec, gint layer,
    gpointer target, GError **error)
{
  g_autofree char *prefix =
      layer < 0 ? g_strdup (scheme->prefix) : block_prefix (scheme, layer);
  g_autofree char *name = g_strconcat (prefix, spec_name (spec, scheme), NULL);
  NpuTableEntry *entry = npu_tensor_table_lookup (table, name);
  guint64 shape[4];
  guint n_dims = npu_tensor_spec_shape (spec, model, shape);
  NpuTensor *tensor;

  if (!entry)
    return fail_missing (table, scheme, spec, layer, error);
  tensor = &entry->tensor;
  if (entry->foreign_type)
    return npu_model_fail (error, NPU_ERROR_FORMAT, table->file, name,
        tensor->offset,
        "its type is %s, expected F32, F16, BF16 (safetensors) or f32, f16, "
        "q8_0, q5_0, q5_1, q4_0, q4_1 (whisper.cpp); convert the model to one "
        "of them",
        entry->foreign_type);

  drop_trailing_ones (tensor, n_dims);
  if (tensor->n_dims != n_dims ||
      memcmp (tensor->shape, shape, n_dims * sizeof *shape) != 0) {
    g_autofree char *found =
        npu_shape_to_string (tensor->shape, tensor->n_dims);
    g_autofree char *expected = npu_shape_to_string (shape, n_dims);

    return npu_model_fail (error, NPU_ERROR_FORMAT, table->file, name,
        tensor->offset,
        "its shape is %s, expected %s for an encoder of width %u; not a "
        "Whisper model, or a damaged one",
        found, expected, model->d);
  }
  G_STRUCT_MEMBER (const NpuTensor *, target, spec->field) = tensor;
  return TRUE;
}

gboolean
npu_model_resolve (NpuModel *model, const NpuTensorTable *table, GError **error)
{
  const Scheme *scheme = find_scheme (table);

  if (!scheme)
    return fail_no_encoder (table, error);
  if (!find_sizes (model, table, scheme, error) ||
      !count_layers (table, scheme, &model->n_layers, error))
    return FALSE;

  for (guint i = 0; i < NPU_N_MODEL_SPECS; i++) {
    if (!resolve_tensor (
            model, table, scheme, &npu_model_specs[i], -1, model, error))
      return FALSE;
  }
  model->blocks = g_new0 (NpuModelBlock, model->n_layers);
  for (guint layer = 0; layer < model->n_layers; layer++) {
    for (guint i = 0; i < NPU_N_BLOCK_SPECS; i++) {
      if (!resolve_tensor (model, table, scheme, &npu_block_specs[i],
              (gint) layer, &model->blocks[layer], error))
        return FALSE;
    }
  }
  return TRUE;
}
