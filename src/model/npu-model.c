/* Opens models: maps the file, tells its format by content, hands it to a
 * reader and resolves the encoder's tensors.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYNTHETIC_PREFIX "synthetic:"

typedef struct {
  GBytes *bytes; /* the mapping, or NULL */
  NpuTensorTable *table;
  GArray *generators; /* of NpuGenerator, or NULL */
} Private;

static NpuModel *
model_new (const char *file)
{
  NpuModel *model = g_new0 (NpuModel, 1);
  Private *priv = g_new0 (Private, 1);

  priv->table = npu_tensor_table_new (file);
  model->priv = priv;
  return model;
}

void
npu_model_free (NpuModel *model)
{
  Private *priv;

  if (!model)
    return;
  priv = model->priv;
  npu_tensor_table_free (priv->table);
  g_clear_pointer (&priv->generators, g_array_unref);
  g_clear_pointer (&priv->bytes, g_bytes_unref);
  g_free (priv);
  g_free (model->blocks);
  g_free (model->name);
  g_free (model);
}

/* --- telling formats ---------------------------------------------------- */

typedef enum {
  FORMAT_UNKNOWN,
  FORMAT_SAFETENSORS,
  FORMAT_GGML,
} Format;

#define USE_SAFETENSORS                                                        \
  "use the model.safetensors of the same model on Hugging Face"

/* Files that people try, and what to do about each. */
static const struct {
  const char *magic;
  gsize length;
  const char *what, *remedy;
} foreign_formats[] = {
    {"PK\3\4", 4, "a zip archive, as PyTorch checkpoints (.pt, .bin) are",
        USE_SAFETENSORS ", or convert it with whisper.cpp's "
                        "convert-pt-to-ggml.py"},
    {"\x80\x02", 2, "a Python pickle, as old PyTorch checkpoints are",
        USE_SAFETENSORS},
    {"GGUF", 4, "a GGUF file",
        "use whisper.cpp's own ggml-SIZE.bin or " //
        "a safetensors file"},
    {"ggml", 4, "a big-endian ggml file", "use a little-endian one"},
    {"version https://git-lfs", 23, "a Git LFS pointer, not the model itself",
        "run 'git lfs pull' where it lies"},
    {"<", 1, "a web page or XML", "download the model itself"},
    {"\x89HDF", 4, "an HDF5 file", USE_SAFETENSORS},
    {"RIFF", 4, "a RIFF file, such as WAV audio", "give a model here"},
};

static Format
tell_format (const guint8 *data, gsize size)
{
  if (size >= 4 && memcmp (data, "lmgg", 4) == 0)
    return FORMAT_GGML; /* 0x67676d6c, little-endian */
  if (size >= 9 && data[8] == '{')
    return FORMAT_SAFETENSORS;
  return FORMAT_UNKNOWN;
}

static gboolean
fail_unknown_format (
    const guint8 *data, gsize size, const char *file, GError **error)
{
  const char *what = size == 0 ? "an empty file" : "not a known model file";
  const char *remedy = size == 0 ? "download it again" : USE_SAFETENSORS;

  for (guint i = 0; i < G_N_ELEMENTS (foreign_formats); i++) {
    if (size >= foreign_formats[i].length &&
        memcmp (data, foreign_formats[i].magic, foreign_formats[i].length) ==
            0) {
      what = foreign_formats[i].what;
      remedy = foreign_formats[i].remedy;
      break;
    }
  }
  return npu_model_fail (error, NPU_ERROR_WRONG_TYPE, file, NULL, NPU_NO_OFFSET,
      "this is %s (%" G_GSIZE_FORMAT " bytes); expected a Whisper model as "
      "safetensors or whisper.cpp's ggml .bin: %s",
      what, size, remedy);
}

/* --- reading ------------------------------------------------------------ */

/* What the header of a ggml file says must be what its tensors are. */
static gboolean
check_ggml_header (const NpuModel *model, const NpuGgmlHeader *header,
    const char *file, GError **error)
{
  if (header->d == model->d && header->n_heads == model->n_heads &&
      header->n_layers == model->n_layers && header->n_mels == model->n_mels)
    return TRUE;
  return npu_model_fail (error, NPU_ERROR_FORMAT, file, NULL, 4,
      "the header says width %u, %u heads, %u layers, %u mel bands, but the "
      "tensors are of width %u, %u heads, %u layers, %u mel bands; the file "
      "is damaged",
      header->d, header->n_heads, header->n_layers, header->n_mels, model->d,
      model->n_heads, model->n_layers, model->n_mels);
}

