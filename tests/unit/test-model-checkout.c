/* Checkouts of Hugging Face: shards with their index, a folder, config.json.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "model-expect.h"
#include "model-writer.h"
#include "small-model.h"

#define INDEX "model.safetensors.index.json"
#define SHARD_1 "model-00001-of-00002.safetensors"
#define SHARD_2 "model-00002-of-00002.safetensors"

static NpuModel *small; /* width 64, two blocks, a decoder */
static char *folder;    /* emptied after each test */

static char *
in_folder (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

static void
write_text (const char *name, const char *text)
{
  g_autofree char *path = in_folder (name);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

static void
write_tensors (const char *name, const GPtrArray *tensors)
{
  g_autoptr (GBytes) bytes = test_model_to_safetensors (tensors);
  g_autofree char *path = in_folder (name);
  gsize size;
  const char *data = g_bytes_get_data (bytes, &size);

  g_assert_true (g_file_set_contents (path, data, (gssize) size, NULL));
}

static GPtrArray *
small_tensors (void)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *tensors = test_model_tensors (
      small, TEST_MODEL_HUGGING_FACE, NPU_DTYPE_F32, &error);

  g_assert_no_error (error);
  return tensors;
}

/* Two shards and their index, each of half of the tensors. */
static void
write_shards (void)
{
  g_autoptr (GPtrArray) tensors = small_tensors ();
  const guint half = tensors->len / 2;
  GPtrArray *parts[2] = {g_ptr_array_new (), g_ptr_array_new ()};
  g_autoptr (GString) index =
      g_string_new ("{\n  \"metadata\": {\"total_size\": 1e6, \"a\": [true, "
                    "{\"b\": null}]},\n  \"weight_map\": {");

  for (guint i = 0; i < tensors->len; i++) {
    const TestTensor *tensor = g_ptr_array_index (tensors, i);

    g_ptr_array_add (parts[i >= half], (gpointer) tensor);
    g_string_append_printf (index, "%s\n    \"%s\": \"%s\"", i ? "," : "",
        tensor->name, i >= half ? SHARD_2 : SHARD_1);
  }
  g_string_append (index, "\n  }\n}\n");
  write_tensors (SHARD_1, parts[0]);
  write_tensors (SHARD_2, parts[1]);
  write_text (INDEX, index->str);
  g_ptr_array_unref (parts[0]);
  g_ptr_array_unref (parts[1]);
}

static void
empty_folder (void)
{
  GDir *dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = in_folder (name);

    g_unlink (path);
  }
  g_dir_close (dir);
}

static void
expect_small (const char *location)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuModel) model = npu_model_open (location, &error);
  const NpuTensor *actual, *expected = small->blocks[1].fc2_weight;
  const gsize n = npu_tensor_n_elements (expected);
  g_autofree float *x = g_new (float, n), *y = g_new (float, n);

  g_assert_no_error (error);
  g_assert_cmpstr (npu_model_get_location (model), ==, location);
  g_assert_nonnull (npu_model_get_decoder (model, &error));
  g_assert_no_error (error);
  actual = model->blocks[1].fc2_weight;
  g_assert_true (npu_tensor_read (actual, 0, n, x, NULL));
  g_assert_true (npu_tensor_read (expected, 0, n, y, NULL));
  g_assert_cmpmem (x, n * sizeof *x, y, n * sizeof *y);
}

static void
expect_error (const char *location, NpuError code,
    const char *const texts[MODEL_EXPECT_MAX])
{
  g_autoptr (GError) error = NULL;

  g_assert_null (npu_model_open (location, &error));
  model_expect_message (error, code, folder, texts);
}

#define EXPECT_ERROR(location, code, ...)                                      \
  expect_error (                                                               \
      location, code, (const char *const[MODEL_EXPECT_MAX]){__VA_ARGS__})

