/* Reader of whisper.cpp's ggml files (models/convert-pt-to-ggml.py and
 * src/whisper.cpp, whisper_model_load): a header, mel filters and a
 * vocabulary, then tensors until the end, each a small header, its name and
 * its data, with no alignment. All integers are int32.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "tensors-private.h"

/* GGML_QNT_VERSION; a file's ftype is 1000 times that plus a type. */
#define QUANTISATION_VERSION 2

#define FILTER_BINS 201 /* of the Fourier transform of 400 samples */
#define MAX_FILTERS 1024
#define MAX_WORDS (1 << 18) /* five times what a vocabulary has */
#define MAX_WORD 4096       /* bytes; the longest have 128 */
#define MAX_WORDS_SIZE (16 << 20)
#define WINDOW 4096 /* bytes of the file that are read at once */

typedef struct {
  NpuTensorTable *table;
  NpuTensorFile *file;
  const char *name; /* of the file, for messages */
  guint64 size, at;
  guint quantisation_version;

  /* Bytes [window_at, window_at + n_window) of the file. */
  guint8 *window; /* [WINDOW] */
  guint64 window_at;
  gsize n_window;
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
    {10, NPU_DTYPE_Q2_K},
    {11, NPU_DTYPE_Q3_K},
    {12, NPU_DTYPE_Q4_K},
    {13, NPU_DTYPE_Q5_K},
    {14, NPU_DTYPE_Q6_K},
    {30, NPU_DTYPE_BF16},
};

static gboolean
fail_truncated (const Reader *reader, const char *tensor, guint64 needed,
    const char *what, GError **error)
{
  return npu_file_fail (error, NPU_ERROR_FORMAT, reader->name, tensor,
      reader->at,
      "%s needs %" G_GUINT64_FORMAT
      " bytes, but the file has only %" G_GUINT64_FORMAT
      " more; it is truncated, download it again",
      what, needed, reader->size - reader->at);
}

/* Steps over @n bytes. */
static gboolean
skip (Reader *reader, guint64 n, const char *tensor, const char *what,
    GError **error)
{
  if (n > reader->size - reader->at)
    return fail_truncated (reader, tensor, n, what, error);
  reader->at += n;
  return TRUE;
}

/* Copies @n bytes and steps over them. */
static gboolean
take (Reader *reader, gsize n, gpointer out, const char *what, GError **error)
{
  const guint64 at = reader->at;

  if (!skip (reader, n, NULL, what, error))
    return FALSE;
  if (n > WINDOW)
    return npu_tensor_file_read (reader->file, at, n, out, NULL, error);
  if (at < reader->window_at || at + n > reader->window_at + reader->n_window) {
    const gsize n_window = MIN (WINDOW, reader->size - at);

    reader->n_window = 0;
    if (!npu_tensor_file_read (
            reader->file, at, n_window, reader->window, NULL, error))
      return FALSE;
    reader->window_at = at;
    reader->n_window = n_window;
  }
  memcpy (out, reader->window + (at - reader->window_at), n);
  return TRUE;
}

static gboolean
take_int (Reader *reader, gint32 *value, const char *what, GError **error)
{
  if (!take (reader, sizeof *value, value, what, error))
    return FALSE;
  *value = GINT32_FROM_LE (*value);
  return TRUE;
}

