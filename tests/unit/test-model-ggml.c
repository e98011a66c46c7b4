/* What is wrong with a ggml file is said.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "model-expect.h"
#include "model-writer.h"
#include "model/model-private.h"
#include "small-model.h"

#define QUERY "encoder.blocks.0.attn.query.weight"

static NpuModel *small; /* width 64, one block */

static GPtrArray *
small_tensors (NpuDtype dtype)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *tensors =
      test_model_tensors (small, TEST_MODEL_GGML, dtype, &error);

  g_assert_no_error (error);
  return tensors;
}

/* A copy of a whole file with the int32 at @offset replaced. */
static GBytes *
patched (GBytes *whole, gsize offset, gint32 value)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (whole, &size);
  guint8 *copy = g_memdup2 (data, size);

  g_assert_cmpuint (offset + 4, <=, size);
  value = GINT32_TO_LE (value);
  memcpy (copy + offset, &value, sizeof value);
  return g_bytes_new_take (copy, size);
}

static void
expect_patched (GBytes *whole, gsize offset, gint32 value,
    const char *const texts[MODEL_EXPECT_MAX])
{
  g_autoptr (GBytes) bytes = patched (whole, offset, value);

  model_expect_error (bytes, NPU_ERROR_FORMAT, texts);
}

#define EXPECT_PATCHED(whole, offset, value, ...)                              \
  expect_patched (whole, offset, value,                                        \
      (const char *const[MODEL_EXPECT_MAX]){__VA_ARGS__})

/* Fields lie 4 bytes apart after the magic number. */
static void
test_header (void)
{
  static const struct {
    gsize offset;
    gint32 value;
    const char *texts[MODEL_EXPECT_MAX];
  } cases[] = {
      {8, 1501, {"at byte 8:", "n_audio_ctx is 1501, expected 1 to 1500;"}},
      {8, 1499, {"at byte 4:", "1499 positions", "1500 positions"}},
      {8, -1500, {"n_audio_ctx is -1500"}},
      {12, 0, {"at byte 12:", "n_audio_state is 0, expected 64 to 4096"}},
      {12, G_MAXINT32, {"n_audio_state is 2147483647"}},
      {12, 128, {"header says width 128", "tensors are of width 64"}},
      {16, 0, {"at byte 16:", "n_audio_head is 0, expected 1 to 64"}},
      {16, 2, {"header says width 64, 2 heads", "width 64, 1 heads"}},
      {20, 65, {"at byte 20:", "n_audio_layer is 65, expected 1 to 64"}},
      {20, G_MININT32, {"n_audio_layer is -2147483648"}},
      {20, 2, {"2 layers", "1 layers"}},
      {40, 0, {"at byte 40:", "n_mels is 0, expected 80 to 128"}},
      {40, 128, {"128 mel bands", "80 mel bands"}},
      {44, -1, {"at byte 44:", "ftype is -1"}},
      {48, -1, {"at byte 48:", "n_mel of the mel filters is -1"}},
      {48, G_MAXINT32,
          {"at byte 48:", "n_mel of the mel filters is 2147483647"}},
      {52, G_MININT32, {"n_fft of the mel filters"}},
      {64376, -1, {"at byte 64376:", "size of the vocabulary is -1"}},
      {64380, -1, {"at byte 64380:", "length of a word in the vocabulary"}},
      {64380, G_MAXINT32,
          {"at byte 64380:", "a word in the vocabulary is 2147483647",
              "expected 0 to 4096"}},
  };
  g_autoptr (GBytes) whole =
      test_model_to_bytes (small, TEST_MODEL_GGML, NPU_DTYPE_F16);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    expect_patched (whole, cases[i].offset, cases[i].value, cases[i].texts);
}

/* A count of words without the words: refused before memory or time is spent
 * on them. */
static void
test_huge_vocabulary (void)
{
  g_autoptr (GPtrArray) tensors = small_tensors (NPU_DTYPE_F32);
  g_autoptr (GBytes) bytes = NULL;
  TestGgmlHeader header;

  test_model_ggml_header (small, NPU_DTYPE_F32, &header);
  header.n_words = G_MAXINT32;
  bytes = test_model_to_ggml (tensors, &header);
  MODEL_EXPECT_ERROR (bytes, NPU_ERROR_FORMAT, "size of the vocabulary");
}

/* The offset of a tensor's own header, which ends with its dimensions, its
 * name and its data. */
static gsize
header_of (GBytes *whole, const char *name)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (whole, &size);
  const guint8 *at = memmem (data, size, name, strlen (name));
  gsize ints = 0;

  g_assert_nonnull (at);
  /* Two dimensions. */
  ints = 5 * sizeof (gint32);
  return (gsize) (at - data) - ints;
}

