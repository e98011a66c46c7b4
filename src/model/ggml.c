/* Reader of whisper.cpp's ggml files (models/convert-pt-to-ggml.py and
 * src/whisper.cpp, whisper_model_load): a header, mel filters and a vocabulary
 * that an encoder does not need, then tensors until the end, each a small
 * header, its name and its data, with no alignment. All integers are int32.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-private.h"

#include <string.h>

/* GGML_QNT_VERSION; a file's ftype is 1000 times that plus a type. */
#define QUANTISATION_VERSION 2

typedef struct {
  NpuTensorTable *table;
  const guint8 *data;
  gsize size, at;
  guint quantisation_version;
} Reader;

/* The types of GGML_TYPE_* in ggml.h that whisper.cpp writes. */
static const struct {
  gint32 type;
  NpuDtype dtype;
} types[] = {
    {0, NPU_DTYPE_F32},
    {1, NPU_DTYPE_F16},
    {2, NPU_DTYPE_Q4_0},
    {3, NPU_DTYPE_Q4_1},
    {6, NPU_DTYPE_Q5_0},
    {7, NPU_DTYPE_Q5_1},
    {8, NPU_DTYPE_Q8_0},
    {30, NPU_DTYPE_BF16},
};

static gboolean
fail_truncated (const Reader *reader, const char *tensor, guint64 needed,
    const char *what, GError **error)
{
  return npu_model_fail (error, NPU_ERROR_FORMAT, reader->table->file, tensor,
      reader->at,
      "%s needs %" G_GUINT64_FORMAT " bytes, but the file has only "
      "%" G_GSIZE_FORMAT " more; it is truncated, download it again",
      what, needed, reader->size - reader->at);
}

/* Steps over @n bytes; *@bytes is their first. */
static gboolean
take (Reader *reader, guint64 n, const guint8 **bytes, const char *tensor,
    const char *what, GError **error)
{
  if (n > reader->size - reader->at)
    return fail_truncated (reader, tensor, n, what, error);
  if (bytes)
    *bytes = reader->data + reader->at;
  reader->at += n;
  return TRUE;
}

static gboolean
take_int (Reader *reader, gint32 *value, const char *what, GError **error)
{
  const guint8 *bytes = NULL;

  if (!take (reader, sizeof *value, &bytes, NULL, what, error))
    return FALSE;
  memcpy (value, bytes, sizeof *value);
  *value = GINT32_FROM_LE (*value);
  return TRUE;
}

/* An int that must be in [min, max]. */
static gboolean
take_int_in (Reader *reader, gint32 min, gint32 max, gint32 *value,
    const char *what, GError **error)
{
  const gsize offset = reader->at;

  if (!take_int (reader, value, what, error))
    return FALSE;
  if (*value < min || *value > max) {
    g_autofree char *range = min == max
                                 ? g_strdup_printf ("%d", min)
                                 : g_strdup_printf ("%d to %d", min, max);

    return npu_model_fail (error, NPU_ERROR_FORMAT, reader->table->file, NULL,
        offset,
        "%s is %d, expected %s; the file is damaged or not a Whisper model",
        what, *value, range);
  }
  return TRUE;
}

static gboolean
read_header (Reader *reader, NpuGgmlHeader *header, GError **error)
{
  /* What an encoder does not need may be anything. */
  enum { ANY_MIN = G_MININT32, ANY_MAX = G_MAXINT32 };
  static const struct {
    const char *name;
    gint32 min, max;
  } fields[11] = {
      {"n_vocab", ANY_MIN, ANY_MAX},
      {"n_audio_ctx", NPU_MODEL_POSITIONS, NPU_MODEL_POSITIONS},
      {"n_audio_state", 64, NPU_MODEL_MAX_D},
      {"n_audio_head", 1, NPU_MODEL_MAX_D / 64},
      {"n_audio_layer", 1, NPU_MODEL_MAX_LAYERS},
      {"n_text_ctx", ANY_MIN, ANY_MAX},
      {"n_text_state", ANY_MIN, ANY_MAX},
      {"n_text_head", ANY_MIN, ANY_MAX},
      {"n_text_layer", ANY_MIN, ANY_MAX},
      {"n_mels", 80, 128},
      {"ftype", 0, ANY_MAX},
  };
  gint32 values[11];

  for (guint i = 0; i < G_N_ELEMENTS (fields); i++) {
    if (!take_int_in (reader, fields[i].min, fields[i].max, &values[i],
            fields[i].name, error))
      return FALSE;
  }
  header->n_positions = values[1];
  header->d = values[2];
  header->n_heads = values[3];
  header->n_layers = values[4];
  header->n_mels = values[9];
  reader->quantisation_version = values[10] / 1000;
  return TRUE;
}

