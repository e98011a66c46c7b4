/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstwhispermelsettings.h"

#define DEFAULT_N_MELS GST_WHISPER_MEL_BANDS_AUTO
#define DEFAULT_WINDOW GST_WHISPER_MEL_MAX_WINDOW
#define DEFAULT_HOP 0
#define DEFAULT_MODE GST_WHISPER_MEL_MODE_FIXED
#define DEFAULT_TAIL GST_WHISPER_MEL_TAIL_SILENCE
#define DEFAULT_ALIGNMENT_THRESHOLD                                            \
  (40 * GST_MSECOND) /* as audio sinks have                                    \
                      */
#define DEFAULT_DISCONT_WAIT GST_SECOND
#define DEFAULT_STEP (500 * GST_MSECOND)
#define DEFAULT_PADDING (2 * GST_SECOND)
#define DEFAULT_QUANTUM GST_SECOND
#define DEFAULT_SILENCE (500 * GST_MSECOND)
#define DEFAULT_VAD GST_WHISPER_MEL_VAD_AUTO
#define DEFAULT_VAD_MODEL NULL

enum {
  PROP_0,
  PROP_N_MELS,
  PROP_WINDOW,
  PROP_HOP,
  PROP_MODE,
  PROP_TAIL,
  PROP_ALIGNMENT_THRESHOLD,
  PROP_DISCONT_WAIT,
  PROP_STEP,
  PROP_PADDING,
  PROP_QUANTUM,
  PROP_SILENCE,
  PROP_VAD,
  PROP_VAD_MODEL,
};

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
          "Mel bands: 80, or 128 for large-v3 and its descendants; auto takes what downstream asks for, else 80",
          GST_TYPE_WHISPER_MEL_BANDS, DEFAULT_N_MELS, FLAGS));

  /**
   * GstWhisperMel:window:
   *
   * Length of a window in nanoseconds, 1 s to 30 s, a multiple of 20 ms; 30 s
   * are 30000000000. A window that is cut short is padded to it, see
   * #GstWhisperMel:tail. The largest number there is (-1, or `max` in a launch
   * line) means the longest window. In mode `growing` it is the most audio that
   * is held while words become final; the longest stands for 12 s there.
   *
   * Since: 1.0
   */
  g_object_class_install_property (klass, PROP_WINDOW,
      g_param_spec_uint64 ("window", "Window",
          "Length of a window in ns, 1000000000 (1 s) to 30000000000 (30 s), a multiple of 20000000 (20 ms), e.g. window=5000000000 for 5 s",
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
          "Time from one window's start to the next one's in ns, at least 10000000 (10 ms), e.g. hop=2500000000 for 2.5 s; 0 = window; less overlaps, more leaves out audio",
          0, G_MAXUINT64, DEFAULT_HOP, FLAGS));

  /**
   * GstWhisperMel:mode:
   *
   * Where windows begin: at fixed hops, or where the decoder says that the last
   * one was used up (a custom upstream event `whisper/advance`), which is the
   * loop of Whisper's long form. Without an answer, a hop after the last one.
   * `growing` is for live captions: a window every #GstWhisperMel:step, of all
   * audio since the last word that is final, as long as somebody speaks.
   * `pauses` is for decoders of several windows at once: each ends at the
   * quietest place of its last third, and the next one begins there.
   *
   * Since: 1.1
   */
  g_object_class_install_property (klass, PROP_MODE,
      g_param_spec_enum ("mode", "Mode",
          "Where windows begin: every hop, or where the decoder says that the last one was used up; growing: live captions; pauses: at a quiet place of the last one",
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
          "What is behind the audio in a window that is cut short: the mel of silence, or 0.0 as OpenAI's transcribe() has it",
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
          "How far a timestamp may be off in ns without being a jump, e.g. alignment-threshold=100000000 for 100 ms",
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
          "For how much audio in ns timestamps must be off to be a jump, e.g. discont-wait=200000000 for 200 ms",
          0, G_MAXUINT64, DEFAULT_DISCONT_WAIT, FLAGS));
}

