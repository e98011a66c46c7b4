/* From named tensors to a model's parts: hyper-parameters, shapes, types.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-private.h"

#include <string.h>

typedef struct {
  NpuModel *model;
  const NpuTensorTable *table;
  NpuNames names;
} Resolver;

static void
resolver_clear (Resolver *resolver)
{
  npu_names_clear (&resolver->names);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Resolver, resolver_clear)

/* A part of the model whose tensors are looked for. */
typedef struct {
  const char *name;   /* "encoder" */
  const char *prefix; /* of its tensors in this file */
  gint layer;         /* or -1: none of a block */
} Part;

/* --- one tensor ----------------------------------------------------------- */

/* Names the missing tensor as either library would. */
static gboolean
fail_missing (const Resolver *resolver, const Part *part,
    const NpuSpecGroup *group, const NpuTensorSpec *spec, GError **error)
{
  g_autofree char *block_openai = NULL, *block_hugging_face = NULL;

  if (part->layer >= 0) {
    block_openai = g_strdup_printf ("blocks.%d.", part->layer);
    block_hugging_face = g_strdup_printf ("layers.%d.", part->layer);
  }
  return npu_file_fail (error, NPU_ERROR_FORMAT, resolver->table->name, NULL,
      NPU_NO_OFFSET,
      "the tensor %s.%s%s%s (OpenAI's name; Hugging Face's: model.%s.%s%s%s) is missing among its %u tensors, whose %s's names begin with '%s'; if it is one of several shards, give their index (model.safetensors.index.json) or folder",
      part->name, block_openai ? block_openai : "", group->openai, spec->openai,
      part->name, block_hugging_face ? block_hugging_face : "",
      group->hugging_face, spec->hugging_face,
      g_hash_table_size (resolver->table->by_name), part->name, part->prefix);
}

/* whisper.cpp keeps the biases of convolutions as [d][1]. */
static void
drop_trailing_ones (NpuTensor *tensor, guint n_dims)
{
  while (tensor->n_dims > n_dims && tensor->shape[tensor->n_dims - 1] == 1)
    tensor->n_dims--;
}

static gboolean
check_shape (const Resolver *resolver, const Part *part, NpuTensor *tensor,
    const NpuTensorSpec *spec, GError **error)
{
  guint64 shape[4];
  const NpuModelConfig *config = &resolver->model->priv->config;
  const guint n_dims = npu_dims_to_shape (spec->shape, config, shape);
  g_autofree char *found = NULL, *expected = NULL;

  drop_trailing_ones (tensor, n_dims);
  if (tensor->n_dims == n_dims &&
      memcmp (tensor->shape, shape, n_dims * sizeof *shape) == 0)
    return TRUE;
  found = npu_shape_to_string (tensor->shape, tensor->n_dims);
  expected = npu_shape_to_string (shape, n_dims);
  return npu_file_fail (error, NPU_ERROR_FORMAT,
      npu_tensor_get_file_name (tensor), tensor->name, tensor->offset,
      "its shape is %s, expected %s for an %s of width %u; not a Whisper model, or a damaged one",
      found, expected, part->name, config->encoder.d);
}

static char *
part_prefix (const Resolver *resolver, const Part *part)
{
  return part->layer < 0 ? g_strdup (part->prefix)
                         : g_strdup_printf ("%s%s%d.", part->prefix,
                               resolver->names.blocks, part->layer);
}

static NpuTableEntry *
find_tensor (const Resolver *resolver, const Part *part,
    const NpuSpecGroup *group, const NpuTensorSpec *spec)
{
  const gboolean hugging_face = resolver->names.hugging_face;
  g_autofree char *before = part_prefix (resolver, part);
  g_autofree char *prefix = g_strconcat (
      before, hugging_face ? group->hugging_face : group->openai, NULL);

  return npu_names_find (&resolver->names, prefix,
      hugging_face ? spec->hugging_face : spec->openai);
}

/* Every tensor of @group, into the struct @target. */
static gboolean
resolve_group (const Resolver *resolver, const Part *part,
    const NpuSpecGroup *group, gpointer target, GError **error)
{
  for (guint i = 0; i < group->n_specs; i++) {
    const NpuTensorSpec *spec = &group->specs[i];
    NpuTableEntry *entry = find_tensor (resolver, part, group, spec);

    if (!entry)
      return fail_missing (resolver, part, group, spec, error);
    if (entry->foreign_type)
      return npu_file_fail (error, NPU_ERROR_FORMAT,
          npu_tensor_get_file_name (&entry->tensor), entry->tensor.name,
          entry->tensor.offset,
          "its type is %s, expected F32, F16, BF16 (safetensors) or f32, f16, q8_0, q5_0, q5_1, q4_0, q4_1, q2_K to q6_K (whisper.cpp); convert the model to one of them",
          entry->foreign_type);
    if (!check_shape (resolver, part, &entry->tensor, spec, error))
      return FALSE;
    G_STRUCT_MEMBER (const NpuTensor *, target, group->field + spec->field) =
        &entry->tensor;
  }
  return TRUE;
}

