/* The strict JSON reader (RFC 8259).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "json-reader.h"

#include <string.h>

#include "file-error.h"

static void
skip_space (NpuJson *json)
{
  while (json->at < json->end && *json->at && strchr (" \t\n\r", *json->at))
    json->at++;
}

/* Says what was expected where the reader stands, and what is there. */
static gboolean
fail (const NpuJson *json, GError **error, const char *expected)
{
  g_autofree char *found = NULL;

  if (json->at == json->end)
    found = g_strdup ("its end");
  else if (g_ascii_isprint (*json->at))
    found = g_strdup_printf ("'%c'", *json->at);
  else
    found = g_strdup_printf ("byte 0x%02x", (guchar) *json->at);
  return npu_file_fail (error, NPU_ERROR_FORMAT, json->file, json->tensor,
      json->offset + (guint64) (json->at - json->start),
      "the header's JSON has %s, expected %s; the file is damaged", found,
      expected);
}

guint64
npu_json_offset (NpuJson *json)
{
  skip_space (json);
  return json->offset + (json->at - json->start);
}

char
npu_json_peek (NpuJson *json)
{
  skip_space (json);
  return json->at == json->end ? '\0' : *json->at;
}

gboolean
npu_json_accept (NpuJson *json, char c)
{
  skip_space (json);
  if (json->at == json->end || *json->at != c)
    return FALSE;
  json->at++;
  return TRUE;
}

gboolean
npu_json_expect (NpuJson *json, char c, GError **error)
{
  const char expected[] = {'\'', c, '\'', '\0'};

  return npu_json_accept (json, c) || fail (json, error, expected);
}

gboolean
npu_json_next (NpuJson *json, char close, gboolean *done, GError **error)
{
  const char expected[] = {
      '\'', ',', '\'', ' ', 'o', 'r', ' ', '\'', close, '\'', '\0'};

  *done = npu_json_accept (json, close);
  return *done || npu_json_accept (json, ',') || fail (json, error, expected);
}

/* Four hexadecimal digits. */
static gboolean
read_hex4 (NpuJson *json, guint *value, GError **error)
{
  *value = 0;
  for (guint i = 0; i < 4; i++, json->at++) {
    if (json->at == json->end || !g_ascii_isxdigit (*json->at))
      return fail (json, error, "four hexadecimal digits after \\u");
    *value = *value << 4 | (guint) g_ascii_xdigit_value (*json->at);
  }
  return TRUE;
}

/* What follows \u: one UTF-16 unit or a pair of surrogates. */
static gboolean
read_unicode (NpuJson *json, GString *text, GError **error)
{
  guint unit, low;

  if (!read_hex4 (json, &unit, error))
    return FALSE;
  if ((unit & 0xfc00) == 0xd800) {
    if (json->end - json->at < 2 || memcmp (json->at, "\\u", 2) != 0)
      return fail (json, error, "the second half of a surrogate pair");
    json->at += 2;
    if (!read_hex4 (json, &low, error))
      return FALSE;
    if ((low & 0xfc00) != 0xdc00)
      return fail (json, error, "a low surrogate before this");
    unit = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
  } else if ((unit & 0xfc00) == 0xdc00 || unit == 0) {
    return fail (json, error, "a character that text may have before this");
  }
  g_string_append_unichar (text, unit);
  return TRUE;
}

static gboolean
read_escape (NpuJson *json, GString *text, GError **error)
{
  static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  const char *escape;

  if (json->at == json->end)
    return fail (json, error, "an escaped character");
  if (*json->at == 'u') {
    json->at++;
    return read_unicode (json, text, error);
  }
  escape = *json->at ? strchr (escapes, *json->at) : NULL;
  if (!escape)
    return fail (json, error, "one of \" \\ / b f n r t u after \\");
  g_string_append_c (text, meanings[escape - escapes]);
  json->at++;
  return TRUE;
}

gboolean
npu_json_string (NpuJson *json, GString *text, GError **error)
{
  g_string_truncate (text, 0);
  if (!npu_json_accept (json, '"'))
    return fail (json, error, "a string");
  for (;;) {
    const char *run = json->at;

    while (json->at < json->end && (guchar) *json->at >= ' ' &&
           *json->at != '"' && *json->at != '\\')
      json->at++;
    g_string_append_len (text, run, json->at - run);
    if (json->at == json->end || (guchar) *json->at < ' ')
      return fail (json, error, "the end of a string");
    if (*json->at++ == '"')
      return TRUE;
    if (!read_escape (json, text, error))
      return FALSE;
  }
}

