/* Time of a live stream: what the clock says, and how late upstream is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* The running time that @element's clock has; NONE unless it is PLAYING and has
 * a clock. */
GstClockTime gst_npu_get_running_time (GstElement *element);

/**
 * gst_npu_query_latency:
 * @sink: a sink pad, whose peer is asked
 * @is_live: (out): %FALSE where nobody answers
 * @min: (out): upstream's least latency, likewise 0
 *
 * Returns: whether anybody answers.
 */
gboolean gst_npu_query_latency (
    GstPad *sink, gboolean *is_live, GstClockTime *min);

/* Answers @query, of latency, by what @sink's peer says, and where the stream
 * is live by @own more. */
gboolean gst_npu_answer_latency (
    GstPad *sink, GstQuery *query, GstClockTime own);

G_END_DECLS
