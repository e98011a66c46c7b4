/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstwhisperdecodersettings.h"

#include "common/gstnpurange.h"
#include "common/gstnpusettings.h"

static const gsize offsets[GST_WHISPER_DECODER_N_SETTINGS] = {
#define OFFSET(field) G_STRUCT_OFFSET (GstWhisperDecoderSettings, field)
    [GST_WHISPER_DECODER_MODEL] = OFFSET (model),
    [GST_WHISPER_DECODER_VOCABULARY] = OFFSET (vocabulary),
    [GST_WHISPER_DECODER_DEVICE] = OFFSET (device),
    [GST_WHISPER_DECODER_THREADS] = OFFSET (threads),
    [GST_WHISPER_DECODER_TIMEOUT] = OFFSET (timeout),
    [GST_WHISPER_DECODER_PRECISION] = OFFSET (precision),
    [GST_WHISPER_DECODER_VERBOSITY] = OFFSET (verbosity),
    [GST_WHISPER_DECODER_POST_MESSAGES] = OFFSET (post_messages),
    [GST_WHISPER_DECODER_LANGUAGE_CODE] = OFFSET (language_code),
    [GST_WHISPER_DECODER_LANGUAGE_INTERVAL] = OFFSET (language_interval),
    [GST_WHISPER_DECODER_TASK] = OFFSET (task),
    [GST_WHISPER_DECODER_TEXT] = OFFSET (text),
    [GST_WHISPER_DECODER_TIMESTAMPS] = OFFSET (timestamps),
    [GST_WHISPER_DECODER_LINE_LENGTH] = OFFSET (line_length),
    [GST_WHISPER_DECODER_LINES] = OFFSET (lines),
    [GST_WHISPER_DECODER_MAX_PAUSE] = OFFSET (max_pause),
    [GST_WHISPER_DECODER_HALLUCINATION_SILENCE_THRESHOLD] =
        OFFSET (hallucination_silence_threshold),
    [GST_WHISPER_DECODER_BEAM_SIZE] = OFFSET (beam_size),
    [GST_WHISPER_DECODER_BEST_OF] = OFFSET (best_of),
    [GST_WHISPER_DECODER_PATIENCE] = OFFSET (patience),
    [GST_WHISPER_DECODER_LENGTH_PENALTY] = OFFSET (length_penalty),
    [GST_WHISPER_DECODER_TEMPERATURE] = OFFSET (temperature),
    [GST_WHISPER_DECODER_TEMPERATURE_INCREMENT] =
        OFFSET (temperature_increment),
    [GST_WHISPER_DECODER_COMPRESSION_RATIO_THRESHOLD] =
        OFFSET (compression_ratio_threshold),
    [GST_WHISPER_DECODER_LOGPROB_THRESHOLD] = OFFSET (logprob_threshold),
    [GST_WHISPER_DECODER_NO_SPEECH_THRESHOLD] = OFFSET (no_speech_threshold),
    [GST_WHISPER_DECODER_CONDITION_ON_PREVIOUS_TEXT] =
        OFFSET (condition_on_previous_text),
    [GST_WHISPER_DECODER_INITIAL_PROMPT] = OFFSET (initial_prompt),
    [GST_WHISPER_DECODER_HOT_WORDS] = OFFSET (hot_words),
    [GST_WHISPER_DECODER_SUPPRESS_BLANK] = OFFSET (suppress_blank),
    [GST_WHISPER_DECODER_SUPPRESS_TOKENS] = OFFSET (suppress_tokens),
    [GST_WHISPER_DECODER_MAX_INITIAL_TIMESTAMP] =
        OFFSET (max_initial_timestamp),
    [GST_WHISPER_DECODER_SEED] = OFFSET (seed),
    [GST_WHISPER_DECODER_BATCH] = OFFSET (batch),
    [GST_WHISPER_DECODER_COMMIT] = OFFSET (commit),
    [GST_WHISPER_DECODER_MARGIN] = OFFSET (margin),
    [GST_WHISPER_DECODER_CONTEXT] = OFFSET (context),
    [GST_WHISPER_DECODER_LATENCY] = OFFSET (latency),
    [GST_WHISPER_DECODER_LATENESS] = OFFSET (lateness),
#undef OFFSET
};

