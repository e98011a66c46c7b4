/* What is printed: tables, and which configuration is best, and why.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "bench.h"

void
bench_print_header (const Bench *bench)
{
  const BenchOptions *options = &bench->options;
  g_autofree char *cpu = bench_cpu_name ();

  g_print ("%s, %u cores; %s; %s; latency %u us; medians of %u\n", cpu,
      g_get_num_processors (), npu_device_get_description (bench->device),
      bench->precision, options->latency_us, options->repeat);
}

void
bench_print_launch_cost (const Bench *bench)
{
  g_print ("\nexecutor's own cost per launch: %.3f us (an empty kernel, depth "
           "%d)\nthe whole launch by the clock: %.3f us; processor time of the "
           "host: %.3f us\n",
      bench->executor_us, BENCH_LAUNCH_DEPTH, bench->empty_launch_us,
      bench->host_us);
}

/* Below this, others are no excuse. */
#define QUIET_PERCENT 5

void
bench_print_others (const Bench *bench)
{
  if (bench->others_percent > QUIET_PERCENT)
    g_print ("\nOther programs used %.0f %% of the processors meanwhile: "
             "these figures are worse than a quiet machine's.\n",
        bench->others_percent);
}

void
bench_print_peaks (const Bench *bench)
{
  const BenchPeaks *peaks = &bench->peaks;

  g_print (
      "\npeak of this machine: 1 thread, %u threads, Goperations a second\n",
      peaks->threads);
  for (guint type = 0; type < BENCH_N_TYPES; type++)
    g_print ("  %-5s %8.1f %8.1f (%s)\n", bench_type_name (type),
        peaks->of[type].one, peaks->of[type].all, peaks->of[type].code);
}

/* --- tables ------------------------------------------------------------ */

static void
print_correlation (double correlation)
{
  if (correlation == 1.0)
    g_print ("       1");
  else
    g_print (" %.5f", correlation);
}

static void
print_row (const BenchResult *result)
{
  g_print ("%5u %5u %8.4f %9.3f %7.2fx %6u %6u %7.2f ", result->depth,
      result->batch, result->tile_ms, result->list_ms, result->speedup,
      (guint) result->launches, (guint) result->stalls,
      result->dma_overhead_percent);
  print_correlation (result->correlation);
  if (result->memory_size > 0)
    g_print (" %9.1f\n", (double) result->memory_size / 1024);
  else
    g_print (" %8.1fx\n", result->realtime_factor);
}

static void
print_stages (const Bench *bench, const BenchResult *result)
{
  g_print ("\na window at depth %u, batch %u, by operation%s\n"
           "  %-16s %9s %7s %9s %10s%s\n",
      result->depth, result->batch,
      bench->has_peaks
          ? " and share of the peak of all threads: by the clock, of "
            "processor time, of that of its best window"
          : "",
      "operation", "ms", "% time", "GFLOP", "GFLOP/s",
      bench->has_peaks ? "  of peak  processor     best" : "");
  for (guint i = 0; i < result->n_stages; i++) {
    const BenchStage *stage = &result->stages[i];

    g_print (
        "  %-16s %9.3f %7.1f", stage->name, stage->ms, stage->time_percent);
    if (!isnan (stage->gflop))
      g_print (" %9.3f %10.1f", stage->gflop, stage->gflop / stage->ms * 1e3);
    if (!isnan (stage->peak_share))
      g_print (" %6.1f %% %8.1f %% %6.1f %% %s", 100 * stage->peak_share,
          100 * stage->processor_share, 100 * stage->best_share, stage->peak);
    g_print ("\n");
  }
  if (!isnan (result->peak_share))
    g_print ("  %-16s %9.3f  at the peak it would take %.1f %% of that, and "
             "%.1f %% of its processor time, %.1f ms; %.1f %% of that of the "
             "best of each\n",
        "all", result->window_ms, 100 * result->peak_share,
        100 * result->processor_share, result->processor_ms,
        100 * result->best_share);
}

static const BenchResult *
fastest (const Bench *bench, guint first)
{
  const BenchResult *best = NULL;

  for (guint i = first; i < bench->results->len; i++) {
    const BenchResult *result = &g_array_index (bench->results, BenchResult, i);

    if (best == NULL || result->list_ms < best->list_ms)
      best = result;
  }
  return best;
}

void
bench_print_results (const Bench *bench, const char *title, guint first)
{
  const BenchResult *best = fastest (bench, first);

  if (best == NULL)
    return;
  g_print ("\n%s\ndepth batch  tile ms     %s ms  speed-up launch stalls   DMA "
           "%%     corr %s\n",
      title, best->model != NULL ? "win" : "all",
      best->memory_size > 0 ? "     KiB" : "realtime");
  for (guint i = first; i < bench->results->len; i++) {
    const BenchResult *result = &g_array_index (bench->results, BenchResult, i);

    if (strcmp (result->mode, BENCH_ROOFLINE) != 0)
      print_row (result);
  }
  if (best->n_stages > 0)
    print_stages (bench, best);
}

