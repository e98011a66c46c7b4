/* Tests of the tile kernels: every instruction set that this CPU has, on
 * random and hostile input, between guard pages.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-few.h"
#include "npu-kernels.h"
#include "npu-logits.h"

G_BEGIN_DECLS

/* An instruction set, and the tables of kernels for it. */
typedef struct {
  const char *name;
  guint cpu_flags;
  NpuKernels kernels;
  NpuFewKernels few;
  NpuLogitsKernels logits;
} Level;

/* --- buffers ------------------------------------------------------------ */

/* Memory between two pages that nothing may touch. */
typedef struct _Guarded Guarded;

typedef enum {
  GUARD_AFTER, /* the last byte lies before a guard page */
  GUARD_BEFORE /* the first byte lies after one */
} GuardSide;

#define N_GUARD_SIDES 2

/* @size bytes, all poisoned. Multiples of 64 are aligned to 64 bytes. */
Guarded *guarded_new (gsize size, GuardSide side);
void guarded_free (Guarded *buffer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Guarded, guarded_free)

gpointer guarded_data (Guarded *buffer);

/* Poisons all of the buffer again. As floats, poison is a NaN. */
void guarded_poison (Guarded *buffer);

/* Fails the test unless what lies between rows of a [rows] matrix is poison:
 * row_size bytes in every stride bytes were allowed to change. */
void guarded_check_gaps (Guarded *buffer, gsize stride, gsize row_size);

/* --- data --------------------------------------------------------------- */

/* Normally distributed with this deviation. */
void fill_normal (float *x, gsize n, double deviation);
/* [n] of them, guarded. */
Guarded *guarded_normal (gsize n, double deviation, GuardSide side);
void fill_uniform (float *x, gsize n, double low, double high);

/* A new array of @n normally distributed numbers. */
float *new_normal (gsize n, double deviation);

/* --- the tests ---------------------------------------------------------- */

void add_attention_tests (const Level *level);
void add_attention_s8_tests (const Level *level);
void add_attention_hostile_tests (const Level *level);
void add_rotation_tests (void);
void add_rows_tests (const Level *level);
void add_epilogue_tests (const Level *level);
void add_gemm_tests (const Level *level);
void add_linear_tests (const Level *level);
void add_plain_tests (const Level *level);
void add_few_tests (const Level *level);
void add_logits_tests (const Level *level);

/* Adds a test of this level: /LEVEL/NAME. */
void add_level_test (
    const Level *level, const char *name, void (*test) (gconstpointer level));

/* Prints the throughput of every kernel whose name has @part, of every level,
 * and how C's compares with plain loops. The first level is C. */
void bench_run (const Level *levels, guint n_levels, const char *part);

G_END_DECLS