static void
install_growing (GObjectClass *klass)
{
  /**
   * GstWhisperMel:step:
   *
   * In mode `growing`, the time in nanoseconds from one window to the next
   * while somebody speaks, 100 ms to 5 s. It is the stream's time: a file gives
   * the same windows as a live source that is in time.
   *
   * Since: 1.1
   */
  g_object_class_install_property (klass, PROP_STEP,
      g_param_spec_uint64 ("step", "Step",
          "mode=growing: time from one window to the next in ns, 100000000 (100 ms) to 5000000000 (5 s)",
          0, G_MAXUINT64, DEFAULT_STEP, FLAGS));

  /**
   * GstWhisperMel:padding:
   *
   * In mode `growing`, the silence in nanoseconds behind the audio of each
   * window, at most 10 s. Without it, a model tends to repeat what it heard.
   *
   * Since: 1.1
   */
  g_object_class_install_property (klass, PROP_PADDING,
      g_param_spec_uint64 ("padding", "Padding",
          "mode=growing: silence behind the audio of a window in ns, up to 10000000000 (10 s)",
          0, G_MAXUINT64, DEFAULT_PADDING, FLAGS));

  /**
   * GstWhisperMel:quantum:
   *
   * In mode `growing`, windows are padded to a multiple of this, in
   * nanoseconds, so that caps seldom change; 100 ms to 30 s, a multiple of 20
   * ms.
   *
   * Since: 1.1
   */
  g_object_class_install_property (klass, PROP_QUANTUM,
      g_param_spec_uint64 ("quantum", "Quantum",
          "mode=growing: windows are a multiple of it in ns, 100000000 (100 ms) to 30000000000 (30 s)",
          0, G_MAXUINT64, DEFAULT_QUANTUM, FLAGS));
}

static void
install_voice (GObjectClass *klass)
{
  /**
   * GstWhisperMel:silence:
   *
   * In mode `growing`, so much time in nanoseconds without a voice ends an
   * utterance, 100 ms to 10 s.
   *
   * Since: 1.1
   */
  g_object_class_install_property (klass, PROP_SILENCE,
      g_param_spec_uint64 ("silence", "Silence",
          "mode=growing: so much time without a voice in ns ends an utterance, 100000000 (100 ms) to 10000000000 (10 s)",
          0, G_MAXUINT64, DEFAULT_SILENCE, FLAGS));

  /**
   * GstWhisperMel:vad:
   *
   * In mode `growing`, what tells a voice from other sounds. `auto` takes the
   * voice bit of upstream's GstAudioLevelMeta where every buffer has it, else
   * the network of #GstWhisperMel:vad-model, else the level over a running
   * noise floor, which takes music and much noise for a voice.
   *
   * Since: 1.1
   */
  g_object_class_install_property (klass, PROP_VAD,
      g_param_spec_enum ("vad", "Voice activity detection",
          "mode=growing: what tells a voice from other sounds",
          GST_TYPE_WHISPER_MEL_VAD, DEFAULT_VAD, FLAGS));

  /**
   * GstWhisperMel:vad-model:
   *
   * Silero's network, version 5 or 6, for 16 kHz, as a safetensors file.
   *
   * Since: 1.1
   */
  g_object_class_install_property (klass, PROP_VAD_MODEL,
      g_param_spec_string ("vad-model", "VAD model",
          "mode=growing: Silero's network for 16 kHz, a safetensors file",
          DEFAULT_VAD_MODEL, FLAGS));
}

void
gst_whisper_mel_settings_install (GObjectClass *klass)
{
  install_windows (klass);
  install_time (klass);
  install_growing (klass);
  install_voice (klass);
  gst_type_mark_as_plugin_api (GST_TYPE_WHISPER_MEL_VAD, 0);
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
        settings->window = GST_WHISPER_MEL_MAX_WINDOW;
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
    case PROP_STEP:
      settings->step = g_value_get_uint64 (value);
      break;
    case PROP_PADDING:
      settings->padding = g_value_get_uint64 (value);
      break;
    case PROP_QUANTUM:
      settings->quantum = g_value_get_uint64 (value);
      break;
    case PROP_SILENCE:
      settings->silence = g_value_get_uint64 (value);
      break;
    case PROP_VAD:
      settings->vad = g_value_get_enum (value);
      break;
    case PROP_VAD_MODEL:
      settings->vad_model = g_intern_string (g_value_get_string (value));
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
    case PROP_STEP:
      g_value_set_uint64 (value, settings->step);
      break;
    case PROP_PADDING:
      g_value_set_uint64 (value, settings->padding);
      break;
    case PROP_QUANTUM:
      g_value_set_uint64 (value, settings->quantum);
      break;
    case PROP_SILENCE:
      g_value_set_uint64 (value, settings->silence);
      break;
    case PROP_VAD:
      g_value_set_enum (value, settings->vad);
      break;
    case PROP_VAD_MODEL:
      g_value_set_static_string (value, settings->vad_model);
      break;
    default:
      g_assert_not_reached ();
  }
}