void
gst_whisper_decoder_settings_set (
    GstWhisperDecoderSettings *settings, guint id, const GValue *value)
{
  gst_npu_settings_set (settings, offsets, id, value);
}

void
gst_whisper_decoder_settings_get (
    const GstWhisperDecoderSettings *settings, guint id, GValue *value)
{
  gst_npu_settings_get (settings, offsets, id, value);
}

void
gst_whisper_decoder_settings_clear (GstWhisperDecoderSettings *settings)
{
  g_clear_pointer (&settings->model, g_free);
  g_clear_pointer (&settings->vocabulary, g_free);
  g_clear_pointer (&settings->device, g_free);
  g_clear_pointer (&settings->language_code, g_free);
  g_clear_pointer (&settings->initial_prompt, g_free);
  g_clear_pointer (&settings->hot_words, g_free);
  g_clear_pointer (&settings->suppress_tokens, g_free);
}

gboolean
gst_whisper_decoder_settings_want_words (
    const GstWhisperDecoderSettings *settings)
{
  return settings->timestamps == GST_WHISPER_DECODER_TIMESTAMPS_WORDS ||
         settings->text == GST_WHISPER_DECODER_TEXT_WORDS ||
         settings->hallucination_silence_threshold > 0;
}

/* --- the class's properties --------------------------------------------- */

#define READY                                                                  \
  (G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS |            \
      GST_PARAM_MUTABLE_READY)
#define ALWAYS                                                                 \
  (G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS |            \
      GST_PARAM_MUTABLE_PLAYING)

static GType
register_precision (void)
{
  static const GEnumValue values[] = {
      {NPU_PRECISION_AUTO, "The fastest that keeps the text", "auto"},
      {NPU_PRECISION_INT8, "Vocabulary in 8 bits, layers exact or in 16",
          "int8"},
      {NPU_PRECISION_F32, "32-bit float throughout", "f32"},
      {NPU_PRECISION_BF16, "As f32: no bfloat16 products here", "bf16"},
      {NPU_PRECISION_INT16, "Products of 16 bits", "int16"},
      {0, NULL, NULL},
  };

  return gst_npu_settings_register_enum ("GstWhisperDecoderPrecision", values);
}

static GType
register_commit (void)
{
  static const GEnumValue values[] = {
      {GST_WHISPER_DECODER_COMMIT_ALL, "Of each window, all of it", "all"},
      {GST_WHISPER_DECODER_COMMIT_ALIGNATT,
          "Of windows that grow, words that end well before the newest audio",
          "alignatt"},
      {0, NULL, NULL},
  };

  return gst_npu_settings_register_enum ("GstWhisperDecoderCommit", values);
}

static GType
register_verbosity (void)
{
  static const GEnumValue values[] = {
      {GST_WHISPER_DECODER_VERBOSITY_NONE, "No detail", "none"},
      {GST_WHISPER_DECODER_VERBOSITY_SUMMARY, "Every window", "summary"},
      {GST_WHISPER_DECODER_VERBOSITY_STAGES, "Every window and segment",
          "stages"},
      {GST_WHISPER_DECODER_VERBOSITY_TILES,
          "Every window, segment and its tokens", "tiles"},
      {0, NULL, NULL},
  };

  return gst_npu_settings_register_enum ("GstWhisperDecoderVerbosity", values);
}

static GType
register_task (void)
{
  static const GEnumValue values[] = {
      {NPU_TASK_TRANSCRIBE, "Text in the language that is spoken",
          "transcribe"},
      {NPU_TASK_TRANSLATE, "Text in English", "translate"},
      {0, NULL, NULL},
  };

  return gst_npu_settings_register_enum ("GstWhisperDecoderTask", values);
}

static GType
register_text (void)
{
  static const GEnumValue values[] = {
      {GST_WHISPER_DECODER_TEXT_SEGMENTS,
          "Segments, or the cues that are made of them", "segments"},
      {GST_WHISPER_DECODER_TEXT_WORDS, "A word each", "words"},
      {0, NULL, NULL},
  };

  return gst_npu_settings_register_enum ("GstWhisperDecoderText", values);
}

