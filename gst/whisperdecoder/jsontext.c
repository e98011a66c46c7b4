/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "jsontext.h"

void
json_append_seconds (GString *json, const char *name, guint64 ns)
{
  g_string_append_printf (json,
      "\"%s\": %" G_GUINT64_FORMAT ".%09" G_GUINT64_FORMAT, name,
      ns / 1000000000, ns % 1000000000);
}

void
json_append_string (GString *json, const char *text)
{
  if (!text) {
    g_string_append (json, "null");
    return;
  }
  g_string_append_c (json, '"');
  for (const char *at = text; *at; at++) {
    const guchar byte = *at;

    if (byte == '"' || byte == '\\')
      g_string_append_printf (json, "\\%c", byte);
    else if (byte < 0x20 || byte == 0x7f)
      g_string_append_printf (json, "\\u%04x", byte);
    else
      g_string_append_c (json, byte);
  }
  g_string_append_c (json, '"');
}
