/* Where in time audio belongs whose timestamps are not to be trusted one by
 * one: packets are lost, stamps jitter around the truth, one of them lies.
 * Knows no pads and no samples.
 *
 * Audio is pushed with its stamp and comes back, in the same order, as pieces
 * with the time that they are given. A stamp off the line of those before it
 * holds its audio back until the audio that follows tells what it was:
 * - stamps return to the line: it was an outlier, which changes nothing;
 * - they stay on the new line, or move on: time has passed without audio;
 * - they go back, again and again: nobody plays audio twice so often, and from
 *   then on what goes back follows what was before it.
 * This is what GstAudioStreamAlign and audio sinks do with alignment-threshold
 * and discont-wait; beyond that, holes too small for the threshold are found,
 * where stamps are otherwise exact, or by the median of many.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define MEL_TIMELINE_N_STEPS 21
#define MEL_TIMELINE_N_ERRORS 15
#define MEL_TIMELINE_N_VALUES 21 /* the larger of them */

typedef struct {
  gpointer data;     /* as it was pushed */
  GstClockTime time; /* of its first sample */
  gint64 hole; /* ns between the end of the piece before and this one: more than
                  0 where no audio came for so long, less where it overlaps; 0
                  where it follows, even if @time moves by a little */
  gboolean cut;     /* it does not belong to what was before, whatever @time */
  gboolean discont; /* as it was pushed */
} MelTimelinePiece;

/* The newest @n of @size values, in any order. */
typedef struct {
  gint64 values[MEL_TIMELINE_N_VALUES];
  guint size, n, next;
} MelTimelineHistory;

typedef struct {
  /*< private >*/
  gint64 threshold, wait; /* ns */
  gboolean fresh;         /* the next stamp is taken as it is */
  gint64 head;            /* ns: where what was given a time ends */
  gint64 stamp_end;       /* ns: where the newest audio ends by its own stamp */

  MelTimelineHistory steps;  /* stamp - end by the stamp before */
  gboolean exact;            /* stamps follow one another but for holes */
  MelTimelineHistory errors; /* stamp - head, while they do not */
  gboolean centred;          /* head has been amid the stamps */

  guint n_back;      /* jumps back, one soon after another */
  gint64 since_back; /* ns of audio, in line, since the newest */

  GQueue held;       /* of Entry */
  gint64 held_time;  /* ns: sum of their samples */
  gint64 held_off;   /* ns: how far off the line they are */
  gint64 held_first; /* ns: stamp of the first */
  gint64 held_last;  /* ns: stamp of the newest */
  GQueue ready;      /* of MelTimelinePiece */
} MelTimeline;

/**
 * mel_timeline_init:
 * @threshold: ns that a stamp may be off before that counts as a jump
 * @wait: ns of audio that must be off the line, before a jump is believed whose
 *   audio is not flagged
 */
void mel_timeline_init (
    MelTimeline *self, GstClockTime threshold, GstClockTime wait);

/* The caller frees the data of pieces, pushed or not: @free_data, or %NULL. */
void mel_timeline_clear (MelTimeline *self, GDestroyNotify free_data);

/* Forgets everything; audio without a stamp is timed from @time on. */
void mel_timeline_restart (
    MelTimeline *self, GstClockTime time, GDestroyNotify free_data);

/**
 * mel_timeline_push:
 * @data: not %NULL; comes back in a piece
 * @time: stamp of the first sample, or %GST_CLOCK_TIME_NONE
 * @n: samples of 16 kHz, at least one
 * @discont: upstream says that data is missing before it: its stamp is believed
 *   at once, unless it goes back
 */
void mel_timeline_push (MelTimeline *self, gpointer data, GstClockTime time,
    guint64 n, gboolean discont);

/* No more audio comes that tells about what is held: that is believed. */
void mel_timeline_settle (MelTimeline *self);

/* Time passes up to @time without audio, as somebody says who knows. To be
 * called when everything has been popped. */
void mel_timeline_pass (MelTimeline *self, GstClockTime time);

/* Whether stamps went back so often that those that do are not believed. */
gboolean mel_timeline_is_doubted (const MelTimeline *self);

/* Whether no time is known yet. */
gboolean mel_timeline_is_fresh (const MelTimeline *self);

/* Returns %FALSE where there is no more to be given a time now. */
gboolean mel_timeline_pop (MelTimeline *self, MelTimelinePiece *piece);

G_END_DECLS