static GType
register_timestamps (void)
{
  static const GEnumValue values[] = {
      {GST_WHISPER_DECODER_TIMESTAMPS_NONE,
          "No timestamp tokens: a window's text is one segment", "none"},
      {GST_WHISPER_DECODER_TIMESTAMPS_SEGMENTS,
          "Segments begin and end at timestamp tokens", "segments"},
      {GST_WHISPER_DECODER_TIMESTAMPS_WORDS,
          "Each word where the alignment heads hear it", "words"},
      {0, NULL, NULL},
  };

  return gst_npu_settings_register_enum ("GstWhisperDecoderTimestamps", values);
}

static void
install_session (GParamSpec **specs)
{
  specs[GST_WHISPER_DECODER_MODEL] = g_param_spec_string ("model", "Model",
      "Path of a whole Whisper model: safetensors, a checkpoint's folder or ggml; none = the one that npuencoder upstream names (Since: 1.0)",
      NULL, READY);
  specs[GST_WHISPER_DECODER_VOCABULARY] = g_param_spec_string ("vocabulary",
      "Vocabulary",
      "Path of the vocabulary: tokenizer.json, vocab.json, *.tiktoken or a ggml file; none = inside the model or beside it (Since: 1.0)",
      NULL, READY);
  specs[GST_WHISPER_DECODER_DEVICE] = g_param_spec_string ("device", "Device",
      "Where to compute: auto, cpu, xrt or xrt:N for the Nth NPU from 0 (Since: 1.0)",
      "auto", READY);
  specs[GST_WHISPER_DECODER_THREADS] = g_param_spec_uint ("threads", "Threads",
      "Worker threads of the CPU device, 0 = as many as there are cores. The text does not depend on it (Since: 1.0)",
      0, G_MAXUINT, 0, READY);
  specs[GST_WHISPER_DECODER_TIMEOUT] = gst_npu_range_uint ("timeout", "Timeout",
      "Milliseconds that one step may take before it is an error (Since: 1.0)",
      1, G_MAXUINT, 10000, READY);
  specs[GST_WHISPER_DECODER_PRECISION] = g_param_spec_enum ("precision",
      "Precision", "Arithmetic of the matrix products (Since: 1.0)",
      register_precision (), NPU_PRECISION_AUTO, READY);
  specs[GST_WHISPER_DECODER_VERBOSITY] =
      g_param_spec_enum ("verbosity", "Verbosity",
          "Detail in the log (GST_DEBUG=whisperdecoder:4) (Since: 1.0)",
          register_verbosity (), GST_WHISPER_DECODER_VERBOSITY_NONE, ALWAYS);
  specs[GST_WHISPER_DECODER_POST_MESSAGES] = g_param_spec_boolean (
      "post-messages", "Post messages",
      "Post a whisperdecoder-stats element message after every window (Since: 1.0)",
      TRUE, ALWAYS);
}

