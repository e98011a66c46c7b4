/* Every figure as JSON: docs/npuenc-bench.schema.json says what is there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "bench.h"
#include "base/npu-output-file.h"

char *
bench_cpu_name (void)
{
  g_autofree char *text = NULL;
  const char *line, *end;

  if (!g_file_get_contents ("/proc/cpuinfo", &text, NULL, NULL))
    return g_strdup ("unknown");
  line = strstr (text, "model name");
  line = line != NULL ? strchr (line, ':') : NULL;
  if (line == NULL)
    return g_strdup ("unknown");
  end = strchr (line, '\n');
  return g_strstrip (
      g_strndup (line + 1, end != NULL ? (gsize) (end - line - 1) : 0));
}

/* --- writing ----------------------------------------------------------- */

/* A comma, unless it begins an object or array, and the key. */
static void
add_key (GString *out, const char *key)
{
  const char last = out->str[out->len - 1];

  if (last != '{' && last != '[')
    g_string_append (out, ", ");
  if (key != NULL)
    g_string_append_printf (out, "\"%s\": ", key);
}

static void
add_text (GString *out, const char *key, const char *text)
{
  g_autofree char *valid = NULL;

  if (text == NULL)
    return;
  valid = g_utf8_make_valid (text, -1);
  add_key (out, key);
  g_string_append_c (out, '"');
  for (const char *c = valid; *c != '\0'; c++) {
    if ((guchar) *c < 0x20)
      g_string_append_printf (out, "\\u%04x", (guint) *c);
    else if (*c == '"' || *c == '\\')
      g_string_append_printf (out, "\\%c", *c);
    else
      g_string_append_c (out, *c);
  }
  g_string_append_c (out, '"');
}

static void
add_number (GString *out, const char *key, double number)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  if (isnan (number) || isinf (number))
    return; /* not measured */
  add_key (out, key);
  g_string_append (out, g_ascii_formatd (text, sizeof text, "%.9g", number));
}

static void
add_count (GString *out, const char *key, guint64 count)
{
  add_key (out, key);
  g_string_append_printf (out, "%" G_GUINT64_FORMAT, count);
}

/* A list of @n objects, of which @add_members writes what is in number @i. */
static void
add_objects (GString *out, const char *key, guint n,
    void (*add_members) (GString *out, gconstpointer data, guint i),
    gconstpointer data)
{
  add_key (out, key);
  g_string_append_c (out, '[');
  for (guint i = 0; i < n; i++) {
    add_key (out, NULL);
    g_string_append_c (out, '{');
    add_members (out, data, i);
    g_string_append_c (out, '}');
  }
  g_string_append_c (out, ']');
}

static void
add_peaks (GString *out, const BenchPeaks *peaks)
{
  add_key (out, "peak");
  g_string_append_c (out, '{');
  add_count (out, "threads", peaks->threads);
  for (guint type = 0; type < BENCH_N_TYPES; type++) {
    const BenchPeak *peak = &peaks->of[type];
    const char *name = bench_type_name (type);
    const char *unit =
        type == BENCH_F32 || type == BENCH_BF16 ? "gflops" : "gops";
    g_autofree char *one = g_strdup_printf ("%s_%s_one", name, unit);
    g_autofree char *all = g_strdup_printf ("%s_%s_all", name, unit);
    g_autofree char *code = g_strdup_printf ("%s_code", name);

    add_number (out, one, peak->one);
    add_number (out, all, peak->all);
    add_text (out, code, peak->code);
  }
  g_string_append_c (out, '}');
}

