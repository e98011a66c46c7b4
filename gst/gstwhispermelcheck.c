/* What whispermel's properties mean together, and which values go.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "audiowindow.h"
#include "growingwindow.h"
#include "gstwhispermelsettings.h"
#include "mel/logmel.h"
#include "melcaps.h"

#define MIN_WINDOW GST_SECOND
#define MAX_WINDOW GST_WHISPER_MEL_MAX_WINDOW
#define MAX_HOP ((guint64) G_MAXINT64)
#define MIN_QUANTUM (100 * GST_MSECOND)
#define MAX_PADDING (10 * GST_SECOND)
#define FRAME_TIME (LOG_MEL_HOP * AUDIO_WINDOW_SAMPLE_TIME)
#define WINDOW_STEP (2 * FRAME_TIME) /* the encoder halves the frames */

/* What the longest window stands for, which would have no room to grow. */
#define GROWING_WINDOW_TIME (12 * GST_SECOND)

/* What somebody meant who took nanoseconds for seconds or milliseconds. */
static GstClockTime
guess_window (GstClockTime window)
{
  if (window >= 1 && window <= MAX_WINDOW / GST_SECOND)
    return window * GST_SECOND;
  if (window >= MIN_WINDOW / GST_MSECOND && window <= MAX_WINDOW / GST_MSECOND)
    return window * GST_MSECOND;
  return 5 * GST_SECOND;
}

static gboolean
check_window (GstClockTime window, GError **error)
{
  GstClockTime guess = guess_window (window);

  if (window < MIN_WINDOW || window > MAX_WINDOW) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Property window is %" G_GUINT64_FORMAT
        " ns, out of its range of %" G_GUINT64_FORMAT
        " (1 s) to %" G_GUINT64_FORMAT
        " (30 s). It is in nanoseconds: %g s are window=%" G_GUINT64_FORMAT ".",
        window, (guint64) MIN_WINDOW, (guint64) MAX_WINDOW,
        (double) guess / GST_SECOND, guess);
    return FALSE;
  }
  if (window % WINDOW_STEP != 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Property window is %" G_GUINT64_FORMAT
        " ns, which is not a multiple of 20 ms (two mel frames); %" G_GUINT64_FORMAT
        " is one.",
        window, window / WINDOW_STEP * WINDOW_STEP);
    return FALSE;
  }
  return TRUE;
}

static gboolean
check_hop (const GstWhisperMelSettings *settings, GError **error)
{
  if (settings->hop != 0 && settings->hop < FRAME_TIME) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Property hop is %" G_GUINT64_FORMAT
        " ns, less than one mel frame of 10 ms. It is in nanoseconds: 5 s are 5000000000; 0 means as long as the window.",
        settings->hop);
    return FALSE;
  }
  if (settings->hop > MAX_HOP) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Property hop is %" G_GUINT64_FORMAT
        " ns, more than its largest value of %" G_GUINT64_FORMAT
        ". It is in nanoseconds: 5 s are 5000000000; 0 means as long as the window.",
        settings->hop, MAX_HOP);
    return FALSE;
  }
  return TRUE;
}

static gboolean
check_range (const char *name, GstClockTime value, GstClockTime least,
    GstClockTime most, GError **error)
{
  if (value >= least && value <= most)
    return TRUE;
  g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "Property %s is %" G_GUINT64_FORMAT
      " ns, out of its range of %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
      ". It is in nanoseconds: 500 ms are 500000000.",
      name, value, least, most);
  return FALSE;
}

