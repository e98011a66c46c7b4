/* Vocabularies with a token a line.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "vocabulary.h"

#include <string.h>

#include "npu-error.h"

/* The next line of text[n] from *@at on, without its end; FALSE at the end.
 * Only \n ends a line: others may be part of a token. */
static gboolean
next_line (
    const char *text, gsize n, gsize *at, const char **line, gsize *length)
{
  const char *end;

  if (*at >= n)
    return FALSE;
  *line = text + *at;
  end = memchr (*line, '\n', n - *at);
  *length = end ? (gsize) (end - *line) : n - *at;
  *at += *length + 1;
  return TRUE;
}

gboolean
npu_vocabulary_read_lines (
    NpuVocabulary *vocabulary, const char *text, gsize n, GError **error)
{
  const char *line;
  gsize at = 0, length;

  for (guint64 id = 0; next_line (text, n, &at, &line, &length); id++) {
    if (!npu_vocabulary_add_text (vocabulary, id, line, length, error))
      return FALSE;
  }
  return TRUE;
}

/* Splits "base64 rank". */
static gboolean
split_tiktoken (const char *line, gsize length, gsize *n_base64, guint64 *rank)
{
  const char *space = memchr (line, ' ', length);
  gsize at;

  if (!space)
    return FALSE;
  *n_base64 = (gsize) (space - line);
  for (gsize i = 0; i < *n_base64; i++) {
    if (!g_ascii_isalnum (line[i]) && !strchr ("+/=", line[i]))
      return FALSE;
  }
  *rank = 0;
  for (at = *n_base64 + 1; at < length && g_ascii_isdigit (line[at]); at++) {
    *rank = *rank * 10 + (guint64) g_ascii_digit_value (line[at]);
    if (*rank > G_MAXUINT32)
      return FALSE;
  }
  if (at < length && line[at] == '\r')
    at++;
  return at == length && at > *n_base64 + 1;
}

gboolean
npu_vocabulary_is_tiktoken (const char *text, gsize n)
{
  const char *line;
  gsize at = 0, length, n_base64;
  guint64 rank;

  return next_line (text, n, &at, &line, &length) &&
         split_tiktoken (line, length, &n_base64, &rank);
}

gboolean
npu_vocabulary_read_tiktoken (
    NpuVocabulary *vocabulary, const char *text, gsize n, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  const char *line;
  gsize at = 0, length;

  while (next_line (text, n, &at, &line, &length)) {
    gsize n_base64, n_bytes;
    guint64 rank;
    int state = 0;
    guint save = 0;

    if (length == 0)
      continue;
    if (!split_tiktoken (line, length, &n_base64, &rank)) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_FORMAT,
          "vocabulary '%s': the line at byte %" G_GSIZE_FORMAT
          " is not base64, a space and a number; the file is damaged, get it again",
          vocabulary->file, (gsize) (line - text));
      return FALSE;
    }
    /* The empty token is a lone "=". */
    g_byte_array_set_size (bytes, (guint) (n_base64 + 3));
    n_bytes = g_base64_decode_step (line, n_base64, bytes->data, &state, &save);
    if (!npu_vocabulary_add (vocabulary, rank, bytes->data, n_bytes, error))
      return FALSE;
  }
  return TRUE;
}
