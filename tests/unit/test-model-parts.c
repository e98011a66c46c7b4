/* The parts of a whole model: its decoder, vocabulary, mel filters and sizes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "model-expect.h"
#include "model-writer.h"
#include "model/model-private.h"
#include "small-model.h"
#include "test-data.h"

#define D 64
#define N_LAYERS 2
#define N_VOCAB 96 /* whole blocks of quantised columns are in rows: any */
#define N_POSITIONS 20

static NpuModel *small;

static void
expect_same_tensor (const NpuTensor *a, const NpuTensor *b)
{
  const gsize n = npu_tensor_n_elements (b);
  g_autofree float *x = g_new (float, n), *y = g_new (float, n);

  g_assert_cmpuint (a->n_dims, ==, b->n_dims);
  g_assert_cmpmem (a->shape, a->n_dims * sizeof *a->shape, b->shape,
      b->n_dims * sizeof *b->shape);
  g_assert_true (npu_tensor_read (a, 0, n, x, NULL));
  g_assert_true (npu_tensor_read (b, 0, n, y, NULL));
  g_assert_cmpmem (x, n * sizeof *x, y, n * sizeof *y);
}

/* Every pointer of a struct of them. */
static void
expect_same_tensors (gconstpointer a, gconstpointer b, gsize size)
{
  const NpuTensor *const *x = a, *const *y = b;

  for (gsize i = 0; i < size / sizeof *x; i++)
    expect_same_tensor (x[i], y[i]);
}

static void
test_decoder (gconstpointer data)
{
  const TestModelFormat format = GPOINTER_TO_UINT (data);
  g_autoptr (GBytes) bytes = test_model_to_bytes (small, format, NPU_DTYPE_F32);
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuModel) model = npu_model_open_bytes (bytes, "made", &error);
  const NpuModelConfig *config;
  const NpuDecoderWeights *decoder, *expected;

  g_assert_no_error (error);
  config = npu_model_get_config (model);
  g_assert_cmpuint (config->n_mels, ==, 80);
  g_assert_cmpuint (config->n_vocab, ==, N_VOCAB);
  g_assert_cmpuint (config->encoder.d, ==, D);
  g_assert_cmpuint (config->encoder.n_layers, ==, 1);
  g_assert_cmpuint (config->encoder.n_positions, ==, 1500);
  g_assert_cmpuint (config->decoder.d, ==, D);
  g_assert_cmpuint (config->decoder.n_heads, ==, D / 64);
  g_assert_cmpuint (config->decoder.n_layers, ==, N_LAYERS);
  g_assert_cmpuint (config->decoder.n_positions, ==, N_POSITIONS);
  g_assert_false (config->is_multilingual);

  decoder = npu_model_get_decoder (model, &error);
  g_assert_no_error (error);
  expected = npu_model_get_decoder (small, NULL);
  expect_same_tensors (
      decoder, expected, G_STRUCT_OFFSET (NpuDecoderWeights, blocks));
  for (guint i = 0; i < N_LAYERS; i++)
    expect_same_tensors (
        &decoder->blocks[i], &expected->blocks[i], sizeof *decoder->blocks);
}

/* --- a decoder that is not whole --------------------------------------------
 */

static GPtrArray *
small_tensors (TestModelFormat format)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *tensors =
      test_model_tensors (small, format, NPU_DTYPE_F32, &error);

  g_assert_no_error (error);
  return tensors;
}

/* The encoder opens; asking for the decoder fails. */
static void
expect_no_decoder (
    GBytes *bytes, NpuError code, const char *const texts[MODEL_EXPECT_MAX])
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuModel) model =
      npu_model_open_bytes (bytes, MODEL_EXPECT_FILE, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (npu_model_get_config (model)->n_vocab, ==, 0);
  for (guint i = 0; i < 2; i++) {
    g_clear_error (&error);
    g_assert_null (npu_model_get_decoder (model, &error));
    model_expect_message (error, code, MODEL_EXPECT_FILE ": ", texts);
  }
}

static void
expect_safetensors_no_decoder (const GPtrArray *tensors, NpuError code,
    const char *const texts[MODEL_EXPECT_MAX])
{
  g_autoptr (GBytes) bytes = test_model_to_safetensors (tensors);

  expect_no_decoder (bytes, code, texts);
}

#define EXPECT_NO_DECODER(tensors, code, ...)                                  \
  expect_safetensors_no_decoder (                                              \
      tensors, code, (const char *const[MODEL_EXPECT_MAX]){__VA_ARGS__})

static void
test_encoder_only (void)
{
  g_autoptr (GPtrArray) tensors = small_tensors (TEST_MODEL_OPENAI);

  for (guint i = tensors->len; i-- > 0;) {
    const TestTensor *tensor = g_ptr_array_index (tensors, i);

    if (g_str_has_prefix (tensor->name, "decoder."))
      g_ptr_array_remove_index (tensors, i);
  }
  EXPECT_NO_DECODER (tensors, NPU_ERROR_NOT_FOUND, "an encoder only",
      "decoder.token_embedding.weight");
}

