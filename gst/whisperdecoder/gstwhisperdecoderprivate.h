/* The element's structure, for the files that it is made of.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "gstwhisperdecoder.h"
#include "gstwhisperdecoderlive.h"
#include "gstwhisperdecodersession.h"
#include "gstwhisperdecoderstats.h"
#include "statescaps.h"
#include "textoutput.h"
#include "windowqueue.h"

G_BEGIN_DECLS

struct _GstWhisperDecoder {
  GstBaseTransform parent;

  GstPadActivateModeFunction activate_mode; /* the base class's */

  /* Object lock. While `open` is set, from start() to stop(), only what is
   * mutable in PLAYING changes, and the rest needs no lock. */
  GstWhisperDecoderSettings settings;
  gboolean open;
  gboolean active;    /* the sink pad is, or is about to be */
  gboolean cancelled; /* by a flush, or because the pad is not */

  /* Object lock to change it, or to use it outside the streaming thread. */
  GstWhisperDecoderSession *session;

  /* Streaming thread. */
  StatesFormat format; /* of the windows, as caps have it */
  gboolean has_failed; /* to open a session, and has said so */
  float *states;       /* the window's, where its buffer's will not do */
  WindowQueue windows; /* that are being decoded */
  gboolean overlaps;   /* they do, each with the next */
  TextOutput output;
  GstClockTime last_start; /* of the window before, or NONE */
  GstClockTime next_start; /* of a window without a time */
  GstSegment no_segment;   /* of time, where none has come */
  guint32 segment_seqnum;
  GstTagList *upstream_tags; /* of the stream, or NULL */
  const char *language;      /* that the tags say, or NULL; static */

  GstWhisperDecoderLive live;

  /* Object lock. Kept after stop(). */
  GstWhisperDecoderStats totals;
};

/* --- gstwhisperdecoder.c */
gboolean gst_whisper_decoder_has_model (const GstWhisperDecoder *self);
void gst_whisper_decoder_take_model (GstWhisperDecoder *self, GstEvent *event);
/* From any thread. */
void gst_whisper_decoder_cancel (GstWhisperDecoder *self);
void gst_whisper_decoder_resume (GstWhisperDecoder *self);
void gst_whisper_decoder_flush (GstWhisperDecoder *self);
void gst_whisper_decoder_reset (GstWhisperDecoder *self);

/* --- gstwhisperdecoderevents.c */
gboolean gst_whisper_decoder_sink_event (
    GstBaseTransform *base, GstEvent *event);
/* Time without windows. (transfer full): @event */
void gst_whisper_decoder_take_gap (GstWhisperDecoder *self, GstEvent *event);
/* Text of the windows that came before what follows them. */
GstFlowReturn gst_whisper_decoder_drain (GstWhisperDecoder *self);

/* --- gstwhisperdecodercaps.c */
void gst_whisper_decoder_caps_install (GstBaseTransformClass *base_class);
void gst_whisper_decoder_caps_init (GstBaseTransform *base);

/* --- gstwhisperdecoderwindow.c */
/* Takes the window of @inbuf and decodes until there is room for another: text
 * goes to `output`, messages to the bus, and where windows are decoded one by
 * one upstream is told how far each is used up. */
GstFlowReturn gst_whisper_decoder_take_window (
    GstWhisperDecoder *self, GstBuffer *inbuf);

/* Decodes the windows that have been taken: their text goes to `output`. */
GstFlowReturn gst_whisper_decoder_finish_windows (GstWhisperDecoder *self);

/* After them: no window overlaps with the last. */
void gst_whisper_decoder_finish_text (GstWhisperDecoder *self);

void gst_whisper_decoder_init_windows (GstWhisperDecoder *self);

/* Windows that come before any segment have one of time from 0 on. */
const GstSegment *gst_whisper_decoder_get_segment (GstWhisperDecoder *self);
/* Gives the states in @inbuf to the session's decoder as window 0. */
gboolean gst_whisper_decoder_set_states (GstWhisperDecoder *self,
    GstWhisperDecoderWindow *window, GstBuffer *inbuf, GError **error);
/* Counts a window and posts its message; @decoded: %NULL for silence */
void gst_whisper_decoder_publish (GstWhisperDecoder *self,
    const GstWhisperDecoderWindow *window, const NpuDecodedWindow *decoded,
    guint64 total_time);
/* Forgets what is open, and posts @error, unless it is none but a flush. */
GstFlowReturn gst_whisper_decoder_fail_window (
    GstWhisperDecoder *self, const GError *error);

/* Sends the stream's tags with the language, where that is another one. */
void gst_whisper_decoder_tell_language (
    GstWhisperDecoder *self, const char *language);
/* (transfer full): @event, or one with the language in its place. */
GstEvent *gst_whisper_decoder_keep_tags (
    GstWhisperDecoder *self, GstEvent *event);

G_END_DECLS
