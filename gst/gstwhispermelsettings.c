/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstwhispermelsettings.h"

#include "audiowindow.h"
#include "logmel.h"

#define DEFAULT_N_MELS GST_WHISPER_MEL_BANDS_AUTO
#define DEFAULT_WINDOW (30 * GST_SECOND)
#define DEFAULT_HOP 0
#define DEFAULT_MODE GST_WHISPER_MEL_MODE_FIXED
#define DEFAULT_TAIL GST_WHISPER_MEL_TAIL_SILENCE
#define DEFAULT_ALIGNMENT_THRESHOLD                                            \
  (40 * GST_MSECOND) /* as audio sinks have                                    \
                      */
#define DEFAULT_DISCONT_WAIT GST_SECOND
#define MIN_WINDOW GST_SECOND
#define MAX_WINDOW (30 * GST_SECOND)
#define MAX_HOP ((guint64) G_MAXINT64)
#define FRAME_TIME (LOG_MEL_HOP * AUDIO_WINDOW_SAMPLE_TIME)
#define WINDOW_STEP (2 * FRAME_TIME) /* the encoder halves the frames */

enum {
  PROP_0,
  PROP_N_MELS,
  PROP_WINDOW,
  PROP_HOP,
  PROP_MODE,
  PROP_TAIL,
  PROP_ALIGNMENT_THRESHOLD,
  PROP_DISCONT_WAIT,
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

GType
gst_whisper_mel_mode_get_type (void)
{
  static const GEnumValue values[] = {
      {GST_WHISPER_MEL_MODE_FIXED, "Every hop", "fixed"},
      {GST_WHISPER_MEL_MODE_FOLLOW,
          "Where the decoder says that the last window was used up", "follow"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (
        &type, g_enum_register_static ("GstWhisperMelMode", values));
  return type;
}

GType
gst_whisper_mel_tail_get_type (void)
{
  static const GEnumValue values[] = {
      {GST_WHISPER_MEL_TAIL_SILENCE, "The mel of silence", "silence"},
      {GST_WHISPER_MEL_TAIL_ZERO, "0.0, as OpenAI's transcribe() has it",
          "zero"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (
        &type, g_enum_register_static ("GstWhisperMelTail", values));
  return type;
}

#define FLAGS                                                                  \
  (G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS |            \
      GST_PARAM_MUTABLE_READY)

static void
install_windows (GObjectClass *klass)
{
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
          GST_TYPE_WHISPER_MEL_BANDS, DEFAULT_N_MELS, FLAGS));

  /**
   * GstWhisperMel:window:
   *
   * Length of a window in nanoseconds, 1 s to 30 s, a multiple of 20 ms; 30 s
   * are 30000000000. A window that is cut short is padded to it, see
   * #GstWhisperMel:tail. The largest number there is (-1, or `max` in a launch
   * line) means the longest window.
   *
   * Since: 1.0
   */
  g_object_class_install_property (klass, PROP_WINDOW,
      g_param_spec_uint64 ("window", "Window",
          "Length of a window in ns, 1000000000 (1 s) to 30000000000 (30 s), a "
          "multiple of 20000000 (20 ms), e.g. window=5000000000 for 5 s",
          0, G_MAXUINT64, DEFAULT_WINDOW, FLAGS));

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
          "10000000 (10 ms), e.g. hop=2500000000 for 2.5 s; 0 = window; less "
          "overlaps, more leaves out audio",
          0, G_MAXUINT64, DEFAULT_HOP, FLAGS));

  /**
   * GstWhisperMel:mode:
   *
   * Where windows begin: at fixed hops, or where the decoder says that the last
   * one was used up (a custom upstream event `whisper/advance`), which is the
   * loop of Whisper's long form. Without an answer, a hop after the last one.
   *
   * Since: 1.1
   */
  g_object_class_install_property (klass, PROP_MODE,
      g_param_spec_enum ("mode", "Mode",
          "Where windows begin: every hop, or where the decoder says that the "
          "last one was used up",
          GST_TYPE_WHISPER_MEL_MODE, DEFAULT_MODE, FLAGS));

  /**
   * GstWhisperMel:tail:
   *
   * What is behind the audio in a window that is cut short: the mel of silence,
   * as Hugging Face's feature extractor and whisper.cpp pad, or 0.0 from frame
   * samples / 160 on, as OpenAI's transcribe() and faster-whisper do.
   *
   * Since: 1.1
   */
  g_object_class_install_property (klass, PROP_TAIL,
      g_param_spec_enum ("tail", "Tail",
          "What is behind the audio in a window that is cut short: the mel of "
          "silence, or 0.0 as OpenAI's transcribe() has it",
          GST_TYPE_WHISPER_MEL_TAIL, DEFAULT_TAIL, FLAGS));
}

static void
install_time (GObjectClass *klass)
{
  /**
   * GstWhisperMel:alignment-threshold:
   *
   * How far a timestamp in nanoseconds may be off the end of the audio before
   * it, without being taken for a jump in time. As audio sinks have it.
   *
   * Since: 1.1
   */
  g_object_class_install_property (klass, PROP_ALIGNMENT_THRESHOLD,
      g_param_spec_uint64 ("alignment-threshold", "Alignment threshold",
          "How far a timestamp may be off in ns without being a jump, e.g. "
          "alignment-threshold=100000000 for 100 ms",
          0, G_MAXUINT64, DEFAULT_ALIGNMENT_THRESHOLD, FLAGS));

  /**
   * GstWhisperMel:discont-wait:
   *
   * For how much audio in nanoseconds timestamps must be off by more than
   * #GstWhisperMel:alignment-threshold, before that is believed to be a jump;
   * not where buffers are flagged DISCONT. That much audio is held back, 30 s
   * at most. As audio sinks have it.
   *
   * Since: 1.1
   */
  g_object_class_install_property (klass, PROP_DISCONT_WAIT,
      g_param_spec_uint64 ("discont-wait", "Discont wait",
          "For how much audio in ns timestamps must be off to be a jump, e.g. "
          "discont-wait=200000000 for 200 ms",
          0, G_MAXUINT64, DEFAULT_DISCONT_WAIT, FLAGS));
}

void
gst_whisper_mel_settings_install (GObjectClass *klass)
{
  install_windows (klass);
  install_time (klass);
  gst_type_mark_as_plugin_api (GST_TYPE_WHISPER_MEL_BANDS, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_WHISPER_MEL_MODE, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_WHISPER_MEL_TAIL, 0);
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
      if (settings->window == G_MAXUINT64)
        settings->window = MAX_WINDOW;
      break;
    case PROP_HOP:
      settings->hop = g_value_get_uint64 (value);
      break;
    case PROP_MODE:
      settings->mode = g_value_get_enum (value);
      break;
    case PROP_TAIL:
      settings->tail = g_value_get_enum (value);
      break;
    case PROP_ALIGNMENT_THRESHOLD:
      settings->alignment_threshold = g_value_get_uint64 (value);
      break;
    case PROP_DISCONT_WAIT:
      settings->discont_wait = g_value_get_uint64 (value);
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
    case PROP_MODE:
      g_value_set_enum (value, settings->mode);
      break;
    case PROP_TAIL:
      g_value_set_enum (value, settings->tail);
      break;
    case PROP_ALIGNMENT_THRESHOLD:
      g_value_set_uint64 (value, settings->alignment_threshold);
      break;
    case PROP_DISCONT_WAIT:
      g_value_set_uint64 (value, settings->discont_wait);
      break;
    default:
      g_assert_not_reached ();
  }
}

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
        "Property window is %" G_GUINT64_FORMAT " ns, out of its range of "
        "%" G_GUINT64_FORMAT " (1 s) to %" G_GUINT64_FORMAT " (30 s). It is in "
        "nanoseconds: %g s are window=%" G_GUINT64_FORMAT ".",
        window, (guint64) MIN_WINDOW, (guint64) MAX_WINDOW,
        (double) guess / GST_SECOND, guess);
    return FALSE;
  }
  if (window % WINDOW_STEP != 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Property window is %" G_GUINT64_FORMAT " ns, which is not a multiple "
        "of 20 ms (two mel frames); %" G_GUINT64_FORMAT " is one.",
        window, window / WINDOW_STEP * WINDOW_STEP);
    return FALSE;
  }
  return TRUE;
}

gboolean
gst_whisper_mel_settings_check (
    const GstWhisperMelSettings *settings, GError **error)
{
  if (!check_window (settings->window, error))
    return FALSE;
  if (settings->hop != 0 && settings->hop < FRAME_TIME) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Property hop is %" G_GUINT64_FORMAT " ns, less than one mel frame of "
        "10 ms. It is in nanoseconds: 5 s are 5000000000; 0 means as long as "
        "the window.",
        settings->hop);
    return FALSE;
  }
  if (settings->hop > MAX_HOP) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        "Property hop is %" G_GUINT64_FORMAT " ns, more than its largest value "
        "of %" G_GUINT64_FORMAT ". It is in nanoseconds: 5 s are 5000000000; 0 "
        "means as long as the window.",
        settings->hop, MAX_HOP);
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

GstClockTime
gst_whisper_mel_settings_get_wait (const GstWhisperMelSettings *settings)
{
  return MIN (settings->discont_wait, MAX_WINDOW);
}