static void
add_machine (GString *out, const Bench *bench)
{
  g_autofree char *cpu = bench_cpu_name ();

  add_key (out, "machine");
  g_string_append_c (out, '{');
  add_text (out, "cpu", cpu);
  add_count (out, "cores", g_get_num_processors ());
  add_text (
      out, "device_description", npu_device_get_description (bench->device));
  add_number (out, "executor_us_per_launch", bench->executor_us);
  add_number (out, "host_us_per_launch", bench->host_us);
  add_number (out, "empty_launch_us", bench->empty_launch_us);
  add_number (out, "others_percent", bench->others_percent);
  if (bench->peak_memory > 0)
    add_count (out, "peak_memory_bytes", bench->peak_memory);
  if (bench->has_peaks)
    add_peaks (out, &bench->peaks);
  g_string_append_c (out, '}');
}

static void
add_small (GString *out, const BenchSmall *small)
{
  add_key (out, "small");
  g_string_append_c (out, '{');
  add_number (out, "list_us_one_thread", small->list_one_us);
  add_number (out, "list_us", small->list_us);
  add_number (out, "second_ms_one_thread", small->second_one_ms);
  add_number (out, "second_ms", small->second_ms);
  g_string_append_c (out, '}');
}

static void
add_length (GString *out, gconstpointer data, guint i)
{
  const BenchLength *length = (const BenchLength *) data + i;

  add_count (out, "seconds", length->seconds);
  add_number (out, "ms_one_thread", length->one_ms);
  add_number (out, "ms", length->ms);
  add_number (out, "ratio", length->ratio);
  add_number (out, "best_ms_one_thread", length->best_one_ms);
  add_number (out, "best_ms", length->best_ms);
  add_number (out, "processor_ms_one_thread", length->processor_one_ms);
  add_number (out, "processor_ms", length->processor_ms);
}

static void
add_independent (GString *out, const BenchIndependent *independent)
{
  add_key (out, "independent");
  g_string_append_c (out, '{');
  add_count (out, "encoders", independent->encoders);
  add_number (out, "ratio", independent->ratio);
  add_number (out, "best_ratio", independent->best);
  g_string_append_c (out, '}');
}

static void
add_stage (GString *out, gconstpointer data, guint i)
{
  const BenchStage *stage = (const BenchStage *) data + i;

  add_text (out, "name", stage->name);
  add_number (out, "ms", stage->ms);
  add_number (out, "time_percent", stage->time_percent);
  add_number (out, "gflop", stage->gflop);
  add_text (out, "peak", stage->peak);
  add_number (out, "peak_share", stage->peak_share);
  add_number (out, "processor_ms", stage->processor_ms);
  add_number (out, "processor_share", stage->processor_share);
  add_number (out, "best_share", stage->best_share);
}

static void
add_result (GString *out, const Bench *bench, const BenchResult *result)
{
  const BenchOptions *options = &bench->options;
  const gboolean is_cpu =
      strcmp (npu_device_get_name (bench->device), "cpu") == 0;

  add_key (out, NULL);
  g_string_append (out, "\n  {");
  add_text (out, "mode", result->mode);
  add_text (out, "workload", result->workload);
  add_text (out, "model", result->model);
  add_text (out, "device", npu_device_get_name (bench->device));
  add_text (out, "precision", result->precision);
  if (is_cpu)
    add_count (out, "threads", npu_device_get_n_workers (bench->device));
  add_count (out, "latency_us", options->latency_us);
  add_count (out, "repeat", options->repeat);
  if (result->rows == 0) {
    add_count (out, "depth", result->depth);
    add_count (out, "batch_size", result->batch);
    add_count (out, "tiles", result->tiles);
    add_count (out, "launches", result->launches);
    add_count (out, "stalls", result->stalls);
  } else {
    add_count (out, "rows", result->rows);
    add_count (out, "windows", result->windows);
    add_number (out, "token_ms", result->token_ms);
    add_number (
        out, "prompt_tokens_per_second", result->prompt_tokens_per_second);
  }
  add_number (out, "tile_ms", result->tile_ms);
  if (result->model == NULL)
    add_number (out, "list_ms", result->list_ms);
  add_number (out, "window_ms", result->window_ms);
  add_number (out, "speedup", result->speedup);
  add_number (out, "dma_write_ms", result->dma_write_ms);
  add_number (out, "compute_ms", result->compute_ms);
  add_number (out, "dma_read_ms", result->dma_read_ms);
  add_number (out, "dma_overhead_percent", result->dma_overhead_percent);
  add_number (out, "realtime_factor", result->realtime_factor);
  add_number (out, "correlation", result->correlation);
  if (result->memory_size > 0)
    add_count (out, "memory_bytes", result->memory_size);
  add_number (out, "peak_share", result->peak_share);
  add_number (out, "processor_ms", result->processor_ms);
  add_number (out, "processor_share", result->processor_share);
  add_number (out, "best_share", result->best_share);
  add_number (out, "load_ms", result->load_ms);
  add_number (out, "mel_ms", result->mel_ms);
  if (result->n_stages > 0)
    add_objects (out, "stages", result->n_stages, add_stage, result->stages);
  g_string_append_c (out, '}');
}

