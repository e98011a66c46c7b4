/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstnpureport.h"

void
gst_npu_report_init (GstNpuReport *report, const GstSegment *segment,
    GstClockTime timestamp, GstClockTime duration)
{
  *report = (GstNpuReport) GST_NPU_REPORT_INIT;
  report->timestamp = timestamp;
  report->duration = duration;
  if (segment->format != GST_FORMAT_TIME)
    return;
  report->stream_time =
      gst_segment_to_stream_time (segment, GST_FORMAT_TIME, timestamp);
  report->running_time =
      gst_segment_to_running_time (segment, GST_FORMAT_TIME, timestamp);
}

void
gst_npu_report_add (GstNpuReport *totals, GstNpuReport *window)
{
  const GstClockTime duration = totals->duration + window->duration;

  window->window = totals->window + 1;
  *totals = *window;
  totals->duration = duration;
}

double
gst_npu_report_get_realtime_factor (
    const GstNpuReport *report, guint64 total_time)
{
  return total_time ? (double) report->duration / total_time : 0;
}

GstStructure *
gst_npu_report_to_structure (const GstNpuReport *report, const char *name)
{
  return gst_structure_new (name, "window", G_TYPE_UINT64, report->window,
      "timestamp", GST_TYPE_CLOCK_TIME, report->timestamp, "stream-time",
      GST_TYPE_CLOCK_TIME, report->stream_time, "running-time",
      GST_TYPE_CLOCK_TIME, report->running_time, "duration",
      GST_TYPE_CLOCK_TIME, report->duration, NULL);
}
