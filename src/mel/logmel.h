/* Whisper's log-mel spectrogram (Radford et al. 2022; openai/whisper,
 * audio.py, log_mel_spectrogram). Knows no pads.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define LOG_MEL_RATE 16000      /* samples per second */
#define LOG_MEL_N_FFT 400       /* samples of a frame, 25 ms */
#define LOG_MEL_HOP 160         /* samples from frame to frame, 10 ms */
#define LOG_MEL_MAX_SAMPLE 1e6f /* louder ones would overflow */

typedef struct _LogMel LogMel;

/* @n_mels: 80 or 128. */
LogMel *log_mel_new (guint n_mels);
void log_mel_free (LogMel *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LogMel, log_mel_free)

/* For tests: computes as on a CPU without AVX2. */
void log_mel_use_baseline (LogMel *self);

/**
 * log_mel_compute:
 * @samples: [n_samples], within +-LOG_MEL_MAX_SAMPLE; full scale is 1
 * @n_samples: at most @n_frames * LOG_MEL_HOP
 * @n_frames: frames of the window, at least 2
 * @mel: (out caller-allocates): [n_mels][n_frames]
 *
 * Pads the samples with silence to @n_frames * LOG_MEL_HOP, reflects that at
 * both ends as torch.stft (center=True) does, drops the last column as
 * Whisper does. Frames that hold nothing but padding cost nothing.
 */
void log_mel_compute (LogMel *self, const float *samples, gsize n_samples,
    guint n_frames, float *mel);

G_END_DECLS