/* --- windows on an NPU -------------------------------------------------- */

static void
add_constant (GString *out, gconstpointer data, guint i)
{
  const BenchConstant *constant = (const BenchConstant *) data + i;

  add_text (out, "name", constant->name);
  add_text (out, "what", constant->what);
  add_text (out, "unit", constant->unit);
  add_number (out, "least", constant->least);
  add_number (out, "most", constant->most);
  add_text (out, "source", constant->source);
}

static void
add_window (GString *out, gconstpointer data, guint i)
{
  const BenchEstimateWindow *window = (const BenchEstimateWindow *) data + i;

  add_count (out, "launches", window->launches);
  add_count (out, "submissions", window->submissions);
  add_count (out, "switches", window->switches);
  add_count (out, "wakes", window->wakes);
  add_count (out, "synced_bytes", window->synced_size);
  add_number (out, "least_ms", window->time.least_ms);
  add_number (out, "most_ms", window->time.most_ms);
}

static void
add_lever (GString *out, gconstpointer data, guint i)
{
  const BenchLever *lever = (const BenchLever *) data + i;

  add_text (out, "name", lever->name);
  add_count (out, "window", lever->window);
  add_number (out, "saves_least_ms", lever->saves.least_ms);
  add_number (out, "saves_most_ms", lever->saves.most_ms);
}

static void
add_estimate (GString *out, const BenchEstimate *estimate)
{
  const BenchConstant *constants;
  guint n_constants;

  if (estimate->n_windows == 0)
    return;
  add_key (out, "npu_estimate");
  g_string_append_c (out, '{');
  add_number (out, "gflop", estimate->gflop);
  add_count (out, "stages", estimate->n_stages);
  constants = bench_estimate_constants (&n_constants);
  add_objects (out, "constants", n_constants, add_constant, constants);
  add_objects (
      out, "windows", estimate->n_windows, add_window, estimate->windows);
  add_objects (out, "levers", BENCH_N_LEVERS, add_lever, estimate->levers);
  g_string_append_c (out, '}');
}

gboolean
bench_write_json (const Bench *bench, GError **error)
{
  g_autoptr (GString) out = g_string_new ("{");

  add_count (out, "version", 1);
  add_machine (out, bench);
  if (bench->has_small)
    add_small (out, &bench->small);
  if (bench->has_lengths)
    add_objects (out, "scaling", BENCH_N_LENGTHS, add_length, bench->lengths);
  if (bench->independent.encoders > 0)
    add_independent (out, &bench->independent);
  add_key (out, "results");
  g_string_append_c (out, '[');
  for (guint i = 0; i < bench->results->len; i++)
    add_result (out, bench, &g_array_index (bench->results, BenchResult, i));
  g_string_append (out, "\n]");
  add_estimate (out, &bench->estimate);
  g_string_append (out, "}\n");
  return npu_output_file_write_all (
      bench->options.json, out->str, out->len, error);
}