static gboolean
read_bytes (NpuModel *model, const char *file, GError **error)
{
  Private *priv = model->priv;
  NpuGgmlHeader header;
  gsize size;
  const guint8 *data = g_bytes_get_data (priv->bytes, &size);

  switch (tell_format (data, size)) {
    case FORMAT_SAFETENSORS:
      return npu_safetensors_read (priv->table, data, size, error) &&
             npu_model_resolve (model, priv->table, error);
    case FORMAT_GGML:
      return npu_ggml_read (priv->table, data, size, &header, error) &&
             npu_model_resolve (model, priv->table, error) &&
             check_ggml_header (model, &header, file, error);
    default:
      return fail_unknown_format (data, size, file, error);
  }
}

static NpuModel *
open_bytes (GBytes *bytes, gboolean is_mapped, const char *file, GError **error)
{
  g_autoptr (NpuModel) model = model_new (file);
  Private *priv = model->priv;

  priv->bytes = g_bytes_ref (bytes);
  priv->table->is_mapped = is_mapped;
  model->name = g_path_get_basename (file);
  if (!read_bytes (model, file, error))
    return NULL;
  return g_steal_pointer (&model);
}

NpuModel *
npu_model_open_bytes (GBytes *bytes, const char *file, GError **error)
{
  return open_bytes (bytes, FALSE, file, error);
}

static NpuModel *
open_synthetic (const char *location, GError **error)
{
  g_autofree char *file = g_utf8_make_valid (location, -1);
  g_autoptr (NpuModel) model = model_new (file);
  Private *priv = model->priv;

  model->synthetic = TRUE;
  model->name = g_strdup (file);
  if (!npu_synthetic_read (priv->table, file + strlen (SYNTHETIC_PREFIX),
          &priv->generators, error) ||
      !npu_model_resolve (model, priv->table, error))
    return NULL;
  return g_steal_pointer (&model);
}

/* --- files -------------------------------------------------------------- */

static gboolean
fail_open (const char *file, int code, GError **error)
{
  if (code == ENOENT || code == ENOTDIR)
    return npu_model_fail (error, NPU_ERROR_NOT_FOUND, file, NULL,
        NPU_NO_OFFSET, "there is no such file; check the path of the model");
  return npu_model_fail (error, NPU_ERROR_OPEN, file, NULL, NPU_NO_OFFSET,
      "the model cannot be opened: %s; check its permissions and those of its "
      "folders",
      g_strerror (code));
}

/* Only of regular files: opening a FIFO would wait for a writer, and a
 * directory or device has nothing to map. */
static GBytes *
map_file (const char *path, const char *file, GError **error)
{
  g_autoptr (GMappedFile) mapped = NULL;
  g_autoptr (GError) map_error = NULL;
  struct stat status;
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

  if (fd < 0) {
    fail_open (file, errno, error);
    return NULL;
  }
  if (fstat (fd, &status) != 0 || !S_ISREG (status.st_mode)) {
    close (fd);
    npu_model_fail (error, NPU_ERROR_OPEN, file, NULL, NPU_NO_OFFSET,
        "this is not a regular file; give the path of the model's file itself");
    return NULL;
  }
  mapped = g_mapped_file_new_from_fd (fd, FALSE, &map_error);
  close (fd);
  if (!mapped) {
    npu_model_fail (error, NPU_ERROR_OPEN, file, NULL, NPU_NO_OFFSET,
        "the model cannot be mapped into memory: %s", map_error->message);
    return NULL;
  }
  return g_mapped_file_get_bytes (mapped);
}

NpuModel *
npu_model_open (const char *location, GError **error)
{
  g_autofree char *file = NULL;
  g_autoptr (GBytes) bytes = NULL;
  NpuModel *model;
  const guint8 *data;
  gsize size;

  g_return_val_if_fail (location != NULL, NULL);
  if (g_str_has_prefix (location, SYNTHETIC_PREFIX))
    return open_synthetic (location, error);

  file =
      *location ? g_filename_display_name (location) : g_strdup ("(no path)");
  bytes = map_file (location, file, error);
  if (!bytes)
    return NULL;
  model = open_bytes (bytes, TRUE, file, error);
  /* With each header of a tensor came pages of its data. */
  data = g_bytes_get_data (bytes, &size);
  if (model && size > 0)
    npu_drop_pages (data, size);
  return model;
}
