/* whispermel: speech to the log-mel windows that a Whisper encoder takes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_WHISPER_MEL (gst_whisper_mel_get_type ())
G_DECLARE_FINAL_TYPE (
    GstWhisperMel, gst_whisper_mel, GST, WHISPER_MEL, GstElement)

/**
 * GstWhisperMelBands:
 * @GST_WHISPER_MEL_BANDS_AUTO: what downstream asks for, else 80
 * @GST_WHISPER_MEL_BANDS_80: 80 bands: every Whisper model before large-v3
 * @GST_WHISPER_MEL_BANDS_128: 128 bands: large-v3 and its descendants
 *
 * Number of mel bands.
 *
 * Since: 1.0
 */
typedef enum {
  GST_WHISPER_MEL_BANDS_AUTO = 0,
  GST_WHISPER_MEL_BANDS_80 = 80,
  GST_WHISPER_MEL_BANDS_128 = 128,
} GstWhisperMelBands;

#define GST_TYPE_WHISPER_MEL_BANDS (gst_whisper_mel_bands_get_type ())
GType gst_whisper_mel_bands_get_type (void);

GST_ELEMENT_REGISTER_DECLARE (whispermel);

G_END_DECLS