void
bench_print_around (const Bench *bench, guint first)
{
  const BenchResult *best = fastest (bench, first);
  guint n_encoders = 0;

  if (best == NULL)
    return;
  for (guint i = first; i < bench->results->len; i++) {
    const BenchResult *result = &g_array_index (bench->results, BenchResult, i);

    n_encoders += strcmp (result->mode, BENCH_ENCODER) == 0;
  }
  g_print ("\nthe model was loaded in %.1f ms, as %s\n"
           "the mel of a window takes whispermel %.2f ms, %.1f %% of the %.1f "
           "ms of its encoding\n",
      g_array_index (bench->results, BenchResult, first).load_ms,
      best->precision, best->mel_ms, 100 * best->mel_ms / best->window_ms,
      best->window_ms);
  if (bench->peak_memory > 0)
    g_print ("peak memory of this process, its files included: %.1f MiB, with "
             "%u encoder%s\n",
        (double) bench->peak_memory / (1 << 20), n_encoders,
        n_encoders > 1 ? "s, one for each line above" : "");
}

/* --- the best, and why ------------------------------------------------- */

/* A configuration as good as the fastest, but with less in flight: noise of
 * this size is no reason for more. */
#define AS_GOOD 1.02

static const BenchResult *
choose_best (const Bench *bench, guint first)
{
  const BenchResult *best = fastest (bench, first);
  const double limit = best->list_ms * AS_GOOD;

  for (guint i = first; i < bench->results->len; i++) {
    const BenchResult *result = &g_array_index (bench->results, BenchResult, i);

    if (result->list_ms <= limit &&
        result->depth * result->batch < best->depth * best->batch)
      best = result;
  }
  return best;
}

/* Of the same batch at depth 1. */
static const BenchResult *
sequential_of (const Bench *bench, guint first, const BenchResult *best)
{
  for (guint i = first; i < bench->results->len; i++) {
    const BenchResult *result = &g_array_index (bench->results, BenchResult, i);

    if (result->depth == 1 && result->batch == best->batch)
      return result;
  }
  return best;
}

/* What overlap may gain at most: all but the longer of the host's work and the
 * device's is hidden. Where a launch has too few tiles for all workers, depth
 * also puts more of them to work, and this is no limit. */
static void
print_limit (const Bench *bench, const BenchResult *sequential)
{
  const guint n_workers = npu_device_get_n_workers (bench->device);
  const double host = sequential->dma_write_ms + sequential->dma_read_ms;
  const double compute = sequential->compute_ms;

  if (sequential->batch < 2 * n_workers)
    g_print ("Several launches also keep more workers busy than one of %u "
             "tile%s.\n",
        sequential->batch, sequential->batch > 1 ? "s" : "");
  else if (host > compute)
    g_print ("Overlap hides what is shorter than packing: up to %.2fx.\n",
        sequential->list_ms / host);
  else
    g_print ("Overlap hides what is not computing: up to %.2fx.\n",
        sequential->list_ms / compute);
}

static void
print_stalls (const BenchResult *best)
{
  const double host = best->dma_write_ms + best->dma_read_ms;

  if (best->stalls == 0)
    g_print ("No launch found the device idle.\n");
  else if (best->depth == 1)
    g_print ("Its stalls are what depth 1 is: each launch waits for the one "
             "before.\n");
  else if (host > best->compute_ms)
    g_print ("%u of %u launches found the device idle: the host packs for "
             "longer than the device computes.\n",
        (guint) best->stalls, (guint) best->launches);
  else
    g_print ("%u of %u launches found the device idle: at %.0f us of computing "
             "a launch, it is done before the host has woken up.\n",
        (guint) best->stalls, (guint) best->launches,
        best->compute_ms * 1e3 / (double) best->launches);
}

void
bench_print_best (const Bench *bench, const char *what, guint first)
{
  const BenchResult *best, *sequential;
  double busy;

  if (first >= bench->results->len)
    return;
  best = choose_best (bench, first);
  sequential = sequential_of (bench, first, best);
  busy = 100 * sequential->compute_ms / sequential->list_ms;

  g_print ("\nbest for %s: depth %u, %u tiles a launch: %.4f ms a tile, %.2fx "
           "of depth 1 at that batch\n",
      what, best->depth, best->batch, best->tile_ms, best->speedup);
  g_print ("why: at depth 1 the device computes %.0f %% of the time, the host "
           "packs and unpacks for %.1f %%, and launches are on their way, or "
           "the host waking up, for the other %.0f %%. ",
      busy, sequential->dma_overhead_percent,
      MAX (100 - busy - sequential->dma_overhead_percent, 0));
  print_limit (bench, sequential);
  print_stalls (best);
  if (best != fastest (bench, first))
    g_print ("Some with more in flight are faster by less than 2 %%.\n");
}