static void
test_shards (void)
{
  g_autofree char *index = in_folder (INDEX), *shard = in_folder (SHARD_1);

  write_shards ();
  expect_small (index);
  expect_small (folder);
  EXPECT_ERROR (shard, NPU_ERROR_FORMAT, "shards", INDEX);
  empty_folder ();
}

static void
test_folder (void)
{
  g_autoptr (GPtrArray) tensors = small_tensors ();

  write_tensors ("model.safetensors", tensors);
  write_text ("config.json", "{\"model_type\": \"whisper\", \"d_model\": 64, "
                             "\"encoder_attention_heads\": 1, "
                             "\"activation_function\": \"gelu\", "
                             "\"init_std\": -0.02e+1, \"x\": [], \"y\": {}}");
  expect_small (folder);
  empty_folder ();
  EXPECT_ERROR (
      folder, NPU_ERROR_NOT_FOUND, "no model.safetensors", "Hugging Face");
  write_text ("weights.npz", "PK\3\4.............................x.npy");
  EXPECT_ERROR (folder, NPU_ERROR_WRONG_TYPE, "MLX", "model.safetensors");
  empty_folder ();
  write_text ("pytorch_model.bin", "PK\3\4 archive/data.pkl");
  EXPECT_ERROR (folder, NPU_ERROR_WRONG_TYPE, "PyTorch", "model.safetensors");
  empty_folder ();
}

static void
test_shards_that_do_not_fit (void)
{
  g_autofree char *index = in_folder (INDEX), *shard = in_folder (SHARD_2);
  g_autoptr (GPtrArray) none = g_ptr_array_new ();
  g_autoptr (GPtrArray) all = small_tensors ();

  write_shards ();
  write_tensors (SHARD_2, none);
  EXPECT_ERROR (
      index, NPU_ERROR_FORMAT, "says that shard '" SHARD_2 "' has it");
  write_tensors (SHARD_2, all);
  EXPECT_ERROR (index, NPU_ERROR_FORMAT, "two tensors of this name");
  g_unlink (shard);
  EXPECT_ERROR (index, NPU_ERROR_NOT_FOUND, SHARD_2, "no such file");
  empty_folder ();
}

static void
test_bad_index (void)
{
  static const struct {
    const char *text;
    NpuError code;
    const char *found;
  } cases[] = {
      {"{\"a\": 1}", NPU_ERROR_WRONG_TYPE, "no weight_map"},
      {"{\"weight_map\": 1}", NPU_ERROR_FORMAT, "expected '{'"},
      {"{\"weight_map\": {\"a\": \"../x\"}}", NPU_ERROR_FORMAT,
          "not the name of a file beside"},
      {"{\"weight_map\": {\"a\": \"/etc/passwd\"}}", NPU_ERROR_FORMAT,
          "not the name of a file beside"},
      {"{\"weight_map\": {\"a\": \"\\u001b[2J\"}}", NPU_ERROR_FORMAT,
          "not the name of a file beside"},
      {"{\"weight_map\": {\"\\u001b[2J\": \"a\"}}", NPU_ERROR_FORMAT,
          "printable text"},
      {"{\"weight_map\": {\"a\": \"\"}}", NPU_ERROR_FORMAT,
          "not the name of a file beside"},
      {"{\"weight_map\": {\"a\": \"x\", \"a\": \"y\"}}", NPU_ERROR_FORMAT,
          "twice"},
      {"{\"weight_map\": {}", NPU_ERROR_FORMAT, "expected ',' or '}'"},
      {"{\"weight_map\": {}}", NPU_ERROR_FORMAT, "no Whisper encoder"},
      {"{\"a\": 01, \"weight_map\": {}}", NPU_ERROR_FORMAT, "expected"},
      {"{\"a\": nil, \"weight_map\": {}}", NPU_ERROR_FORMAT,
          "expected a value"},
      {"{\"a\": -, \"weight_map\": {}}", NPU_ERROR_FORMAT, "expected a digit"},
      {"{\"a\": [1,], \"weight_map\": {}}", NPU_ERROR_FORMAT,
          "expected a value"},
      {"{\"a\": {\"b\":1,}, \"weight_map\": {}}", NPU_ERROR_FORMAT,
          "expected a string"},
      {"{\"a\": \"\xff\"}", NPU_ERROR_FORMAT, "not UTF-8"},
  };
  g_autofree char *index = in_folder (INDEX);
  g_autoptr (GString) deep = g_string_new ("{\"a\": ");

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    write_text (INDEX, cases[i].text);
    EXPECT_ERROR (index, cases[i].code, cases[i].found);
  }
  for (guint i = 0; i < 100000; i++)
    g_string_append_c (deep, '[');
  write_text (INDEX, deep->str);
  EXPECT_ERROR (index, NPU_ERROR_FORMAT, "nested less deeply");
  empty_folder ();
}