gboolean
npu_json_uint (NpuJson *json, guint64 *value, GError **error)
{
  const char *first;

  skip_space (json);
  first = json->at;
  *value = 0;
  while (json->at < json->end && g_ascii_isdigit (*json->at)) {
    if (!g_uint64_checked_mul (value, *value, 10) ||
        !g_uint64_checked_add (value, *value, *json->at - '0'))
      return fail (json, error, "an integer of at most 64 bits");
    json->at++;
  }
  if (json->at == first || (*first == '0' && json->at - first > 1) ||
      (json->at < json->end && *json->at && strchr (".eE", *json->at)))
    return fail (json, error, "an unsigned integer");
  return TRUE;
}

/* A value whose kind is told by its first letter. */
static gboolean
skip_word (NpuJson *json, GError **error)
{
  static const char *const words[] = {"null", "true", "false"};

  for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
    const gsize length = strlen (words[i]);

    if ((gsize) (json->end - json->at) >= length &&
        memcmp (json->at, words[i], length) == 0) {
      json->at += length;
      return TRUE;
    }
  }
  return fail (json, error, "a value");
}

static gboolean
skip_digits (NpuJson *json, GError **error)
{
  if (json->at == json->end || !g_ascii_isdigit (*json->at))
    return fail (json, error, "a digit");
  while (json->at < json->end && g_ascii_isdigit (*json->at))
    json->at++;
  return TRUE;
}

static gboolean
skip_char (NpuJson *json, const char *chars)
{
  if (json->at == json->end || !*json->at || !strchr (chars, *json->at))
    return FALSE;
  json->at++;
  return TRUE;
}

static gboolean
skip_number (NpuJson *json, GError **error)
{
  skip_char (json, "-");
  if (!skip_char (json, "0") && !skip_digits (json, error))
    return FALSE;
  if (skip_char (json, ".") && !skip_digits (json, error))
    return FALSE;
  if (!skip_char (json, "eE"))
    return TRUE;
  skip_char (json, "+-");
  return skip_digits (json, error);
}

static gboolean
skip_scalar (NpuJson *json, GString *text, GError **error)
{
  const char c = npu_json_peek (json);

  if (c == '"')
    return npu_json_string (json, text, error);
  if (c == '-' || g_ascii_isdigit (c))
    return skip_number (json, error);
  return skip_word (json, error);
}

/* The key before a member of an object. */
static gboolean
skip_key (NpuJson *json, char close, GString *text, GError **error)
{
  return close == ']' || (npu_json_string (json, text, error) &&
                             npu_json_expect (json, ':', error));
}

/* Closes what ends here; *@depth is 0 once the value is whole. */
static gboolean
skip_ends (NpuJson *json, const char *close, guint *depth, GString *text,
    GError **error)
{
  gboolean done;

  while (*depth > 0) {
    if (!npu_json_next (json, close[*depth - 1], &done, error))
      return FALSE;
    if (!done)
      return skip_key (json, close[*depth - 1], text, error);
    --*depth;
  }
  return TRUE;
}

gboolean
npu_json_skip (NpuJson *json, GError **error)
{
  char close[NPU_JSON_MAX_DEPTH];
  guint depth = 0;
  g_autoptr (GString) text = g_string_new (NULL);

  do {
    const char c = npu_json_peek (json);

    if (c == '{' || c == '[') {
      if (depth == NPU_JSON_MAX_DEPTH)
        return fail (json, error, "values nested less deeply");
      json->at++;
      close[depth] = c == '{' ? '}' : ']';
      if (!npu_json_accept (json, close[depth])) {
        if (!skip_key (json, close[depth], text, error))
          return FALSE;
        depth++;
        continue;
      }
    } else if (!skip_scalar (json, text, error)) {
      return FALSE;
    }
    if (!skip_ends (json, close, &depth, text, error))
      return FALSE;
  } while (depth > 0);
  return TRUE;
}

gboolean
npu_json_object (
    NpuJson *json, NpuJsonMember read, gpointer data, GError **error)
{
  g_autoptr (GString) name = g_string_new (NULL);
  gboolean done;

  if (!npu_json_expect (json, '{', error))
    return FALSE;
  for (done = npu_json_accept (json, '}'); !done;) {
    if (!npu_json_string (json, name, error) ||
        !npu_json_expect (json, ':', error) ||
        !read (json, name, data, error) ||
        !npu_json_next (json, '}', &done, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
npu_json_finish (NpuJson *json, GError **error)
{
  skip_space (json);
  return json->at == json->end || fail (json, error, "nothing but spaces");
}
