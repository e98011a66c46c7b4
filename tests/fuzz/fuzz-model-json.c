/* The JSON that comes with models, as text: a safetensors header, an index of
 * shards, and the reader itself, verb by verb. The first byte chooses.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <stdlib.h>
#include <string.h>

#include "base/json-reader.h"
#include "read-model.h"

int LLVMFuzzerTestOneInput (const guint8 *data, size_t size);

static void
check_error (const GError *error)
{
  if (!error || !g_utf8_validate (error->message, -1, NULL))
    abort ();
}

/* @text after its length, and some data. */
static void
open_header (const guint8 *text, gsize size)
{
  const gsize n_zeros = size % 64;
  const guint64 length = GUINT64_TO_LE (size);
  guint8 *file = g_malloc0 (8 + size + n_zeros);
  g_autoptr (GBytes) bytes = g_bytes_new_take (file, 8 + size + n_zeros);

  memcpy (file, &length, 8);
  memcpy (file + 8, text, size);
  read_model_bytes (bytes);
}

static gboolean
do_verb (NpuJson *json, guint verb, GString *text, GError **error)
{
  guint64 number;
  gboolean done;

  switch (verb) {
    case 0:
      return npu_json_string (json, text, error);
    case 1:
      return npu_json_uint (json, &number, error);
    case 2:
      return npu_json_next (json, ']', &done, error);
    case 3:
      return npu_json_expect (json, '{', error);
    case 4:
      return npu_json_finish (json, error);
    default:
      return npu_json_skip (json, error);
  }
}

/* Each step's verb depends on what comes next. */
static void
read_verbs (const guint8 *bytes, gsize size)
{
  /* In memory of its own, where a sanitizer sees the first byte beyond. */
  g_autofree char *copy = size ? g_memdup2 (bytes, size) : g_strdup ("");
  g_autoptr (GString) text = g_string_new (NULL);
  NpuJson json = {"input", NULL, copy, copy, copy + size, 0};

  for (guint i = 0; i < 200 && json.at < json.end; i++) {
    const char *before = json.at;
    const guint verb = ((guchar) *json.at + i) % 6;
    g_autoptr (GError) error = NULL;

    if (!do_verb (&json, verb, text, &error)) {
      check_error (error);
      json.at += json.at < json.end;
    } else if (error) {
      abort ();
    }
    if (json.at < before || json.at > json.end)
      abort ();
  }
}

int
LLVMFuzzerTestOneInput (const guint8 *data, size_t size)
{
  g_autoptr (GBytes) bytes = NULL;

  if (size < 1)
    return 0;
  switch (data[0] % 3) {
    case 0:
      open_header (data + 1, size - 1);
      break;
    case 1:
      bytes = g_bytes_new (data + 1, size - 1);
      read_model_bytes (bytes);
      break;
    default:
      read_verbs (data + 1, size - 1);
  }
  return 0;
}