static gboolean
check_growing (const GstWhisperMelSettings *settings, GError **error)
{
  const GstClockTime longest =
      gst_whisper_mel_settings_get_growing_window (settings) + GROWING_SLACK +
      settings->padding;

  if (!check_range (
          "step", settings->step, 100 * GST_MSECOND, 5 * GST_SECOND, error) ||
      !check_range ("padding", settings->padding, 0, MAX_PADDING, error) ||
      !check_range (
          "quantum", settings->quantum, MIN_QUANTUM, MAX_WINDOW, error) ||
      !check_range ("silence", settings->silence, 100 * GST_MSECOND,
          10 * GST_SECOND, error))
    return FALSE;
  if (settings->quantum % WINDOW_STEP != 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Property quantum is %" G_GUINT64_FORMAT
        " ns, which is not a multiple of 20 ms (two mel frames); %" G_GUINT64_FORMAT
        " is one.",
        settings->quantum, settings->quantum / WINDOW_STEP * WINDOW_STEP);
    return FALSE;
  }
  if (longest > MAX_WINDOW) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Properties window and padding make windows of up to %" G_GUINT64_FORMAT
        " ns in mode growing, with 3 s to spare; a Whisper model takes 30000000000 (30 s). Set window to at most %" G_GUINT64_FORMAT
        ".",
        longest, MAX_WINDOW - GROWING_SLACK - settings->padding);
    return FALSE;
  }
  if (settings->vad == GST_WHISPER_MEL_VAD_SILERO &&
      !(settings->vad_model && *settings->vad_model)) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Property vad is silero, but vad-model is not set: it takes Silero's network for 16 kHz, a safetensors file.");
    return FALSE;
  }
  return TRUE;
}

gboolean
gst_whisper_mel_settings_check (
    const GstWhisperMelSettings *settings, GError **error)
{
  if (!check_window (settings->window, error) || !check_hop (settings, error))
    return FALSE;
  return settings->mode != GST_WHISPER_MEL_MODE_GROWING ||
         check_growing (settings, error);
}

GstClockTime
gst_whisper_mel_settings_get_growing_window (
    const GstWhisperMelSettings *settings)
{
  return settings->window == MAX_WINDOW ? GROWING_WINDOW_TIME
                                        : settings->window;
}

/* Caps are asked for before the settings are checked: till then it is any. */
static GstClockTime
get_quantum (const GstWhisperMelSettings *settings)
{
  return CLAMP (settings->quantum, MIN_QUANTUM, MAX_WINDOW) / WINDOW_STEP *
         WINDOW_STEP;
}

guint
gst_whisper_mel_settings_get_n_growing_frames (
    const GstWhisperMelSettings *settings, GstClockTime duration)
{
  const GstClockTime quantum = get_quantum (settings);
  const GstClockTime all =
      MIN (duration, MAX_WINDOW) + MIN (settings->padding, MAX_PADDING);

  return MIN ((all + quantum - 1) / quantum * quantum, MAX_WINDOW) / FRAME_TIME;
}

guint
gst_whisper_mel_settings_get_n_frames (const GstWhisperMelSettings *settings)
{
  if (settings->mode == GST_WHISPER_MEL_MODE_GROWING)
    return gst_whisper_mel_settings_get_n_growing_frames (settings, FRAME_TIME);
  return settings->window / FRAME_TIME;
}

GstClockTime
gst_whisper_mel_settings_get_latency (const GstWhisperMelSettings *settings)
{
  return settings->mode == GST_WHISPER_MEL_MODE_GROWING ? settings->step
                                                        : settings->window;
}

GstCaps *
gst_whisper_mel_settings_get_caps (const GstWhisperMelSettings *settings)
{
  const guint first = gst_whisper_mel_settings_get_n_frames (settings);
  guint last = first;

  if (settings->mode == GST_WHISPER_MEL_MODE_GROWING)
    last = gst_whisper_mel_settings_get_n_growing_frames (settings,
        gst_whisper_mel_settings_get_growing_window (settings) + GROWING_SLACK);
  return mel_caps_new (
      settings->n_mels, first, last, get_quantum (settings) / FRAME_TIME);
}

gsize
gst_whisper_mel_settings_get_size (const GstWhisperMelSettings *settings)
{
  return settings->window / AUDIO_WINDOW_SAMPLE_TIME;
}

guint64
gst_whisper_mel_settings_get_hop (const GstWhisperMelSettings *settings)
{
  GstClockTime hop = settings->hop ? settings->hop : settings->window;

  return gst_util_uint64_scale_round (hop, AUDIO_WINDOW_RATE, GST_SECOND);
}

GstClockTime
gst_whisper_mel_settings_get_wait (const GstWhisperMelSettings *settings)
{
  return MIN (settings->discont_wait, MAX_WINDOW);
}