static void
test_tensor_header (void)
{
  g_autoptr (GBytes) whole =
      test_model_to_bytes (small, TEST_MODEL_GGML, NPU_DTYPE_Q8_0);
  const gsize at = header_of (whole, QUERY);
  g_autofree char *here = g_strdup_printf ("at byte %" G_GSIZE_FORMAT ":", at);
  g_autofree char *type_here =
      g_strdup_printf ("at byte %" G_GSIZE_FORMAT ":", at + 8);
  g_autofree char *data_here = g_strdup_printf (
      "at byte %" G_GSIZE_FORMAT ":", at + 20 + strlen (QUERY));

  EXPECT_PATCHED (whole, at, 0, here, "number of dimensions", "is 0");
  EXPECT_PATCHED (whole, at, 5, here, "expected 1 to 4");
  EXPECT_PATCHED (whole, at + 4, 0, "length of a tensor's name is 0");
  EXPECT_PATCHED (whole, at + 4, 256, "is 256, expected 1 to 255");
  EXPECT_PATCHED (whole, at + 4, -1, "is -1, expected 1 to 255");
  EXPECT_PATCHED (whole, at + 8, 15, type_here, "'" QUERY "'",
      "ggml's number 15", "expected f32, f16");
  EXPECT_PATCHED (whole, at + 8, -1, type_here, "ggml's number -1");
  EXPECT_PATCHED (whole, at + 12, -64, "a dimension of a tensor is -64");
  EXPECT_PATCHED (whole, at + 12, 63, data_here, "'" QUERY "'", "[64][63]",
      "Q8_0 must be a multiple of 32");
  EXPECT_PATCHED (whole, at + 16, G_MAXINT32, data_here, "'" QUERY "'",
      "its data needs", "truncated");
  EXPECT_PATCHED (whole, at + 20, 0x1b1b1b1b, "not printable UTF-8");
}

static void
test_dimensions_overflow (void)
{
  g_autoptr (GPtrArray) tensors = small_tensors (NPU_DTYPE_F32);
  TestTensor *tensor = test_model_find (tensors, QUERY);
  g_autoptr (GBytes) bytes = NULL;
  TestGgmlHeader header;

  tensor->n_dims = 4;
  for (guint i = 0; i < 4; i++)
    tensor->shape[i] = G_MAXINT32;
  test_model_ggml_header (small, NPU_DTYPE_F32, &header);
  bytes = test_model_to_ggml (tensors, &header);
  MODEL_EXPECT_ERROR (bytes, NPU_ERROR_FORMAT, QUERY, "more elements than 64");
}

static void
test_same_name_twice (void)
{
  g_autoptr (GPtrArray) tensors = small_tensors (NPU_DTYPE_F16);
  TestTensor *decoder =
      test_model_find (tensors, "decoder.token_embedding.weight");
  g_autoptr (GBytes) bytes = NULL;
  TestGgmlHeader header;

  g_free (decoder->name);
  decoder->name = g_strdup (QUERY);
  test_model_ggml_header (small, NPU_DTYPE_F16, &header);
  bytes = test_model_to_ggml (tensors, &header);
  MODEL_EXPECT_ERROR (
      bytes, NPU_ERROR_FORMAT, "'" QUERY "'", "two tensors of this name");
}

/* Types kept their numbers as their layout changed. */
static void
test_quantisation_versions (void)
{
  static const struct {
    NpuDtype dtype;
    gint32 oldest;
  } cases[] = {{NPU_DTYPE_Q8_0, 2}, {NPU_DTYPE_Q5_0, 1}, {NPU_DTYPE_Q5_1, 1},
      {NPU_DTYPE_Q4_0, 2}, {NPU_DTYPE_Q4_1, 2}, {NPU_DTYPE_F16, 0}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GPtrArray) tensors = small_tensors (cases[i].dtype);
    TestGgmlHeader header;

    test_model_ggml_header (small, cases[i].dtype, &header);
    for (gint32 version = 0; version < 4; version++) {
      g_autofree char *found =
          g_strdup_printf ("quantisation version %d", version);
      g_autofree char *expected = g_strdup_printf (
          "expected version %s;", cases[i].oldest == 1 ? "1 or 2" : "2");
      g_autoptr (GBytes) bytes = NULL;
      g_autoptr (NpuModel) model = NULL;

      header.ftype = header.ftype % 1000 + 1000 * version;
      bytes = test_model_to_ggml (tensors, &header);
      model = npu_model_open_bytes (bytes, MODEL_EXPECT_FILE, NULL);
      g_assert_cmpint (model != NULL, ==,
          cases[i].dtype == NPU_DTYPE_F16 ||
              (version >= cases[i].oldest && version <= 2));
      if (!model)
        MODEL_EXPECT_ERROR (
            bytes, NPU_ERROR_FORMAT, found, expected, "current whisper.cpp");
    }
  }
}

/* whisper.cpp's own test models have no tensors at all. */
static void
test_no_tensors (void)
{
  g_autoptr (GPtrArray) tensors = g_ptr_array_new ();
  g_autoptr (GBytes) bytes = NULL;
  TestGgmlHeader header;

  test_model_ggml_header (small, NPU_DTYPE_F16, &header);
  bytes = test_model_to_ggml (tensors, &header);
  MODEL_EXPECT_ERROR (bytes, NPU_ERROR_FORMAT,
      "no Whisper encoder among its 0 tensors", "encoder.conv1.weight",
      "model.encoder.conv1.weight");
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  small = small_model_new (80, 64, 1, 0);
  g_test_add_func ("/model/ggml/header", test_header);
  g_test_add_func ("/model/ggml/huge-vocabulary", test_huge_vocabulary);
  g_test_add_func ("/model/ggml/tensor-header", test_tensor_header);
  g_test_add_func ("/model/ggml/dimensions-overflow", test_dimensions_overflow);
  g_test_add_func ("/model/ggml/same-name-twice", test_same_name_twice);
  g_test_add_func (
      "/model/ggml/quantisation-versions", test_quantisation_versions);
  g_test_add_func ("/model/ggml/no-tensors", test_no_tensors);
  result = g_test_run ();
  small_model_free (small);
  return result;
}
