/* The tensors that whispermel pushes: their caps, buffers and content.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "audiowindow.h"
#include "mel/logmel.h"

G_BEGIN_DECLS

/* Audio to be encoded. */
typedef struct {
  const float *samples; /* [n_samples] */
  gsize n_samples;
  GstClockTime start;
  AudioWindowContent content;
  gboolean marker; /* the last of an utterance */
} MelWindow;

typedef struct {
  GstElement *element;    /* posts errors; not owned */
  GstPad *pad;            /* not owned */
  guint n_frames;         /* of a window */
  guint n_mels;           /* agreed on; 0 before */
  gboolean is_negotiated; /* caps and buffers of n_frames */
  gboolean zero_tail;     /* 0.0 behind the last whole frame of the audio */

  /*< private >*/
  LogMel *log_mel;
  float *aligned; /* [n_mels][n_frames], for memory that is not; or NULL */

  GMutex lock; /* of what follows */
  GstBufferPool *pool;
  gboolean flushing, stopped;
} MelOutput;

void mel_output_init (MelOutput *self, GstElement *element, GstPad *pad,
    guint n_frames, gboolean zero_tail);
void mel_output_clear (MelOutput *self);

/* To be agreed on after that. */
void mel_output_set_n_frames (MelOutput *self, guint n_frames);

/**
 * mel_output_negotiate:
 * @n_mels: 80, 128, or 0 for what downstream asks for, else 80
 *
 * Agrees with downstream on caps and buffers and pushes the caps. From the
 * streaming thread.
 *
 * Returns: %FALSE after posting an error, or while the pad is flushing
 */
gboolean mel_output_negotiate (MelOutput *self, guint n_mels);

/**
 * mel_output_make:
 * @window: of n_frames, or cut short
 * @buffer: (out): its mel, with its timestamps
 *
 * From the streaming thread, after mel_output_negotiate(). What is not
 * %GST_FLOW_OK comes after an error was posted, or from flushing.
 */
GstFlowReturn mel_output_make (
    MelOutput *self, const MelWindow *window, GstBuffer **buffer);

/* From any thread: lets mel_output_make() return, where downstream's pool has
 * no buffer left to give; mel_output_stop() for good. */
void mel_output_set_flushing (MelOutput *self, gboolean flushing);
void mel_output_stop (MelOutput *self);

G_END_DECLS
