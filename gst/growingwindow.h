/* Windows for live captions: each holds all audio from the last advance to now,
 * and there is one every step of the stream's time, as long as somebody speaks.
 * Decides what is pushed and when; knows no pads, no clock and no threads.
 *
 * Audio goes in by growing_window_add(); after each call what is due comes out
 * by growing_window_pop(). Everything is decided at whole blocks and steps of
 * samples, so that windows do not depend on how the audio was cut into buffers.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GROWING_BLOCK 512 /* samples that a detector looks at: 32 ms */

/* Voice that ends so long ago has ended for good, and what is kept of the audio
 * around it. */
#define GROWING_LEAD (300 * GST_MSECOND)  /* before it begins */
#define GROWING_TRAIL (200 * GST_MSECOND) /* after it ends */
#define GROWING_ONSET (250 * GST_MSECOND) /* so much of it is an utterance */
#define GROWING_LEAST (100 * GST_MSECOND) /* where nothing follows, so much */

/* No window has less audio, but the last of an utterance. */
#define GROWING_SHORTEST GST_SECOND

/* More than a whole window, where nobody commits anything. */
#define GROWING_SLACK (3 * GST_SECOND)

/* Steps in a row that are left out at most, when the machine is late: one, and
 * one more each time that it still is. */
#define GROWING_MAX_MERGED 3

/* Who says whether a sample is voice. */
typedef enum {
  GROWING_VOICE_ASK, /* the detector */
  GROWING_VOICE_YES, /* upstream */
  GROWING_VOICE_NO,
} GrowingVoice;

typedef struct {
  GstClockTime step, window, silence;

  /* Whether a block of %GROWING_BLOCK samples has voice; %NULL: all that is not
   * digital silence has. It is not asked about digital silence. */
  gboolean (*detect) (gpointer detector, const float *block);
  void (*forget) (gpointer detector); /* what comes does not follow */
  gpointer detector;
} GrowingSettings;

typedef enum {
  GROWING_GAP,    /* nobody speaks in [start, start + duration) */
  GROWING_WINDOW, /* to be encoded */
} GrowingKind;

typedef struct {
  GrowingKind kind;
  GstClockTime start, duration;
  const float *samples; /* valid until audio is added */
  gsize n_samples;
  gboolean marker;  /* the last window of an utterance: all of it is final */
  gboolean discont; /* audio is missing before it */
} GrowingOutput;

typedef struct {
  GrowingSettings settings;
  guint64 step, window, limit, silence; /* the same and more in samples */

  float *samples; /* [capacity]; the first has the number origin */
  gsize capacity;
  /* Samples are numbered from the restart on. */
  guint64 origin, first, end; /* [first, end) are held */
  guint64 anchor;             /* anchor_time is this sample's */
  GstClockTime anchor_time;
  GstClockTime head; /* time of the next sample to come */

  guint64 block; /* where the block begins that is not full yet */
  GrowingVoice block_voice;
  gboolean block_sound;
  guint64 n_zeros;   /* blocks of digital silence in a row */
  guint64 next_step; /* where the next one is due */
  guint n_merged;    /* steps that were left out since the last window */
  guint may_merge;   /* and that may be, when the machine is late */

  gboolean speaking;   /* first is where the utterance's window begins */
  guint64 onset;       /* of voice that may become an utterance, or NONE */
  guint64 voiced;      /* samples of voice since then */
  guint64 voice_end;   /* where the newest voice ends */
  guint64 given;       /* where the newest window ended, or 0 */
  guint64 end_at;      /* the utterance has ended there, or NONE */
  gboolean step_due;   /* a window, or a gap */
  gboolean is_drained; /* nothing follows what is held */
  gboolean discont;

  GstClockTime told;            /* up to here all was given as final */
  GstClockTime until, sentence; /* the furthest advance */
} GrowingWindow;

/* @settings: copied; at least 10 ms each */
void growing_window_init (GrowingWindow *self, const GrowingSettings *settings);
void growing_window_clear (GrowingWindow *self);

/* Drops all that is held; what comes begins at @time, and does not follow. */
void growing_window_restart (GrowingWindow *self, GstClockTime time);

/* The next sample is of that @time: stamps are off the count a little. */
void growing_window_set_time (GrowingWindow *self, GstClockTime time);

/* Time of the next sample, by counting. */
GstClockTime growing_window_get_end (const GrowingWindow *self);

/* Whether audio is held that may still get text. */
gboolean growing_window_has_news (const GrowingWindow *self);

/**
 * growing_window_add:
 * @data: (nullable): @n little-endian floats of any alignment, or %NULL for
 *   silence, which nobody is asked about
 * @n_invalid: (inout): counts samples that were no audio; zeros stand in. Of
 *   silence there are none: %NULL
 *
 * To be called when growing_window_pop() has returned %FALSE.
 *
 * Returns: how many of the samples it took, at least one
 */
gsize growing_window_add (GrowingWindow *self, const guint8 *data, gsize n,
    GrowingVoice voice, guint64 *n_invalid);

/**
 * growing_window_pass:
 * @n: samples of time without data
 *
 * Likewise. Where somebody speaks, it is silence; else it takes no longer for
 * hours than for seconds, and comes out as a gap.
 *
 * Returns: how much of it it took, at least one
 */
guint64 growing_window_pass (GrowingWindow *self, guint64 n);

/* Nothing follows what is held: all of it is due. */
void growing_window_drain (GrowingWindow *self);

/**
 * growing_window_advance:
 * @until: end of the last word that is final
 * @sentence: end of the last sentence that is, or %GST_CLOCK_TIME_NONE
 *
 * What is before it may be cut off. Earlier times than those before change
 * nothing, nor does what is not in the windows that were given.
 *
 * Returns: whether it changes anything
 */
gboolean growing_window_advance (
    GrowingWindow *self, GstClockTime until, GstClockTime sentence);

/**
 * growing_window_pop:
 * @lag: ns by which the newest sample is late, 0 where there is no clock
 *
 * Returns: whether something is due: %FALSE when there is no more for now
 */
gboolean growing_window_pop (
    GrowingWindow *self, gint64 lag, GrowingOutput *output);

G_END_DECLS
