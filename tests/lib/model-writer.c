/* Writes models as files. The names are spelt out here once more: the
 * product's own table would prove nothing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-writer.h"

#include <string.h>

#include "quantise.h"

#define MODEL(field) G_STRUCT_OFFSET (NpuModel, field)
#define BLOCK(field) G_STRUCT_OFFSET (NpuModelBlock, field)

typedef struct {
  const char *openai, *hugging_face;
  gsize field;
} Name;

static const Name model_names[] = {
    {"encoder.positional_embedding", "model.encoder.embed_positions.weight",
        MODEL (positional_embedding)},
    {"encoder.conv1.weight", "model.encoder.conv1.weight",
        MODEL (conv1_weight)},
    {"encoder.conv1.bias", "model.encoder.conv1.bias", MODEL (conv1_bias)},
    {"encoder.conv2.weight", "model.encoder.conv2.weight",
        MODEL (conv2_weight)},
    {"encoder.conv2.bias", "model.encoder.conv2.bias", MODEL (conv2_bias)},
    {"encoder.ln_post.weight", "model.encoder.layer_norm.weight",
        MODEL (ln_post_weight)},
    {"encoder.ln_post.bias", "model.encoder.layer_norm.bias",
        MODEL (ln_post_bias)},
};

static const Name block_names[] = {
    {"attn.query.weight", "self_attn.q_proj.weight", BLOCK (query_weight)},
    {"attn.query.bias", "self_attn.q_proj.bias", BLOCK (query_bias)},
    {"attn.key.weight", "self_attn.k_proj.weight", BLOCK (key_weight)},
    {"attn.value.weight", "self_attn.v_proj.weight", BLOCK (value_weight)},
    {"attn.value.bias", "self_attn.v_proj.bias", BLOCK (value_bias)},
    {"attn.out.weight", "self_attn.out_proj.weight", BLOCK (out_weight)},
    {"attn.out.bias", "self_attn.out_proj.bias", BLOCK (out_bias)},
    {"attn_ln.weight", "self_attn_layer_norm.weight", BLOCK (attn_ln_weight)},
    {"attn_ln.bias", "self_attn_layer_norm.bias", BLOCK (attn_ln_bias)},
    {"mlp.0.weight", "fc1.weight", BLOCK (fc1_weight)},
    {"mlp.0.bias", "fc1.bias", BLOCK (fc1_bias)},
    {"mlp.2.weight", "fc2.weight", BLOCK (fc2_weight)},
    {"mlp.2.bias", "fc2.bias", BLOCK (fc2_bias)},
    {"mlp_ln.weight", "final_layer_norm.weight", BLOCK (mlp_ln_weight)},
    {"mlp_ln.bias", "final_layer_norm.bias", BLOCK (mlp_ln_bias)},
};

#define DECODER(field) G_STRUCT_OFFSET (NpuDecoderWeights, field)
#define SELF(field) G_STRUCT_OFFSET (NpuDecoderBlock, self.field)
#define CROSS(field) G_STRUCT_OFFSET (NpuDecoderBlock, cross.field)
#define MLP(field) G_STRUCT_OFFSET (NpuDecoderBlock, mlp.field)

static const Name decoder_names[] = {
    {"decoder.token_embedding.weight", "model.decoder.embed_tokens.weight",
        DECODER (token_embedding)},
    {"decoder.positional_embedding", "model.decoder.embed_positions.weight",
        DECODER (positional_embedding)},
    {"decoder.ln.weight", "model.decoder.layer_norm.weight",
        DECODER (ln_weight)},
    {"decoder.ln.bias", "model.decoder.layer_norm.bias", DECODER (ln_bias)},
};

static const Name decoder_block_names[] = {
    {"attn_ln.weight", "self_attn_layer_norm.weight", SELF (ln_weight)},
    {"attn_ln.bias", "self_attn_layer_norm.bias", SELF (ln_bias)},
    {"attn.query.weight", "self_attn.q_proj.weight", SELF (query_weight)},
    {"attn.query.bias", "self_attn.q_proj.bias", SELF (query_bias)},
    {"attn.key.weight", "self_attn.k_proj.weight", SELF (key_weight)},
    {"attn.value.weight", "self_attn.v_proj.weight", SELF (value_weight)},
    {"attn.value.bias", "self_attn.v_proj.bias", SELF (value_bias)},
    {"attn.out.weight", "self_attn.out_proj.weight", SELF (out_weight)},
    {"attn.out.bias", "self_attn.out_proj.bias", SELF (out_bias)},
    {"cross_attn_ln.weight", "encoder_attn_layer_norm.weight",
        CROSS (ln_weight)},
    {"cross_attn_ln.bias", "encoder_attn_layer_norm.bias", CROSS (ln_bias)},
    {"cross_attn.query.weight", "encoder_attn.q_proj.weight",
        CROSS (query_weight)},
    {"cross_attn.query.bias", "encoder_attn.q_proj.bias", CROSS (query_bias)},
    {"cross_attn.key.weight", "encoder_attn.k_proj.weight", CROSS (key_weight)},
    {"cross_attn.value.weight", "encoder_attn.v_proj.weight",
        CROSS (value_weight)},
    {"cross_attn.value.bias", "encoder_attn.v_proj.bias", CROSS (value_bias)},
    {"cross_attn.out.weight", "encoder_attn.out_proj.weight",
        CROSS (out_weight)},
    {"cross_attn.out.bias", "encoder_attn.out_proj.bias", CROSS (out_bias)},
    {"mlp_ln.weight", "final_layer_norm.weight", MLP (ln_weight)},
    {"mlp_ln.bias", "final_layer_norm.bias", MLP (ln_bias)},
    {"mlp.0.weight", "fc1.weight", MLP (fc1_weight)},
    {"mlp.0.bias", "fc1.bias", MLP (fc1_bias)},
    {"mlp.2.weight", "fc2.weight", MLP (fc2_weight)},
    {"mlp.2.bias", "fc2.bias", MLP (fc2_bias)},
};

/* --- tensors ------------------------------------------------------------ */

