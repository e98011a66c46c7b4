/* What windows would take on an NPU of Phoenix, by figures that others have
 * published, from what they make the driver do. Only on the simulated NPU,
 * which counts that.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define BENCH_ESTIMATE_WINDOWS 3
#define BENCH_N_LEVERS 3

/* A figure and where it is from. */
typedef struct {
  const char *name, *what, *unit, *source;
  double least, most;
} BenchConstant;

/* From the least to the most that the constants give. */
typedef struct {
  double least_ms, most_ms;
} BenchRange;

typedef struct {
  guint64 launches;    /* commands */
  guint64 submissions; /* a list of commands is one */
  guint64 switches;    /* of context */
  guint64 wakes;       /* of the NPU */
  guint64 synced_size; /* bytes between host and NPU */
  BenchRange time;
} BenchEstimateWindow;

typedef struct {
  const char *name, *what;
  BenchRange saves; /* of the window that it is for */
  guint window;     /* the first that it is for */
} BenchLever;

typedef struct {
  guint n_windows;  /* 0: there is no simulated NPU */
  double gflop;     /* of each, on the NPU */
  guint64 n_stages; /* of each, on the NPU */
  BenchEstimateWindow windows[BENCH_ESTIMATE_WINDOWS];
  BenchLever levers[BENCH_N_LEVERS];
} BenchEstimate;

/* All of them, @n. */
const BenchConstant *bench_estimate_constants (guint *n);

/* Runs a window; adds to @n_stages what it had on the NPU. */
typedef gboolean (*BenchWindowFunc) (
    gpointer user_data, guint64 *n_stages, GError **error);

/**
 * bench_estimate:
 * @estimate: (out)
 * @gflop: of a window on the NPU
 *
 * Runs some windows, the first as after a pause in which the NPU fell asleep.
 * Without the simulated NPU it runs none.
 */
gboolean bench_estimate (BenchEstimate *estimate, double gflop,
    BenchWindowFunc run, gpointer user_data, GError **error);
void bench_estimate_print (const BenchEstimate *estimate);

G_END_DECLS
