/* whispermel's properties: each is a field of one structure.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

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

/**
 * GstWhisperMelMode:
 * @GST_WHISPER_MEL_MODE_FIXED: a window begins every hop
 * @GST_WHISPER_MEL_MODE_FOLLOW: a window begins where the decoder says that the
 *   last one was used up
 * @GST_WHISPER_MEL_MODE_GROWING: a window of all audio that is not final, every
 *   step
 * @GST_WHISPER_MEL_MODE_PAUSES: a window begins where the last one ended, at
 * the quietest place of its last third
 *
 * Where windows begin.
 *
 * Since: 1.1
 */
typedef enum {
  GST_WHISPER_MEL_MODE_FIXED,
  GST_WHISPER_MEL_MODE_FOLLOW,
  GST_WHISPER_MEL_MODE_GROWING,
  GST_WHISPER_MEL_MODE_PAUSES,
} GstWhisperMelMode;

#define GST_TYPE_WHISPER_MEL_MODE (gst_whisper_mel_mode_get_type ())
GType gst_whisper_mel_mode_get_type (void);

/**
 * GstWhisperMelTail:
 * @GST_WHISPER_MEL_TAIL_SILENCE: the mel of silence
 * @GST_WHISPER_MEL_TAIL_ZERO: 0.0
 *
 * What is behind the audio in a window that is cut short.
 *
 * Since: 1.1
 */
typedef enum {
  GST_WHISPER_MEL_TAIL_SILENCE,
  GST_WHISPER_MEL_TAIL_ZERO,
} GstWhisperMelTail;

#define GST_TYPE_WHISPER_MEL_TAIL (gst_whisper_mel_tail_get_type ())
GType gst_whisper_mel_tail_get_type (void);

/**
 * GstWhisperMelVad:
 * @GST_WHISPER_MEL_VAD_AUTO: upstream's voice bit where every buffer has it,
 *   else the network of #GstWhisperMel:vad-model, else the level
 * @GST_WHISPER_MEL_VAD_NONE: all but digital silence is voice
 * @GST_WHISPER_MEL_VAD_SILERO: the network of #GstWhisperMel:vad-model
 * @GST_WHISPER_MEL_VAD_ENERGY: the level over a running noise floor
 *
 * What tells a voice from other sounds.
 *
 * Since: 1.1
 */
typedef enum {
  GST_WHISPER_MEL_VAD_AUTO,
  GST_WHISPER_MEL_VAD_NONE,
  GST_WHISPER_MEL_VAD_SILERO,
  GST_WHISPER_MEL_VAD_ENERGY,
} GstWhisperMelVad;

#define GST_TYPE_WHISPER_MEL_VAD (gst_whisper_mel_vad_get_type ())
GType gst_whisper_mel_vad_get_type (void);

#define GST_WHISPER_MEL_MAX_WINDOW (30 * GST_SECOND)

typedef struct {
  guint n_mels;        /* 80, 128, or 0 for what downstream asks for */
  GstClockTime window; /* ns */
  GstClockTime hop;    /* ns, 0 = window */
  GstWhisperMelMode mode;
  GstWhisperMelTail tail;
  GstClockTime alignment_threshold; /* ns */
  GstClockTime discont_wait;        /* ns */

  /* mode=growing */
  GstClockTime step, padding, quantum, silence; /* ns */
  GstWhisperMelVad vad;
  const char *vad_model; /* interned, or NULL */
} GstWhisperMelSettings;

/* Installs the properties; they are set to their defaults when an object is
 * constructed. */
void gst_whisper_mel_settings_install (GObjectClass *klass);

void gst_whisper_mel_settings_set (
    GstWhisperMelSettings *settings, guint id, const GValue *value);
void gst_whisper_mel_settings_get (
    const GstWhisperMelSettings *settings, guint id, GValue *value);

/* Properties take any value, because GObject replaces one out of range without
 * a word to the user. Returns %FALSE with @error set
 * (GST_RESOURCE_ERROR_SETTINGS), where a time is not one that windows can
 * have. */
gboolean gst_whisper_mel_settings_check (
    const GstWhisperMelSettings *settings, GError **error);

guint gst_whisper_mel_settings_get_n_frames (
    const GstWhisperMelSettings *settings);

/* Samples of a window, and from one window's start to the next one's. */
gsize gst_whisper_mel_settings_get_size (const GstWhisperMelSettings *settings);
guint64 gst_whisper_mel_settings_get_hop (
    const GstWhisperMelSettings *settings);

/* The most audio of mode=growing, but for what is to spare. */
GstClockTime gst_whisper_mel_settings_get_growing_window (
    const GstWhisperMelSettings *settings);

/* Frames of a window of mode=growing with audio of @duration. */
guint gst_whisper_mel_settings_get_n_growing_frames (
    const GstWhisperMelSettings *settings, GstClockTime duration);

GstClockTime gst_whisper_mel_settings_get_latency (
    const GstWhisperMelSettings *settings);

/* (transfer full): of all windows that there may be. */
GstCaps *gst_whisper_mel_settings_get_caps (
    const GstWhisperMelSettings *settings);

/* discont-wait, as far as audio is held back: a longest window. */
GstClockTime gst_whisper_mel_settings_get_wait (
    const GstWhisperMelSettings *settings);

G_END_DECLS
