/* The names that tensors have in the files of people: any prefix, what
 * wrappers of modules add, and layouts that are other ones.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "model-expect.h"
#include "model-writer.h"
#include "model/model-private.h"
#include "small-model.h"

#define N_VOCAB 40

static NpuModel *small; /* width 64, one block, and a decoder */

static GPtrArray *
small_tensors (TestModelFormat format)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *tensors =
      test_model_tensors (small, format, NPU_DTYPE_F32, &error);

  g_assert_no_error (error);
  return tensors;
}

/* In every name @from becomes @to, once. */
static void
rename_all (GPtrArray *tensors, const char *from, const char *to)
{
  for (guint i = 0; i < tensors->len; i++) {
    TestTensor *tensor = g_ptr_array_index (tensors, i);
    char *at = strstr (tensor->name, from);
    g_autofree char *old = tensor->name;

    if (!at) {
      tensor->name = g_steal_pointer (&old);
      continue;
    }
    *at = '\0';
    tensor->name = g_strconcat (old, to, at + strlen (from), NULL);
  }
}

static void
prepend (GPtrArray *tensors, const char *prefix)
{
  for (guint i = 0; i < tensors->len; i++) {
    TestTensor *tensor = g_ptr_array_index (tensors, i);
    g_autofree char *old = tensor->name;

    tensor->name = g_strconcat (prefix, old, NULL);
  }
}

static void
expect_same_tensor (const NpuTensor *a, const NpuTensor *b)
{
  const gsize n = npu_tensor_n_elements (b);
  g_autofree float *x = g_new (float, n), *y = g_new (float, n);

  g_assert_cmpuint (npu_tensor_n_elements (a), ==, n);
  g_assert_true (npu_tensor_read (a, 0, n, x, NULL));
  g_assert_true (npu_tensor_read (b, 0, n, y, NULL));
  g_assert_cmpmem (x, n * sizeof *x, y, n * sizeof *y);
}

/* Opens, and has the weights of the small model. */
static void
expect_small (const GPtrArray *tensors, gboolean has_decoder)
{
  g_autoptr (GBytes) bytes = test_model_to_safetensors (tensors);
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuModel) model = npu_model_open_bytes (bytes, "made", &error);
  const NpuDecoderWeights *decoder, *small_decoder;

  g_assert_no_error (error);
  expect_same_tensor (model->conv1_weight, small->conv1_weight);
  expect_same_tensor (
      model->blocks[0].query_weight, small->blocks[0].query_weight);
  expect_same_tensor (model->blocks[0].fc2_bias, small->blocks[0].fc2_bias);
  if (!has_decoder)
    return;
  decoder = npu_model_get_decoder (model, &error);
  g_assert_no_error (error);
  small_decoder = npu_model_get_decoder (small, NULL);
  expect_same_tensor (decoder->token_embedding, small_decoder->token_embedding);
  expect_same_tensor (decoder->blocks[0].cross.value_weight,
      small_decoder->blocks[0].cross.value_weight);
}

static void
test_prefixes (void)
{
  static const char *const prefixes[] = {"", "_orig_mod.", "module.",
      "module._orig_mod.", "_orig_mod.module.", "whisper.", "base_model.model.",
      "base_model.model._orig_mod.", "a.b.c.d.e.", "encoder.x."};
  static const TestModelFormat formats[] = {
      TEST_MODEL_OPENAI, TEST_MODEL_HUGGING_FACE};

  for (guint f = 0; f < G_N_ELEMENTS (formats); f++) {
    for (guint i = 0; i < G_N_ELEMENTS (prefixes); i++) {
      g_autoptr (GPtrArray) tensors = small_tensors (formats[f]);

      prepend (tensors, prefixes[i]);
      expect_small (tensors, TRUE);
    }
  }
}

/* The encoder's prefix becomes another one: what stands for it in programs
 * that have Whisper's encoder as a part. */
static void
test_encoders_prefix (void)
{
  static const struct {
    const char *prefix;
    gboolean has_decoder;
  } cases[] = {{"encoder.", FALSE}, {"audio_tower.", FALSE},
      {"whisper.encoder.", FALSE}, {"", FALSE},
      {"base_model.model.model.encoder.", FALSE},
      {"model._orig_mod.encoder.", TRUE}, {"model.encoder._orig_mod.", TRUE},
      {"_fsdp_wrapped_module.model.encoder._checkpoint_wrapped_module.", TRUE}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GPtrArray) tensors = small_tensors (TEST_MODEL_HUGGING_FACE);

    rename_all (tensors, "model.encoder.", cases[i].prefix);
    expect_small (tensors, cases[i].has_decoder);
  }
}

static void
test_wrapped_layers (void)
{
  g_autoptr (GPtrArray) compiled = small_tensors (TEST_MODEL_HUGGING_FACE);
  g_autoptr (GPtrArray) merged = small_tensors (TEST_MODEL_HUGGING_FACE);

  rename_all (compiled, "layers.0.", "layers.0._orig_mod.");
  expect_small (compiled, TRUE);
  /* A LoRA layer that was merged, and what wraps it left in place. */
  rename_all (merged, "q_proj.", "q_proj.base_layer.");
  prepend (merged, "base_model.model.");
  expect_small (merged, TRUE);
}

static void
expect_error (const GPtrArray *tensors, const char *const texts[])
{
  g_autoptr (GBytes) bytes = test_model_to_safetensors (tensors);

  model_expect_error (bytes, NPU_ERROR_FORMAT, texts);
}

#define EXPECT_ERROR(tensors, ...)                                             \
  expect_error (tensors, (const char *const[MODEL_EXPECT_MAX]){__VA_ARGS__})

