/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench-estimate.h"

#include <dlfcn.h>
#include <string.h>

#include "npusim.h"

enum { LAUNCH, SWITCH, PRODUCT, WAKE };

static const BenchConstant constants[] = {
    [LAUNCH] = {"launch", "a launch, chained, or queued behind another", "us",
        "AMD's measurements with XRT on Phoenix", 28, 43},
    [SWITCH] = {"switch", "from one hardware context to another", "ms",
        "published measurements of two overlays in turns, Phoenix: 2.8 ms a "
        "pair",
        1.4, 1.4},
    [PRODUCT] = {"product", "a matrix product over the whole array, bf16",
        "TFLOP/s", "published results of mlir-aie's GEMM, Phoenix", 1.4, 1.76},
    [WAKE] = {"wake", "until the NPU is awake after 5 s of idleness", "ms",
        "published measurements; the 5 s are AMDXDNA_AUTOSUSPEND_DELAY in the "
        "kernel's driver",
        120, 136},
};

const BenchConstant *
bench_estimate_constants (guint *n)
{
  *n = G_N_ELEMENTS (constants);
  return constants;
}

/* --- the sum ----------------------------------------------------------- */

/* @n of what takes that long; @unit: of the constant, in ms. */
static BenchRange
time_of (double n, guint constant, double unit)
{
  return (BenchRange){n * constants[constant].least * unit,
      n * constants[constant].most * unit};
}

/* The fewer TFLOP/s, the longer. */
static BenchRange
time_of_products (double gflop)
{
  return (BenchRange){
      gflop / constants[PRODUCT].most, gflop / constants[PRODUCT].least};
}

static void
add (BenchRange *sum, BenchRange part)
{
  sum->least_ms += part.least_ms;
  sum->most_ms += part.most_ms;
}

static void
set_time (BenchEstimateWindow *window, double gflop)
{
  window->time = time_of_products (gflop);
  add (&window->time, time_of ((double) window->launches, LAUNCH, 1e-3));
  add (&window->time, time_of ((double) window->switches, SWITCH, 1));
  add (&window->time, time_of ((double) window->wakes, WAKE, 1));
}

static void
set_levers (BenchEstimate *estimate)
{
  const BenchEstimateWindow *last = &estimate->windows[estimate->n_windows - 1];
  const guint64 spared = last->launches > estimate->n_stages
                             ? last->launches - estimate->n_stages
                             : 0;
  const BenchLever levers[BENCH_N_LEVERS] = {
      {"one-context", "one hardware context for all programs",
          time_of ((double) last->switches, SWITCH, 1), 2},
      {"keep-awake", "kept awake over a pause",
          time_of ((double) estimate->windows[0].wakes, WAKE, 1), 1},
      {"one-launch-a-stage", "one launch a stage",
          time_of ((double) spared, LAUNCH, 1e-3), 2},
  };

  memcpy (estimate->levers, levers, sizeof levers);
}

/* --- windows ----------------------------------------------------------- */

typedef void (*GetCounters) (NpusimCounters *counters);

gboolean
bench_estimate (BenchEstimate *estimate, double gflop, BenchWindowFunc run,
    gpointer user_data, GError **error)
{
  NpusimCounters before = {.size = sizeof before}, after = before;
  GetCounters get;

  *(void **) &get = dlsym (RTLD_DEFAULT, "npusim_get_counters");
  *estimate = (BenchEstimate){.gflop = gflop};
  if (!get)
    return TRUE;
  for (guint i = 0; i < BENCH_ESTIMATE_WINDOWS; i++) {
    BenchEstimateWindow *window = &estimate->windows[i];

    get (&before);
    estimate->n_stages = 0;
    if (!run (user_data, &estimate->n_stages, error))
      return FALSE;
    get (&after);
    window->launches = after.commands - before.commands;
    window->submissions = after.submissions - before.submissions;
    window->switches = after.switches - before.switches;
    window->synced_size = after.synced_bytes - before.synced_bytes;
    window->wakes = i == 0;
    set_time (window, gflop);
  }
  estimate->n_windows = BENCH_ESTIMATE_WINDOWS;
  set_levers (estimate);
  return TRUE;
}

/* --- what is printed --------------------------------------------------- */

static void
print_constant (const BenchConstant *constant)
{
  if (constant->least < constant->most)
    g_print ("  %s: %g to %g %s (%s)\n", constant->what, constant->least,
        constant->most, constant->unit, constant->source);
  else
    g_print ("  %s: %g %s (%s)\n", constant->what, constant->least,
        constant->unit, constant->source);
}

static void
print_part (guint64 n, const char *what, BenchRange time)
{
  g_print ("  %7" G_GUINT64_FORMAT " %-40s %7.1f to %.1f ms\n", n, what,
      time.least_ms, time.most_ms);
}

static void
print_parts (const BenchEstimate *estimate)
{
  const BenchEstimateWindow *last = &estimate->windows[estimate->n_windows - 1];

  g_print ("window %u in parts\n", estimate->n_windows);
  print_part (last->launches, "launches",
      time_of ((double) last->launches, LAUNCH, 1e-3));
  print_part (last->switches, "switches of context",
      time_of ((double) last->switches, SWITCH, 1));
  g_print ("  %7.1f %-40s %7.1f to %.1f ms\n", estimate->gflop,
      "GFLOP of products", time_of_products (estimate->gflop).least_ms,
      time_of_products (estimate->gflop).most_ms);
}

static void
print_levers (const BenchEstimate *estimate)
{
  g_print ("what would save how much\n");
  for (guint i = 0; i < BENCH_N_LEVERS; i++) {
    const BenchLever *lever = &estimate->levers[i];

    g_print ("  %-48s %7.1f to %.1f ms, window %u%s\n", lever->what,
        lever->saves.least_ms, lever->saves.most_ms, lever->window,
        lever->window > 1 ? " and each after it" : "");
  }
  g_print ("  (%" G_GUINT64_FORMAT " stages of a window are on the NPU)\n",
      estimate->n_stages);
}

void
bench_estimate_print (const BenchEstimate *estimate)
{
  if (estimate->n_windows == 0)
    return;
  g_print ("\nWindows on Phoenix, by published figures, without the host's "
           "part; none of it was measured here\n");
  for (guint i = 0; i < G_N_ELEMENTS (constants); i++)
    print_constant (&constants[i]);
  g_print ("window  launches  submissions  switches  wakes  MB synced         "
           "  ms\n");
  for (guint i = 0; i < estimate->n_windows; i++) {
    const BenchEstimateWindow *window = &estimate->windows[i];

    g_print ("%6u %9" G_GUINT64_FORMAT " %12" G_GUINT64_FORMAT
             " %9" G_GUINT64_FORMAT " %6" G_GUINT64_FORMAT
             " %10.1f %7.1f to %.1f\n",
        i + 1, window->launches, window->submissions, window->switches,
        window->wakes, (double) window->synced_size / 1e6,
        window->time.least_ms, window->time.most_ms);
  }
  print_parts (estimate);
  print_levers (estimate);
}
