/* The time during which at least one of several overlapping launches was
 * computing: a running union of intervals, without allocation.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The most launches that may be in flight at once. */
#define NPU_BUSY_TIME_MAX 16

/* All zero is an empty union. */
typedef struct {
  struct {
    guint64 start, end;
  } span[NPU_BUSY_TIME_MAX]; /* disjoint, in no order */
  guint n_spans;
} NpuBusyTime;

/**
 * npu_busy_time_add:
 * @submitted: ns; when the launch was submitted
 * @start: when it began to compute, @submitted or later
 * @end: when it was done, @start or later
 *
 * Adds one launch. Launches come in the order of their submission, each after
 * its completion, so what ended before @submitted can no longer overlap with
 * any to come, and is forgotten.
 *
 * Returns: ns by which the union grew.
 */
guint64 npu_busy_time_add (
    NpuBusyTime *busy, guint64 submitted, guint64 start, guint64 end);

G_END_DECLS
