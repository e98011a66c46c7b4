/* Reader of an index of safetensors shards, as Hugging Face's libraries write
 * it beside them (model.safetensors.index.json): an object whose weight_map
 * says of each tensor which file of the same folder has it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "base/json-reader.h"
#include "tensors-private.h"

#define MAX_INDEX (16 << 20) /* bytes */
#define MAX_SHARDS 256

typedef struct {
  const char *name; /* of the index, for messages */
  NpuJson json;
  GString *tensor, *shard; /* the last strings read */
  GHashTable *weight_map;  /* tensor to shard, both in strings */
  GPtrArray *shards;       /* each once, in strings */
  GStringChunk *strings;
} Index;

static void
index_clear (Index *index)
{
  g_string_free (index->tensor, TRUE);
  g_string_free (index->shard, TRUE);
  g_hash_table_unref (index->weight_map);
  g_ptr_array_unref (index->shards);
  g_string_chunk_free (index->strings);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Index, index_clear)

static gboolean
check_tensor (const Index *index, guint64 offset, GError **error)
{
  const GString *tensor = index->tensor;

  if (tensor->len >= 1 && tensor->len <= NPU_MODEL_MAX_NAME &&
      npu_name_is_printable (tensor->str, tensor->len))
    return TRUE;
  return npu_file_fail (error, NPU_ERROR_FORMAT, index->name, NULL, offset,
      "a tensor's name is not 1 to %d bytes of printable text; the index is damaged",
      NPU_MODEL_MAX_NAME);
}

/* Only a name: an index decides about no other folder. */
static gboolean
check_shard (const Index *index, guint64 offset, GError **error)
{
  const GString *shard = index->shard;

  if (shard->len >= 1 && shard->len <= NPU_MODEL_MAX_NAME &&
      npu_name_is_printable (shard->str, shard->len) &&
      !strchr (shard->str, '/') && shard->str[0] != '.')
    return TRUE;
  return npu_file_fail (error, NPU_ERROR_FORMAT, index->name,
      index->tensor->str, offset,
      "its shard is not the name of a file beside the index; the index is damaged");
}

static gboolean
add_pair (Index *index, guint64 offset, GError **error)
{
  const char *shard =
      g_string_chunk_insert_const (index->strings, index->shard->str);

  if (g_hash_table_size (index->weight_map) >= NPU_MODEL_MAX_TENSORS)
    return npu_file_fail (error, NPU_ERROR_FORMAT, index->name, NULL, offset,
        "more than %d tensors: not a Whisper model", NPU_MODEL_MAX_TENSORS);
  if (!g_hash_table_insert (index->weight_map,
          g_string_chunk_insert (index->strings, index->tensor->str),
          (gpointer) shard))
    return npu_file_fail (error, NPU_ERROR_FORMAT, index->name,
        index->tensor->str, offset,
        "the index has this tensor twice; it is damaged");
  if (g_ptr_array_find (index->shards, shard, NULL))
    return TRUE;
  if (index->shards->len >= MAX_SHARDS)
    return npu_file_fail (error, NPU_ERROR_FORMAT, index->name, NULL, offset,
        "more than %d shards: not a Whisper model", MAX_SHARDS);
  g_ptr_array_add (index->shards, (gpointer) shard);
  return TRUE;
}

static gboolean
read_weight_map (Index *index, GError **error)
{
  NpuJson *json = &index->json;
  gboolean done;

  if (!npu_json_expect (json, '{', error))
    return FALSE;
  for (done = npu_json_accept (json, '}'); !done;) {
    const guint64 offset = npu_json_offset (json);

    if (!npu_json_string (json, index->tensor, error) ||
        !npu_json_expect (json, ':', error) ||
        !npu_json_string (json, index->shard, error) ||
        !check_tensor (index, offset, error) ||
        !check_shard (index, offset, error) ||
        !add_pair (index, offset, error) ||
        !npu_json_next (json, '}', &done, error))
      return FALSE;
  }
  return TRUE;
}

