/* The command line.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "bench.h"
#include "base/npu-output-file.h"

static int
compare_guint (gconstpointer a, gconstpointer b)
{
  const guint x = *(const guint *) a, y = *(const guint *) b;

  return (x > y) - (x < y);
}

/* "1,2,3": numbers from 1 to 16; 1 is added where it is missing. */
static GArray *
parse_depths (const char *text, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);
  g_autoptr (GArray) depths = g_array_new (FALSE, FALSE, sizeof (guint));
  guint one = 1;

  g_array_append_val (depths, one);
  for (guint i = 0; parts[i] != NULL; i++) {
    guint64 depth;
    guint value;
    gboolean known = FALSE;

    if (!g_ascii_string_to_unsigned (parts[i], 10, 1, 16, &depth, NULL)) {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
          "--depths is '%s'; it must be numbers from 1 to 16 with commas "
          "between them",
          text);
      return NULL;
    }
    value = (guint) depth;
    for (guint j = 0; j < depths->len; j++)
      known |= g_array_index (depths, guint, j) == value;
    if (!known)
      g_array_append_val (depths, value);
  }
  g_array_sort (depths, compare_guint);
  return g_steal_pointer (&depths);
}

static gboolean
parse_precision (const char *text, NpuPrecision *precision, GError **error)
{
  if (npu_precision_from_string (text, precision))
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
      "--precision is '%s'; it must be auto, int8, int16, bf16 or f32", text);
  return FALSE;
}

static gboolean
check_range (const char *name, int value, int min, int max, GError **error)
{
  if (value >= min && value <= max)
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
      "--%s is %d; it must be from %d to %d", name, value, min, max);
  return FALSE;
}

/* Before anything is measured: a file that can be written, and is none of the
 * others. To open a FIFO and close it would end its reader. */
static gboolean
check_output (const char *path, const char *const *others, GError **error)
{
  NpuOutputFile *file;

  for (; *others; others++)
    if (strcmp (path, *others) == 0) {
      g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
          "'%s' is asked for twice; every output needs a file of its own",
          path);
      return FALSE;
    } else if (!npu_output_file_differs (path, *others, error)) {
      return FALSE;
    }
  if (g_file_test (path, G_FILE_TEST_EXISTS) &&
      !g_file_test (path, G_FILE_TEST_IS_REGULAR))
    return TRUE;
  file = npu_output_file_open (path, error);
  npu_output_file_abandon (file);
  return file != NULL;
}

static gboolean
check_outputs (const BenchOptions *options, GError **error)
{
  const char *const outputs[] = {options->json, options->trace, options->svg};
  const char *others[G_N_ELEMENTS (outputs) + 2] = {options->model};
  guint n_others = 1;

  for (guint i = 0; i < G_N_ELEMENTS (outputs); i++)
    if (outputs[i]) {
      if (!check_output (outputs[i], others, error))
        return FALSE;
      others[n_others++] = outputs[i];
    }
  return TRUE;
}

static const char summary[] =
    "Measures loose tiles and whole windows at several depths of the ring, "
    "and\n"
    "the decoder:\n"
    "warms up, alternates the configurations and prints medians. Without a\n"
    "mode it does --pipelined.";

