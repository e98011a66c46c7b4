/* npuenc-transcribe: recordings to text files.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/npu-output-file.h"
#include "job.h"
#include "outputnames.h"

#define EXIT_USAGE 2
#define MAX_AT_ONCE 16   /* beams, windows */
#define MAX_INTERVAL 1e9 /* s */

typedef struct {
  char *model, *vocabulary, *format_name, *language, *out, *precision;
  char *prompt, *hot_words;
  int threads, beam_size, batch;
  double language_interval; /* s; negative: the language is asked once */
  gboolean translate, words, quiet;
  GStrv files;

  TextFormat format;
} Options;

static const char summary[] =
    "Writes DIR/NAME.FORMAT for each recording. The model is loaded once; a\n"
    "recording that fails does not stop the others, but the exit status is 1.";

static gboolean
usage_error (GError **error, const char *format, const char *value)
{
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, format, value);
  return FALSE;
}

static gboolean
check_options (Options *options, GError **error)
{
  if (!options->files || !options->files[0])
    return usage_error (error, "it takes recordings%s; see --help", "");
  if (!options->model || !*options->model)
    return usage_error (
        error, "--model is missing%s: a whole Whisper model", "");
  if (!text_format_from_name (
          options->format_name ? options->format_name : "txt",
          &options->format))
    return usage_error (error,
        "--format is '%s'; it must be txt, srt, vtt or json",
        options->format_name);
  if (options->threads < 0)
    return usage_error (error, "--threads%s must not be negative", "");
  if (options->beam_size < 1 || options->beam_size > MAX_AT_ONCE)
    return usage_error (error, "--beam-size%s must be 1 to 16", "");
  if (options->batch < 1 || options->batch > MAX_AT_ONCE)
    return usage_error (error, "--batch%s must be 1 to 16", "");
  if (!(options->language_interval <= MAX_INTERVAL))
    return usage_error (error, "--language-interval%s is too long", "");
  if (!options->out)
    options->out = g_strdup (".");
  return TRUE;
}

static gboolean
parse_options (Options *options, int *argc, char ***argv, GError **error)
{
  const GOptionEntry entries[] = {
      {"model", 'm', 0, G_OPTION_ARG_FILENAME, &options->model,
          "A whole Whisper model: safetensors, a folder of it, or ggml",
          "MODEL"},
      {"format", 'f', 0, G_OPTION_ARG_STRING, &options->format_name,
          "txt, srt, vtt or json; default: txt", "FORMAT"},
      {"language", 'l', 0, G_OPTION_ARG_STRING, &options->language,
          "Language that is spoken, such as de; default: found out", "CODE"},
      {"translate", 0, 0, G_OPTION_ARG_NONE, &options->translate,
          "Write English", NULL},
      {"words", 0, 0, G_OPTION_ARG_NONE, &options->words,
          "Times of words: cues of two lines that end at pauses, words in JSON",
          NULL},
      {"beam-size", 'b', 0, G_OPTION_ARG_INT, &options->beam_size,
          "Beams of the search: 5 errs less and takes longer; default: 1", "N"},
      {"batch", 0, 0, G_OPTION_ARG_INT, &options->batch,
          "Windows decoded at once, cut at pauses: 8 is faster; default: 1",
          "N"},
      {"prompt", 0, 0, G_OPTION_ARG_STRING, &options->prompt,
          "Text before each recording: names and spelling that are to come",
          "TEXT"},
      {"hot-words", 0, 0, G_OPTION_ARG_STRING, &options->hot_words,
          "Names and words that every window is told", "TEXT"},
      {"language-interval", 0, 0, G_OPTION_ARG_DOUBLE,
          &options->language_interval,
          "Look for another language after so long; 0, the default: in each "
          "window; -1: never",
          "SECONDS"},
      {"out", 'o', 0, G_OPTION_ARG_FILENAME, &options->out,
          "Folder to write to, made where it is missing; default: .", "DIR"},
      {"vocabulary", 0, 0, G_OPTION_ARG_FILENAME, &options->vocabulary,
          "The model's vocabulary, where it is neither inside nor beside it",
          "FILE"},
      {"precision", 0, 0, G_OPTION_ARG_STRING, &options->precision,
          "auto, int8, int16, bf16 or f32; default: auto", "PRECISION"},
      {"threads", 0, 0, G_OPTION_ARG_INT, &options->threads,
          "Workers; default: one a core", "N"},
      {"quiet", 'q', 0, G_OPTION_ARG_NONE, &options->quiet,
          "Say nothing but errors", NULL},
      {G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->files,
          NULL, "FILE..."},
      G_OPTION_ENTRY_NULL,
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);

  g_option_context_set_summary (context, summary);
  g_option_context_add_main_entries (context, entries, NULL);
  return g_option_context_parse (context, argc, argv, error) &&
         check_options (options, error);
}

static void
clear_options (Options *options)
{
  g_free (options->model);
  g_free (options->vocabulary);
  g_free (options->format_name);
  g_free (options->language);
  g_free (options->out);
  g_free (options->precision);
  g_free (options->prompt);
  g_free (options->hot_words);
  g_strfreev (options->files);
}

/* --- one recording after another ---------------------------------------- */

typedef struct {
  const Options *options;
  const char *file; /* as people read it */
  guint index, n;   /* of how many */
  gboolean is_line; /* a line waits to be written over */
} Show;