static void
test_half_a_decoder (void)
{
  g_autoptr (GPtrArray) openai = small_tensors (TEST_MODEL_OPENAI);
  g_autoptr (GPtrArray) hugging_face = small_tensors (TEST_MODEL_HUGGING_FACE);
  g_autoptr (GPtrArray) no_norm = small_tensors (TEST_MODEL_OPENAI);

  g_ptr_array_remove (
      openai, test_model_find (openai, "decoder.blocks.1.cross_attn.out.bias"));
  EXPECT_NO_DECODER (openai, NPU_ERROR_FORMAT,
      "decoder.blocks.1.cross_attn.out.bias",
      "model.decoder.layers.1.encoder_attn.out_proj.bias", "is missing");
  g_ptr_array_remove (
      hugging_face, test_model_find (hugging_face,
                        "model.decoder.layers.0.self_attn_layer_norm.bias"));
  EXPECT_NO_DECODER (hugging_face, NPU_ERROR_FORMAT,
      "decoder.blocks.0.attn_ln.bias",
      "model.decoder.layers.0.self_attn_layer_norm.bias", "is missing");
  g_ptr_array_remove (no_norm, test_model_find (no_norm, "decoder.ln.weight"));
  EXPECT_NO_DECODER (no_norm, NPU_ERROR_FORMAT, "decoder.ln.weight",
      "model.decoder.layer_norm.weight", "is missing");
}

static void
test_decoders_shapes (void)
{
  g_autoptr (GPtrArray) tensors = small_tensors (TEST_MODEL_OPENAI);
  TestTensor *embedding =
      test_model_find (tensors, "decoder.token_embedding.weight");
  TestTensor *fc1 = test_model_find (tensors, "decoder.blocks.0.mlp.0.weight");

  fc1->shape[0] = 64;
  fc1->shape[1] = 256;
  EXPECT_NO_DECODER (tensors, NPU_ERROR_FORMAT, "decoder.blocks.0.mlp.0.weight",
      "[64][256]", "expected [256][64]");
  embedding->shape[0] = 64;
  embedding->shape[1] = N_VOCAB;
  EXPECT_NO_DECODER (tensors, NPU_ERROR_FORMAT,
      "decoder.token_embedding.weight", "[64][96]", "expected [51865][64]");
}

static void
test_decoders_header (void)
{
  g_autoptr (GPtrArray) tensors = small_tensors (TEST_MODEL_GGML);
  TestGgmlHeader header;
  g_autoptr (GBytes) bytes = NULL;

  test_model_ggml_header (small, NPU_DTYPE_F32, &header);
  header.n_vocab = 51865;
  bytes = test_model_to_ggml (tensors, &header);
  expect_no_decoder (bytes, NPU_ERROR_FORMAT,
      (const char *const[MODEL_EXPECT_MAX]){
          "header says a decoder of 51865 tokens", "tensors have 96 tokens"});
}

/* Hugging Face's libraries may write the embedding twice. */
static void
test_output_map (void)
{
  static const guint64 shape[] = {N_VOCAB, D};
  const NpuDecoderWeights *decoder = npu_model_get_decoder (small, NULL);
  g_autoptr (GPtrArray) tensors = small_tensors (TEST_MODEL_HUGGING_FACE);
  TestTensor *output =
      test_tensor_new ("proj_out.weight", NPU_DTYPE_F32, 2, shape);
  g_autofree float *values = g_new (float, N_VOCAB *D);

  g_ptr_array_add (tensors, output);
  npu_tensor_read (decoder->token_embedding, 0, N_VOCAB * D, values, NULL);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GBytes) bytes = NULL;
    g_autoptr (NpuModel) model = NULL;
    g_autoptr (GError) error = NULL;

    values[N_VOCAB * D - 1] += (float) i;
    test_tensor_set (output, values, N_VOCAB * D);
    bytes = test_model_to_safetensors (tensors);
    model = npu_model_open_bytes (bytes, MODEL_EXPECT_FILE, &error);
    g_assert_no_error (error);
    if (i == 0) {
      g_assert_nonnull (npu_model_get_decoder (model, &error));
      g_assert_no_error (error);
    } else {
      g_assert_null (npu_model_get_decoder (model, &error));
      model_expect_message (error, NPU_ERROR_FORMAT, MODEL_EXPECT_FILE ": ",
          (const char *const[MODEL_EXPECT_MAX]){"'proj_out.weight'",
              "model.decoder.embed_tokens.weight", "tied"});
    }
  }
}

/* --- vocabulary and filters
 * ---------------------------------------------------- */

static void
test_vocabulary (void)
{
  static const char *const words[] = {"speech", "", "in"};
  g_autoptr (GBytes) bytes =
      test_model_to_bytes (small, TEST_MODEL_GGML, NPU_DTYPE_F32);
  g_autoptr (GBytes) other =
      test_model_to_bytes (small, TEST_MODEL_OPENAI, NPU_DTYPE_F32);
  g_autoptr (NpuModel) model = npu_model_open_bytes (bytes, "made", NULL);
  g_autoptr (NpuModel) none = npu_model_open_bytes (other, "made", NULL);
  guint n_mels = 0;

  g_assert_cmpuint (npu_model_get_n_words (model), ==, G_N_ELEMENTS (words));
  for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
    gsize n = 100;
    const guint8 *word = npu_model_get_word (model, i, &n);

    g_assert_nonnull (word);
    g_assert_cmpmem (word, n, words[i], strlen (words[i]));
  }
  g_assert_nonnull (npu_model_get_mel_filters (model, &n_mels));
  g_assert_cmpuint (n_mels, ==, 80);
  g_assert_cmpuint (npu_model_get_n_words (none), ==, 0);
  g_assert_null (npu_model_get_mel_filters (none, NULL));
}

