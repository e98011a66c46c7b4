/* What other programs take of the machine while one measures.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Processor time so far, in seconds. */
typedef struct {
  double all;  /* of all processors, idle or not */
  double busy; /* of these, used by any program */
  double own;  /* used by this process */
} BenchLoad;

void bench_load_now (BenchLoad *load);

/* What others used since @start, in percent of all processors; NAN where the
 * system does not tell. */
double bench_load_others (const BenchLoad *start);

/* The most memory that this process ever had, mapped files included, in bytes;
 * 0 where the system does not tell. */
gsize bench_peak_memory (void);

G_END_DECLS