static void
test_adapter (void)
{
  const guint64 shape[] = {8, 64};
  g_autoptr (GPtrArray) tensors = small_tensors (TEST_MODEL_HUGGING_FACE);

  g_ptr_array_add (tensors,
      test_tensor_new ("model.encoder.layers.0.self_attn.q_proj.lora_A.weight",
          NPU_DTYPE_F32, 2, shape));
  EXPECT_ERROR (
      tensors, "q_proj.lora_A.weight'", "not merged", "merge_and_unload");
}

static void
test_two_encoders (void)
{
  g_autoptr (GPtrArray) tensors = small_tensors (TEST_MODEL_OPENAI);
  g_autoptr (GPtrArray) others = small_tensors (TEST_MODEL_OPENAI);
  g_autoptr (GPtrArray) wrapped = small_tensors (TEST_MODEL_OPENAI);
  const guint64 shape[] = {64};
  guint n = others->len;

  prepend (others, "teacher.");
  while (n-- > 0)
    g_ptr_array_add (tensors, g_ptr_array_steal_index (others, n));
  EXPECT_ERROR (tensors, "not clear which", "'encoder.conv1.weight'",
      "'teacher.encoder.conv1.weight'");

  g_ptr_array_add (wrapped,
      test_tensor_new ("module.encoder.ln_post.bias", NPU_DTYPE_F32, 1, shape));
  EXPECT_ERROR (wrapped, "not clear which", "'encoder.ln_post.bias'",
      "'module.encoder.ln_post.bias'");
}

/* Another network's conv1.weight is not in the way. */
static void
test_another_convolution (void)
{
  const guint64 shape[] = {64, 3, 7, 7}, block[] = {5};
  g_autoptr (GPtrArray) tensors = small_tensors (TEST_MODEL_OPENAI);

  g_ptr_array_add (tensors,
      test_tensor_new ("vision.conv1.weight", NPU_DTYPE_F32, 4, shape));
  expect_small (tensors, TRUE);
  g_ptr_array_add (
      tensors, test_tensor_new ("vision.layers.0.x", NPU_DTYPE_F32, 1, block));
  expect_small (tensors, TRUE);
}

static void
test_mlx (void)
{
  const guint64 shape[] = {64, 3, 80};
  g_autoptr (GPtrArray) by_shape = small_tensors (TEST_MODEL_OPENAI);
  g_autoptr (GPtrArray) by_name = small_tensors (TEST_MODEL_OPENAI);

  test_model_find (by_shape, "encoder.conv1.weight")->shape[1] = shape[1];
  test_model_find (by_shape, "encoder.conv1.weight")->shape[2] = shape[2];
  EXPECT_ERROR (by_shape, "MLX", "model.safetensors");
  rename_all (by_name, "mlp.0.", "mlp1.");
  EXPECT_ERROR (by_name, "MLX", "model.safetensors");
}

static void
test_ctranslate2 (void)
{
  const guint64 shape[] = {64, 80, 3};
  g_autoptr (GPtrArray) tensors =
      g_ptr_array_new_with_free_func (test_tensor_free);
  const char binary[] = "\6\0\0\0\14\0WhisperSpec\0\3\0\0\0";
  g_autoptr (GBytes) bytes = g_bytes_new_static (binary, sizeof binary);

  g_ptr_array_add (tensors,
      test_tensor_new ("encoder/conv1/weight", NPU_DTYPE_F32, 3, shape));
  EXPECT_ERROR (tensors, "CTranslate2", "model.safetensors");
  MODEL_EXPECT_ERROR (bytes, NPU_ERROR_WRONG_TYPE, "CTranslate2",
      "faster-whisper", "model.safetensors");
}

static void
test_mlx_archive (void)
{
  const char zip[] = "PK\3\4\x2d\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0"
                     "\x1a\0\0\0encoder.conv1.weight.npy";
  g_autoptr (GBytes) bytes = g_bytes_new_static (zip, sizeof zip);

  MODEL_EXPECT_ERROR (bytes, NPU_ERROR_WRONG_TYPE, "NumPy", "MLX");
}

/* Time is bounded whatever the names are. */
static void
test_many_candidates (void)
{
  g_autoptr (GPtrArray) tensors =
      g_ptr_array_new_with_free_func (test_tensor_free);
  const guint64 shape[] = {1};

  for (guint i = 0; i < 4000; i++) {
    g_autofree char *conv = g_strdup_printf ("%u.conv1.weight", i);
    g_autofree char *block = g_strdup_printf ("%u.blocks.0.x", i);

    g_ptr_array_add (tensors, test_tensor_new (conv, NPU_DTYPE_F32, 1, shape));
    g_ptr_array_add (tensors, test_tensor_new (block, NPU_DTYPE_F32, 1, shape));
  }
  EXPECT_ERROR (tensors, "not clear which", ".conv1.weight'");
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  small = small_model_new (80, 64, 1, 0);
  small_model_add_decoder (small, 1, N_VOCAB, 16);
  g_test_add_func ("/model/names/prefixes", test_prefixes);
  g_test_add_func ("/model/names/encoders-prefix", test_encoders_prefix);
  g_test_add_func ("/model/names/wrapped-layers", test_wrapped_layers);
  g_test_add_func ("/model/names/adapter", test_adapter);
  g_test_add_func ("/model/names/two-encoders", test_two_encoders);
  g_test_add_func (
      "/model/names/another-convolution", test_another_convolution);
  g_test_add_func ("/model/names/mlx", test_mlx);
  g_test_add_func ("/model/names/ctranslate2", test_ctranslate2);
  g_test_add_func ("/model/names/mlx-archive", test_mlx_archive);
  g_test_add_func ("/model/names/many-candidates", test_many_candidates);
  result = g_test_run ();
  small_model_free (small);
  return result;
}
