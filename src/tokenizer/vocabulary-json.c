/* Hugging Face's tokenizer.json (huggingface/tokenizers) and vocab.json, and
 * CTranslate2's vocabulary.json. Merges are not read: ids are ranks.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "vocabulary.h"

#include <string.h>

#include "base/json-reader.h"
#include "npu-error.h"

typedef struct {
  NpuVocabulary *vocabulary;
  NpuJson json;
  GString *key, *text; /* scratch */
} Reader;

/* Called at the value of reader->key; reads it. */
typedef gboolean (*MemberFunc) (Reader *reader, gpointer data, GError **error);

static gboolean
read_object (Reader *reader, MemberFunc func, gpointer data, GError **error)
{
  NpuJson *json = &reader->json;
  gboolean done;

  if (!npu_json_expect (json, '{', error))
    return FALSE;
  for (done = npu_json_accept (json, '}'); !done;) {
    if (!npu_json_string (json, reader->key, error) ||
        !npu_json_expect (json, ':', error) || !func (reader, data, error) ||
        !npu_json_next (json, '}', &done, error))
      return FALSE;
  }
  return TRUE;
}

/* "token": id */
static gboolean
read_entry (Reader *reader, gpointer data, GError **error)
{
  guint64 id;

  return npu_json_uint (&reader->json, &id, error) &&
         npu_vocabulary_add_text (
             reader->vocabulary, id, reader->key->str, reader->key->len, error);
}

static gboolean
read_model_member (Reader *reader, gpointer data, GError **error)
{
  if (strcmp (reader->key->str, "vocab") == 0)
    return read_object (reader, read_entry, NULL, error);
  return npu_json_skip (&reader->json, error);
}

typedef struct {
  guint64 id;
  GString *content;
} AddedToken;

static gboolean
read_added_member (Reader *reader, gpointer data, GError **error)
{
  AddedToken *added = data;

  if (strcmp (reader->key->str, "id") == 0)
    return npu_json_uint (&reader->json, &added->id, error);
  if (strcmp (reader->key->str, "content") == 0)
    return npu_json_string (&reader->json, added->content, error);
  return npu_json_skip (&reader->json, error);
}

/* Special tokens by name: they only have to be where the model has them. */
static gboolean
read_added_tokens (Reader *reader, GError **error)
{
  g_autoptr (GString) content = g_string_new (NULL);
  gboolean done;

  if (!npu_json_expect (&reader->json, '[', error))
    return FALSE;
  for (done = npu_json_accept (&reader->json, ']'); !done;) {
    AddedToken added = {0, content};

    g_string_truncate (content, 0);
    if (!read_object (reader, read_added_member, &added, error))
      return FALSE;
    if (added.id >= reader->vocabulary->n_text &&
        !npu_vocabulary_add (reader->vocabulary, added.id,
            (const guint8 *) content->str, content->len, error))
      return FALSE;
    if (!npu_json_next (&reader->json, ']', &done, error))
      return FALSE;
  }
  return TRUE;
}

/* tokenizer.json has "model" and "added_tokens"; vocab.json has numbers. */
static gboolean
read_top_member (Reader *reader, gpointer data, GError **error)
{
  const char next = npu_json_peek (&reader->json);

  if (g_ascii_isdigit (next))
    return read_entry (reader, data, error);
  if (next == '{' && strcmp (reader->key->str, "model") == 0)
    return read_object (reader, read_model_member, NULL, error);
  if (next == '[' && strcmp (reader->key->str, "added_tokens") == 0)
    return read_added_tokens (reader, error);
  return npu_json_skip (&reader->json, error);
}

static gboolean
read_list (Reader *reader, GError **error)
{
  NpuJson *json = &reader->json;
  gboolean done;

  if (!npu_json_expect (json, '[', error))
    return FALSE;
  done = npu_json_accept (json, ']');
  for (guint64 id = 0; !done; id++) {
    if (!npu_json_string (json, reader->text, error) ||
        !npu_vocabulary_add_text (reader->vocabulary, id, reader->text->str,
            reader->text->len, error) ||
        !npu_json_next (json, ']', &done, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
npu_vocabulary_read_json (
    NpuVocabulary *vocabulary, const char *text, gsize n, GError **error)
{
  g_autoptr (GString) key = g_string_new (NULL);
  g_autoptr (GString) scratch = g_string_new (NULL);
  Reader reader = {vocabulary,
      {.file = vocabulary->file, .start = text, .at = text, .end = text + n},
      key, scratch};

  return (npu_json_peek (&reader.json) == '['
                 ? read_list (&reader, error)
                 : read_object (&reader, read_top_member, NULL, error)) &&
         npu_json_finish (&reader.json, error);
}
