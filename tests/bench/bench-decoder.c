/* The decoder: a window's keys and values, a token at several rows a step, of
 * one window and of several, and a prompt.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "bench-load.h"
#include "bench.h"
#include "decoder/npu-decoder.h"
#include "npu-clock.h"

#define N_POSITIONS 1500
#define MAX_ROWS 8
#define N_STEPS 16 /* timed at once, behind a prompt */
#define N_BEFORE 32
#define N_PROMPT 224
#define TIMEOUT ((guint64) 60000000000)

/* Rows of a step, and windows that they read. */
static const struct {
  guint rows, windows;
} shapes[] = {{1, 1}, {5, 1}, {MAX_ROWS, 1}, {MAX_ROWS, MAX_ROWS}};
#define N_SHAPES G_N_ELEMENTS (shapes)

typedef struct {
  NpuDecoder *decoder;
  float *states;                 /* [N_POSITIONS][d] */
  float *logits[MAX_ROWS];       /* [n_vocab] */
  double *window_ms, *prompt_ms; /* [repeat] */
  double *token_ms[N_SHAPES], *processor_ms[N_SHAPES];
} Run;

static void
run_clear (Run *run)
{
  g_clear_pointer (&run->decoder, npu_decoder_free);
  g_free (run->states);
  g_free (run->window_ms);
  g_free (run->prompt_ms);
  for (guint i = 0; i < MAX_ROWS; i++)
    g_free (run->logits[i]);
  for (guint i = 0; i < N_SHAPES; i++) {
    g_free (run->token_ms[i]);
    g_free (run->processor_ms[i]);
  }
}

static void
run_init (Run *run, guint repeat)
{
  const gsize n = (gsize) N_POSITIONS * npu_decoder_get_d (run->decoder);
  GRand *rand = g_rand_new_with_seed (1);

  run->states = g_new (float, n);
  for (gsize i = 0; i < n; i++)
    run->states[i] = (float) g_rand_double_range (rand, -1.5, 1.5);
  g_rand_free (rand);
  for (guint i = 0; i < MAX_ROWS; i++)
    run->logits[i] = g_new (float, npu_decoder_get_n_vocab (run->decoder));
  run->window_ms = g_new (double, repeat);
  run->prompt_ms = g_new (double, repeat);
  for (guint i = 0; i < N_SHAPES; i++) {
    run->token_ms[i] = g_new (double, repeat);
    run->processor_ms[i] = g_new (double, repeat);
  }
}

/* One step that gives @n_each tokens to each of @n sequences; logits of the
 * last of each. Any tokens do: time does not depend on them. */
static gboolean
give (Run *run, guint n, guint n_each, GError **error)
{
  g_autofree NpuDecoderRow *rows = g_new (NpuDecoderRow, n * n_each);

  for (guint i = 0; i < n * n_each; i++)
    rows[i] = (NpuDecoderRow){
        .sequence = i / n_each,
        .token = 100 + 37 * i,
        .wants_logits = i % n_each == n_each - 1,
    };
  return npu_decoder_step (run->decoder, rows, n * n_each, run->logits, error);
}

/* Of shape @shape. */
static gboolean
time_tokens (Run *run, guint shape, guint sample, GError **error)
{
  const guint n = shapes[shape].rows;
  guint64 start, processor_start;

  for (guint i = 0; i < n; i++)
    npu_decoder_begin (run->decoder, i, i % shapes[shape].windows);
  if (!give (run, n, N_BEFORE, error))
    return FALSE;
  start = npu_clock_ns ();
  processor_start = bench_processor_ns ();
  for (guint i = 0; i < N_STEPS; i++) {
    if (!give (run, n, 1, error))
      return FALSE;
  }
  run->token_ms[shape][sample] =
      (double) (npu_clock_ns () - start) / 1e6 / N_STEPS / n;
  run->processor_ms[shape][sample] =
      (double) (bench_processor_ns () - processor_start) / 1e6 / N_STEPS / n;
  return TRUE;
}

