/* Reader of safetensors: a u64 length, a JSON header of that length, data
 * (huggingface/safetensors, README, "Format"). As strict as the reference:
 * the tensors cover the data without overlap or hole.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "base/json-reader.h"
#include "tensors-private.h"

#define MAX_HEADER 100000000 /* the reference implementation's own limit */
#define MAX_DIMS 8           /* of tensors that an encoder does not need */

typedef struct {
  NpuTensorTable *table;
  NpuTensorFile *file;
  const char *name; /* of the file, for messages */
  NpuJson json;
  GPtrArray *entries; /* of NpuTableEntry, as the header lists them */
  GString *text;      /* the last string read */
  guint64 data_size, data_offset; /* what follows the header */
} Reader;

static gboolean
fail_at (const Reader *reader, const NpuTableEntry *entry, guint64 offset,
    GError **error, const char *message)
{
  return npu_file_fail (error, NPU_ERROR_FORMAT, reader->name,
      entry ? entry->tensor.name : NULL, offset, "%s", message);
}

/* The optional object of strings under __metadata__, or null; of no use to
 * us. */
static gboolean
read_metadata (Reader *reader, GError **error)
{
  NpuJson *json = &reader->json;
  gboolean done;

  if (npu_json_peek (json) == 'n')
    return npu_json_skip (json, error);
  if (!npu_json_expect (json, '{', error))
    return FALSE;
  for (done = npu_json_accept (json, '}'); !done;) {
    if (!npu_json_string (json, reader->text, error) ||
        !npu_json_expect (json, ':', error) ||
        !npu_json_string (json, reader->text, error) ||
        !npu_json_next (json, '}', &done, error))
      return FALSE;
  }
  return TRUE;
}

/* An array of at most @max unsigned integers. */
static gboolean
read_uints (Reader *reader, const NpuTableEntry *entry, guint64 *values,
    guint max, guint *n, GError **error)
{
  NpuJson *json = &reader->json;
  gboolean done;

  *n = 0;
  if (!npu_json_expect (json, '[', error))
    return FALSE;
  for (done = npu_json_accept (json, ']'); !done;) {
    if (*n == max)
      return npu_file_fail (error, NPU_ERROR_FORMAT, reader->name,
          entry->tensor.name, npu_json_offset (json),
          "more than %u numbers in an array of the header; the file is damaged",
          max);
    if (!npu_json_uint (json, &values[(*n)++], error) ||
        !npu_json_next (json, ']', &done, error))
      return FALSE;
  }
  return TRUE;
}

static void
set_dtype (NpuTableEntry *entry, NpuTensorTable *table, const char *name)
{
  static const NpuDtype known[] = {
      NPU_DTYPE_F32, NPU_DTYPE_F16, NPU_DTYPE_BF16};

  for (guint i = 0; i < G_N_ELEMENTS (known); i++) {
    if (g_str_equal (name, npu_dtype_name (known[i]))) {
      entry->tensor.dtype = known[i];
      return;
    }
  }
  entry->foreign_type = g_string_chunk_insert (table->strings, name);
}

/* A type's name: those of the reference are letters, digits and underscores,
 * and unknown ones appear in messages. */
static gboolean
read_dtype (Reader *reader, NpuTableEntry *entry, GError **error)
{
  const guint64 offset = npu_json_offset (&reader->json);
  const GString *text = reader->text;
  gboolean good;

  if (!npu_json_string (&reader->json, reader->text, error))
    return FALSE;
  good = text->len >= 1 && text->len <= 16;
  for (gsize i = 0; good && i < text->len; i++)
    good = g_ascii_isalnum (text->str[i]) || text->str[i] == '_';
  if (!good)
    return fail_at (reader, entry, offset, error,
        "its dtype is not the name of a type; the file is damaged");
  set_dtype (entry, reader->table, text->str);
  return TRUE;
}

