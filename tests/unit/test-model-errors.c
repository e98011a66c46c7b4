/* What is wrong with a model's file is said: which tensor, where, what was
 * expected, what to do.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model/model-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model-expect.h"
#include "model-writer.h"
#include "small-model.h"

static NpuModel *small; /* width 64, one block */

static void
expect_location (const char *location, NpuError code, const char *text)
{
  const char *const texts[MODEL_EXPECT_MAX] = {text};
  g_autoptr (GError) error = NULL;

  g_assert_null (npu_model_open (location, &error));
  model_expect_message (error, code, location, texts);
}

/* --- files -------------------------------------------------------------- */

static void
test_missing_file (void)
{
  expect_location ("/nonexistent/model", NPU_ERROR_NOT_FOUND, "no such file");
  expect_location ("/dev/null/model", NPU_ERROR_NOT_FOUND, "no such file");
  expect_location ("", NPU_ERROR_NOT_FOUND, "no such file");
}

/* None of them blocks or is mapped. */
static void
test_not_a_regular_file (void)
{
  g_autofree char *folder = g_dir_make_tmp ("npuenc-test-XXXXXX", NULL);
  g_autofree char *fifo = g_build_filename (folder, "fifo", NULL);

  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  expect_location (folder, NPU_ERROR_NOT_FOUND, "no model.safetensors");
  expect_location (fifo, NPU_ERROR_OPEN, "not a regular file");
  expect_location ("/dev/zero", NPU_ERROR_OPEN, "not a regular file");
  g_unlink (fifo);
  g_rmdir (folder);
}

static void
test_unreadable_file (void)
{
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("npuenc-test-XXXXXX", &path, NULL);
  const gboolean is_root = geteuid () == 0;

  g_assert_cmpint (fchmod (fd, 0), ==, 0);
  close (fd);
  /* Root may read everything: be somebody else for a moment. */
  if (is_root && seteuid (65534) != 0) {
    g_test_skip ("root cannot become another user here");
  } else {
    expect_location (path, NPU_ERROR_OPEN, "check its permissions");
    if (is_root)
      g_assert_cmpint (seteuid (0), ==, 0);
  }
  g_unlink (path);
}

static void
test_file_of_another_kind (void)
{
  static const struct {
    const char *content;
    gsize size;
    const char *text, *remedy;
  } cases[] = {
      {"", 0, "an empty file (0 bytes)", "download it again"},
      {"PK\3\4 pytorch zip", 15, "PyTorch", "model.safetensors"},
      {"\x80\x02}q\0 and so on", 15, "pickle", "model.safetensors"},
      {"GGUF\3\0\0\0\0\0\0", 11, "GGUF", "ggml-SIZE.bin"},
      {"ggml\0\0\0\0\0", 9, "big-endian", "little-endian"},
      {"version https://git-lfs.github.com/spec/v1", 41, "Git LFS pointer",
          "git lfs pull"},
      {"<!doctype html>", 15, "web page", "download"},
      {"\x89HDF\r\n", 6, "HDF5", "model.safetensors"},
      {"\x08\x08\x12\x07pytorch\x1a\x05", 13, "an ONNX model",
          "model.safetensors"},
      {"\x08\x0a\x12\x0donnx.quantize", 17, "an ONNX model",
          "model.safetensors"},
      {"\x08\x0a\x42\x04\x0a\0\x10\x11", 8, "an ONNX model",
          "model.safetensors"},
      {"RIFF....WAVE", 12, "WAV", "model"},
      {"nothing known", 13, "not a known model file (13 bytes)", "safetensors"},
      {"lmg", 3, "not a known model file", "safetensors"},
      {"\2\0\0\0\0\0\0\0", 8, "not a known model file", "safetensors"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GBytes) bytes =
        g_bytes_new_static (cases[i].content, cases[i].size);

    MODEL_EXPECT_ERROR (bytes, NPU_ERROR_WRONG_TYPE, cases[i].text,
        cases[i].remedy,
        "expected a Whisper model as safetensors or whisper.cpp's ggml .bin");
  }
}