static gboolean
time_all (Run *run, guint sample, GError **error)
{
  guint64 start = npu_clock_ns ();

  for (guint i = 0; i < MAX_ROWS; i++) {
    if (!npu_decoder_set_window (
            run->decoder, i, run->states, N_POSITIONS, error))
      return FALSE;
  }
  run->window_ms[sample] = (double) (npu_clock_ns () - start) / 1e6 / MAX_ROWS;

  npu_decoder_begin (run->decoder, 0, 0);
  start = npu_clock_ns ();
  if (!give (run, 1, N_PROMPT, error))
    return FALSE;
  run->prompt_ms[sample] = (double) (npu_clock_ns () - start) / 1e6;

  for (guint i = 0; i < N_SHAPES; i++) {
    if (!time_tokens (run, i, sample, error))
      return FALSE;
  }
  return TRUE;
}

static void
add_results (Bench *bench, Run *run, double load_ms)
{
  const guint repeat = bench->options.repeat;
  const double window_ms = bench_median (run->window_ms, repeat);
  const double prompt_ms = bench_median (run->prompt_ms, repeat);
  double one = NAN;

  for (guint i = 0; i < N_SHAPES; i++) {
    BenchResult result = {
        .mode = BENCH_DECODER,
        .model = bench->model_name,
        .precision = bench->precision,
        .rows = shapes[i].rows,
        .windows = shapes[i].windows,
        .tile_ms = NAN,
        .list_ms = NAN,
        .dma_write_ms = NAN,
        .compute_ms = NAN,
        .dma_read_ms = NAN,
        .dma_overhead_percent = NAN,
        .correlation = NAN,
        .realtime_factor = NAN,
        .peak_share = NAN,
        .mel_ms = NAN,
        .window_ms = window_ms,
        .token_ms = bench_median (run->token_ms[i], repeat),
        .processor_ms = bench_median (run->processor_ms[i], repeat),
        .processor_share = NAN,
        .best_share = NAN,
        .prompt_tokens_per_second = N_PROMPT / (prompt_ms / 1e3),
        .load_ms = load_ms,
    };

    if (i == 0)
      one = result.token_ms;
    result.speedup = one / result.token_ms;
    g_array_append_val (bench->results, result);
  }
}

static gboolean
measure (Bench *bench, Run *run, double load_ms, GError **error)
{
  run_init (run, bench->options.repeat);
  for (guint i = 0; i < BENCH_WARM_UP; i++) {
    if (!time_all (run, 0, error))
      return FALSE;
  }
  for (guint i = 0; i < bench->options.repeat; i++) {
    if (!time_all (run, i, error))
      return FALSE;
  }
  bench->precision =
      npu_precision_to_string (npu_decoder_get_precision (run->decoder));
  add_results (bench, run, load_ms);
  return TRUE;
}

gboolean
bench_run_decoder (Bench *bench, GError **error)
{
  const NpuDecoderOptions options = {
      .precision = bench->options.precision,
      .max_windows = MAX_ROWS,
      .max_sequences = MAX_ROWS,
      .timeout = TIMEOUT,
  };
  const guint64 start = npu_clock_ns ();
  g_autoptr (NpuModel) model = npu_model_open (bench->options.model, error);
  Run run = {0};
  gboolean done;

  if (!model)
    return FALSE;
  g_free (bench->model_name);
  bench->model_name = g_strdup (model->name);
  run.decoder = npu_decoder_new (model, bench->device, &options, error);
  if (run.decoder && bench->options.verbose) {
    g_autofree char *table = npu_decoder_describe (run.decoder);

    g_print ("%s", table);
  }
  done = run.decoder &&
         measure (bench, &run, (double) (npu_clock_ns () - start) / 1e6, error);
  bench->peak_memory = bench_peak_memory ();
  run_clear (&run);
  return done;
}

void
bench_print_decoder (const Bench *bench, guint first)
{
  const BenchResult *results = (const BenchResult *) bench->results->data;

  g_print ("\ndecoder of %s, %s, %u positions\n", bench->model_name,
      results[first].precision, N_POSITIONS);
  g_print ("  a window's keys and values %9.3f ms\n", results[first].window_ms);
  g_print ("  a prompt                   %9.1f tokens a second\n",
      results[first].prompt_tokens_per_second);
  for (guint i = first; i < bench->results->len; i++) {
    const char *what = results[i].windows > 1 ? "windows a step"
                       : results[i].rows > 1  ? "rows a step"
                                              : "row a step";

    g_print ("  a token, %u %-17s %9.3f ms  %5.2fx  %9.3f ms of processors\n",
        results[i].rows, what, results[i].token_ms, results[i].speedup,
        results[i].processor_ms);
  }
  g_print ("  loaded in                  %9.1f ms\n", results[first].load_ms);
}
