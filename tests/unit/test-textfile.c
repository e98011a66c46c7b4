/* SubRip and WebVTT of odd texts: what is in the file, and that ffmpeg reads
 * all cues of it with their times.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "textfile.h"

#define MS G_GUINT64_CONSTANT (1000000)

typedef struct {
  guint64 start, end; /* ms */
  const char *text;
} Cue;

static const Cue odd[] = {
    {0, 1000, "Fish & chips cost < 5 and > 3"},
    {1000, 1001, "one millisecond --> the next"},
    {1001, 2000, "----> and -->"},
    {2000, 2500, "1984"},
    {2500, 3000, "00:00:01,000 --> 00:00:02,000"},
    {3000, 4000, "<b>no markup</b> <00:00:03.500> {\\an8} &amp; &nbsp;"},
    {4000, 5000, "WEBVTT"},
    {5000, 6000, "NOTE to myself"},
    {6000, 7000, "STYLE"},
    {7000, 8000,
        "Grüße, こんにちは, 안녕하세요, привет, नमस्ते, สวัสดี, مرحبا, "
        "👋🏽"},
    {8000, 9000, "two\nlines\n\nand\r\na bell \a"},
    {9000, 9500, "-"},
    {3599999, 3600000, "one hour"},
    {359999000, 359999999, "a hundred hours"},
};

static char *
write_file (TextFormat format, const Cue *cues, guint n)
{
  g_autoptr (TextFile) file = text_file_new (format);

  for (guint i = 0; i < n; i++)
    text_file_add (file, cues[i].start * MS, cues[i].end * MS, cues[i].text,
        strlen (cues[i].text));
  return text_file_finish (file, "odd.wav", 360000000 * MS);
}

static const TextFormat formats[] = {TEXT_FORMAT_SRT, TEXT_FORMAT_VTT};

/* A line of times and lines of text, none of them blank, and an empty line
 * behind each cue. */
static void
test_lines (void)
{
  for (guint f = 0; f < G_N_ELEMENTS (formats); f++) {
    const gboolean is_srt = formats[f] == TEXT_FORMAT_SRT;
    g_autofree char *text = write_file (formats[f], odd, G_N_ELEMENTS (odd));
    g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
    guint at = is_srt ? 0 : 2;

    g_assert_true (g_utf8_validate (text, -1, NULL));
    g_assert_null (strchr (text, '\r'));
    g_assert_null (strchr (text, '\a'));
    for (guint i = 0; i < G_N_ELEMENTS (odd); i++) {
      if (is_srt)
        g_assert_cmpuint (g_ascii_strtoull (lines[at++], NULL, 10), ==, i + 1);
      g_assert_nonnull (strstr (lines[at++], " --> "));
      do {
        g_autofree char *line = g_strstrip (g_strdup (lines[at]));

        g_assert_cmpstr (line, !=, "");
        g_assert_null (strstr (lines[at++], "-->"));
      } while (*lines[at] != '\0');
      at++;
    }
    g_assert_nonnull (strstr (text, "two\nlines\nand \na bell"));
    g_assert_cmpuint (g_strv_length (lines), ==, at + 1);
  }
}

/* Returns: (transfer full) (nullable): what ffmpeg makes of @text as SubRip. */
static char *
convert (const char *text, const char *extension)
{
  g_autofree char *ffmpeg = g_find_program_in_path ("ffmpeg");
  g_autofree char *folder = g_dir_make_tmp ("npuenc-test-XXXXXX", NULL);
  g_autofree char *path = g_strdup_printf ("%s/odd.%s", folder, extension);
  char *argv[] = {ffmpeg, "-nostdin", "-loglevel", "error", "-i", path, "-f",
      "srt", "-", NULL};
  g_autofree char *errors = NULL;
  char *out = NULL;
  int status = 0;

  if (ffmpeg) {
    g_assert_true (g_file_set_contents (path, text, -1, NULL));
    g_assert_true (g_spawn_sync (NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL,
        &out, &errors, &status, NULL));
    g_assert_cmpstr (errors, ==, "");
    g_assert_cmpint (status, ==, 0);
    g_assert_cmpint (g_remove (path), ==, 0);
  } else
    g_test_skip ("there is no ffmpeg");
  g_assert_cmpint (g_rmdir (folder), ==, 0);
  return out;
}

