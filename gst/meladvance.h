/* Where the next window begins, asked of whoever uses the windows: the answer
 * comes as a whisper/advance event from any thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

typedef struct {
  /*< private >*/
  GMutex lock;
  guint32 seqnum;          /* of the segment */
  gboolean open;           /* a window is out, and nothing was decided */
  GThread *asker;          /* who is pushing it, or NULL */
  GstClockTime start, end; /* of the window */
  GstClockTime until;      /* the answer so far, or NONE */
} MelAdvance;

void mel_advance_init (MelAdvance *self);
void mel_advance_clear (MelAdvance *self);

/* The windows to come belong to the segment event with @seqnum. */
void mel_advance_set_segment (MelAdvance *self, guint32 seqnum);

/* A window is about to be pushed by this thread, and has been pushed. */
void mel_advance_ask (MelAdvance *self, GstClockTime start, GstClockTime end);
void mel_advance_pushed (MelAdvance *self);

/**
 * mel_advance_answer:
 * @event: whisper/advance, from any thread
 *
 * The last answer to a window counts. Inside the push of a window, a time out
 * of the window is clamped to it. An answer that comes from elsewhere may be
 * about a window before it, where it is not after the newest one's start.
 *
 * Returns: %FALSE where it is too late, or about another segment or window:
 *   nothing will follow from it
 */
gboolean mel_advance_answer (MelAdvance *self, GstEvent *event);

/* Returns whether there was an answer, and takes it. */
gboolean mel_advance_take (MelAdvance *self, GstClockTime *until);

/* Takes the answer, if there is one; after that it is too late for one. */
gboolean mel_advance_close (MelAdvance *self, GstClockTime *until);

G_END_DECLS
