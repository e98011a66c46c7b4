/* The tensors of a model by name.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tensors-private.h"

gboolean
npu_shape_product (const guint64 *shape, guint n_dims, guint64 *n)
{
  *n = 1;
  for (guint i = 0; i < n_dims; i++) {
    if (!g_uint64_checked_mul (n, *n, shape[i]))
      return FALSE;
  }
  return TRUE;
}

char *
npu_shape_to_string (const guint64 *shape, guint n_dims)
{
  GString *string = g_string_new (n_dims == 0 ? "[]" : NULL);

  for (guint i = 0; i < n_dims; i++)
    g_string_append_printf (string, "[%" G_GUINT64_FORMAT "]", shape[i]);
  return g_string_free (string, FALSE);
}

NpuTensorTable *
npu_tensor_table_new (const char *name)
{
  NpuTensorTable *table = g_new0 (NpuTensorTable, 1);

  table->name = g_strdup (name);
  table->files =
      g_ptr_array_new_with_free_func ((GDestroyNotify) npu_tensor_file_free);
  table->by_name =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  table->strings = g_string_chunk_new (4096);
  return table;
}

void
npu_tensor_table_free (NpuTensorTable *table)
{
  g_hash_table_unref (table->by_name);
  g_string_chunk_free (table->strings);
  g_ptr_array_unref (table->files);
  g_free (table->name);
  g_free (table);
}

gboolean
npu_name_is_printable (const char *name, gsize length)
{
  if (!g_utf8_validate_len (name, length, NULL))
    return FALSE;
  for (const char *p = name; p < name + length; p = g_utf8_next_char (p)) {
    if (!g_unichar_isprint (g_utf8_get_char (p)))
      return FALSE;
  }
  return TRUE;
}

NpuTableEntry *
npu_tensor_table_add (NpuTensorTable *table, NpuTensorFile *file,
    const char *name, gsize length, guint64 offset, GError **error)
{
  const char *file_name = file ? npu_tensor_file_get_name (file) : table->name;
  NpuTableEntry *entry;

  if (length < 1 || length > NPU_MODEL_MAX_NAME) {
    npu_file_fail (error, NPU_ERROR_FORMAT, file_name, NULL, offset,
        "a tensor's name has %" G_GSIZE_FORMAT
        " bytes, expected 1 to %d; the file is damaged",
        length, NPU_MODEL_MAX_NAME);
    return NULL;
  }
  if (!npu_name_is_printable (name, length)) {
    npu_file_fail (error, NPU_ERROR_FORMAT, file_name, NULL, offset,
        "a tensor's name is not printable UTF-8 text; the file is damaged");
    return NULL;
  }
  if (g_hash_table_size (table->by_name) >= NPU_MODEL_MAX_TENSORS) {
    npu_file_fail (error, NPU_ERROR_FORMAT, file_name, NULL, offset,
        "more than %d tensors: not a Whisper model", NPU_MODEL_MAX_TENSORS);
    return NULL;
  }

  entry = g_new0 (NpuTableEntry, 1);
  entry->tensor.name = g_string_chunk_insert_len (table->strings, name, length);
  entry->tensor.file = file;
  if (g_hash_table_contains (table->by_name, entry->tensor.name)) {
    npu_file_fail (error, NPU_ERROR_FORMAT, file_name, entry->tensor.name,
        offset, "the file has two tensors of this name; it is damaged");
    g_free (entry);
    return NULL;
  }
  g_hash_table_insert (table->by_name, (gpointer) entry->tensor.name, entry);
  return entry;
}

gboolean
npu_tensor_table_check_size (
    const NpuTableEntry *entry, guint64 size, GError **error)
{
  const NpuTensor *tensor = &entry->tensor;
  const char *file_name = npu_tensor_get_file_name (tensor);
  const guint block = npu_dtype_block (tensor->dtype);
  g_autofree char *shape = npu_shape_to_string (tensor->shape, tensor->n_dims);
  guint64 n, expected;

  if (!npu_shape_product (tensor->shape, tensor->n_dims, &n) ||
      !npu_dtype_size (tensor->dtype, n, &expected))
    return npu_file_fail (error, NPU_ERROR_FORMAT, file_name, tensor->name,
        tensor->offset,
        "its shape %s has more elements than 64 bits count; the file is damaged",
        shape);
  if (block > 1 &&
      (tensor->n_dims == 0 || tensor->shape[tensor->n_dims - 1] % block != 0))
    return npu_file_fail (error, NPU_ERROR_FORMAT, file_name, tensor->name,
        tensor->offset,
        "its shape is %s, but rows of type %s must be a multiple of %u long; the file is damaged",
        shape, npu_dtype_name (tensor->dtype), block);
  if (size != expected)
    return npu_file_fail (error, NPU_ERROR_FORMAT, file_name, tensor->name,
        tensor->offset,
        "it has %" G_GUINT64_FORMAT
        " bytes, but shape %s of type %s needs %" G_GUINT64_FORMAT
        "; the file is damaged",
        size, shape, npu_dtype_name (tensor->dtype), expected);
  return TRUE;
}

NpuTableEntry *
npu_tensor_table_lookup (const NpuTensorTable *table, const char *name)
{
  return g_hash_table_lookup (table->by_name, name);
}