/* The text is an object with a weight_map, and perhaps more. */
static gboolean
read_index (Index *index, GError **error)
{
  NpuJson *json = &index->json;
  gboolean done, seen = FALSE;

  if (!npu_json_expect (json, '{', error))
    return FALSE;
  for (done = npu_json_accept (json, '}'); !done;) {
    gboolean good;

    if (!npu_json_string (json, index->tensor, error) ||
        !npu_json_expect (json, ':', error))
      return FALSE;
    if (g_str_equal (index->tensor->str, "weight_map")) {
      good = read_weight_map (index, error);
      seen = TRUE;
    } else {
      good = npu_json_skip (json, error);
    }
    if (!good || !npu_json_next (json, '}', &done, error))
      return FALSE;
  }
  if (!npu_json_finish (json, error))
    return FALSE;
  return seen ||
         npu_file_fail (error, NPU_ERROR_WRONG_TYPE, index->name, NULL,
             NPU_NO_OFFSET,
             "this JSON file is not an index of shards, for it has no weight_map; give model.safetensors, model.safetensors.index.json or their folder");
}

/* The shards, from @folder, and whether they hold what the index says. */
static gboolean
read_shards (const Index *index, NpuTensorTable *table, const char *folder,
    GError **error)
{
  GHashTableIter iter;
  gpointer tensor, shard;

  if (!folder)
    return npu_file_fail (error, NPU_ERROR_NOT_FOUND, index->name, NULL,
        NPU_NO_OFFSET, "this is an index in memory, which has no shards");
  for (guint i = 0; i < index->shards->len; i++) {
    g_autofree char *path =
        g_build_filename (folder, g_ptr_array_index (index->shards, i), NULL);
    NpuTensorFile *file = npu_tensor_file_open (path, error);

    if (!file)
      return FALSE;
    g_ptr_array_add (table->files, file);
    if (!npu_safetensors_read (table, file, error))
      return FALSE;
  }
  g_hash_table_iter_init (&iter, index->weight_map);
  while (g_hash_table_iter_next (&iter, &tensor, &shard)) {
    if (!npu_tensor_table_lookup (table, tensor))
      return npu_file_fail (error, NPU_ERROR_FORMAT, index->name, tensor,
          NPU_NO_OFFSET,
          "the index says that shard '%s' has it, but it does not; download the shards and the index again",
          (const char *) shard);
  }
  return TRUE;
}

char *
npu_tensor_file_read_text (NpuTensorFile *file, gsize max, GError **error)
{
  const char *name = npu_tensor_file_get_name (file);
  const guint64 size = npu_tensor_file_get_size (file);
  g_autofree char *text = NULL;

  if (size > max) {
    npu_file_fail (error, NPU_ERROR_FORMAT, name, NULL, NPU_NO_OFFSET,
        "it has %" G_GUINT64_FORMAT " bytes, expected at most %" G_GSIZE_FORMAT,
        size, max);
    return NULL;
  }
  text = g_malloc (size + 1);
  text[size] = '\0';
  if (!npu_tensor_file_read (file, 0, size, text, NULL, error))
    return NULL;
  if (!g_utf8_validate_len (text, size, NULL)) {
    npu_file_fail (error, NPU_ERROR_FORMAT, name, NULL, NPU_NO_OFFSET,
        "it is not UTF-8 text; the file is damaged");
    return NULL;
  }
  return g_steal_pointer (&text);
}

gboolean
npu_shards_read (NpuTensorTable *table, NpuTensorFile *file, const char *folder,
    GError **error)
{
  g_auto (Index) index = {
      .name = npu_tensor_file_get_name (file),
      .tensor = g_string_new (NULL),
      .shard = g_string_new (NULL),
      .weight_map = g_hash_table_new (g_str_hash, g_str_equal),
      .shards = g_ptr_array_new (),
      .strings = g_string_chunk_new (4096),
  };
  g_autofree char *text = npu_tensor_file_read_text (file, MAX_INDEX, error);

  if (!text)
    return FALSE;
  index.json.file = index.name;
  index.json.start = index.json.at = text;
  index.json.end = text + npu_tensor_file_get_size (file);
  return read_index (&index, error) &&
         read_shards (&index, table, folder, error);
}
