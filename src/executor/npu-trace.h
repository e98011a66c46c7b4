/* A timeline of launches in Chrome's trace event format, for ui.perfetto.dev:
 * a lane per slot with the parts of its launches, a lane for the host's waits,
 * and whatever lanes others add.
 *
 * The file is a JSON array with one event a line: spans are "ph": "X", marks
 * "ph": "i"; "ts" and "dur" are in microseconds, with ns as their fraction,
 * since the trace was opened; "cat" is the category, and "args" has the
 * "stage", its "first_tile" and "tiles". A span of category compute is named
 * by its stage, any other by its category. Lanes are threads of process 1,
 * named by "thread_name" events.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-api.h"

G_BEGIN_DECLS

typedef struct _NpuTrace NpuTrace;

/**
 * npu_trace_new:
 * @location: file to write, replaced if it exists
 *
 * The file is in its place, and valid JSON, after npu_trace_close(); before,
 * what was there stays. What is no regular file is written to as it is: whole
 * events reach a FIFO from time to time, and one that nobody reads is an error.
 *
 * Returns: (transfer full): a trace, or %NULL with @error set (OPEN).
 */
NPU_API NpuTrace *npu_trace_new (const char *location, GError **error);

/* %FALSE with @error set (FAILED) once something could not be written (disk
 * full): then there will be no trace. flush writes what there is first.
 * Thread-safe. */
NPU_API gboolean npu_trace_check (NpuTrace *trace, GError **error);
NPU_API gboolean npu_trace_flush (NpuTrace *trace, GError **error);

/* Ends the file and puts it into its place; what is added later is dropped.
 * Returns %FALSE with @error set as npu_trace_check() does; closing again has
 * nothing to report. */
NPU_API gboolean npu_trace_close (NpuTrace *trace, GError **error);
/* Closes without looking at errors, if not closed, and frees. */
NPU_API void npu_trace_free (NpuTrace *trace);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuTrace, npu_trace_free)

/* Gives @lane its place below the lanes known so far; those not added are
 * placed when they are first used. Thread-safe. */
NPU_API void npu_trace_add_lane (NpuTrace *trace, const char *lane);

/**
 * npu_trace_add:
 * @lane: row of the picture ("slot 0"); spans of one lane do not overlap
 * @stage: what ran ("block 0 attention")
 * @category: dma-write, queue (submitted, not begun), compute, dma-read or
 *   wait (the host, for a launch)
 * @start, @end: ns of the monotonic clock; what was before the trace was
 *   opened is cut off
 *
 * Adds one span. Thread-safe.
 */
NPU_API void npu_trace_add (NpuTrace *trace, const char *lane,
    const char *stage, const char *category, guint64 start, guint64 end,
    guint first_tile, guint n_tiles);

/* Adds one instant, of category stall or error. Thread-safe. */
NPU_API void npu_trace_mark (NpuTrace *trace, const char *lane,
    const char *stage, const char *category, guint64 time, guint first_tile,
    guint n_tiles);

G_END_DECLS