/* --- encoders with one thing wrong --------------------------------------- */

static GPtrArray *
small_tensors (TestModelFormat format, NpuDtype dtype)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *tensors = test_model_tensors (small, format, dtype, &error);

  g_assert_no_error (error);
  return tensors;
}

static GBytes *
to_file (const GPtrArray *tensors, TestModelFormat format, NpuDtype dtype)
{
  TestGgmlHeader header;

  if (format != TEST_MODEL_GGML)
    return test_model_to_safetensors (tensors);
  test_model_ggml_header (small, dtype, &header);
  return test_model_to_ggml (tensors, &header);
}

/* Replaces a tensor by one of zeros of another shape, or another name. */
static void
replace (GPtrArray *tensors, const char *name, const char *new_name, guint64 n0,
    guint64 n1, guint64 n2)
{
  const guint64 shape[] = {n0, n1, n2};
  TestTensor *old = test_model_find (tensors, name);
  guint index;

  g_assert_nonnull (old);
  g_assert_true (g_ptr_array_find (tensors, old, &index));
  g_ptr_array_insert (tensors, (gint) index,
      test_tensor_new (new_name, old->dtype,
          n2   ? 3
          : n1 ? 2
               : 1,
          shape));
  g_ptr_array_remove (tensors, old);
}

static void
test_missing_tensor (void)
{
  static const TestModelFormat formats[] = {
      TEST_MODEL_OPENAI, TEST_MODEL_HUGGING_FACE, TEST_MODEL_GGML};

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++) {
    const gboolean hugging_face = formats[i] == TEST_MODEL_HUGGING_FACE;
    g_autoptr (GPtrArray) tensors = small_tensors (formats[i], NPU_DTYPE_F32);
    g_autoptr (GBytes) no_block_tensor = NULL, no_norm = NULL;
    const char *block_name =
        hugging_face ? "model.encoder.layers.0.self_attn.out_proj.bias"
                     : "encoder.blocks.0.attn.out.bias";
    const char *norm_name = hugging_face ? "model.encoder.layer_norm.weight"
                                         : "encoder.ln_post.weight";

    g_ptr_array_remove (tensors, test_model_find (tensors, block_name));
    no_block_tensor = to_file (tensors, formats[i], NPU_DTYPE_F32);
    MODEL_EXPECT_ERROR (no_block_tensor, NPU_ERROR_FORMAT,
        "encoder.blocks.0.attn.out.bias",
        "model.encoder.layers.0.self_attn.out_proj.bias", "is missing",
        "shards");
    g_ptr_array_remove (tensors, test_model_find (tensors, norm_name));
    no_norm = to_file (tensors, formats[i], NPU_DTYPE_F32);
    MODEL_EXPECT_ERROR (no_norm, NPU_ERROR_FORMAT, "encoder.ln_post.weight",
        "model.encoder.layer_norm.weight", "is missing");
  }
}

static void
test_missing_block (void)
{
  g_autoptr (GPtrArray) tensors =
      small_tensors (TEST_MODEL_OPENAI, NPU_DTYPE_F32);
  g_autoptr (GBytes) bytes = NULL;

  replace (tensors, "decoder.token_embedding.weight",
      "encoder.blocks.3.attn_ln.weight", 64, 0, 0);
  bytes = test_model_to_safetensors (tensors);
  MODEL_EXPECT_ERROR (
      bytes, NPU_ERROR_FORMAT, "encoder.blocks.1.attn_ln.weight", "is missing");
}