static guint64
parse_time (const char *at)
{
  unsigned hours, minutes, seconds, ms;

  g_assert_cmpint (
      sscanf (at, "%u:%u:%u,%u", &hours, &minutes, &seconds, &ms), ==, 4);
  return ((hours * 60 + minutes) * G_GUINT64_CONSTANT (60) + seconds) * 1000 +
         ms;
}

/* Each cue is there with its times, in the order of the file. */
static void
check_read (const char *read, const Cue *cues, guint n)
{
  g_auto (GStrv) lines = g_strsplit (read, "\n", -1);
  guint found = 0;

  for (guint i = 0; lines[i]; i++) {
    const char *arrow = strstr (lines[i], " --> ");
    const guint64 number = i ? g_ascii_strtoull (lines[i - 1], NULL, 10) : 0;

    if (!arrow || number != found + 1) /* or it is a cue's text */
      continue;
    g_assert_cmpuint (found, <, n);
    g_assert_cmpuint (parse_time (lines[i]), ==, cues[found].start);
    g_assert_cmpuint (parse_time (arrow + 5), ==, cues[found].end);
    found++;
  }
  g_assert_cmpuint (found, ==, n);
}

static void
test_ffmpeg (void)
{
  for (guint f = 0; f < G_N_ELEMENTS (formats); f++) {
    g_autofree char *text = write_file (formats[f], odd, G_N_ELEMENTS (odd));
    g_autofree char *read = convert (text, text_format_get_name (formats[f]));

    if (!read)
      return;
    check_read (read, odd, G_N_ELEMENTS (odd));
    g_assert_nonnull (strstr (read, "Grüße, こんにちは, 안녕하세요"));
    g_assert_nonnull (strstr (read, "Fish & chips cost < 5 and > 3"));
    if (formats[f] == TEXT_FORMAT_VTT)
      g_assert_nonnull (strstr (read, "<b>no markup</b>"));
  }
}

/* Cues of which one begins before the other ended. */
static void
test_overlap (void)
{
  static const Cue cues[] = {
      {0, 2000, "first"}, {1000, 3000, "second"}, {1000, 1500, "third"}};

  for (guint f = 0; f < G_N_ELEMENTS (formats); f++) {
    g_autofree char *text = write_file (formats[f], cues, G_N_ELEMENTS (cues));
    g_autofree char *read = convert (text, text_format_get_name (formats[f]));

    if (!read)
      return;
    check_read (read, cues, G_N_ELEMENTS (cues));
  }
}

/* Nothing was said: WebVTT has its header, SubRip is empty, which no program
 * knows for SubRip. */
static void
test_empty (void)
{
  g_autofree char *srt = write_file (TEXT_FORMAT_SRT, NULL, 0);
  g_autofree char *vtt = write_file (TEXT_FORMAT_VTT, NULL, 0);
  g_autofree char *read = convert (vtt, "vtt");

  g_assert_cmpstr (srt, ==, "");
  g_assert_cmpstr (vtt, ==, "WEBVTT\n\n");
  if (read)
    g_assert_cmpstr (read, ==, "");
}

int
main (int argc, char **argv)
{
  setlocale (LC_ALL, "");
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/textfile/lines", test_lines);
  g_test_add_func ("/textfile/ffmpeg", test_ffmpeg);
  g_test_add_func ("/textfile/overlap", test_overlap);
  g_test_add_func ("/textfile/empty", test_empty);
  return g_test_run ();
}
