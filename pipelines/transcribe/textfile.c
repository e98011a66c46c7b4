/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "textfile.h"

#include <string.h>

struct _TextFile {
  TextFormat format;
  GString *body;
  guint n;        /* segments */
  GString *text;  /* JSON: of all, escaped */
  char *language; /* JSON: likewise */
};

static const char *const names[] = {"txt", "srt", "vtt", "json"};

gboolean
text_format_from_name (const char *name, TextFormat *format)
{
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    if (strcmp (name, names[i]) == 0) {
      *format = i;
      return TRUE;
    }
  }
  return FALSE;
}

const char *
text_format_get_name (TextFormat format)
{
  return names[format];
}

TextFile *
text_file_new (TextFormat format)
{
  TextFile *file = g_new0 (TextFile, 1);

  file->format = format;
  file->body = g_string_new (NULL);
  file->text = g_string_new (NULL);
  return file;
}

void
text_file_free (TextFile *file)
{
  g_string_free (file->body, TRUE);
  g_string_free (file->text, TRUE);
  g_free (file->language);
  g_free (file);
}

/* --- text --------------------------------------------------------------- */

/* hh:mm:ss, a separator, and milliseconds. */
static void
append_time (GString *body, guint64 ns, char separator)
{
  const guint64 ms = (ns + 500000) / 1000000;

  g_string_append_printf (body, "%02" G_GUINT64_FORMAT ":%02u:%02u%c%03u",
      ms / 3600000, (guint) (ms / 60000 % 60), (guint) (ms / 1000 % 60),
      separator, (guint) (ms % 1000));
}

static void
append_byte (GString *body, gsize start, guchar byte, TextFormat format)
{
  if (format == TEXT_FORMAT_VTT && byte == '&')
    g_string_append (body, "&amp;");
  else if (format == TEXT_FORMAT_VTT && byte == '<')
    g_string_append (body, "&lt;");
  else if (format == TEXT_FORMAT_VTT && byte == '>')
    g_string_append (body, "&gt;");
  else if (format == TEXT_FORMAT_SRT && byte == '>' && body->len >= start + 2 &&
           memcmp (body->str + body->len - 2, "--", 2) == 0)
    g_string_append (body, " >");
  else
    g_string_append_c (body, byte);
}

/* Text, whose line feeds are a cue's lines: one that is blank would end the
 * cue, and other control characters are no text. A cue of either kind must not
 * have an arrow; WebVTT has markup besides. */
static void
append_lines (GString *body, const char *text, gsize length, TextFormat format)
{
  const gsize start = body->len;
  gboolean is_new = FALSE;

  for (gsize i = 0; i < length; i++) {
    const guchar byte = text[i];

    if (byte == '\n' && format != TEXT_FORMAT_TXT) {
      is_new = body->len > start;
    } else if (byte <= 0x20 || byte == 0x7f) {
      if (!is_new)
        g_string_append_c (body, ' ');
    } else {
      if (is_new)
        g_string_append_c (body, '\n');
      is_new = FALSE;
      append_byte (body, start, byte, format);
    }
  }
  g_string_append_c (body, '\n');
}

static void
append_cue (TextFile *file, guint64 start, guint64 end, const char *text,
    gsize length, char separator)
{
  if (file->format == TEXT_FORMAT_SRT)
    g_string_append_printf (file->body, "%u\n", file->n);
  append_time (file->body, start, separator);
  g_string_append (file->body, " --> ");
  append_time (file->body, end, separator);
  g_string_append_c (file->body, '\n');
  append_lines (file->body, text, length, file->format);
  g_string_append_c (file->body, '\n');
}

/* --- JSON --------------------------------------------------------------- */

/* (transfer full): the string of a member, still escaped, or NULL. */
static char *
find_string (const char *json, const char *member)
{
  g_autofree char *begin = g_strdup_printf ("\"%s\": \"", member);
  const char *at = strstr (json, begin), *end;

  if (!at)
    return NULL;
  at += strlen (begin);
  for (end = at; *end && *end != '"'; end++) {
    if (*end == '\\' && end[1])
      end++;
  }
  return g_strndup (at, end - at);
}

static void
add_object (TextFile *file, const char *json, gsize length)
{
  g_autofree char *object = g_strstrip (g_strndup (json, length));
  g_autofree char *text = find_string (object, "text");
  char *language = find_string (object, "language");

  g_string_append_printf (
      file->body, "%s\n    %s", file->n > 1 ? "," : "", object);
  if (text)
    g_string_append_printf (file->text, "%s%s", file->n > 1 ? " " : "", text);
  if (language && !file->language)
    file->language = language;
  else
    g_free (language);
}

static void
append_escaped (GString *json, const char *text)
{
  for (; *text; text++) {
    if (*text == '"' || *text == '\\')
      g_string_append_printf (json, "\\%c", *text);
    else if ((guchar) *text < 0x20)
      g_string_append_printf (json, "\\u%04x", *text);
    else
      g_string_append_c (json, *text);
  }
}

static char *
finish_json (TextFile *file, const char *name, guint64 duration)
{
  /* A name may have any bytes, JSON must be UTF-8. */
  g_autofree char *valid = g_utf8_make_valid (name, -1);
  GString *json = g_string_new ("{\n  \"file\": \"");

  append_escaped (json, valid);
  g_string_append_printf (json,
      "\",\n  \"duration\": %" G_GUINT64_FORMAT ".%03u,\n  \"language\": ",
      duration / 1000000000, (guint) (duration / 1000000 % 1000));
  if (file->language)
    g_string_append_printf (json, "\"%s\"", file->language);
  else
    g_string_append (json, "null");
  g_string_append_printf (json,
      ",\n  \"text\": \"%s\",\n  \"segments\": [%s%s]\n}\n", file->text->str,
      file->body->str, file->n ? "\n  " : "");
  return g_string_free (json, FALSE);
}

/* --- segments ----------------------------------------------------------- */

void
text_file_add (
    TextFile *file, guint64 start, guint64 end, const char *text, gsize length)
{
  file->n++;
  switch (file->format) {
    case TEXT_FORMAT_TXT:
      append_lines (file->body, text, length, file->format);
      break;
    case TEXT_FORMAT_SRT:
      append_cue (file, start, end, text, length, ',');
      break;
    case TEXT_FORMAT_VTT:
      append_cue (file, start, end, text, length, '.');
      break;
    case TEXT_FORMAT_JSON:
      add_object (file, text, length);
      break;
  }
}

char *
text_file_finish (TextFile *file, const char *name, guint64 duration)
{
  if (file->format == TEXT_FORMAT_JSON)
    return finish_json (file, name, duration);
  if (file->format == TEXT_FORMAT_VTT)
    return g_strconcat ("WEBVTT\n\n", file->body->str, NULL);
  return g_strdup (file->body->str);
}