static void
install_task (GParamSpec **specs)
{
  specs[GST_WHISPER_DECODER_LANGUAGE_CODE] = g_param_spec_string (
      "language-code", "Language code",
      "Language that is spoken: a BCP 47 tag, whose first subtag counts, or Whisper's code or English name; auto = found in the speech (Since: 1.0)",
      "auto", ALWAYS);
  specs[GST_WHISPER_DECODER_LANGUAGE_INTERVAL] = g_param_spec_uint64 (
      "language-interval", "Language interval",
      "With language-code=auto, time from a window whose language was found to the next that is looked at, in ns: 0 = each window, the greatest value = the first with speech decides for all (Since: 1.0)",
      0, G_MAXUINT64, G_MAXUINT64, READY);
  specs[GST_WHISPER_DECODER_TASK] =
      g_param_spec_enum ("task", "Task", "What to write (Since: 1.0)",
          register_task (), NPU_TASK_TRANSCRIBE, READY);
  specs[GST_WHISPER_DECODER_TIMESTAMPS] = g_param_spec_enum ("timestamps",
      "Timestamps", "How the time of text is found (Since: 1.0)",
      register_timestamps (), GST_WHISPER_DECODER_TIMESTAMPS_SEGMENTS, READY);
  specs[GST_WHISPER_DECODER_CONDITION_ON_PREVIOUS_TEXT] = g_param_spec_boolean (
      "condition-on-previous-text", "Condition on previous text",
      "Give a window the text of those before it as its prompt (Since: 1.0)",
      FALSE, READY);
  specs[GST_WHISPER_DECODER_INITIAL_PROMPT] =
      g_param_spec_string ("initial-prompt", "Initial prompt",
          "Text before the first window's, for names and spelling (Since: 1.0)",
          NULL, READY);
  specs[GST_WHISPER_DECODER_HOT_WORDS] = g_param_spec_string ("hot-words",
      "Hot words",
      "Names and words that every window is told before its text (Since: 1.0)",
      NULL, READY);
  specs[GST_WHISPER_DECODER_SUPPRESS_BLANK] = g_param_spec_boolean (
      "suppress-blank", "Suppress blank",
      "Text begins with neither a blank nor the end (Since: 1.0)", TRUE, READY);
  specs[GST_WHISPER_DECODER_SUPPRESS_TOKENS] = g_param_spec_string (
      "suppress-tokens", "Suppress tokens",
      "Ids of tokens that are never chosen, with commas between them; -1 stands for those that are no speech (Since: 1.0)",
      "-1", READY);
  specs[GST_WHISPER_DECODER_MAX_INITIAL_TIMESTAMP] = g_param_spec_uint64 (
      "max-initial-timestamp", "Max initial timestamp",
      "Latest time after a window's start at which its first segment may begin, in ns (Since: 1.0)",
      0, G_MAXUINT64, GST_SECOND, READY);
}

static void
install_words (GParamSpec **specs)
{
  specs[GST_WHISPER_DECODER_TEXT] = g_param_spec_enum ("text", "Text",
      "What a buffer holds; words imply timestamps=words (Since: 1.0)",
      register_text (), GST_WHISPER_DECODER_TEXT_SEGMENTS, READY);
  specs[GST_WHISPER_DECODER_LINE_LENGTH] = g_param_spec_uint ("line-length",
      "Line length",
      "Characters of a cue's line, with timestamps=words; 0 = any number (Since: 1.0)",
      0, G_MAXUINT, 42, READY);
  specs[GST_WHISPER_DECODER_LINES] = g_param_spec_uint ("lines", "Lines",
      "Lines of a cue, with timestamps=words; 0 = any number (Since: 1.0)", 0,
      G_MAXUINT, 2, READY);
  specs[GST_WHISPER_DECODER_MAX_PAUSE] = g_param_spec_uint64 ("max-pause",
      "Max pause",
      "A longer pause between words ends a cue, with timestamps=words, in ns (Since: 1.0)",
      0, G_MAXUINT64, GST_SECOND, READY);
  specs[GST_WHISPER_DECODER_HALLUCINATION_SILENCE_THRESHOLD] = g_param_spec_uint64 (
      "hallucination-silence-threshold", "Hallucination silence threshold",
      "Unlikely text between silences longer than this, in ns, is left out; implies timestamps=words; 0 = off (Since: 1.0)",
      0, G_MAXUINT64, 0, READY);
}

static void
install_search (GParamSpec **specs)
{
  specs[GST_WHISPER_DECODER_BATCH] = gst_npu_range_uint ("batch", "Batch",
      "Windows decoded at once, of recordings whose windows do not depend on each other; the text does not depend on it (Since: 1.0)",
      1, 16, 1, READY);
  specs[GST_WHISPER_DECODER_BEAM_SIZE] =
      gst_npu_range_uint ("beam-size", "Beam size",
          "Beams at temperature 0; 1 = the best token each time (Since: 1.0)",
          1, 16, 1, READY);
  specs[GST_WHISPER_DECODER_BEST_OF] = gst_npu_range_uint ("best-of", "Best of",
      "Samples at a temperature above 0, of which the best is kept (Since: 1.0)",
      1, 16, 5, READY);
  specs[GST_WHISPER_DECODER_PATIENCE] = gst_npu_range_double ("patience",
      "Patience",
      "A search with beams ends after beam-size times as many finished texts (Since: 1.0)",
      0.1, 16, 1, READY);
  specs[GST_WHISPER_DECODER_LENGTH_PENALTY] = gst_npu_range_double (
      "length-penalty", "Length penalty",
      "Exponent of Google's length penalty where texts are compared; negative = compare means (Since: 1.0)",
      -1, 16, -1, READY);
  specs[GST_WHISPER_DECODER_SEED] = g_param_spec_uint64 ("seed", "Seed",
      "Of the samples at a temperature above 0; with the window's time, so that a file has the same text each time (Since: 1.0)",
      0, G_MAXUINT64, 0, READY);
}