/* Begin and end of the tensor's data, relative to the end of the header. */
static gboolean
read_data_offsets (Reader *reader, NpuTableEntry *entry, GError **error)
{
  const guint64 offset = npu_json_offset (&reader->json);
  guint64 range[2];
  guint n;

  if (!read_uints (reader, entry, range, 2, &n, error))
    return FALSE;
  if (n != 2 || range[0] > range[1])
    return fail_at (reader, entry, offset, error,
        "its data_offsets are not a begin and an end after it; the file is damaged");
  if (range[1] > reader->data_size)
    return npu_file_fail (error, NPU_ERROR_FORMAT, reader->name,
        entry->tensor.name, offset,
        "its data end at byte %" G_GUINT64_FORMAT
        " of the data, but the file has only %" G_GUINT64_FORMAT
        " bytes of data; it is truncated, download it again",
        range[1], reader->data_size);
  entry->tensor.size = range[1] - range[0];
  entry->tensor.offset = reader->data_offset + range[0];
  return TRUE;
}

/* {"dtype": "F16", "shape": [384, 80, 3], "data_offsets": [0, 184320]}, in
 * any order, each once; the reference reader steps over further fields. */
static gboolean
read_fields (Reader *reader, NpuTableEntry *entry, GError **error)
{
  static const char *const keys[] = {"dtype", "shape", "data_offsets"};
  NpuJson *json = &reader->json;
  const guint64 begin = npu_json_offset (json);
  guint64 shape[MAX_DIMS];
  guint n_dims = 0, seen = 0;
  gboolean done;

  if (!npu_json_expect (json, '{', error))
    return FALSE;
  for (done = npu_json_accept (json, '}'); !done;) {
    const guint64 offset = npu_json_offset (json);
    gboolean good;
    guint key;

    if (!npu_json_string (json, reader->text, error) ||
        !npu_json_expect (json, ':', error))
      return FALSE;
    for (key = 0; key < 3; key++) {
      if (g_str_equal (reader->text->str, keys[key]))
        break;
    }
    if (key < 3 && seen & 1u << key)
      return fail_at (reader, entry, offset, error,
          "expected dtype, shape and data_offsets, each once; the file is damaged");
    seen |= 1u << key;
    if (key == 3)
      good = npu_json_skip (json, error);
    else if (key == 0)
      good = read_dtype (reader, entry, error);
    else if (key == 1)
      good = read_uints (reader, entry, shape, MAX_DIMS, &n_dims, error);
    else
      good = read_data_offsets (reader, entry, error);
    if (!good || !npu_json_next (json, '}', &done, error))
      return FALSE;
  }
  if ((seen & 7) != 7)
    return fail_at (reader, entry, begin, error,
        "dtype, shape or data_offsets is missing; the file is damaged");

  /* No tensor of an encoder has more than three dimensions. */
  if (n_dims > G_N_ELEMENTS (entry->tensor.shape) && !entry->foreign_type)
    entry->foreign_type = "an array of more than 4 dimensions";
  entry->tensor.n_dims = MIN (n_dims, G_N_ELEMENTS (entry->tensor.shape));
  memcpy (entry->tensor.shape, shape, entry->tensor.n_dims * sizeof shape[0]);
  return entry->foreign_type ||
         npu_tensor_table_check_size (entry, entry->tensor.size, error);
}

static gboolean
read_header (Reader *reader, GError **error)
{
  NpuJson *json = &reader->json;
  gboolean done, has_metadata = FALSE;

  if (!npu_json_expect (json, '{', error))
    return FALSE;
  for (done = npu_json_accept (json, '}'); !done;) {
    const guint64 offset = npu_json_offset (json);

    if (!npu_json_string (json, reader->text, error) ||
        !npu_json_expect (json, ':', error))
      return FALSE;
    if (g_str_equal (reader->text->str, "__metadata__")) {
      if (has_metadata)
        return fail_at (reader, NULL, offset, error,
            "the header has __metadata__ twice; the file is damaged");
      has_metadata = TRUE;
      if (!read_metadata (reader, error))
        return FALSE;
    } else {
      NpuTableEntry *entry = npu_tensor_table_add (reader->table, reader->file,
          reader->text->str, reader->text->len, offset, error);

      if (!entry)
        return FALSE;
      json->tensor = entry->tensor.name;
      if (!read_fields (reader, entry, error))
        return FALSE;
      json->tensor = NULL;
      g_ptr_array_add (reader->entries, entry);
    }
    if (!npu_json_next (json, '}', &done, error))
      return FALSE;
  }
  return npu_json_finish (json, error);
}

