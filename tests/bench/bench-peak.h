/* The most that this machine computes: multiply-adds in registers alone.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What is multiplied; integers are summed in 32 bits. */
typedef enum {
  BENCH_F32,
  BENCH_BF16,
  BENCH_INT16,
  BENCH_INT8, /* unsigned by signed */
  BENCH_N_TYPES
} BenchType;

/* "f32" and so on. */
const char *bench_type_name (BenchType type);

/* Operations (a multiply-add is two) per second, in 1e9: with 1 and with N
 * threads, 0 where there are no such instructions. */
typedef struct {
  double one, all;
  const char *code; /* which instructions: "AVX-512 FMA" */
} BenchPeak;

typedef struct {
  guint threads; /* N */
  BenchPeak of[BENCH_N_TYPES];
} BenchPeaks;

/* Takes about a second. */
void bench_peaks_measure (guint n_threads, BenchPeaks *peaks);

G_END_DECLS