static void
test_shapes (void)
{
  static const struct {
    const char *name, *new_name;
    guint64 n0, n1, n2;
    const char *texts[MODEL_EXPECT_MAX];
  } cases[] = {
      {"encoder.conv1.weight", NULL, 65, 80, 3,
          {"'encoder.conv1.weight'", "[65][80][3]", "multiple of 64"}},
      {"encoder.conv1.weight", NULL, 4160, 80, 3,
          {"[4160][80][3]", "from 64 to 4096"}},
      {"encoder.conv1.weight", NULL, 64, 81, 3,
          {"[64][81][3]", "expected [width][80][3] or [width][128][3]"}},
      {"encoder.conv1.weight", NULL, 64, 80, 5, {"[64][80][5]"}},
      {"encoder.conv1.weight", NULL, 64, 240, 0, {"[64][240]"}},
      {"encoder.conv1.weight", NULL, 128, 80, 3,
          {"'encoder.conv1.bias'", "is [64]", "expected [128]", "width 128"}},
      {"encoder.conv2.weight", NULL, 64, 80, 3,
          {"'encoder.conv2.weight'", "[64][80][3]", "expected [64][64][3]"}},
      {"encoder.positional_embedding", NULL, 1501, 64, 0,
          {"'encoder.positional_embedding'", "[1501][64]",
              "expected [1500][64]"}},
      {"encoder.positional_embedding", NULL, 64, 1500, 0, {"[64][1500]"}},
      {"encoder.blocks.0.attn.query.weight", NULL, 4096, 0, 0,
          {"query.weight'", "[4096]", "expected [64][64]"}},
      {"encoder.blocks.0.mlp.0.weight", NULL, 64, 256, 0,
          {"mlp.0.weight'", "[64][256]", "expected [256][64]"}},
      {"encoder.blocks.0.mlp_ln.bias", NULL, 1, 64, 0,
          {"mlp_ln.bias'", "[1][64]", "expected [64]"}},
      {"encoder.blocks.0.mlp_ln.bias", "encoder.blocks.64.mlp_ln.bias", 64, 0,
          0, {"encoder.blocks.64.mlp_ln.bias", "from 0 to 63"}},
      {"encoder.blocks.0.mlp_ln.bias", "encoder.blocks.x.mlp_ln.bias", 64, 0, 0,
          {"encoder.blocks.x.mlp_ln.bias", "from 0 to 63"}},
      {"encoder.blocks.0.mlp_ln.bias", "encoder.blocks.0", 64, 0, 0,
          {"'encoder.blocks.0'", "expected a block number"}},
      {"encoder.blocks.0.mlp_ln.bias",
          "encoder.blocks.99999999999999999999.mlp_ln.bias", 64, 0, 0,
          {"from 0 to 63"}},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GPtrArray) tensors =
        small_tensors (TEST_MODEL_OPENAI, NPU_DTYPE_F16);
    g_autoptr (GBytes) bytes = NULL;

    replace (tensors, cases[i].name,
        cases[i].new_name ? cases[i].new_name : cases[i].name, cases[i].n0,
        cases[i].n1, cases[i].n2);
    bytes = test_model_to_safetensors (tensors);
    model_expect_error (bytes, NPU_ERROR_FORMAT, cases[i].texts);
  }
}

static void
test_foreign_types (void)
{
  static const char *const types[] = {"I8", "F64", "F8_E4M3", "BOOL"};

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_autoptr (GPtrArray) tensors =
        small_tensors (TEST_MODEL_OPENAI, NPU_DTYPE_F16);
    g_autofree char *found = g_strdup_printf ("its type is %s,", types[i]);
    g_autoptr (GBytes) bytes = NULL;

    test_model_find (tensors, "encoder.blocks.0.mlp.2.bias")->type_name =
        types[i];
    bytes = test_model_to_safetensors (tensors);
    MODEL_EXPECT_ERROR (bytes, NPU_ERROR_FORMAT,
        "tensor 'encoder.blocks.0.mlp.2.bias'", found,
        "expected F32, F16, BF16", "convert");
  }
}

/* --- values --------------------------------------------------------------- */

/* Spoils the element of a tensor at @index, or the scale of its block; the
 * error names the byte in the file. */