/* "1:02:03" or "2:03". */
static char *
format_time (guint64 seconds)
{
  if (seconds >= 3600)
    return g_strdup_printf ("%u:%02u:%02u", (guint) (seconds / 3600),
        (guint) (seconds / 60 % 60), (guint) (seconds % 60));
  return g_strdup_printf (
      "%u:%02u", (guint) (seconds / 60), (guint) (seconds % 60));
}

/* A line that the next one writes over. */
static void
show_progress (const JobProgress *progress, gpointer user_data)
{
  Show *show = user_data;
  g_autofree char *done = format_time (progress->done / GST_SECOND);
  g_autofree char *all = format_time (progress->duration / GST_SECOND);
  g_autofree char *left = NULL;
  double rest;

  if (show->options->quiet || !isatty (STDERR_FILENO))
    return;
  if (progress->duration == 0 || progress->done == 0) {
    g_printerr (
        "\r[%u/%u] %s: %s\033[K", show->index, show->n, show->file, done);
  } else {
    rest = (double) progress->elapsed / 1e6 *
           ((double) progress->duration / progress->done - 1);
    left = format_time ((guint64) MAX (rest, 0));
    g_printerr ("\r[%u/%u] %s: %s of %s, %s left\033[K", show->index, show->n,
        show->file, done, all, left);
  }
  show->is_line = TRUE;
}

static void
end_line (Show *show)
{
  if (show->is_line)
    g_printerr ("\r\033[K");
  show->is_line = FALSE;
}

static gboolean
run_one (Job *job, const Options *options, const char *path, const char *out,
    Show *show, GError **error)
{
  g_autoptr (TextFile) file = text_file_new (options->format);
  g_autofree char *content = NULL;
  g_autofree char *out_name = g_filename_display_name (out);
  JobProgress progress;

  if (!job_run (job, path, file, &progress, show_progress, show, error))
    return FALSE;
  content = text_file_finish (file, path, progress.done);
  if (!npu_output_file_write_all (out, content, strlen (content), error))
    return FALSE;

  end_line (show);
  if (!options->quiet)
    g_printerr ("[%u/%u] %s: %.1f s in %.1f s, written to %s\n", show->index,
        show->n, show->file, (double) progress.done / GST_SECOND,
        (double) progress.elapsed / G_USEC_PER_SEC, out_name);
  return TRUE;
}

static Job *
open_job (const Options *options, GError **error)
{
  g_autofree char *threads = g_strdup_printf ("%d", options->threads);
  g_autofree char *beam_size = g_strdup_printf ("%d", options->beam_size);
  g_autofree char *batch = g_strdup_printf ("%d", options->batch);
  g_autofree char *interval = g_strdup_printf ("%" G_GUINT64_FORMAT,
      options->language_interval < 0
          ? G_MAXUINT64
          : (guint64) (options->language_interval * GST_SECOND));
  /* Windows that do not begin where the one before ended. */
  const char *mode = options->batch > 1 ? "pauses" : "follow";
  const char *properties[] = {"model", options->model, "task",
      options->translate ? "translate" : "transcribe", "timestamps",
      options->words ? "words" : "segments", "language-code",
      options->language ? options->language : "auto", "threads", threads,
      "precision", options->precision ? options->precision : "auto",
      "beam-size", beam_size, "batch", batch, "mode", mode, "initial-prompt",
      options->prompt, "hot-words", options->hot_words, "language-interval",
      interval, options->vocabulary ? "vocabulary" : NULL, options->vocabulary,
      NULL};

  return job_new (properties, options->format == TEXT_FORMAT_JSON, error);
}

/* Returns how many failed. */
static guint
run_all (Job *job, const Options *options)
{
  const char *const *files = (const char *const *) options->files;
  g_auto (GStrv) kept =
      output_names_list_kept (files, options->model, options->vocabulary);
  g_auto (GStrv) outs = output_names_new (
      files, kept, options->out, text_format_get_name (options->format));
  Show show = {options, NULL, 0, g_strv_length (options->files), FALSE};
  guint n_failed = 0;

  for (guint i = 0; files[i]; i++) {
    g_autofree char *name = g_filename_display_name (files[i]);
    g_autoptr (GError) error = NULL;

    show.file = name;
    show.index = i + 1;
    if (run_one (job, options, files[i], outs[i], &show, &error))
      continue;
    end_line (&show);
    g_printerr ("npuenc-transcribe: %s: %s\n", name, error->message);
    n_failed++;
  }
  return n_failed;
}

int
main (int argc, char **argv)
{
  Options options = {.beam_size = 1, .batch = 1, .language_interval = 0};
  g_autoptr (GError) error = NULL;
  g_autoptr (Job) job = NULL;
  int status = EXIT_FAILURE;

  setlocale (LC_ALL, "");
  setlocale (LC_NUMERIC, "C");
  if (!parse_options (&options, &argc, &argv, &error)) {
    g_printerr ("npuenc-transcribe: %s\n", error->message);
    clear_options (&options);
    return EXIT_USAGE;
  }

  gst_init (NULL, NULL);
  if (g_mkdir_with_parents (options.out, 0777) != 0)
    g_printerr ("npuenc-transcribe: the folder '%s' cannot be made: %s\n",
        options.out, g_strerror (errno));
  else if (!(job = open_job (&options, &error)))
    g_printerr ("npuenc-transcribe: %s\n", error->message);
  else if (run_all (job, &options) == 0)
    status = EXIT_SUCCESS;

  g_clear_pointer (&job, job_free);
  clear_options (&options);
  return status;
}
