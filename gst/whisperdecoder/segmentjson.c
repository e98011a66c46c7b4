/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "segmentjson.h"

#include <math.h>
#include <string.h>

#define MAX_NUMBER G_ASCII_DTOSTR_BUF_SIZE

static void
append_number (GString *json, const char *name, double value)
{
  char text[MAX_NUMBER];

  g_string_append_printf (json, ", \"%s\": %s", name,
      isfinite (value) ? g_ascii_formatd (text, sizeof text, "%.6g", value)
                       : "null");
}

/* Of a time, all digits: ns are whole numbers. */
static void
append_seconds (GString *json, const char *name, guint64 ns)
{
  g_string_append_printf (json,
      "\"%s\": %" G_GUINT64_FORMAT ".%09" G_GUINT64_FORMAT, name,
      ns / 1000000000, ns % 1000000000);
}

static void
append_string (GString *json, const char *text)
{
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

char *
segment_to_json (
    const NpuSegment *segment, guint64 start, guint64 end, const char *language)
{
  const NpuDecodedWindow *window = segment->window;
  GString *json = g_string_new ("{");

  append_seconds (json, "start", start);
  g_string_append (json, ", ");
  append_seconds (json, "end", end);
  g_string_append (json, ", \"text\": ");
  append_string (json, segment->text);
  g_string_append (json, ", \"tokens\": [");
  for (guint i = 0; i < segment->n_tokens; i++)
    g_string_append_printf (json, i ? ", %u" : "%u", segment->tokens[i]);
  g_string_append_c (json, ']');
  append_number (json, "avg_logprob", window->avg_logprob);
  append_number (json, "no_speech_prob", window->no_speech_prob);
  append_number (json, "compression_ratio", window->compression_ratio);
  append_number (json, "temperature", window->temperature);
  g_string_append (json, ", \"language\": ");
  if (language)
    append_string (json, language);
  else
    g_string_append (json, "null");
  g_string_append (json, "}\n");
  return g_string_free (json, FALSE);
}
