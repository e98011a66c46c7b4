/* Cuts a timed stream of 16 kHz mono samples into windows: they start every
 * hop, or where somebody says that the one before is used up. Knows no pads.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define AUDIO_WINDOW_RATE 16000
#define AUDIO_WINDOW_SAMPLE_TIME (GST_SECOND / AUDIO_WINDOW_RATE) /* exact */

/* The most that a window holds. */
typedef enum {
  AUDIO_WINDOW_NOTHING, /* time that upstream has no data for */
  AUDIO_WINDOW_SILENCE, /* zeros, among them buffers flagged GAP */
  AUDIO_WINDOW_SOUND,
} AudioWindowContent;

typedef struct {
  gsize size;         /* samples of a window */
  guint64 hop;        /* samples from one window's start to the next one's */
  float *samples;     /* [2 * size], the first n_samples are valid */
  gsize n_samples;    /* from the window's start on */
  gsize n_seen;       /* of these, how many were in the window before */
  guint64 n_to_skip;  /* samples before the window begins */
  GstClockTime start; /* time of samples[0] */
  GstClockTime head;  /* time of the next sample to come */

  /*< private >*/
  gboolean given; /* the window is gone, and the next one's start not known */
  gsize data_end; /* where the last of upstream's data in samples[] ends */
} AudioWindow;

/**
 * audio_window_copy_samples:
 * @from: @n little-endian floats of any alignment
 *
 * Returns: how many were no audio (NaN, infinite or beyond
 *   +-LOG_MEL_MAX_SAMPLE); zeros stand in for them
 */
gsize audio_window_copy_samples (float *to, const guint8 *from, gsize n);

/* Allocates an empty window at time 0; @size and @hop are at least 1. */
void audio_window_init (AudioWindow *self, gsize size, guint64 hop);
void audio_window_clear (AudioWindow *self);

/* Drops all samples; a new window starts at @time. */
void audio_window_restart (AudioWindow *self, GstClockTime time);

/**
 * audio_window_add:
 * @data: (nullable): @n little-endian floats of any alignment, or %NULL for
 *   silence
 * @n_invalid: (inout): counts samples that were no audio (NaN, infinite or
 *   beyond +-LOG_MEL_MAX_SAMPLE); silence stands in for them
 *
 * To be called while neither audio_window_is_full() nor
 * audio_window_must_advance().
 *
 * Returns: how many of the samples it took: fewer than @n where the window
 *   became full or began; call again
 */
gsize audio_window_add (
    AudioWindow *self, const guint8 *data, gsize n, guint64 *n_invalid);

/**
 * audio_window_add_nothing:
 * @n: samples of time that upstream has no data for
 * @n_windows: (out): windows that ended up with nothing in them; the window
 *   has advanced past them, the first one began at its @start before the call
 *
 * As audio_window_add(), but takes no longer for hours than for seconds.
 */
guint64 audio_window_add_nothing (
    AudioWindow *self, guint64 n, guint64 *n_windows);

/* Whether a whole window is there that was not given away. */
gboolean audio_window_is_full (const AudioWindow *self);

/* Whether it holds samples that no window before it held. */
gboolean audio_window_has_news (const AudioWindow *self);

/* Samples of the window, at most @size. */
gsize audio_window_get_length (const AudioWindow *self);

/* Of its first @n samples. */
AudioWindowContent audio_window_get_content (const AudioWindow *self, gsize n);

/* Time of the sample that would follow, by counting from @start. */
GstClockTime audio_window_get_end (const AudioWindow *self);

/* The window is given away, but stays until it is known where the next one
 * starts: with a hop more of audio after it, that must be decided. */
void audio_window_give (AudioWindow *self);
gboolean audio_window_is_given (const AudioWindow *self);
gboolean audio_window_must_advance (const AudioWindow *self);

/* Moves on by a hop from a full window. */
void audio_window_advance (AudioWindow *self);

/* Moves on by @n samples of the window, or all of it; what was behind them has
 * not been used and counts as new. */
void audio_window_advance_by (AudioWindow *self, gsize n);

G_END_DECLS
