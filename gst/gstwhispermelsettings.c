/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstwhispermelsettings.h"

#include "audiowindow.h"
#include "logmel.h"

#define DEFAULT_N_MELS GST_WHISPER_MEL_BANDS_AUTO
#define DEFAULT_WINDOW (30 * GST_SECOND)
#define DEFAULT_HOP 0
#define MIN_WINDOW GST_SECOND
#define MAX_WINDOW (30 * GST_SECOND)
#define FRAME_TIME (LOG_MEL_HOP * AUDIO_WINDOW_SAMPLE_TIME)
#define WINDOW_STEP (2 * FRAME_TIME) /* the encoder halves the frames */

enum {
  PROP_0,
  PROP_N_MELS,
  PROP_WINDOW,
  PROP_HOP,
};

GType
gst_whisper_mel_bands_get_type (void)
{
  static const GEnumValue values[] = {
      {GST_WHISPER_MEL_BANDS_AUTO, "As downstream asks, else 80", "auto"},
      {GST_WHISPER_MEL_BANDS_80, "Models before large-v3", "80"},
      {GST_WHISPER_MEL_BANDS_128, "large-v3 and its descendants", "128"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (
        &type, g_enum_register_static ("GstWhisperMelBands", values));
  return type;
}

void
gst_whisper_mel_settings_install (GObjectClass *klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_CONSTRUCT |
                            G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  /**
   * GstWhisperMel:n-mels:
   *
   * Mel bands: 80, or 128 for large-v3 and its descendants. `auto` takes what
   * downstream caps ask for, or 80 where they do not say.
   *
   * Since: 1.0
   */
  g_object_class_install_property (klass, PROP_N_MELS,
      g_param_spec_enum ("n-mels", "Mel bands",
          "Mel bands: 80, or 128 for large-v3 and its descendants; auto takes "
          "what downstream asks for, else 80",
          GST_TYPE_WHISPER_MEL_BANDS, DEFAULT_N_MELS, flags));

  /**
   * GstWhisperMel:window:
   *
   * Length of a window in nanoseconds, a multiple of 20 ms. A window that is
   * cut short is padded with silence to it.
   *
   * Since: 1.0
   */
  g_object_class_install_property (klass, PROP_WINDOW,
      g_param_spec_uint64 ("window", "Window",
          "Length of a window in ns, a multiple of 20 ms; one that is cut "
          "short is padded with silence",
          MIN_WINDOW, MAX_WINDOW, DEFAULT_WINDOW, flags));

  /**
   * GstWhisperMel:hop:
   *
   * Time from the start of one window to the start of the next in nanoseconds,
   * 10 ms at least, rounded to whole samples of 62.5 us; 0 means as long as
   * #GstWhisperMel:window. A smaller hop makes windows overlap, a larger one
   * leaves out audio between them.
   *
   * Since: 1.0
   */
  g_object_class_install_property (klass, PROP_HOP,
      g_param_spec_uint64 ("hop", "Hop",
          "Time from one window's start to the next one's in ns, at least "
          "10 ms; 0 = window; less overlaps, more leaves out audio",
          0, G_MAXINT64, DEFAULT_HOP, flags));

  gst_type_mark_as_plugin_api (GST_TYPE_WHISPER_MEL_BANDS, 0);
}

void
gst_whisper_mel_settings_set (
    GstWhisperMelSettings *settings, guint id, const GValue *value)
{
  switch (id) {
    case PROP_N_MELS:
      settings->n_mels = g_value_get_enum (value);
      break;
    case PROP_WINDOW:
      settings->window = g_value_get_uint64 (value);
      break;
    case PROP_HOP:
      settings->hop = g_value_get_uint64 (value);
      break;
    default:
      g_assert_not_reached ();
  }
}

void
gst_whisper_mel_settings_get (
    const GstWhisperMelSettings *settings, guint id, GValue *value)
{
  switch (id) {
    case PROP_N_MELS:
      g_value_set_enum (value, settings->n_mels);
      break;
    case PROP_WINDOW:
      g_value_set_uint64 (value, settings->window);
      break;
    case PROP_HOP:
      g_value_set_uint64 (value, settings->hop);
      break;
    default:
      g_assert_not_reached ();
  }
}

gboolean
gst_whisper_mel_settings_check (
    const GstWhisperMelSettings *settings, GError **error)
{
  if (settings->window % WINDOW_STEP != 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Property window is %" G_GUINT64_FORMAT " ns, which is not a multiple "
        "of 20 ms (two mel frames); %" G_GUINT64_FORMAT " is one.",
        settings->window, settings->window / WINDOW_STEP * WINDOW_STEP);
    return FALSE;
  }
  if (settings->hop != 0 && settings->hop < FRAME_TIME) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Property hop is %" G_GUINT64_FORMAT " ns, less than one mel frame of "
        "10 ms. It is in nanoseconds: 5 s are 5000000000; 0 means as long as "
        "the window.",
        settings->hop);
    return FALSE;
  }
  return TRUE;
}

guint
gst_whisper_mel_settings_get_n_frames (const GstWhisperMelSettings *settings)
{
  return settings->window / FRAME_TIME;
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
