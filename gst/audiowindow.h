/* Cuts a timed stream of 16 kHz mono samples into windows that start every
 * hop. Knows no pads.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define AUDIO_WINDOW_RATE 16000
#define AUDIO_WINDOW_SAMPLE_TIME (GST_SECOND / AUDIO_WINDOW_RATE) /* exact */

/* The most that a stretch of audio, or a window, holds. */
typedef enum {
  AUDIO_WINDOW_NOTHING, /* time that upstream has no data for: GAP events */
  AUDIO_WINDOW_SILENCE, /* buffers flagged GAP */
  AUDIO_WINDOW_SPEECH,  /* any other buffer */
} AudioWindowContent;

typedef struct {
  gsize size;         /* samples of a window */
  guint64 hop;        /* samples from one window's start to the next one's */
  float *samples;     /* [size], the first n_samples are valid */
  gsize n_samples;    /* so far in this window */
  gsize n_seen;       /* of these, how many were in the window before */
  guint64 n_to_skip;  /* samples before the window begins */
  GstClockTime start; /* time of samples[0] */
  GstClockTime head;  /* time of the next sample to come */

  /*< private >*/
  gsize silence_end, speech_end; /* where the last of them in samples[] ends */
} AudioWindow;

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
 * Returns: how many of the samples it took: fewer than @n where the window
 *   became full or began; call again, after audio_window_advance() if full
 */
gsize audio_window_add (AudioWindow *self, const guint8 *data, gsize n,
    AudioWindowContent content, guint64 *n_invalid);

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

gboolean audio_window_is_full (const AudioWindow *self);

/* Whether it holds samples that no window before it held. */
gboolean audio_window_has_news (const AudioWindow *self);

AudioWindowContent audio_window_get_content (const AudioWindow *self);

/* Moves on by a hop from a full window. */
void audio_window_advance (AudioWindow *self);

G_END_DECLS
