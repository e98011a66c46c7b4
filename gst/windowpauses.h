/* Where it is quiet in a window of speech: a meta on the window that whispermel
 * makes, npuencoder passes on and whisperdecoder reads. Attention is vague
 * about where in a pause a word begins; the audio is not.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "transcript/npu-pause.h"

G_BEGIN_DECLS

#define WINDOW_PAUSES_META "WhisperPauses"

/**
 * window_pauses_add:
 * @buffer: writable
 * @samples: [n], 16 kHz: the window's audio
 * @start: its time
 *
 * Pauses are 100 ms and more, 25 dB quieter than the loud parts, or no louder
 * than noise that is 14 dB quieter than those and stays the same for 200 ms.
 * Where there is none, as in louder noise, @buffer stays as it is.
 */
void window_pauses_add (
    GstBuffer *buffer, const float *samples, gsize n, GstClockTime start);

/* (transfer none) (array length=n): in order; they live as long as @buffer. */
const NpuPause *window_pauses_get (GstBuffer *buffer, guint *n);

G_END_DECLS