static gint
compare_offsets (gconstpointer a, gconstpointer b)
{
  const NpuTensor *x = &(*(NpuTableEntry *const *) a)->tensor;
  const NpuTensor *y = &(*(NpuTableEntry *const *) b)->tensor;

  if (x->offset != y->offset)
    return x->offset < y->offset ? -1 : 1;
  return x->size < y->size ? -1 : x->size > y->size;
}

/* Every byte of the data belongs to exactly one tensor. */
static gboolean
check_coverage (Reader *reader, GError **error)
{
  guint64 covered = reader->data_offset;

  g_ptr_array_sort (reader->entries, compare_offsets);
  for (guint i = 0; i < reader->entries->len; i++) {
    const NpuTensor *tensor =
        &((NpuTableEntry *) g_ptr_array_index (reader->entries, i))->tensor;

    if (tensor->offset != covered)
      return npu_file_fail (error, NPU_ERROR_FORMAT, reader->name, tensor->name,
          tensor->offset,
          "its data %s the data before, which end at byte %" G_GUINT64_FORMAT
          "; the file is damaged",
          tensor->offset < covered ? "overlap" : "leave a hole after", covered);
    covered += tensor->size;
  }
  if (covered != reader->data_offset + reader->data_size)
    return npu_file_fail (error, NPU_ERROR_FORMAT, reader->name, NULL, covered,
        "%" G_GUINT64_FORMAT
        " bytes follow the last tensor's data; the file is damaged",
        reader->data_offset + reader->data_size - covered);
  return TRUE;
}

static gboolean
check_utf8 (const Reader *reader, GError **error)
{
  const NpuJson *json = &reader->json;
  const char *bad;

  if (g_utf8_validate_len (json->start, json->end - json->start, &bad))
    return TRUE;
  return fail_at (reader, NULL, json->offset + (guint64) (bad - json->start),
      error, "the header is not UTF-8 text; the file is damaged");
}

/* Reads what the header's JSON in @text says. */
static gboolean
read_text (Reader *reader, const char *text, guint64 size, GError **error)
{
  gboolean good;

  reader->json.file = reader->name;
  reader->json.start = reader->json.at = text;
  reader->json.end = text + size;
  reader->json.offset = 8;
  reader->entries = g_ptr_array_new ();
  reader->text = g_string_new (NULL);
  good = check_utf8 (reader, error) && read_header (reader, error) &&
         check_coverage (reader, error);
  g_ptr_array_unref (reader->entries);
  g_string_free (reader->text, TRUE);
  return good;
}

gboolean
npu_safetensors_read (
    NpuTensorTable *table, NpuTensorFile *file, GError **error)
{
  const guint64 size = npu_tensor_file_get_size (file);
  Reader reader = {
      .table = table,
      .file = file,
      .name = npu_tensor_file_get_name (file),
  };
  g_autofree char *text = NULL;
  guint64 header_size;

  if (size < 8)
    return npu_file_fail (error, NPU_ERROR_FORMAT, reader.name, NULL, 0,
        "a safetensors file has at least 8 bytes; it is truncated, download it again");
  if (!npu_tensor_file_read (
          file, 0, sizeof header_size, &header_size, NULL, error))
    return FALSE;
  header_size = GUINT64_FROM_LE (header_size);
  if (header_size > MAX_HEADER || header_size > size - 8)
    return npu_file_fail (error, NPU_ERROR_FORMAT, reader.name, NULL, 0,
        "the safetensors header has %" G_GUINT64_FORMAT
        " bytes, expected at most %d and the %" G_GUINT64_FORMAT
        " that follow; the file is truncated or damaged, download it again",
        header_size, MAX_HEADER, size - 8);

  text = g_try_malloc (header_size + 1);
  if (!text)
    return npu_file_fail (error, NPU_ERROR_FAILED, reader.name, NULL, 0,
        "there is no memory for its header of %" G_GUINT64_FORMAT " bytes",
        header_size);
  reader.data_size = size - 8 - header_size;
  reader.data_offset = 8 + header_size;
  return npu_tensor_file_read (file, 8, header_size, text, NULL, error) &&
         read_text (&reader, text, header_size, error);
}
