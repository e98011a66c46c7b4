/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "segmentjson.h"

#include <math.h>

#include "jsontext.h"

#define MAX_NUMBER G_ASCII_DTOSTR_BUF_SIZE

static void
append_number (GString *json, const char *name, double value)
{
  char text[MAX_NUMBER];

  g_string_append_printf (json, ", \"%s\": %s", name,
      isfinite (value) ? g_ascii_formatd (text, sizeof text, "%.6g", value)
                       : "null");
}

static void
append_language (GString *json, const char *language)
{
  g_string_append (json, ", \"language\": ");
  json_append_string (json, language);
}

static void
append_times (GString *json, guint64 start, guint64 end)
{
  json_append_seconds (json, "start", start);
  g_string_append (json, ", ");
  json_append_seconds (json, "end", end);
}

static void
append_words (GString *json, const NpuTimedWord *words, guint n)
{
  g_string_append (json, ", \"words\": [");
  for (guint i = 0; i < n; i++) {
    g_string_append (json, i ? ", {\"word\": " : "{\"word\": ");
    json_append_string (json, words[i].text);
    g_string_append (json, ", ");
    append_times (json, words[i].start, words[i].end);
    append_number (json, "probability", words[i].probability);
    g_string_append_c (json, '}');
  }
  g_string_append_c (json, ']');
}

char *
segment_to_json (
    const NpuSegment *segment, guint64 start, guint64 end, const char *language)
{
  const NpuDecodedWindow *window = segment->window;
  GString *json = g_string_new ("{");

  append_times (json, start, end);
  g_string_append (json, ", \"text\": ");
  json_append_string (json, segment->text);
  g_string_append (json, ", \"tokens\": [");
  for (guint i = 0; i < segment->n_tokens; i++)
    g_string_append_printf (json, i ? ", %u" : "%u", segment->tokens[i]);
  g_string_append_c (json, ']');
  append_number (json, "avg_logprob", window->avg_logprob);
  append_number (json, "no_speech_prob", window->no_speech_prob);
  append_number (json, "compression_ratio", window->compression_ratio);
  append_number (json, "temperature", window->temperature);
  append_language (json, language);
  if (segment->words)
    append_words (json, segment->words, segment->n_words);
  g_string_append (json, "}\n");
  return g_string_free (json, FALSE);
}

char *
word_to_json (const NpuTimedWord *word, const char *text, const char *language)
{
  GString *json = g_string_new ("{");

  append_times (json, word->start, word->end);
  g_string_append (json, ", \"text\": ");
  json_append_string (json, text);
  append_number (json, "probability", word->probability);
  append_language (json, language);
  g_string_append (json, "}\n");
  return g_string_free (json, FALSE);
}
