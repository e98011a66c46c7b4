/* npuenc-bench: what the ring of launches is worth on a machine.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench-load.h"
#include "bench.h"

/* The loose tiles of an NPU. */
#define PROGRAM "attention_64x64"

static gboolean
open_device (Bench *bench, GError **error)
{
  const BenchOptions *options = &bench->options;
  const NpuDeviceOptions device_options = {
      .threads = options->threads,
      .latency = options->latency_us * (guint64) 1000,
      .overlays = options->overlays,
  };

  bench->device = npu_device_open (options->device, &device_options, error);
  bench->precision = options->precision == NPU_PRECISION_F32 ? "f32" : "int8";
  return bench->device != NULL;
}

/* An NPU has the CPU beside it, and programs for loose tiles. */
static gboolean
is_npu (const Bench *bench)
{
  return bench->device != npu_device_get_host (bench->device);
}

static gboolean
run_program (Bench *bench, const char *mode, const char *title, GError **error)
{
  const guint first = bench->results->len;
  g_autofree char *full = g_strdup_printf (
      "%s, " PROGRAM ": %u tiles", title, bench->options.n_tiles);

  if (!bench_run_program (bench, mode, PROGRAM, error))
    return FALSE;
  bench_print_results (bench, full, first);
  bench_print_best (bench, PROGRAM, first);
  return TRUE;
}

/* A mode on loose tiles, for attention and for the whole block. */
static gboolean
run_tiles (Bench *bench, const char *mode, const char *title, GError **error)
{
  static const char *const workloads[] = {"attention", "block"};

  if (is_npu (bench))
    return run_program (bench, mode, title, error);
  for (guint i = 0; i < G_N_ELEMENTS (workloads); i++) {
    const guint first = bench->results->len;
    g_autofree char *name = g_strdup_printf ("%s of loose tiles", workloads[i]);
    g_autofree char *full = g_strdup_printf (
        "%s, %s: %u tiles", title, name, bench->options.n_tiles);

    if (!bench_run_tiles (bench, mode, workloads[i], error))
      return FALSE;
    bench_print_results (bench, full, first);
    bench_print_best (bench, name, first);
  }
  return TRUE;
}

static gboolean
run_encoder (Bench *bench, GError **error)
{
  const guint first = bench->results->len;
  g_autofree char *title = NULL;

  if (bench->options.roofline) {
    bench_peaks_measure (
        npu_device_get_n_workers (bench->device), &bench->peaks);
    bench->has_peaks = TRUE;
    bench_print_peaks (bench);
  }
  if (!bench_run_encoder (bench, error))
    return FALSE;
  title = g_strdup_printf ("windows of 30 s of %s", bench->model_name);
  bench_print_results (bench, title, first);
  bench_print_best (bench, "windows", first);
  bench_print_around (bench, first);
  bench_estimate_print (&bench->estimate);
  return TRUE;
}

static gboolean
run_decoder (Bench *bench, GError **error)
{
  const guint first = bench->results->len;

  if (!bench_run_decoder (bench, error))
    return FALSE;
  bench_print_decoder (bench, first);
  return TRUE;
}

static gboolean
run (Bench *bench, GError **error)
{
  const BenchOptions *options = &bench->options;
  BenchLoad start;

  if (!open_device (bench, error))
    return FALSE;
  bench_load_now (&start);
  bench_print_header (bench);
  if (!is_npu (bench)) {
    if (!bench_run_launch (bench, error))
      return FALSE;
    bench_print_launch_cost (bench);
  }

  if (options->pipelined &&
      !run_tiles (bench, BENCH_PIPELINED, "pipelined", error))
    return FALSE;
  if (options->batch_analysis &&
      !run_tiles (bench, BENCH_BATCH, "batch analysis", error))
    return FALSE;
  if (options->encoder && !run_encoder (bench, error))
    return FALSE;
  if (options->decoder && !run_decoder (bench, error))
    return FALSE;
  if (options->small && !bench_run_small (bench, error))
    return FALSE;
  if (options->scaling && !bench_run_scaling (bench, error))
    return FALSE;
  bench->others_percent = bench_load_others (&start);
  bench_print_others (bench);
  if (options->json != NULL && !bench_write_json (bench, error))
    return FALSE;
  if (options->trace != NULL || options->svg != NULL)
    return bench_trace (bench, error);
  return TRUE;
}

int
main (int argc, char **argv)
{
  Bench bench = {
      .results = g_array_new (FALSE, FALSE, sizeof (BenchResult)),
      .executor_us = NAN,
      .host_us = NAN,
      .empty_launch_us = NAN,
  };
  g_autoptr (GError) error = NULL;
  const gboolean done =
      bench_options_parse (&bench.options, &argc, &argv, &error) &&
      run (&bench, &error);

  if (!done)
    g_printerr ("npuenc-bench: %s\n", error->message);
  g_array_unref (bench.results);
  g_free (bench.model_name);
  npu_device_unref (bench.device);
  bench_options_clear (&bench.options);
  return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
