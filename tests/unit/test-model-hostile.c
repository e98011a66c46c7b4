/* No damage to a model's file makes the reader crash, read outside of the
 * file, or take it for a good one. Best run with AddressSanitizer.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "model-writer.h"
#include "model/model-private.h"
#include "small-model.h"

static const struct {
  const char *name;
  TestModelFormat format;
  NpuDtype dtype;
} files[] = {
    {"safetensors", TEST_MODEL_OPENAI, NPU_DTYPE_BF16},
    {"ggml", TEST_MODEL_GGML, NPU_DTYPE_Q4_0},
};

static NpuModel *small; /* width 64, one block */

/* A file's bytes and the places in it that are not weights. */
typedef struct {
  guint8 *data;
  gsize size;
  GArray *places; /* of gsize */
} File;

static void
file_clear (File *file)
{
  g_free (file->data);
  g_array_unref (file->places);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (File, file_clear)

static void
file_init (File *file, guint index)
{
  g_autoptr (GBytes) bytes =
      test_model_to_bytes (small, files[index].format, files[index].dtype);
  const NpuTensor *first = NULL;
  g_autoptr (NpuModel) model = npu_model_open_bytes (bytes, "good.bin", NULL);
  const NpuTensor *const *fields = (const NpuTensor *const *) model->blocks;

  file->size = g_bytes_get_size (bytes);
  file->data = g_memdup2 (g_bytes_get_data (bytes, NULL), file->size);
  file->places = g_array_new (FALSE, FALSE, sizeof (gsize));

  first = model->positional_embedding;
  for (gsize i = 0; i < first->offset; i++) {
    /* A ggml file's mel filters are of no interest. */
    if (i < 64 || i + 200 > first->offset ||
        files[index].format != TEST_MODEL_GGML)
      g_array_append_val (file->places, i);
  }
  /* What lies before each tensor's data. */
  for (guint t = 0; t < sizeof (NpuModelBlock) / sizeof *fields; t++) {
    for (gsize i = fields[t]->offset - 60; i < fields[t]->offset; i++)
      g_array_append_val (file->places, i);
  }
}

/* A model that opens can be read, or says what is wrong with it. */
static void
read_model (const NpuModel *model)
{
  const NpuTensor *const *fields = (const NpuTensor *const *) model->blocks;
  const gsize n_fields =
      model->n_layers * sizeof (NpuModelBlock) / sizeof *fields;

  for (gsize t = 0; t < n_fields; t++) {
    const gsize n = npu_tensor_n_elements (fields[t]);
    g_autofree float *values = g_new (float, n);
    g_autoptr (GError) error = NULL;

    if (npu_tensor_read (fields[t], 0, n, values, &error)) {
      for (gsize i = 0; i < n; i++)
        g_assert_true (isfinite (values[i]));
    } else {
      g_assert_error (error, NPU_ERROR, NPU_ERROR_FORMAT);
    }
  }
}

/* Whether @data[size] opens; if not, the error is one of the two for content
 * and its message is text. */
static gboolean
try_open (const guint8 *data, gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuModel) model = npu_model_open_bytes (bytes, "bad.bin", &error);

  if (model) {
    g_assert_no_error (error);
    read_model (model);
    return TRUE;
  }
  g_assert_true (g_error_matches (error, NPU_ERROR, NPU_ERROR_FORMAT) ||
                 g_error_matches (error, NPU_ERROR, NPU_ERROR_WRONG_TYPE));
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_true (g_str_has_prefix (error->message, "bad.bin: "));
  return FALSE;
}

/* In a block of its own, where a sanitizer sees the first byte beyond. */
static gboolean
try_open_exactly (const guint8 *data, gsize size)
{
  g_autofree guint8 *copy = size ? g_memdup2 (data, size) : NULL;

  return try_open (copy, size);
}

