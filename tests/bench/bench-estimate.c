/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench-estimate.h"

#include <dlfcn.h>

#include "npusim.h"

/* Of Phoenix, with their sources; docs/npu.md does the sum for each size. */

/* A launch of a chain or runlist, and one queued behind another: AMD's own
 * measurements with XRT. */
#define LAUNCH_US_LEAST 28.0
#define LAUNCH_US_MOST 43.0
/* From one hardware context to another: 2.8 ms a pair. */
#define SWITCH_MS 1.4
/* mlir-aie's GEMM over the whole array, bf16. */
#define TFLOPS_LEAST 1.4
#define TFLOPS_MOST 1.76
/* The first launch after the driver has let the NPU sleep, which it does after
 * 5 s (amdxdna_pm.c: AMDXDNA_AUTOSUSPEND_DELAY). */
#define WAKE_MS_LEAST 120.0
#define WAKE_MS_MOST 136.0

typedef void (*GetCounters) (NpusimCounters *counters);

static void
print_sum (const char *what, double launches, double switches, double gflop)
{
  const double least = launches * LAUNCH_US_LEAST / 1e3 + switches * SWITCH_MS +
                       gflop / TFLOPS_MOST;
  const double most = launches * LAUNCH_US_MOST / 1e3 + switches * SWITCH_MS +
                      gflop / TFLOPS_LEAST;

  g_print ("  %-44s %6.0f to %.0f ms\n", what, least, most);
}

static void
print_part (const char *what, double least, double most)
{
  g_print ("  %-44s %6.1f to %.1f ms\n", what, least, most);
}

static void
print_estimate (
    const NpusimCounters *before, const NpusimCounters *after, double gflop)
{
  const double launches = (double) (after->commands - before->commands);
  const double switches = (double) (after->switches - before->switches);
  const double megabytes =
      (double) (after->synced_bytes - before->synced_bytes) / 1e6;
  g_autofree char *of_launches =
      g_strdup_printf ("%.0f launches of 28 to 43 us", launches);
  g_autofree char *of_switches =
      g_strdup_printf ("%.0f switches of context of 1.4 ms", switches);
  g_autofree char *of_gflop =
      g_strdup_printf ("%.1f GFLOP at 1.4 to 1.76 TFLOP/s", gflop);

  g_print ("\nA window on Phoenix, by published figures (docs/npu.md), without "
           "the host's part:\n");
  print_part (of_launches, launches * LAUNCH_US_LEAST / 1e3,
      launches * LAUNCH_US_MOST / 1e3);
  print_part (of_switches, switches * SWITCH_MS, switches * SWITCH_MS);
  print_part (of_gflop, gflop / TFLOPS_MOST, gflop / TFLOPS_LEAST);
  print_sum ("together", launches, switches, gflop);
  print_sum ("with one context for all programs", launches, 0, gflop);
  g_print ("  %-44s %6.0f to %.0f ms more\n", "the first after a pause of 5 s",
      WAKE_MS_LEAST, WAKE_MS_MOST);
  g_print ("  %.1f MB are synced between host and NPU\n", megabytes);
}

gboolean
bench_estimate (BenchConfig *config, double gflop, GError **error)
{
  NpusimCounters before = {.size = sizeof before}, after = before;
  GetCounters get;
  NpuStats stats;

  *(void **) &get = dlsym (RTLD_DEFAULT, "npusim_get_counters");
  if (!get)
    return TRUE;
  get (&before);
  if (!config->run (config, &stats, error))
    return FALSE;
  get (&after);
  print_estimate (&before, &after, gflop);
  return TRUE;
}
