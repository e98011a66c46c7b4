/* Whisper's log-mel spectrogram (Radford et al. 2022; openai/whisper,
 * audio.py, log_mel_spectrogram). Knows no pads.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define LOG_MEL_RATE 16000
#define LOG_MEL_N_FFT 400
#define LOG_MEL_HOP 160

typedef struct _LogMel LogMel;

/* @n_mels: 80 or 128. */
LogMel *log_mel_new (guint n_mels);
void log_mel_free (LogMel *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LogMel, log_mel_free)

/* Computes @mel[n_mels][n_frames] from n_frames * LOG_MEL_HOP samples, with
 * reflection at both ends as torch.stft (center=True) does it and the last
 * column dropped as Whisper drops it. n_frames >= 2. */
void log_mel_compute (LogMel *self, const float *samples, guint n_frames,
    float *mel);

G_END_DECLS
