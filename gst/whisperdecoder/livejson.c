/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "livejson.h"

#include "jsontext.h"

char *
live_update_to_json (const NpuLiveUpdate *update, guint64 start, guint64 end,
    const char *language)
{
  GString *json = g_string_new (NULL);

  g_string_append_printf (json,
      "{\"start\": %" G_GUINT64_FORMAT ", \"end\": %" G_GUINT64_FORMAT
      ", \"committed\": ",
      start, end);
  json_append_string (json, update->committed);
  g_string_append (json, ", \"partial\": ");
  json_append_string (json, update->partial);
  g_string_append (json, ", \"language\": ");
  json_append_string (json, language);
  g_string_append (json, "}\n");
  return g_string_free (json, FALSE);
}

char *
live_word_to_json (
    const NpuLiveWord *word, guint64 start, guint64 end, const char *language)
{
  GString *json = g_string_new ("{");

  json_append_seconds (json, "start", start);
  g_string_append (json, ", ");
  json_append_seconds (json, "end", end);
  g_string_append (json, ", \"text\": ");
  json_append_string (json, word->text);
  g_string_append (json, ", \"language\": ");
  json_append_string (json, language);
  g_string_append (json, "}\n");
  return g_string_free (json, FALSE);
}
