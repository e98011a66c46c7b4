/* A timeline of launches in Chrome's trace event format, for ui.perfetto.dev:
 * a lane per slot with the parts of its launches, a lane per worker.
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
 * The file is valid JSON after npu_trace_free(), and readable by Perfetto
 * before.
 *
 * Returns: (transfer full): a trace, or %NULL with @error set (OPEN).
 */
NPU_API NpuTrace *npu_trace_new (const char *location, GError **error);

/* Ends the file and closes it. Returns %FALSE with @error set where not
 * everything could be written (disk full). */
NPU_API gboolean npu_trace_close (NpuTrace *trace, GError **error);
/* Closes without looking at errors, if not closed, and frees. */
NPU_API void npu_trace_free (NpuTrace *trace);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuTrace, npu_trace_free)

/* Adds one span: @lane is the row of the picture ("slot 0"), @name what ran
 * ("block 0 attention"), @category one of dma-write, compute, dma-read, wait,
 * stall; times in ns of the monotonic clock. Thread-safe. */
NPU_API void npu_trace_add (NpuTrace *trace, const char *lane,
    const char *name, const char *category, guint64 start, guint64 end,
    guint first_tile, guint n_tiles);

G_END_DECLS