void
test_tensor_free (gpointer data)
{
  TestTensor *tensor = data;

  g_byte_array_unref (tensor->data);
  g_free (tensor->name);
  g_free (tensor);
}

void
test_tensor_set (TestTensor *tensor, const float *values, gsize n)
{
  g_byte_array_set_size (tensor->data, 0);
  quantise_append (tensor->data, tensor->dtype, values, n);
}

TestTensor *
test_tensor_new (
    const char *name, NpuDtype dtype, guint n_dims, const guint64 *shape)
{
  TestTensor *tensor = g_new0 (TestTensor, 1);
  g_autofree float *zeros = NULL;
  gsize n = 1;

  tensor->name = g_strdup (name);
  tensor->dtype = dtype;
  tensor->n_dims = n_dims;
  tensor->data = g_byte_array_new ();
  for (guint i = 0; i < n_dims; i++) {
    tensor->shape[i] = shape[i];
    n *= shape[i];
  }
  zeros = g_new0 (float, n + 1);
  test_tensor_set (tensor, zeros, n);
  return tensor;
}

TestTensor *
test_model_find (const GPtrArray *tensors, const char *name)
{
  for (guint i = 0; i < tensors->len; i++) {
    TestTensor *tensor = g_ptr_array_index (tensors, i);

    if (g_str_equal (tensor->name, name))
      return tensor;
  }
  return NULL;
}

/* As convert-pt-to-ggml.py and whisper.cpp's quantize choose. */
static NpuDtype
ggml_dtype (const NpuTensor *tensor, const char *name, NpuDtype dtype)
{
  if (dtype == NPU_DTYPE_F32 || tensor->n_dims == 1 ||
      strstr (name, "positional_embedding"))
    return NPU_DTYPE_F32;
  return tensor->n_dims == 3 ? NPU_DTYPE_F16 : dtype;
}