static void
test_config (void)
{
  static const struct {
    const char *text;
    const char *found; /* NULL: it opens */
  } cases[] = {
      {"{\"model_type\":\"whisper\",\"d_model\":128}", "d_model is 128"},
      {"{\"model_type\":\"whisper\",\"encoder_attention_heads\":4}",
          "encoder_attention_heads is 4"},
      {"{\"model_type\":\"whisper\",\"decoder_attention_heads\":2}",
          "decoder_attention_heads is 2"},
      {"{\"model_type\":\"whisper\",\"activation_function\":\"relu\"}",
          "activation_function is 'relu'"},
      {"{\"model_type\":\"whisper\",\"activation_function\":\"\\u001b\"}",
          "activation_function is '(no name)'"},
      {"{\"model_type\":\"whisper\",\"scale_embedding\":true}",
          "scale_embedding is true"},
      {"{\"model_type\":\"whisper\"", "expected ',' or '}'"},
      {"[]", "expected '{'"},
      {"{\"model_type\":\"other\",\"activation_function\":\"relu\"}", NULL},
      {"{\"activation_function\":7}", NULL},
      {"{}", NULL},
  };
  g_autoptr (GPtrArray) tensors = small_tensors ();
  g_autofree char *file = in_folder ("model.safetensors");

  write_tensors ("model.safetensors", tensors);
  expect_small (folder);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    write_text ("config.json", cases[i].text);
    if (cases[i].found)
      EXPECT_ERROR (folder, NPU_ERROR_FORMAT, "config.json", cases[i].found);
    else
      expect_small (folder);
  }
  /* A file's neighbour may be of something else. */
  write_text ("config.json", "{\"model_type\":\"whisper\",\"d_model\":128}");
  expect_small (file);
  write_text ("config.json", "no JSON");
  expect_small (file);
  write_text ("config.json", "{\"model_type\":\"whisper\",\"d_model\":64,"
                             "\"activation_function\":\"relu\"}");
  EXPECT_ERROR (file, NPU_ERROR_FORMAT, "activation_function is 'relu'");
  empty_folder ();
}

/* What "alignment_heads" of @text are, as "layer.head "; (transfer full). */
static char *
get_heads (const char *location, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuModel) model = NULL;
  GString *all = g_string_new (NULL);
  const NpuAlignmentHead *heads;
  guint n;

  write_text ("generation_config.json", text);
  model = npu_model_open (location, &error);
  g_assert_no_error (error);
  heads = npu_model_get_alignment_heads (model, &n);
  g_assert_true ((heads == NULL) == (n == 0));
  for (guint i = 0; i < n; i++)
    g_string_append_printf (all, "%u.%u ", heads[i].layer, heads[i].head);
  return g_string_free (all, FALSE);
}