static void
test_truncated_anywhere (void)
{
  for (guint f = 0; f < G_N_ELEMENTS (files); f++) {
    g_auto (File) file = {0};
    guint n = 0;

    file_init (&file, f);
    g_assert_true (try_open_exactly (file.data, file.size));
    /* Every length; where that is slow, each of the header and some of data. */
    for (gsize size = 0; size < file.size;
         size += size < 4096 || g_test_slow () ? 1 : 61)
      g_assert_false (try_open (file.data, size));
    for (guint i = 0; i < file.places->len; i++, n++)
      g_assert_false (
          try_open_exactly (file.data, g_array_index (file.places, gsize, i)));
    g_test_message ("%s: %" G_GSIZE_FORMAT " lengths, %u of them exactly",
        files[f].name, file.size, n);
  }
}

static void
test_trailing_bytes (void)
{
  for (guint f = 0; f < G_N_ELEMENTS (files); f++) {
    g_auto (File) file = {0};

    file_init (&file, f);
    for (gsize extra = 1; extra < 40; extra++) {
      g_autofree guint8 *longer = g_malloc0 (file.size + extra);

      memcpy (longer, file.data, file.size);
      g_assert_false (try_open (longer, file.size + extra));
    }
  }
}

/* Values that numbers in headers are likely to be mishandled at. */
static guint8
interesting_byte (GRand *rand)
{
  static const guint8 bytes[] = {0, 1, 0x7f, 0x80, 0xff, '"', '\\', '{', '}',
      '[', ']', ',', ':', '0', '9', ' ', '\n'};

  return g_rand_boolean (rand)
             ? bytes[g_rand_int_range (rand, 0, G_N_ELEMENTS (bytes))]
             : (guint8) g_rand_int_range (rand, 0, 256);
}

static void
test_changed_bytes (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);

  for (guint f = 0; f < G_N_ELEMENTS (files); f++) {
    g_auto (File) file = {0};
    guint opened = 0;
    const guint n_rounds = g_test_slow () ? 6000 : 2000;

    file_init (&file, f);
    for (guint round = 0; round < n_rounds; round++) {
      const guint n = (guint) g_rand_int_range (rand, 1, 5);
      gsize places[4];
      guint8 saved[4];

      for (guint i = 0; i < n; i++) {
        places[i] = g_array_index (file.places, gsize,
            g_rand_int_range (rand, 0, (gint) file.places->len));
        saved[i] = file.data[places[i]];
        file.data[places[i]] = interesting_byte (rand);
      }
      opened += try_open (file.data, file.size);
      for (guint i = n; i > 0; i--)
        file.data[places[i - 1]] = saved[i - 1];
    }
    g_test_message (
        "%s: %u of %u changed files opened", files[f].name, opened, n_rounds);
    g_assert_true (try_open (file.data, file.size));
    g_assert_cmpuint (opened, <, n_rounds / 2);
  }
}

/* What follows moves, so that sizes and offsets no longer fit. */
static void
test_removed_and_added_bytes (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (4);

  for (guint f = 0; f < G_N_ELEMENTS (files); f++) {
    g_auto (File) file = {0};

    file_init (&file, f);
    for (guint round = 0; round < 300; round++) {
      const gsize at = g_array_index (file.places, gsize,
          g_rand_int_range (rand, 0, (gint) file.places->len));
      const gsize n = (gsize) g_rand_int_range (rand, 1, 9);
      const gsize kept = MIN (at + n, file.size);
      g_autofree guint8 *shorter = g_malloc (file.size);
      g_autofree guint8 *longer = g_malloc (file.size + n);

      memcpy (shorter, file.data, at);
      memcpy (shorter + at, file.data + kept, file.size - kept);
      g_assert_false (try_open_exactly (shorter, file.size - (kept - at)));
      memcpy (longer, file.data, at);
      for (gsize i = 0; i < n; i++)
        longer[at + i] = interesting_byte (rand);
      memcpy (longer + at + n, file.data + at, file.size - at);
      g_assert_false (try_open (longer, file.size + n));
    }
  }
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  small = small_model_new (80, 64, 1, 0);
  g_test_add_func (
      "/model/hostile/truncated-anywhere", test_truncated_anywhere);
  g_test_add_func ("/model/hostile/trailing-bytes", test_trailing_bytes);
  g_test_add_func ("/model/hostile/changed-bytes", test_changed_bytes);
  g_test_add_func (
      "/model/hostile/removed-and-added-bytes", test_removed_and_added_bytes);
  result = g_test_run ();
  small_model_free (small);
  return result;
}
