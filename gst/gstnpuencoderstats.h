/* Statistics as npuencoder shows them: the structure npuencoder-stats of its
 * messages and of its property `stats`, and the log of a window.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "common/gstnpureport.h"
#include "gstnpuencodersession.h"

G_BEGIN_DECLS

/* What windows are encoded with. */
typedef struct {
  guint depth, batch_size;
  char *device, *precision, *model, *placement;
} GstNpuEncoderSetup;

/* @encoder is one of the session's. */
void gst_npu_encoder_setup_init (GstNpuEncoderSetup *setup,
    const GstNpuEncoderSession *session, NpuEncoder *encoder);
void gst_npu_encoder_setup_clear (GstNpuEncoderSetup *setup);

/* One window, or all windows since the start or the reset. */
typedef struct {
  GstNpuReport report;
  NpuStats npu;
} GstNpuEncoderStats;

#define GST_NPU_ENCODER_STATS_INIT                                             \
  {                                                                            \
    GST_NPU_REPORT_INIT,                                                       \
    {                                                                          \
      0                                                                        \
    }                                                                          \
  }

/* Of a window that is about to be encoded: @buffer's times in @segment, and
 * its duration, or that of @n_frames if it has none. */
void gst_npu_encoder_stats_init_window (GstNpuEncoderStats *stats,
    GstBuffer *buffer, const GstSegment *segment, guint n_frames);

/* Adds @window to @totals and gives it its number. */
void gst_npu_encoder_stats_add (
    GstNpuEncoderStats *totals, GstNpuEncoderStats *window);

/* Returns: (transfer full): the structure npuencoder-stats. */
GstStructure *gst_npu_encoder_stats_to_structure (
    const GstNpuEncoderStats *stats, const GstNpuEncoderSetup *setup);

/* Follows the launches of one window, in the thread that encodes it. */
typedef struct {
  GstElement *element;
  GstNpuEncoderVerbosity verbosity;
  gboolean collect; /* for a message, and not only for the log */
  GValue stages;    /* GstValueArray of structures */
  GValue events;    /* likewise */
} GstNpuEncoderReport;

void gst_npu_encoder_report_init (GstNpuEncoderReport *report,
    GstElement *element, GstNpuEncoderVerbosity verbosity, gboolean collect);
/* Observes @encoder until detached; what was collected before is forgotten. */
void gst_npu_encoder_report_attach (
    GstNpuEncoderReport *report, NpuEncoder *encoder);
void gst_npu_encoder_report_detach (NpuEncoder *encoder);
void gst_npu_encoder_report_clear (GstNpuEncoderReport *report);

/* Logs the window's line and moves what was collected into @structure, if
 * there is one. */
void gst_npu_encoder_report_finish (GstNpuEncoderReport *report,
    const GstNpuEncoderStats *window, GstStructure *structure);

G_END_DECLS