static gboolean
add_tensor (GPtrArray *tensors, const NpuTensor *from, char *name,
    TestModelFormat format, NpuDtype dtype, GError **error)
{
  const gsize n = npu_tensor_n_elements (from);
  g_autofree float *values = g_new (float, n);
  TestTensor *tensor;

  if (format == TEST_MODEL_GGML)
    dtype = ggml_dtype (from, name, dtype);
  tensor = test_tensor_new (name, dtype, from->n_dims, from->shape);
  g_ptr_array_add (tensors, tensor);
  g_free (name);
  if (!npu_tensor_read (from, 0, n, values, error))
    return FALSE;
  test_tensor_set (tensor, values, n);
  if (format == TEST_MODEL_GGML && strstr (tensor->name, "conv") &&
      from->n_dims == 1)
    tensor->shape[tensor->n_dims++] = 1;
  return TRUE;
}

/* The tensors of @names, whose fields are in @part and whose names, within a
 * block, begin with @prefix. */
static gboolean
add_part (GPtrArray *tensors, const Name *names, guint n_names,
    gconstpointer part, const char *prefix, TestModelFormat format,
    NpuDtype dtype, GError **error)
{
  for (guint i = 0; i < n_names; i++) {
    const char *name = format == TEST_MODEL_HUGGING_FACE ? names[i].hugging_face
                                                         : names[i].openai;

    if (!add_tensor (tensors,
            G_STRUCT_MEMBER (const NpuTensor *, part, names[i].field),
            g_strconcat (prefix, name, NULL), format, dtype, error))
      return FALSE;
  }
  return TRUE;
}

#define NAMES(names) names, G_N_ELEMENTS (names)

static gboolean
add_decoder (GPtrArray *tensors, const NpuDecoderWeights *decoder,
    guint n_layers, TestModelFormat format, NpuDtype dtype, GError **error)
{
  if (!add_part (
          tensors, NAMES (decoder_names), decoder, "", format, dtype, error))
    return FALSE;
  for (guint layer = 0; layer < n_layers; layer++) {
    g_autofree char *prefix = g_strdup_printf (format == TEST_MODEL_HUGGING_FACE
                                                   ? "model.decoder.layers.%u."
                                                   : "decoder.blocks.%u.",
        layer);

    if (!add_part (tensors, NAMES (decoder_block_names),
            &decoder->blocks[layer], prefix, format, dtype, error))
      return FALSE;
  }
  return TRUE;
}

/* What a model has besides its encoder: a tensor of a decoder at least. */
static gboolean
add_others (GPtrArray *tensors, NpuModel *model, TestModelFormat format,
    NpuDtype dtype, GError **error)
{
  const NpuDecoderWeights *decoder = npu_model_get_decoder (model, NULL);
  const guint64 shape[] = {3, model->d};

  if (decoder)
    return add_decoder (tensors, decoder,
        npu_model_get_config (model)->decoder.n_layers, format, dtype, error);
  g_ptr_array_add (
      tensors, test_tensor_new (format == TEST_MODEL_HUGGING_FACE
                                    ? "model.decoder.embed_tokens.weight"
                                    : "decoder.token_embedding.weight",
                   dtype, 2, shape));
  return TRUE;
}

GPtrArray *
test_model_tensors (const NpuModel *model, TestModelFormat format,
    NpuDtype dtype, GError **error)
{
  g_autoptr (GPtrArray) tensors =
      g_ptr_array_new_with_free_func (test_tensor_free);

  if (!add_part (
          tensors, NAMES (model_names), model, "", format, dtype, error) ||
      !add_others (tensors, (NpuModel *) model, format, dtype, error))
    return NULL;
  for (guint layer = 0; layer < model->n_layers; layer++) {
    g_autofree char *prefix = g_strdup_printf (format == TEST_MODEL_HUGGING_FACE
                                                   ? "model.encoder.layers.%u."
                                                   : "encoder.blocks.%u.",
        layer);

    if (!add_part (tensors, NAMES (block_names), &model->blocks[layer], prefix,
            format, dtype, error))
      return NULL;
  }
  return g_steal_pointer (&tensors);
}

/* --- safetensors -------------------------------------------------------- */

