/* What whispermel does between READY and PAUSED and back: one life of it.
 *
 * An element has one while it runs and none else, and whoever works on it holds
 * a reference, so that nothing meets a half of one: not a flush while the
 * element stops, not an answer from downstream while it starts.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "gstwhispermelsettings.h"

G_BEGIN_DECLS

typedef struct _MelStream MelStream;

/**
 * mel_stream_new:
 * @element: posts errors; outlives the stream
 * @sinkpad: of it
 * @srcpad: of it
 * @settings: copied
 *
 * Returns: %NULL with @error set (NPU_ERROR), where what tells voice cannot be
 *   had
 */
MelStream *mel_stream_new (GstElement *element, GstPad *sinkpad, GstPad *srcpad,
    const GstWhisperMelSettings *settings, GError **error);

MelStream *mel_stream_ref (MelStream *self);
void mel_stream_unref (MelStream *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MelStream, mel_stream_unref)

/* --- from any thread --- */

/* Lets go whoever waits for a buffer downstream: from FLUSH_START to
 * FLUSH_STOP, and for good when the element stops. */
void mel_stream_set_flushing (MelStream *self, gboolean flushing);
void mel_stream_stop (MelStream *self);

/* whisper/advance: returns whether the next window will begin where it says. */
gboolean mel_stream_answer (MelStream *self, GstEvent *event);

/* --- under the stream lock of the sink pad --- */

/* Agrees with downstream on caps and buffers. */
gboolean mel_stream_negotiate (MelStream *self);

/* Drops all that is held; the next audio begins a stream. */
void mel_stream_reset (MelStream *self);

/* @buffer: (transfer full) */
GstFlowReturn mel_stream_add (MelStream *self, GstBuffer *buffer);

/* @event: (transfer full): GAP, SEGMENT. Each goes downstream in some form. */
gboolean mel_stream_gap (MelStream *self, GstEvent *event);
gboolean mel_stream_segment (MelStream *self, GstEvent *event);

/* Pushes all that is held. */
GstFlowReturn mel_stream_drain (MelStream *self);

G_END_DECLS