/* The small model's decoder has 2 layers of 2 heads. */
static void
test_alignment_heads (void)
{
  static const struct {
    const char *text, *heads;
  } cases[] = {
      {"{\"alignment_heads\": [[1, 1], [0, 1]]}", "0.1 1.1 "},
      {"{\"a\": {\"alignment_heads\": [[0,0]]}, \"alignment_heads\":[[1,0],"
       "[1,0]],\"suppress_tokens\":[1,-2.5]}",
          "1.0 "},
      /* those of the model that this one was made of */
      {"{\"alignment_heads\": [[1, 0], [2, 0]]}", ""},
      {"{\"alignment_heads\": [[1, 2]]}", ""},
      {"{\"alignment_heads\": [[1, 0], [1]]}", ""},
      {"{\"alignment_heads\": [[1, 0, 0]]}", ""},
      {"{\"alignment_heads\": [[-1, 0]]}", ""},
      {"{\"alignment_heads\": [1, 0]}", ""},
      {"{\"alignment_heads\": []}", ""},
      {"{\"alignment_heads\": null}", ""},
      {"{}", ""},
  };
  NpuModel *two = small_model_new (80, 128, 1, 0);
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) tensors = NULL;
  g_autofree char *file = in_folder ("model.safetensors");
  g_autofree char *own_name = in_folder ("other.safetensors");

  small_model_add_decoder (two, 2, 40, 16);
  tensors =
      test_model_tensors (two, TEST_MODEL_HUGGING_FACE, NPU_DTYPE_F32, &error);
  g_assert_no_error (error);
  write_tensors ("model.safetensors", tensors);
  write_tensors ("other.safetensors", tensors);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *of_folder = get_heads (folder, cases[i].text);
    g_autofree char *of_file = get_heads (file, cases[i].text);
    g_autofree char *of_own_name = get_heads (own_name, cases[i].text);

    g_assert_cmpstr (of_folder, ==, cases[i].heads);
    g_assert_cmpstr (of_file, ==, cases[i].heads);
    g_assert_cmpstr (of_own_name, ==, "");
  }
  write_text ("generation_config.json", "{\"alignment_heads\": [[0, 1]");
  EXPECT_ERROR (folder, NPU_ERROR_FORMAT, "generation_config.json", "byte");
  empty_folder ();
  small_model_free (two);
}

/* What is there, but cannot be opened, is not taken for missing. */
static void
test_unreadable_configs (void)
{
  static const char *const names[] = {"config.json", "generation_config.json"};
  g_autofree char *file = in_folder ("model.safetensors");
  g_autoptr (GPtrArray) tensors = small_tensors ();

  write_tensors ("model.safetensors", tensors);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = in_folder (names[i]);
    g_autoptr (GError) error = NULL;
    g_autoptr (NpuModel) model = NULL;

    g_assert_no_errno (symlink (names[i], path)); /* in a circle */
    EXPECT_ERROR (folder, NPU_ERROR_OPEN, names[i], "symbolic links");
    /* Of a file nobody knows whose its neighbours are. */
    model = npu_model_open (file, &error);
    g_assert_no_error (error);
    g_assert_no_errno (g_unlink (path));
    g_assert_no_errno (g_mkdir (path, 0700));
    EXPECT_ERROR (folder, NPU_ERROR_OPEN, names[i], "not a regular file");
    g_assert_no_errno (g_rmdir (path));
  }
  empty_folder ();
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("npuenc-test-XXXXXX", NULL);
  small = small_model_new (80, 64, 2, 0);
  small_model_add_decoder (small, 1, 40, 16);
  g_test_add_func ("/model/checkout/shards", test_shards);
  g_test_add_func ("/model/checkout/folder", test_folder);
  g_test_add_func (
      "/model/checkout/shards-that-do-not-fit", test_shards_that_do_not_fit);
  g_test_add_func ("/model/checkout/bad-index", test_bad_index);
  g_test_add_func ("/model/checkout/config", test_config);
  g_test_add_func ("/model/checkout/alignment-heads", test_alignment_heads);
  g_test_add_func (
      "/model/checkout/unreadable-configs", test_unreadable_configs);
  result = g_test_run ();
  small_model_free (small);
  g_rmdir (folder);
  g_free (folder);
  return result;
}