/* An int that must be in [min, max]. */
static gboolean
take_int_in (Reader *reader, gint32 min, gint32 max, gint32 *value,
    const char *what, GError **error)
{
  const guint64 offset = reader->at;

  if (!take_int (reader, value, what, error))
    return FALSE;
  if (*value < min || *value > max) {
    g_autofree char *range = min == max
                                 ? g_strdup_printf ("%d", min)
                                 : g_strdup_printf ("%d to %d", min, max);

    return npu_file_fail (error, NPU_ERROR_FORMAT, reader->name, NULL, offset,
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
      {"n_audio_ctx", 1, NPU_MODEL_POSITIONS},
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
  header->n_vocab = values[0];
  header->n_positions = (guint) values[1];
  header->d = (guint) values[2];
  header->n_heads = (guint) values[3];
  header->n_layers = (guint) values[4];
  header->n_text_positions = values[5];
  header->text_d = values[6];
  header->n_text_heads = values[7];
  header->n_text_layers = values[8];
  header->n_mels = (guint) values[9];
  reader->quantisation_version = (guint) values[10] / 1000;
  return TRUE;
}

/* From little-endian floats to the machine's, in place; the first that is not
 * finite, or @n. */
static gsize
find_not_finite (float *values, gsize n)
{
  guint32 bad = 0;

  for (gsize i = 0; i < n; i++) {
    guint32 bits;

    memcpy (&bits, &values[i], sizeof bits);
    bits = GUINT32_FROM_LE (bits);
    /* The exponent's carry. */
    bad |= (bits & 0x7f800000) + 0x00800000;
    memcpy (&values[i], &bits, sizeof bits);
  }
  if (!(bad & 0x80000000))
    return n;
  for (gsize i = 0; i < n; i++) {
    if (!isfinite (values[i]))
      return i;
  }
  return n;
}

/* n_mel x n_fft floats; those of another transform than Whisper's are of no
 * use. */
static gboolean
read_filters (Reader *reader, NpuGgmlHeader *header, GError **error)
{
  const guint64 offset = reader->at + 8;
  gint32 n_mel, n_fft;
  gsize n, bad;

  if (!take_int_in (
          reader, 0, MAX_FILTERS, &n_mel, "n_mel of the mel filters", error) ||
      !take_int_in (
          reader, 0, MAX_FILTERS, &n_fft, "n_fft of the mel filters", error))
    return FALSE;
  n = (gsize) n_mel * (gsize) n_fft;
  if (n_fft != FILTER_BINS || n == 0)
    return skip (
        reader, n * sizeof (float), NULL, "the table of mel filters", error);
  if (n * sizeof (float) > reader->size - reader->at)
    return fail_truncated (
        reader, NULL, n * sizeof (float), "the table of mel filters", error);
  header->filters = g_new (float, n);
  header->n_filters = (guint) n_mel;
  if (!take (reader, n * sizeof (float), header->filters,
          "the table of mel filters", error))
    return FALSE;
  bad = find_not_finite (header->filters, n);
  return bad == n ||
         npu_file_fail (error, NPU_ERROR_FORMAT, reader->name, NULL,
             offset + bad * sizeof (float),
             "a mel filter is not a finite number; the file is damaged");
}

static gboolean
read_word (
    Reader *reader, NpuGgmlHeader *header, GByteArray *words, GError **error)
{
  const guint64 offset = reader->at;
  const guint n = words->len;
  gint32 length;

  if (!take_int_in (reader, 0, MAX_WORD, &length,
          "the length of a word in the vocabulary", error))
    return FALSE;
  if (n + (guint) length > MAX_WORDS_SIZE)
    return npu_file_fail (error, NPU_ERROR_FORMAT, reader->name, NULL, offset,
        "the words of the vocabulary have more than %d bytes; the file is damaged or not a Whisper model",
        MAX_WORDS_SIZE);
  g_byte_array_set_size (words, n + (guint) length);
  if (length > 0 && !take (reader, (gsize) length, words->data + n,
                        "a word in the vocabulary", error))
    return FALSE;
  header->word_ends[header->n_words++] = words->len;
  return TRUE;
}

/* A count of words, each a length and bytes. */
static gboolean
read_vocabulary (Reader *reader, NpuGgmlHeader *header, GError **error)
{
  GByteArray *words;
  gint32 n_words;
  gboolean good = TRUE;

  if (!take_int_in (
          reader, 0, MAX_WORDS, &n_words, "the size of the vocabulary", error))
    return FALSE;
  /* Each has a length at least. */
  if ((guint64) n_words * 4 > reader->size - reader->at)
    return fail_truncated (reader, NULL, (guint64) n_words * 4,
        "what is in the vocabulary", error);
  header->word_ends = g_new (guint32, n_words);
  words = g_byte_array_new ();
  for (gint32 i = 0; i < n_words && good; i++)
    good = read_word (reader, header, words, error);
  header->words = g_byte_array_free (words, FALSE);
  return good;
}

void
npu_ggml_header_clear (NpuGgmlHeader *header)
{
  g_clear_pointer (&header->filters, g_free);
  g_clear_pointer (&header->words, g_free);
  g_clear_pointer (&header->word_ends, g_free);
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
  return npu_file_fail (error, NPU_ERROR_FORMAT, reader->name,
      entry->tensor.name, offset,
      "its type is %s of quantisation version %u, expected version %s; quantise the model with a current whisper.cpp",
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
  return npu_file_fail (error, NPU_ERROR_FORMAT, reader->name,
      entry->tensor.name, offset,
      "its type is ggml's number %d, expected f32, f16, bf16, q8_0, q5_0, q5_1, q4_0, q4_1 or q2_K to q6_K; quantise the model to one of them",
      type);
}

/* int n_dims, name length, type; int dims, innermost first; name. */
static NpuTableEntry *
read_tensor_header (Reader *reader, GError **error)
{
  const guint64 offset = reader->at;
  gint32 n_dims, length, type, dims[4];
  char name[NPU_MODEL_MAX_NAME];
  guint64 name_offset;
  NpuTableEntry *entry;

  if (!take_int_in (reader, 1, 4, &n_dims,
          "the number of dimensions of a tensor", error) ||
      !take_int_in (reader, 1, NPU_MODEL_MAX_NAME, &length,
          "the length of a tensor's name", error) ||
      !take_int (reader, &type, "the type of a tensor", error))
    return NULL;
  for (gint32 i = 0; i < n_dims; i++) {
    if (!take_int_in (
            reader, 0, G_MAXINT32, &dims[i], "a dimension of a tensor", error))
      return NULL;
  }
  name_offset = reader->at;
  if (!take (reader, (gsize) length, name, "a tensor's name", error))
    return NULL;
  entry = npu_tensor_table_add (
      reader->table, reader->file, name, (gsize) length, name_offset, error);
  if (!entry || !set_dtype (reader, entry, type, offset + 8, error))
    return NULL;
  entry->tensor.n_dims = (guint) n_dims;
  for (gint32 i = 0; i < n_dims; i++)
    entry->tensor.shape[i] = (guint64) dims[n_dims - 1 - i];
  return entry;
}

/* Its header, then its data. */
static gboolean
read_tensor (Reader *reader, GError **error)
{
  NpuTableEntry *entry = read_tensor_header (reader, error);
  NpuTensor *tensor;
  guint64 n, size;

  if (!entry)
    return FALSE;
  tensor = &entry->tensor;
  tensor->offset = reader->at;
  if (!npu_shape_product (tensor->shape, tensor->n_dims, &n) ||
      !npu_dtype_size (tensor->dtype, n, &size))
    size = G_MAXUINT64;
  if (!npu_tensor_table_check_size (entry, size, error) ||
      !skip (reader, size, tensor->name, "its data", error))
    return FALSE;
  tensor->size = size;
  return TRUE;
}

gboolean
npu_ggml_read (NpuTensorTable *table, NpuTensorFile *file,
    NpuGgmlHeader *header, GError **error)
{
  guint8 window[WINDOW]; /* not in the struct, which is cleared */
  Reader reader = {
      .window = window,
      .table = table,
      .file = file,
      .name = npu_tensor_file_get_name (file),
      .size = npu_tensor_file_get_size (file),
      .at = 4, /* the magic number */
  };

  if (!read_header (&reader, header, error) ||
      !read_filters (&reader, header, error) ||
      !read_vocabulary (&reader, header, error))
    return FALSE;
  while (reader.at < reader.size) {
    if (!read_tensor (&reader, error))
      return FALSE;
  }
  return TRUE;
}
