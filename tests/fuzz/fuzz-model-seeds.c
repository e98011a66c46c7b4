/* Writes the fuzzer's first inputs: the smallest whole models in every format,
 * and the header of a safetensors file without its data.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <string.h>

#include "model-writer.h"
#include "small-model.h"

static const struct {
  const char *name;
  TestModelFormat format;
  NpuDtype dtype;
} seeds[] = {
    {"openai-bf16", TEST_MODEL_OPENAI, NPU_DTYPE_BF16},
    {"hugging-face-f16", TEST_MODEL_HUGGING_FACE, NPU_DTYPE_F16},
    {"ggml-f16", TEST_MODEL_GGML, NPU_DTYPE_F16},
    {"ggml-q8_0", TEST_MODEL_GGML, NPU_DTYPE_Q8_0},
    {"ggml-q5_0", TEST_MODEL_GGML, NPU_DTYPE_Q5_0},
    {"ggml-q5_1", TEST_MODEL_GGML, NPU_DTYPE_Q5_1},
    {"ggml-q4_0", TEST_MODEL_GGML, NPU_DTYPE_Q4_0},
    {"ggml-q4_1", TEST_MODEL_GGML, NPU_DTYPE_Q4_1},
};

static void
write_seed (
    const char *folder, const char *name, gconstpointer data, gsize size)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;

  if (!g_file_set_contents (path, data, (gssize) size, &error))
    g_error ("%s", error->message);
}

int
main (int argc, char **argv)
{
  NpuModel *model = small_model_new (80, 64, 1, 0);

  if (argc != 2)
    g_error ("usage: fuzz-model-seeds FOLDER");
  g_mkdir_with_parents (argv[1], 0755);
  for (guint i = 0; i < G_N_ELEMENTS (seeds); i++) {
    g_autoptr (GBytes) bytes =
        test_model_to_bytes (model, seeds[i].format, seeds[i].dtype);
    gsize size;
    const guint8 *data = g_bytes_get_data (bytes, &size);

    write_seed (argv[1], seeds[i].name, data, size);
    if (seeds[i].format != TEST_MODEL_GGML) {
      g_autofree char *name = g_strconcat (seeds[i].name, "-header", NULL);
      guint64 header_size;

      memcpy (&header_size, data, sizeof header_size);
      write_seed (argv[1], name, data, 8 + GUINT64_FROM_LE (header_size));
    }
  }
  small_model_free (model);
  return 0;
}