static const char *
safetensors_type (const TestTensor *tensor)
{
  if (tensor->type_name)
    return tensor->type_name;
  switch (tensor->dtype) {
    case NPU_DTYPE_F32:
      return "F32";
    case NPU_DTYPE_F16:
      return "F16";
    case NPU_DTYPE_BF16:
      return "BF16";
    default:
      g_assert_not_reached ();
  }
}

GBytes *
test_model_to_safetensors (const GPtrArray *tensors)
{
  g_autoptr (GString) header =
      g_string_new ("{\"__metadata__\":{\"format\":\"pt\"}");
  GByteArray *file = g_byte_array_new ();
  guint64 length, begin = 0;

  for (guint i = 0; i < tensors->len; i++) {
    const TestTensor *tensor = g_ptr_array_index (tensors, i);

    g_string_append_printf (header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[",
        tensor->name, safetensors_type (tensor));
    for (guint k = 0; k < tensor->n_dims; k++)
      g_string_append_printf (
          header, "%s%" G_GUINT64_FORMAT, k ? "," : "", tensor->shape[k]);
    g_string_append_printf (header,
        "],\"data_offsets\":[%" G_GUINT64_FORMAT ",%" G_GUINT64_FORMAT "]}",
        begin, begin + tensor->data->len);
    begin += tensor->data->len;
  }
  g_string_append_c (header, '}');
  while (header->len % 8 != 0)
    g_string_append_c (header, ' ');

  length = GUINT64_TO_LE (header->len);
  g_byte_array_append (file, (const guint8 *) &length, sizeof length);
  g_byte_array_append (file, (const guint8 *) header->str, header->len);
  for (guint i = 0; i < tensors->len; i++) {
    const TestTensor *tensor = g_ptr_array_index (tensors, i);

    g_byte_array_append (file, tensor->data->data, tensor->data->len);
  }
  return g_byte_array_free_to_bytes (file);
}

/* --- ggml --------------------------------------------------------------- */

static void
append_int (GByteArray *file, gint32 value)
{
  value = GINT32_TO_LE (value);
  g_byte_array_append (file, (const guint8 *) &value, sizeof value);
}

/* GGML_TYPE_* of ggml.h. */
static gint32
ggml_type (NpuDtype dtype)
{
  switch (dtype) {
    case NPU_DTYPE_F32:
      return 0;
    case NPU_DTYPE_F16:
      return 1;
    case NPU_DTYPE_Q4_0:
      return 2;
    case NPU_DTYPE_Q4_1:
      return 3;
    case NPU_DTYPE_Q5_0:
      return 6;
    case NPU_DTYPE_Q5_1:
      return 7;
    case NPU_DTYPE_Q8_0:
      return 8;
    case NPU_DTYPE_BF16:
      return 30;
    case NPU_DTYPE_Q2_K:
      return 10;
    case NPU_DTYPE_Q3_K:
      return 11;
    case NPU_DTYPE_Q4_K:
      return 12;
    case NPU_DTYPE_Q5_K:
      return 13;
    case NPU_DTYPE_Q6_K:
      return 14;
  }
  g_assert_not_reached ();
}

/* GGML_FTYPE_* with the version of the block types. */
static gint32
ggml_ftype (NpuDtype dtype)
{
  switch (dtype) {
    case NPU_DTYPE_F32:
      return 0;
    case NPU_DTYPE_F16:
      return 1;
    case NPU_DTYPE_Q4_0:
      return 2002;
    case NPU_DTYPE_Q4_1:
      return 2003;
    case NPU_DTYPE_Q8_0:
      return 2007;
    case NPU_DTYPE_Q5_0:
      return 2008;
    case NPU_DTYPE_Q5_1:
      return 2009;
    case NPU_DTYPE_BF16:
      return 24;
    case NPU_DTYPE_Q2_K:
      return 2010;
    case NPU_DTYPE_Q3_K:
      return 2011;
    case NPU_DTYPE_Q4_K:
      return 2012;
    case NPU_DTYPE_Q5_K:
      return 2013;
    case NPU_DTYPE_Q6_K:
      return 2014;
  }
  g_assert_not_reached ();
}

void
test_model_ggml_header (
    const NpuModel *model, NpuDtype dtype, TestGgmlHeader *header)
{
  const NpuModelConfig *config = npu_model_get_config ((NpuModel *) model);

  *header = (TestGgmlHeader){
      .n_vocab = config->n_vocab ? (gint) config->n_vocab : 51864,
      .n_text_ctx = config->n_vocab ? (gint) config->decoder.n_positions : 448,
      .n_text_layer =
          (gint) (config->n_vocab ? config->decoder.n_layers : model->n_layers),
      .n_audio_ctx = model->n_positions,
      .n_audio_state = model->d,
      .n_audio_head = model->n_heads,
      .n_audio_layer = model->n_layers,
      .n_mels = model->n_mels,
      .ftype = ggml_ftype (dtype),
      .n_words = 3,
  };
}

static void
append_ggml_header (GByteArray *file, const TestGgmlHeader *header)
{
  static const char *const words[] = {"speech", "", "in"};
  const guint n_fft = 201;
  const gint32 fields[] = {0x67676d6c, header->n_vocab, header->n_audio_ctx,
      header->n_audio_state, header->n_audio_head, header->n_audio_layer,
      header->n_text_ctx, header->n_audio_state, header->n_audio_head,
      header->n_text_layer, header->n_mels, header->ftype, header->n_mels,
      n_fft};
  const guint filters_at = G_N_ELEMENTS (fields) * sizeof *fields;
  const guint filters_size = (guint) header->n_mels * n_fft * sizeof (float);

  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    append_int (file, fields[i]);
  g_byte_array_set_size (file, filters_at + filters_size);
  memset (file->data + filters_at, 0, filters_size);
  append_int (file, header->n_words);
  for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
    append_int (file, strlen (words[i]));
    g_byte_array_append (file, (const guint8 *) words[i], strlen (words[i]));
  }
}