/* --- the encoder ------------------------------------------------------------
 */

/* The rows of a tensor [rows][d], where it is one; else @otherwise, so that it
 * is found wrong later. */
static guint
find_rows (const Resolver *resolver, const Part *part,
    const NpuSpecGroup *group, guint spec, guint max, guint otherwise)
{
  const NpuTableEntry *entry =
      find_tensor (resolver, part, group, &group->specs[spec]);
  const NpuTensor *tensor = entry ? &entry->tensor : NULL;

  if (!tensor || tensor->n_dims < 2 ||
      tensor->shape[1] != resolver->model->priv->config.encoder.d ||
      tensor->shape[0] < 1 || tensor->shape[0] > max)
    return otherwise;
  return (guint) tensor->shape[0];
}

/* The width and the mel bands, from the first convolution. */
static gboolean
find_sizes (Resolver *resolver, const Part *part, GError **error)
{
  const NpuTensor *conv1 =
      &find_tensor (resolver, part, &npu_encoder_group, &npu_model_specs[0])
           ->tensor;
  g_autofree char *shape = npu_shape_to_string (conv1->shape, conv1->n_dims);
  const char *file = npu_tensor_get_file_name (conv1);
  NpuModelConfig *config = &resolver->model->priv->config;

  if (conv1->n_dims != 3 || conv1->shape[2] != 3 ||
      (conv1->shape[1] != 80 && conv1->shape[1] != 128))
    return npu_file_fail (error, NPU_ERROR_FORMAT, file, conv1->name,
        conv1->offset,
        "its shape is %s, expected [width][80][3] or [width][128][3]; not a Whisper model",
        shape);
  if (conv1->shape[0] < 64 || conv1->shape[0] > NPU_MODEL_MAX_D ||
      conv1->shape[0] % 64 != 0)
    return npu_file_fail (error, NPU_ERROR_FORMAT, file, conv1->name,
        conv1->offset,
        "its shape is %s, but a Whisper encoder's width is a multiple of 64 from 64 to %d; not a Whisper model",
        shape, NPU_MODEL_MAX_D);

  config->n_mels = (guint) conv1->shape[1];
  config->encoder.d = (guint) conv1->shape[0];
  config->encoder.n_heads = config->encoder.d / 64;
  config->encoder.n_positions = find_rows (resolver, part, &npu_encoder_group,
      4, NPU_MODEL_POSITIONS, NPU_MODEL_POSITIONS);
  return TRUE;
}

static gboolean
count_blocks (
    const Resolver *resolver, const Part *part, guint *n, GError **error)
{
  g_autofree char *prefix =
      g_strconcat (part->prefix, resolver->names.blocks, NULL);

  return npu_names_count_blocks (
      &resolver->names, resolver->table, prefix, n, error);
}

static gboolean
resolve_encoder (Resolver *resolver, GError **error)
{
  NpuModel *model = resolver->model;
  NpuModelConfig *config = &model->priv->config;
  Part part = {"encoder", resolver->names.encoder, -1};

  if (!find_sizes (resolver, &part, error) ||
      !count_blocks (resolver, &part, &config->encoder.n_layers, error))
    return FALSE;
  model->n_mels = config->n_mels;
  model->d = config->encoder.d;
  model->n_heads = config->encoder.n_heads;
  model->n_layers = config->encoder.n_layers;
  model->n_positions = config->encoder.n_positions;

  if (!resolve_group (resolver, &part, &npu_encoder_group, model, error))
    return FALSE;
  model->blocks = g_new0 (NpuModelBlock, model->n_layers);
  for (guint i = 0; i < model->n_layers; i++) {
    part.layer = (gint) i;
    if (!resolve_group (resolver, &part, &npu_encoder_block_group,
            &model->blocks[i], error))
      return FALSE;
  }
  return TRUE;
}

/* What the header of a ggml file says must be what its tensors are. */
static gboolean
check_ggml_encoder (const NpuModel *model, GError **error)
{
  const NpuGgmlHeader *header = &model->priv->ggml;

  if (header->d == 0 ||
      (header->d == model->d && header->n_heads == model->n_heads &&
          header->n_layers == model->n_layers &&
          header->n_mels == model->n_mels &&
          header->n_positions == model->n_positions))
    return TRUE;
  return npu_file_fail (error, NPU_ERROR_FORMAT, model->priv->table->name, NULL,
      4,
      "the header says width %u, %u heads, %u layers, %u mel bands, %u positions, but the tensors are of width %u, %u heads, %u layers, %u mel bands, %u positions; the file is damaged",
      header->d, header->n_heads, header->n_layers, header->n_mels,
      header->n_positions, model->d, model->n_heads, model->n_layers,
      model->n_mels, model->n_positions);
}

