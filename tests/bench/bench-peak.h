/* The most that this machine computes: multiply-adds in registers alone.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Operations (a multiply-add is two) per second, in 1e9. */
typedef struct {
  guint threads;             /* N */
  double f32_one, f32_all;   /* with 1 and with N threads */
  double int8_one, int8_all; /* u8 x s8 sums in 32 bits */
  double bf16_one, bf16_all; /* 0: no such instructions */
  const char *f32_code;      /* which instructions: "avx512 fma" */
  const char *int8_code;
} BenchPeaks;

/* Takes about a second. */
void bench_peaks_measure (guint n_threads, BenchPeaks *peaks);

G_END_DECLS