static void
install_fallback (GParamSpec **specs)
{
  specs[GST_WHISPER_DECODER_TEMPERATURE] =
      gst_npu_range_double ("temperature", "Temperature",
          "Of the first attempt at a window (Since: 1.0)", 0, 2, 0, READY);
  specs[GST_WHISPER_DECODER_TEMPERATURE_INCREMENT] = gst_npu_range_double (
      "temperature-increment", "Temperature increment",
      "Added for each attempt after one that failed, up to 1; 0 = one attempt only (Since: 1.0)",
      0, 1, 0.2, READY);
  specs[GST_WHISPER_DECODER_COMPRESSION_RATIO_THRESHOLD] = gst_npu_range_double (
      "compression-ratio-threshold", "Compression ratio threshold",
      "Text that zlib makes smaller than this is a loop, and the attempt has failed (Since: 1.0)",
      0, G_MAXFLOAT, 2.4, READY);
  specs[GST_WHISPER_DECODER_LOGPROB_THRESHOLD] = gst_npu_range_double (
      "logprob-threshold", "Log probability threshold",
      "A mean log probability below this means that the attempt has failed (Since: 1.0)",
      -G_MAXFLOAT, 0, -1, READY);
  specs[GST_WHISPER_DECODER_NO_SPEECH_THRESHOLD] = gst_npu_range_double (
      "no-speech-threshold", "No speech threshold",
      "Probability of no speech above which a window whose text is unlikely, too, is silence (Since: 1.0)",
      0, 1, 0.6, READY);
}

static void
install_live (GParamSpec **specs)
{
  specs[GST_WHISPER_DECODER_COMMIT] = g_param_spec_enum ("commit", "Commit",
      "Which text is final; a change takes effect in the next stream or after a flush (Since: 1.0)",
      register_commit (), GST_WHISPER_DECODER_COMMIT_ALL, ALWAYS);
  specs[GST_WHISPER_DECODER_MARGIN] = gst_npu_range_uint64 ("margin", "Margin",
      "commit=alignatt: time between the end of a word and the newest audio for the word to be final, in ns (Since: 1.0)",
      0, 10 * GST_SECOND, 500 * GST_MSECOND, ALWAYS);
  specs[GST_WHISPER_DECODER_CONTEXT] = gst_npu_range_uint ("context", "Context",
      "commit=alignatt: tokens of earlier text that a window is told before its own; 0 = none (Since: 1.0)",
      0, 200, 0, READY);
  specs[GST_WHISPER_DECODER_LATENCY] = gst_npu_range_uint ("latency", "Latency",
      "commit=alignatt: longest time from the start of a word to its text, beyond upstream's latency, in ms (Since: 1.0)",
      0, 60000, 2500, ALWAYS);
  specs[GST_WHISPER_DECODER_LATENESS] = gst_npu_range_uint ("lateness",
      "Lateness",
      "commit=alignatt: time by which text is late on purpose, in ms; not part of the latency, from the next segment on (Since: 1.0)",
      0, G_MAXUINT / 1000, 0, ALWAYS);
}

void
gst_whisper_decoder_settings_install (GObjectClass *klass)
{
  GParamSpec *specs[GST_WHISPER_DECODER_N_SETTINGS] = {NULL};

  install_session (specs);
  install_task (specs);
  install_words (specs);
  install_search (specs);
  install_fallback (specs);
  install_live (specs);
  g_object_class_install_properties (klass, G_N_ELEMENTS (specs), specs);
}