gboolean
bench_options_parse (
    BenchOptions *options, int *argc, char ***argv, GError **error)
{
  int tiles = 20, threads = 0, repeat = 15, latency_us = 0;
  g_autofree char *depths = NULL;
  g_autofree char *precision = NULL;
  const GOptionEntry entries[] = {
      {"pipelined", 0, 0, G_OPTION_ARG_NONE, &options->pipelined,
          "Loose tiles, sequentially and pipelined on the same inputs", NULL},
      {"batch-analysis", 0, 0, G_OPTION_ARG_NONE, &options->batch_analysis,
          "The same with 1, 2, 4, 8 and 24 tiles per launch; with --encoder "
          "for windows too",
          NULL},
      {"encoder", 0, 0, G_OPTION_ARG_NONE, &options->encoder,
          "Whole windows of a model, and what each operation takes", NULL},
      {"decoder", 0, 0, G_OPTION_ARG_NONE, &options->decoder,
          "A window's keys and values, a token at 1, 5 and 8 rows a step and "
          "at 8 windows, a prompt",
          NULL},
      {"small", 0, 0, G_OPTION_ARG_NONE, &options->small,
          "A list of 50 launches of one row, and a window of a second of a "
          "model: with one thread and with all",
          NULL},
      {"scaling", 0, 0, G_OPTION_ARG_NONE, &options->scaling,
          "Windows of 5 to 30 s of a model: with one thread and with all",
          NULL},
      {"roofline", 0, 0, G_OPTION_ARG_NONE, &options->roofline,
          "This machine's peak, and the share that --encoder's operations "
          "have of it",
          NULL},
      {"device", 0, 0, G_OPTION_ARG_STRING, &options->device,
          "auto, cpu, xrt or xrt:N; default: cpu", "DEVICE"},
      {"overlays", 0, 0, G_OPTION_ARG_FILENAME, &options->overlays,
          "Directory of the NPU's compiled programs, for xrt", "DIR"},
      {"model", 0, 0, G_OPTION_ARG_FILENAME, &options->model,
          "A Whisper model, or synthetic:SIZE; default: synthetic:tiny",
          "MODEL"},
      {"tiles", 0, 0, G_OPTION_ARG_INT, &tiles,
          "Loose tiles in a list, 1 to 10000; default: 20", "N"},
      {"depths", 0, 0, G_OPTION_ARG_STRING, &depths,
          "Depths to compare with depth 1; default: 1,2,3,4", "LIST"},
      {"threads", 0, 0, G_OPTION_ARG_INT, &threads,
          "Workers of the CPU device; default: one a core", "N"},
      {"precision", 0, 0, G_OPTION_ARG_STRING, &precision,
          "auto, int8, int16, bf16 or f32; default: auto", "PRECISION"},
      {"latency-us", 0, 0, G_OPTION_ARG_INT, &latency_us,
          "Time from a launch's submission to its start that the CPU device "
          "adds",
          "N"},
      {"repeat", 0, 0, G_OPTION_ARG_INT, &repeat,
          "Samples of each configuration, 1 to 1000; default: 15", "N"},
      {"verbose", 0, 0, G_OPTION_ARG_NONE, &options->verbose,
          "A line for every launch of one list in each configuration; of a decoder, what its parts are computed in",
          NULL},
      {"json", 0, 0, G_OPTION_ARG_FILENAME, &options->json,
          "Write every figure to FILE", "FILE"},
      {"trace", 0, 0, G_OPTION_ARG_FILENAME, &options->trace,
          "Write a timeline of one run for ui.perfetto.dev", "FILE"},
      {"svg", 0, 0, G_OPTION_ARG_FILENAME, &options->svg,
          "Draw that timeline, for a browser", "FILE"},
      G_OPTION_ENTRY_NULL,
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);

  g_option_context_set_summary (context, summary);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (*argc > 1) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION,
        "'%s' is not an option; see --help", (*argv)[1]);
    return FALSE;
  }
  if (!check_range ("tiles", tiles, 1, 10000, error) ||
      !check_range ("threads", threads, 0, 256, error) ||
      !check_range ("repeat", repeat, 1, 1000, error) ||
      !check_range ("latency-us", latency_us, 0, 1000000, error) ||
      !parse_precision (
          precision != NULL ? precision : "auto", &options->precision, error))
    return FALSE;
  options->depths = parse_depths (depths != NULL ? depths : "1,2,3,4", error);
  if (options->depths == NULL)
    return FALSE;

  options->n_tiles = (guint) tiles;
  options->threads = (guint) threads;
  options->repeat = (guint) repeat;
  options->latency_us = (guint) latency_us;
  if (options->device == NULL)
    options->device = g_strdup ("cpu");
  if (options->model == NULL)
    options->model = g_strdup ("synthetic:tiny");
  options->encoder |= options->roofline;
  options->pipelined |= !options->batch_analysis && !options->encoder &&
                        !options->decoder && !options->small &&
                        !options->scaling;
  if ((options->precision == NPU_PRECISION_BF16 ||
          options->precision == NPU_PRECISION_INT16) &&
      (options->pipelined || options->batch_analysis)) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
        "--precision %s is for windows: add --encoder; loose tiles are int8 "
        "or f32",
        npu_precision_to_string (options->precision));
    return FALSE;
  }
  return check_outputs (options, error);
}

void
bench_options_clear (BenchOptions *options)
{
  g_free (options->device);
  g_free (options->overlays);
  g_free (options->model);
  g_free (options->json);
  g_free (options->trace);
  g_free (options->svg);
  if (options->depths != NULL)
    g_array_unref (options->depths);
}