GBytes *
test_model_to_ggml (const GPtrArray *tensors, const TestGgmlHeader *header)
{
  GByteArray *file = g_byte_array_new ();

  append_ggml_header (file, header);
  for (guint i = 0; i < tensors->len; i++) {
    const TestTensor *tensor = g_ptr_array_index (tensors, i);

    append_int (file, tensor->n_dims);
    append_int (file, strlen (tensor->name));
    append_int (file, ggml_type (tensor->dtype));
    for (guint k = tensor->n_dims; k > 0; k--)
      append_int (file, (gint32) tensor->shape[k - 1]);
    g_byte_array_append (
        file, (const guint8 *) tensor->name, strlen (tensor->name));
    g_byte_array_append (file, tensor->data->data, tensor->data->len);
  }
  return g_byte_array_free_to_bytes (file);
}

/* --- files -------------------------------------------------------------- */

static GBytes *
to_bytes (const NpuModel *model, TestModelFormat format, NpuDtype dtype,
    GError **error)
{
  g_autoptr (GPtrArray) tensors =
      test_model_tensors (model, format, dtype, error);
  TestGgmlHeader header;

  if (!tensors)
    return NULL;
  if (format != TEST_MODEL_GGML)
    return test_model_to_safetensors (tensors);
  test_model_ggml_header (model, dtype, &header);
  return test_model_to_ggml (tensors, &header);
}

GBytes *
test_model_to_bytes (
    const NpuModel *model, TestModelFormat format, NpuDtype dtype)
{
  g_autoptr (GError) error = NULL;
  GBytes *bytes = to_bytes (model, format, dtype, &error);

  g_assert_no_error (error);
  return bytes;
}

gboolean
test_model_write (const NpuModel *model, const char *path,
    TestModelFormat format, NpuDtype dtype, GError **error)
{
  g_autoptr (GBytes) bytes = to_bytes (model, format, dtype, error);
  gconstpointer data;
  gsize size;

  if (!bytes)
    return FALSE;
  data = g_bytes_get_data (bytes, &size);
  return g_file_set_contents (path, data, (gssize) size, error);
}