static void
check_not_finite (TestModelFormat format, NpuDtype dtype, gsize index,
    const guint8 *spoilt, gsize spoilt_size)
{
  const char *name = "encoder.blocks.0.attn.value.weight";
  const gsize block = npu_dtype_block (dtype);
  g_autoptr (GPtrArray) tensors = small_tensors (format, dtype);
  TestTensor *tensor = test_model_find (tensors, name);
  const gsize at = index / block * (tensor->data->len / (64 * 64 / block));
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (NpuModel) model = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *where = NULL;
  float values[64 * 64];
  const NpuTensor *value_weight;

  memcpy (tensor->data->data + at, spoilt, spoilt_size);
  bytes = to_file (tensors, format, dtype);
  model = npu_model_open_bytes (bytes, MODEL_EXPECT_FILE, &error);
  g_assert_no_error (error);
  value_weight = model->blocks[0].value_weight;

  /* Right up to it and after it, all is well. */
  g_assert_true (
      npu_tensor_read (value_weight, 0, index / block * block, values, NULL));
  g_assert_true (npu_tensor_read (value_weight, (index / block + 1) * block,
      64 * 64 - (index / block + 1) * block, values, NULL));
  g_assert_false (npu_tensor_read (value_weight, 0, 64 * 64, values, &error));
  where = g_strdup_printf (
      "at byte %" G_GSIZE_FORMAT ":", value_weight->offset + at);
  model_expect_message (error, NPU_ERROR_FORMAT, MODEL_EXPECT_FILE ": ",
      (const char *const[MODEL_EXPECT_MAX]){
          name, where, "not a finite number", npu_dtype_name (dtype)});
}

static void
test_values_that_are_not_finite (void)
{
  static const struct {
    NpuDtype dtype;
    guint8 bytes[4];
    gsize size;
  } cases[] = {
      {NPU_DTYPE_F32, {0x00, 0x00, 0xc0, 0x7f}, 4}, /* NaN */
      {NPU_DTYPE_F32, {0x01, 0x00, 0x80, 0xff}, 4}, /* signalling, negative */
      {NPU_DTYPE_F32, {0x00, 0x00, 0x80, 0x7f}, 4}, /* infinity */
      {NPU_DTYPE_F16, {0x00, 0x7e}, 2},
      {NPU_DTYPE_F16, {0x00, 0xfc}, 2},
      {NPU_DTYPE_BF16, {0xc0, 0x7f}, 2},
      {NPU_DTYPE_BF16, {0x80, 0xff}, 2},
      {NPU_DTYPE_Q8_0, {0x00, 0x7e}, 2},
      {NPU_DTYPE_Q5_0, {0x00, 0x7c}, 2},
      {NPU_DTYPE_Q4_0, {0x00, 0xfc}, 2},
      {NPU_DTYPE_Q5_1, {0x00, 0x7e, 0x00, 0x00}, 4},
      {NPU_DTYPE_Q5_1, {0x00, 0x00, 0x00, 0x7e}, 4}, /* the minimum */
      {NPU_DTYPE_Q4_1, {0x01, 0x7c, 0x00, 0x00}, 4},
      {NPU_DTYPE_Q4_1, {0x00, 0x00, 0x00, 0xfc}, 4},
  };
  static const gsize indices[] = {0, 1, 31, 32, 63, 1000, 4095};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const TestModelFormat format = npu_dtype_block (cases[i].dtype) > 1
                                       ? TEST_MODEL_GGML
                                       : TEST_MODEL_OPENAI;

    for (guint k = 0; k < G_N_ELEMENTS (indices); k++)
      check_not_finite (
          format, cases[i].dtype, indices[k], cases[i].bytes, cases[i].size);
  }
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  small = small_model_new (80, 64, 1, 0);
  g_test_add_func ("/model/error/missing-file", test_missing_file);
  g_test_add_func ("/model/error/not-a-regular-file", test_not_a_regular_file);
  g_test_add_func ("/model/error/unreadable-file", test_unreadable_file);
  g_test_add_func (
      "/model/error/file-of-another-kind", test_file_of_another_kind);
  g_test_add_func ("/model/error/missing-tensor", test_missing_tensor);
  g_test_add_func ("/model/error/missing-block", test_missing_block);
  g_test_add_func ("/model/error/shapes", test_shapes);
  g_test_add_func ("/model/error/foreign-types", test_foreign_types);
  g_test_add_func ("/model/error/values-that-are-not-finite",
      test_values_that_are_not_finite);
  result = g_test_run ();
  small_model_free (small);
  return result;
}
