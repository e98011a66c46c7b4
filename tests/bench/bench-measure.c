/* Alternated runs, medians, and how alike two outputs are.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

/* What a sample should last, in ns: well above the clock's and the wake-ups'
 * grain. */
#define SAMPLE_TIME 5e6
#define MAX_LISTS 1000

static void
show_progress (const char *what, guint done, guint all)
{
  if (!isatty (STDERR_FILENO))
    return;
  if (done < all)
    fprintf (stderr, "\r%s: %u of %u ", what, done, all);
  else
    fputs ("\r\033[K", stderr);
}

static gboolean
run_lists (BenchConfig *config, guint n_lists, NpuStats *sum, GError **error)
{
  *sum = (NpuStats){0};
  for (guint i = 0; i < n_lists; i++) {
    NpuStats stats;

    if (!config->run (config, &stats, error))
      return FALSE;
    npu_stats_add (sum, &stats);
  }
  return TRUE;
}

gboolean
bench_measure (const Bench *bench, const char *what, BenchConfig *configs,
    guint n_configs, GError **error)
{
  const guint repeat = bench->options.repeat;
  NpuStats stats;
  double slowest = 1;
  guint n_lists;

  for (guint i = 0; i < n_configs; i++) {
    configs[i].samples = g_array_new (FALSE, FALSE, sizeof (NpuStats));
    if (!run_lists (&configs[i], BENCH_WARM_UP, &stats, error))
      return FALSE;
    slowest = MAX (slowest, (double) stats.total_time / BENCH_WARM_UP);
  }
  n_lists = (guint) CLAMP (SAMPLE_TIME / slowest, 1, MAX_LISTS);

  for (guint round = 0; round < repeat; round++)
    for (guint i = 0; i < n_configs; i++) {
      /* Not always after the same neighbour. */
      BenchConfig *config = &configs[(i + round) % n_configs];

      show_progress (what, round * n_configs + i, repeat * n_configs);
      config->n_lists = n_lists;
      if (!run_lists (config, n_lists, &stats, error))
        return FALSE;
      g_array_append_val (config->samples, stats);
    }
  show_progress (what, 1, 1);
  return TRUE;
}

void
bench_config_clear (BenchConfig *config)
{
  if (config->samples != NULL)
    g_array_unref (config->samples);
}

/* --- medians ----------------------------------------------------------- */

static int
compare_doubles (const void *a, const void *b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

double
bench_median (double *values, guint n)
{
  qsort (values, n, sizeof *values, compare_doubles);
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

guint64
bench_processor_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &now);
  return (guint64) now.tv_sec * 1000000000u + (guint64) now.tv_nsec;
}

static guint64
median_field (const BenchConfig *config, gsize offset)
{
  const guint n = config->samples->len;
  g_autofree double *values = g_new (double, n);

  for (guint i = 0; i < n; i++) {
    const guint8 *stats =
        (const guint8 *) &g_array_index (config->samples, NpuStats, i);
    guint64 value;

    memcpy (&value, stats + offset, sizeof value);
    values[i] = (double) value / config->n_lists;
  }
  return (guint64) (bench_median (values, n) + 0.5);
}

void
bench_config_median (const BenchConfig *config, NpuStats *median)
{
#define FIELD(name)                                                            \
  median->name = median_field (config, G_STRUCT_OFFSET (NpuStats, name))
  FIELD (tiles);
  FIELD (launches);
  FIELD (stalls);
  FIELD (total_time);
  FIELD (dma_write_time);
  FIELD (compute_time);
  FIELD (dma_read_time);
#undef FIELD
}

/* --- results ----------------------------------------------------------- */

double
bench_correlation (const float *a, const float *b, gsize n)
{
  double mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;

  if (memcmp (a, b, n * sizeof *a) == 0)
    return 1.0;
  for (gsize i = 0; i < n; i++) {
    mean_a += a[i] / (double) n;
    mean_b += b[i] / (double) n;
  }
  for (gsize i = 0; i < n; i++) {
    const double x = a[i] - mean_a, y = b[i] - mean_b;

    aa += x * x;
    bb += y * y;
    ab += x * y;
  }
  /* Never 1: that is said of bits. */
  return aa > 0 && bb > 0 ? MIN (ab / sqrt (aa * bb), 1 - 1e-15) : 0.0;
}

void
bench_result_init (const Bench *bench, BenchResult *result, const char *mode,
    const BenchConfig *config, const NpuStats *median)
{
  *result = (BenchResult){
      .mode = mode,
      .precision = bench->precision,
      .depth = config->depth,
      .batch = config->batch,
      .tiles = median->tiles,
      .launches = median->launches,
      .stalls = median->stalls,
      .tile_ms = (double) npu_stats_tile_time (median) / 1e6,
      .list_ms = (double) median->total_time / 1e6,
      .window_ms = NAN,
      .dma_write_ms = (double) median->dma_write_time / 1e6,
      .compute_ms = (double) median->compute_time / 1e6,
      .dma_read_ms = (double) median->dma_read_time / 1e6,
      .dma_overhead_percent = npu_stats_dma_overhead (median),
      .speedup = NAN,
      .correlation = NAN,
      .realtime_factor = NAN,
      .peak_share = NAN,
      .processor_ms = NAN,
      .processor_share = NAN,
      .best_share = NAN,
      .load_ms = NAN,
      .mel_ms = NAN,
  };
}