/* Whole models of people. */
static void
test_real (void)
{
  static const struct {
    const char *file;
    guint n_vocab, n_words, n_layers;
  } files[] = {
      {"models/whisper-tiny.en-f16.safetensors", 51864, 0, 4},
      {"models/ggml-base-q8_0.bin", 51865, 50257, 6},
  };

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *path = test_data_path (files[i].file);
    g_autoptr (GError) error = NULL;
    g_autoptr (NpuModel) model = NULL;

    if (!path)
      return;
    model = npu_model_open (path, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (
        npu_model_get_config (model)->n_vocab, ==, files[i].n_vocab);
    g_assert_cmpuint (
        npu_model_get_config (model)->decoder.n_layers, ==, files[i].n_layers);
    g_assert_cmpint (npu_model_get_config (model)->is_multilingual, ==,
        files[i].n_vocab >= 51865);
    g_assert_cmpuint (npu_model_get_n_words (model), ==, files[i].n_words);
    g_assert_nonnull (npu_model_get_decoder (model, &error));
    g_assert_no_error (error);
  }
}

/* --- fewer positions
 * ------------------------------------------------------------ */

static void
test_fewer_positions (void)
{
  static const guint numbers[] = {1, 500, 750, 1499};

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++) {
    const guint64 shape[] = {numbers[i], D};
    g_autoptr (GPtrArray) tensors = small_tensors (TEST_MODEL_OPENAI);
    g_autoptr (GBytes) bytes = NULL;
    g_autoptr (NpuModel) model = NULL;
    g_autoptr (GError) error = NULL;

    g_ptr_array_remove (
        tensors, test_model_find (tensors, "encoder.positional_embedding"));
    g_ptr_array_add (tensors, test_tensor_new ("encoder.positional_embedding",
                                  NPU_DTYPE_F32, 2, shape));
    bytes = test_model_to_safetensors (tensors);
    model = npu_model_open_bytes (bytes, "made", &error);
    g_assert_no_error (error);
    g_assert_cmpuint (model->n_positions, ==, numbers[i]);
    g_assert_cmpuint (
        npu_model_get_config (model)->encoder.n_positions, ==, numbers[i]);
  }
}

/* --- synthetic
 * ------------------------------------------------------------------- */

static void
test_synthetic (void)
{
  g_autoptr (NpuModel) model = npu_model_open ("synthetic:tiny", NULL);
  g_autoptr (GError) error = NULL;
  const NpuDecoderWeights *decoder = npu_model_get_decoder (model, &error);
  float rows[2 * 384];
  double sum = 0;

  g_assert_no_error (error);
  g_assert_cmpuint (npu_model_get_config (model)->n_vocab, ==, 51865);
  g_assert_cmpuint (npu_model_get_config (model)->decoder.n_layers, ==, 4);
  g_assert_cmpuint (npu_model_get_config (model)->decoder.n_positions, ==, 448);
  npu_tensor_read (
      decoder->token_embedding, 51863 * 384, 2 * 384, rows, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 2 * 384; i++)
    sum += rows[i] * rows[i];
  g_assert_cmpfloat_with_epsilon (sqrt (sum / 2), 4, 0.4);
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  small = small_model_new (80, D, 1, 0);
  small_model_add_decoder (small, N_LAYERS, N_VOCAB, N_POSITIONS);
  g_test_add_data_func ("/model/parts/decoder/openai",
      GUINT_TO_POINTER (TEST_MODEL_OPENAI), test_decoder);
  g_test_add_data_func ("/model/parts/decoder/hugging-face",
      GUINT_TO_POINTER (TEST_MODEL_HUGGING_FACE), test_decoder);
  g_test_add_data_func ("/model/parts/decoder/ggml",
      GUINT_TO_POINTER (TEST_MODEL_GGML), test_decoder);
  g_test_add_func ("/model/parts/encoder-only", test_encoder_only);
  g_test_add_func ("/model/parts/half-a-decoder", test_half_a_decoder);
  g_test_add_func ("/model/parts/decoders-shapes", test_decoders_shapes);
  g_test_add_func ("/model/parts/decoders-header", test_decoders_header);
  g_test_add_func ("/model/parts/output-map", test_output_map);
  g_test_add_func ("/model/parts/vocabulary", test_vocabulary);
  g_test_add_func ("/model/parts/real", test_real);
  g_test_add_func ("/model/parts/fewer-positions", test_fewer_positions);
  g_test_add_func ("/model/parts/synthetic", test_synthetic);
  result = g_test_run ();
  small_model_free (small);
  return result;
}