/* n_mel x n_fft floats, and a count of words, each a length and bytes. */
static gboolean
skip_filters_and_vocabulary (Reader *reader, GError **error)
{
  gint32 n_mel, n_fft, n_words, length;

  if (!take_int_in (
          reader, 0, G_MAXINT32, &n_mel, "n_mel of the mel filters", error) ||
      !take_int_in (
          reader, 0, G_MAXINT32, &n_fft, "n_fft of the mel filters", error))
    return FALSE;
  /* 2^31 * 2^31 * 4 fits 64 bits. */
  if (!take (reader, (guint64) n_mel * (guint64) n_fft * 4, NULL, NULL,
          "the table of mel filters", error) ||
      !take_int_in (
          reader, 0, G_MAXINT32, &n_words, "the size of the vocabulary", error))
    return FALSE;
  for (gint32 i = 0; i < n_words; i++) {
    if (!take_int_in (reader, 0, G_MAXINT32, &length,
            "the length of a word in the vocabulary", error) ||
        !take (reader, (guint64) length, NULL, NULL, "a word in the vocabulary",
            error))
      return FALSE;
  }
  return TRUE;
}

/* Version 1 of the block types reordered their nibbles, version 2 made the
 * scales of all but Q5 halves, each under the same type number. */
static gboolean
check_quantisation (const Reader *reader, const NpuTableEntry *entry,
    guint64 offset, GError **error)
{
  const NpuDtype dtype = entry->tensor.dtype;
  const guint oldest =
      dtype == NPU_DTYPE_Q5_0 || dtype == NPU_DTYPE_Q5_1 ? 1 : 2;

  if (npu_dtype_block (dtype) == 1 ||
      (reader->quantisation_version >= oldest &&
          reader->quantisation_version <= QUANTISATION_VERSION))
    return TRUE;
  return npu_model_fail (error, NPU_ERROR_FORMAT, reader->table->file,
      entry->tensor.name, offset,
      "its type is %s of quantisation version %u, expected version %s; "
      "quantise the model with a current whisper.cpp",
      npu_dtype_name (dtype), reader->quantisation_version,
      oldest == 1 ? "1 or 2" : "2");
}

static gboolean
set_dtype (const Reader *reader, NpuTableEntry *entry, gint32 type,
    guint64 offset, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    if (types[i].type == type) {
      entry->tensor.dtype = types[i].dtype;
      return check_quantisation (reader, entry, offset, error);
    }
  }
  /* Of a type unknown to us not even the size is known: the tensors after it
   * cannot be found. */
  return npu_model_fail (error, NPU_ERROR_FORMAT, reader->table->file,
      entry->tensor.name, offset,
      "its type is ggml's number %d, expected f32, f16, bf16, q8_0, q5_0, "
      "q5_1, q4_0 or q4_1; quantise the model to one of them",
      type);
}

/* int n_dims, name length, type; int dims, innermost first; name; data. */
static gboolean
read_tensor (Reader *reader, GError **error)
{
  const gsize offset = reader->at;
  gint32 n_dims, length, type, dims[4];
  guint64 name_offset, n, size;
  const guint8 *name = NULL;
  NpuTableEntry *entry;
  NpuTensor *tensor;

  if (!take_int_in (reader, 1, 4, &n_dims,
          "the number of dimensions of a tensor", error) ||
      !take_int_in (reader, 1, NPU_MODEL_MAX_NAME, &length,
          "the length of a tensor's name", error) ||
      !take_int (reader, &type, "the type of a tensor", error))
    return FALSE;
  for (gint32 i = 0; i < n_dims; i++) {
    if (!take_int_in (
            reader, 0, G_MAXINT32, &dims[i], "a dimension of a tensor", error))
      return FALSE;
  }
  name_offset = reader->at;
  if (!take (reader, (guint64) length, &name, NULL, "a tensor's name", error))
    return FALSE;
  entry = npu_tensor_table_add (
      reader->table, (const char *) name, (gsize) length, name_offset, error);
  if (!entry || !set_dtype (reader, entry, type, offset + 8, error))
    return FALSE;

  tensor = &entry->tensor;
  tensor->n_dims = (guint) n_dims;
  for (gint32 i = 0; i < n_dims; i++)
    tensor->shape[i] = (guint64) dims[n_dims - 1 - i];
  tensor->offset = reader->at;
  if (!npu_shape_product (tensor->shape, tensor->n_dims, &n) ||
      !npu_dtype_size (tensor->dtype, n, &size))
    size = G_MAXUINT64;
  if (!npu_tensor_table_check_size (reader->table, entry, size, error) ||
      !take (reader, size, &tensor->data, tensor->name, "its data", error))
    return FALSE;
  tensor->size = size;
  return TRUE;
}

gboolean
npu_ggml_read (NpuTensorTable *table, const guint8 *data, gsize size,
    NpuGgmlHeader *header, GError **error)
{
  Reader reader = {.table = table, .data = data, .size = size};

  reader.at = 4; /* the magic number */
  if (!read_header (&reader, header, error) ||
      !skip_filters_and_vocabulary (&reader, error))
    return FALSE;
  while (reader.at < size) {
    if (!read_tensor (&reader, error))
      return FALSE;
  }
  return TRUE;
}
