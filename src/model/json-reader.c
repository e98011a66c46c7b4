/* The strict JSON reader (RFC 8259) for safetensors headers.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "json-reader.h"

#include <string.h>

#include "model-private.h"

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
  return npu_model_fail (error, NPU_ERROR_FORMAT, json->file, json->tensor,
      json->offset + (json->at - json->start),
      "the header's JSON has %s, expected %s; the file is damaged", found,
      expected);
}

guint64
npu_json_offset (NpuJson *json)
{
  skip_space (json);
  return json->offset + (json->at - json->start);
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

gboolean
npu_json_finish (NpuJson *json, GError **error)
{
  skip_space (json);
  return json->at == json->end || fail (json, error, "nothing but spaces");
}