/* --- the decoder
 * -------------------------------------------------------------- */

static gboolean
has_any (const Resolver *resolver, const char *prefix)
{
  GHashTableIter iter;
  gpointer name;

  g_hash_table_iter_init (&iter, resolver->names.by_name);
  while (g_hash_table_iter_next (&iter, &name, NULL)) {
    if (g_str_has_prefix (name, prefix))
      return TRUE;
  }
  return FALSE;
}

static gboolean
check_ggml_decoder (const NpuModel *model, GError **error)
{
  const NpuGgmlHeader *header = &model->priv->ggml;
  const NpuModelConfig *config = &model->priv->config;
  const NpuTransformerConfig *decoder = &config->decoder;

  if (header->d == 0 ||
      (header->n_vocab == (gint) config->n_vocab &&
          header->n_text_positions == (gint) decoder->n_positions &&
          header->text_d == (gint) decoder->d &&
          header->n_text_heads == (gint) decoder->n_heads &&
          header->n_text_layers == (gint) decoder->n_layers))
    return TRUE;
  return npu_file_fail (error, NPU_ERROR_FORMAT, model->priv->table->name, NULL,
      4,
      "the header says a decoder of %d tokens, %d positions, width %d, %d heads, %d layers, but its tensors have %u tokens, %u positions, width %u, %u heads, %u layers; the file is damaged",
      header->n_vocab, header->n_text_positions, header->text_d,
      header->n_text_heads, header->n_text_layers, config->n_vocab,
      decoder->n_positions, decoder->d, decoder->n_heads, decoder->n_layers);
}

static gboolean
resolve_decoder_blocks (Resolver *resolver, Part *part, GError **error)
{
  NpuModelPrivate *priv = resolver->model->priv;
  const guint n = MAX (1, priv->config.decoder.n_layers);

  priv->decoder.blocks = g_new0 (NpuDecoderBlock, n);
  for (guint i = 0; i < n; i++) {
    part->layer = (gint) i;
    for (guint k = 0; k < NPU_N_DECODER_BLOCK_GROUPS; k++) {
      if (!resolve_group (resolver, part, &npu_decoder_block_groups[k],
              &priv->decoder.blocks[i], error))
        return FALSE;
    }
  }
  return TRUE;
}

static gboolean
resolve_decoder (Resolver *resolver, GError **error)
{
  NpuModelPrivate *priv = resolver->model->priv;
  NpuModelConfig *config = &priv->config;
  Part part = {"decoder", resolver->names.decoder, -1};
  const NpuTableEntry *output;

  if (!part.prefix || !has_any (resolver, part.prefix))
    return npu_file_fail (error, NPU_ERROR_NOT_FOUND, priv->table->name, NULL,
        NPU_NO_OFFSET,
        "the file has an encoder only: decoder.token_embedding.weight and so on (OpenAI's names; Hugging Face's: model.decoder.embed_tokens.weight) are missing; use a whole Whisper model");

  config->decoder.d = config->encoder.d;
  config->decoder.n_heads = config->encoder.n_heads;
  config->n_vocab = find_rows (
      resolver, &part, &npu_decoder_group, 0, NPU_MODEL_MAX_VOCAB, 51865);
  config->decoder.n_positions = find_rows (resolver, &part, &npu_decoder_group,
      1, NPU_MODEL_MAX_TEXT_POSITIONS, NPU_MODEL_TEXT_POSITIONS);
  if (!count_blocks (resolver, &part, &config->decoder.n_layers, error) ||
      !resolve_group (
          resolver, &part, &npu_decoder_group, &priv->decoder, error) ||
      !resolve_decoder_blocks (resolver, &part, error) ||
      !check_ggml_decoder (resolver->model, error))
    return FALSE;
  output = resolver->names.output
               ? npu_names_find (&resolver->names, "", resolver->names.output)
               : NULL;
  priv->output = output && !output->foreign_type ? &output->tensor : NULL;
  config->is_multilingual = config->n_vocab >= 51865;
  return TRUE;
}

gboolean
npu_model_resolve (NpuModel *model, GError **error)
{
  NpuModelPrivate *priv = model->priv;
  g_auto (Resolver) resolver = {.model = model, .table = priv->table};

  if (!npu_names_init (&resolver.names, priv->table, error) ||
      !resolve_encoder (&resolver, error) || !check_ggml_encoder (model, error))
    return FALSE;
  if (!resolve_decoder (&resolver, &priv->decoder_error)) {
    priv->config.n_vocab = 0;
    priv->config.decoder = (NpuTransformerConfig){0};
  }
  return TRUE;
}
