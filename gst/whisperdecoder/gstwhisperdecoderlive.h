/* whisperdecoder on a live stream: words as soon as they are final, a bounded
 * time after they were said, and what is said now on unsynced_src.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/base/gstbasetransform.h>

#include "gstwhisperdecoder.h"
#include "gstwhisperdecodersession.h"

G_BEGIN_DECLS

typedef struct {
  /* Object lock. */
  guint max_observed_delay;  /* ms */
  gboolean has_new_language; /* to be read from the settings */
  gboolean has_new_margin;

  /* Streaming thread. */
  gboolean active;       /* in this stream words are committed one by one */
  gboolean is_open;      /* something may be partial */
  GstClockTime last_end; /* of the window before, or NONE */
  GstClockTime lateness; /* in the segment */
  const char *language;  /* of the last update; static */
} GstWhisperDecoderLive;

/* What the clock says of a stream: live, with upstream's least latency, at
 * running time @now; or not, in which case the rest is not set. */
typedef struct {
  gboolean is_live;
  GstClockTime upstream, now;
} GstWhisperDecoderNow;

/* Installs vfuncs, properties that are not settings from @first_id on, and
 * pads. */
void gst_whisper_decoder_live_install (
    GstBaseTransformClass *base_class, guint first_id);

/* After start(), a flush, or in a new stream. */
void gst_whisper_decoder_live_reset (GstWhisperDecoder *self);

/* Whether @event means that no window follows those that came. */
gboolean gst_whisper_decoder_live_is_ended_by (
    const GstWhisperDecoder *self, GstEvent *event);

/* What is partial is final: its text goes to the output. */
void gst_whisper_decoder_live_finish (GstWhisperDecoder *self);

/* (transfer full): the segment's event, later by the lateness. */
GstEvent *gst_whisper_decoder_live_take_segment (
    GstWhisperDecoder *self, GstEvent *event);

/* A property was set. */
void gst_whisper_decoder_live_notify (GstWhisperDecoder *self, guint id);

/* As gst_whisper_decoder_take_window(), of a window whose times are known;
 * @is_before: it begins before the one before it. */
GstFlowReturn gst_whisper_decoder_live_take_window (GstWhisperDecoder *self,
    GstWhisperDecoderWindow *window, gboolean is_before, GstBuffer *inbuf);

G_END_DECLS
