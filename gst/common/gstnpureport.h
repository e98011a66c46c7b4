/* What the statistics of every element that works in windows have in common:
 * the number of a window and its times, as fields of a message and of the
 * property `stats`.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Of one window; or of all since the start or the reset: then the number is
 * theirs, the duration their sum, and the other times are the last one's. */
typedef struct {
  guint64 window; /* its number, from 1 */
  GstClockTime timestamp, stream_time, running_time, duration;
} GstNpuReport;

#define GST_NPU_REPORT_INIT                                                    \
  {                                                                            \
    0, GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE, 0        \
  }

/* Of a window at @timestamp in @segment; without a number. */
void gst_npu_report_init (GstNpuReport *report, const GstSegment *segment,
    GstClockTime timestamp, GstClockTime duration);

/* Adds @window to @totals and gives it its number. */
void gst_npu_report_add (GstNpuReport *totals, GstNpuReport *window);

/* How many times faster than the audio is, for the work of @total_time ns; 0
 * where that is nothing. */
double gst_npu_report_get_realtime_factor (
    const GstNpuReport *report, guint64 total_time);

/* Returns: (transfer full): a structure called @name, with the fields `window`,
 * `timestamp`, `stream-time`, `running-time` and `duration`. */
GstStructure *gst_npu_report_to_structure (
    const GstNpuReport *report, const char *name);

G_END_DECLS
