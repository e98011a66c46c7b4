/* What npuencoder holds open from start to stop: a device, an encoder made of
 * the model, a trace.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "gstnpuencodersettings.h"

G_BEGIN_DECLS

typedef struct {
  NpuDevice *device;
  NpuEncoder *encoder;
  NpuTrace *trace;       /* or NULL */
  gboolean trace_failed; /* and @element has said so; streaming thread */
  char *model_name;      /* for people */

  /* Where the device may be replaced, see gstnpuencoderfallback.h: the model,
   * still open, and what its encoder on the CPU will be. Else NULL. */
  NpuModel *model;
  NpuEncoderOptions cpu_options;
  guint n_failures;      /* windows in a row, in the streaming thread */
  gboolean stays_on_cpu; /* likewise */

  /* The element's object lock to change them. */
  NpuEncoder *cpu_encoder; /* NULL until a window needs it */
  gboolean cancelled;
} GstNpuEncoderSession;

/* Opens what @settings name. Returns: (transfer full): a session, or %NULL
 * after @element has posted an error message. */
GstNpuEncoderSession *gst_npu_encoder_session_new (
    GstElement *element, const GstNpuEncoderSettings *settings);

/* Closes and frees; @element posts a warning where the trace could not be
 * written. */
void gst_npu_encoder_session_free (
    GstNpuEncoderSession *session, GstElement *element);

/* In the streaming thread: has @element post a warning, once, where the trace
 * could not be written; @flush: after all that there is of it was tried. */
void gst_npu_encoder_session_check_trace (
    GstNpuEncoderSession *session, GstElement *element, gboolean flush);

/* From any thread, with the element's object lock: the window that is being
 * encoded, if any, ends with the launches in flight, and so does every one
 * until resume. */
void gst_npu_encoder_session_cancel (GstNpuEncoderSession *session);
void gst_npu_encoder_session_resume (GstNpuEncoderSession *session);

G_END_DECLS
