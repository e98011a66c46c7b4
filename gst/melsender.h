/* How whispermel pushes: windows and gaps, in caps agreed on with downstream.
 * Under the stream lock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "gstwhispermelsettings.h"
#include "meloutput.h"

G_BEGIN_DECLS

typedef struct {
  GstElement *element;      /* posts messages; not owned */
  GstPad *sinkpad, *srcpad; /* not owned */
  guint n_mels;             /* that the user set, or 0 */
  MelOutput output;
  GstSegment segment; /* as it came */
  guint32 seqnum;     /* of the segment event that was pushed last */
  gboolean discont;   /* the next window does not follow the one before */
  guint n_jumps;      /* in time that upstream did not flag */
} MelSender;

void mel_sender_init (MelSender *self, GstElement *element, GstPad *sinkpad,
    GstPad *srcpad, const GstWhisperMelSettings *settings);
void mel_sender_clear (MelSender *self);

/* Forgets the stream. */
void mel_sender_reset (MelSender *self);

/* Agrees with downstream on caps and buffers. */
gboolean mel_sender_negotiate (MelSender *self);

/* The windows to come have so many frames; they are agreed on where that is
 * new. */
gboolean mel_sender_set_n_frames (MelSender *self, guint n_frames);

/* Computes and pushes a window, full or not. */
GstFlowReturn mel_sender_push_window (MelSender *self, const MelWindow *window);

/* No audio comes for that time. */
void mel_sender_push_gap (
    MelSender *self, GstClockTime start, GstClockTime duration);

/* Takes a segment event and pushes it, as one of time. */
gboolean mel_sender_push_segment (MelSender *self, GstEvent *event);

/* Once more, with another seqnum: answers to what was before do not count. */
void mel_sender_renew_segment (MelSender *self);

/* A jump that upstream did not flag: tells the user of the third. */
void mel_sender_count_jump (
    MelSender *self, GstClockTime from, GstClockTime to);

G_END_DECLS
