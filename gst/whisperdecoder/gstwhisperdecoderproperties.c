/* What whisperdecoder's properties are called, mean and take.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "gstwhisperdecodersettings.h"

#include "common/gstnpurange.h"
#include "common/gstnpusettings.h"

#define READY                                                                  \
  (G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS |            \
      GST_PARAM_MUTABLE_READY)
#define ALWAYS                                                                 \
  (G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS |            \
      GST_PARAM_MUTABLE_PLAYING)

#define DEFAULT_MODEL NULL
#define DEFAULT_VOCABULARY NULL
#define DEFAULT_DEVICE "auto"
#define DEFAULT_THREADS 0
#define DEFAULT_TIMEOUT 10000
#define DEFAULT_PRECISION NPU_PRECISION_AUTO
#define DEFAULT_VERBOSITY GST_WHISPER_DECODER_VERBOSITY_NONE
#define DEFAULT_POST_MESSAGES TRUE
#define DEFAULT_LANGUAGE_CODE "auto"
#define DEFAULT_LANGUAGE_INTERVAL 0
#define DEFAULT_TASK NPU_TASK_TRANSCRIBE
#define DEFAULT_TIMESTAMPS GST_WHISPER_DECODER_TIMESTAMPS_SEGMENTS
#define DEFAULT_CONDITION_ON_PREVIOUS_TEXT FALSE
#define DEFAULT_INITIAL_PROMPT NULL
#define DEFAULT_HOT_WORDS NULL
#define DEFAULT_SUPPRESS_BLANK TRUE
#define DEFAULT_SUPPRESS_TOKENS "-1"
#define DEFAULT_MAX_INITIAL_TIMESTAMP GST_SECOND
#define DEFAULT_TEXT GST_WHISPER_DECODER_TEXT_SEGMENTS
#define DEFAULT_LINE_LENGTH 42
#define DEFAULT_LINES 2
#define DEFAULT_MAX_PAUSE GST_SECOND
#define DEFAULT_HALLUCINATION_SILENCE_THRESHOLD 0
#define DEFAULT_BATCH 1
#define DEFAULT_BEAM_SIZE 1
#define DEFAULT_BEST_OF 5
#define DEFAULT_PATIENCE 1
#define DEFAULT_LENGTH_PENALTY -1
#define DEFAULT_SEED 0
#define DEFAULT_TEMPERATURE 0
#define DEFAULT_TEMPERATURE_INCREMENT 0.2
#define DEFAULT_COMPRESSION_RATIO_THRESHOLD 2.4
#define DEFAULT_LOGPROB_THRESHOLD -1
#define DEFAULT_NO_SPEECH_THRESHOLD 0.6
#define DEFAULT_COMMIT GST_WHISPER_DECODER_COMMIT_ALL
#define DEFAULT_MARGIN (500 * GST_MSECOND)
#define DEFAULT_CONTEXT 0
#define DEFAULT_LATENCY 2500
#define DEFAULT_LATENESS 0

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
  /**
   * GstWhisperDecoder:model:
   *
   * The file of the whole model, with decoder and vocabulary, or a
   * checkpoint's folder.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_MODEL] = g_param_spec_string ("model", "Model",
      "Path of a whole Whisper model: safetensors, a checkpoint's folder or ggml; none = the one that npuencoder upstream names (Since: 1.0)",
      DEFAULT_MODEL, READY);
  /**
   * GstWhisperDecoder:vocabulary:
   *
   * The file with the tokens, where the model has none.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_VOCABULARY] = g_param_spec_string ("vocabulary",
      "Vocabulary",
      "Path of the vocabulary: tokenizer.json, vocab.json, *.tiktoken or a ggml file; none = inside the model or beside it (Since: 1.0)",
      DEFAULT_VOCABULARY, READY);
  /**
   * GstWhisperDecoder:device:
   *
   * The decoder computes on the CPU, whatever is named.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_DEVICE] = g_param_spec_string ("device", "Device",
      "Where to compute: auto, cpu, xrt or xrt:N for the Nth NPU from 0 (Since: 1.0)",
      DEFAULT_DEVICE, READY);
  /**
   * GstWhisperDecoder:threads:
   *
   * Elements of one process that ask for the same number share them.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_THREADS] = g_param_spec_uint ("threads", "Threads",
      "Worker threads of the CPU device, 0 = as many as this process may use. The text does not depend on it (Since: 1.0)",
      0, G_MAXUINT, DEFAULT_THREADS, READY);
  /**
   * GstWhisperDecoder:timeout:
   *
   * Of a step, in ms in which it could run.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_TIMEOUT] = gst_npu_range_uint ("timeout", "Timeout",
      "Milliseconds that one step may take before it is an error (Since: 1.0)",
      1, G_MAXUINT, DEFAULT_TIMEOUT, READY);
  /**
   * GstWhisperDecoder:precision:
   *
   * What is multiplied.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_PRECISION] = g_param_spec_enum ("precision",
      "Precision", "Arithmetic of the matrix products (Since: 1.0)",
      register_precision (), DEFAULT_PRECISION, READY);
  /**
   * GstWhisperDecoder:verbosity:
   *
   * Each level has what the one before has.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_VERBOSITY] =
      g_param_spec_enum ("verbosity", "Verbosity",
          "Detail in the log (GST_DEBUG=whisperdecoder:4) (Since: 1.0)",
          register_verbosity (), DEFAULT_VERBOSITY, ALWAYS);
  /**
   * GstWhisperDecoder:post-messages:
   *
   * Whether there are whisperdecoder-stats messages.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_POST_MESSAGES] = g_param_spec_boolean (
      "post-messages", "Post messages",
      "Post a whisperdecoder-stats element message after every window (Since: 1.0)",
      DEFAULT_POST_MESSAGES, ALWAYS);
}

static void
install_task (GParamSpec **specs)
{
  /**
   * GstWhisperDecoder:language-code:
   *
   * Set while it plays, it holds from the next window on.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_LANGUAGE_CODE] = g_param_spec_string (
      "language-code", "Language code",
      "Language that is spoken: a BCP 47 tag, whose first subtag counts, or Whisper's code or English name; auto = found in the speech (Since: 1.0)",
      DEFAULT_LANGUAGE_CODE, ALWAYS);
  /**
   * GstWhisperDecoder:language-interval:
   *
   * How long a language that was found is kept, in ns.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_LANGUAGE_INTERVAL] = g_param_spec_uint64 (
      "language-interval", "Language interval",
      "With language-code=auto, time from a window whose language was found to the next that is looked at, in ns: 0 = each window, the greatest value = the first with speech decides for all (Since: 1.0)",
      0, G_MAXUINT64, DEFAULT_LANGUAGE_INTERVAL, READY);
  /**
   * GstWhisperDecoder:task:
   *
   * Models of English alone cannot translate.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_TASK] = g_param_spec_enum ("task", "Task",
      "What to write (Since: 1.0)", register_task (), DEFAULT_TASK, READY);
  /**
   * GstWhisperDecoder:timestamps:
   *
   * Where the times of buffers come from.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_TIMESTAMPS] = g_param_spec_enum ("timestamps",
      "Timestamps", "How the time of text is found (Since: 1.0)",
      register_timestamps (), DEFAULT_TIMESTAMPS, READY);
  /**
   * GstWhisperDecoder:condition-on-previous-text:
   *
   * Up to 223 tokens of the text before.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_CONDITION_ON_PREVIOUS_TEXT] = g_param_spec_boolean (
      "condition-on-previous-text", "Condition on previous text",
      "Give a window the text of those before it as its prompt (Since: 1.0)",
      DEFAULT_CONDITION_ON_PREVIOUS_TEXT, READY);
  /**
   * GstWhisperDecoder:initial-prompt:
   *
   * Its newest 223 tokens are taken.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_INITIAL_PROMPT] =
      g_param_spec_string ("initial-prompt", "Initial prompt",
          "Text before the first window's, for names and spelling (Since: 1.0)",
          DEFAULT_INITIAL_PROMPT, READY);
  /**
   * GstWhisperDecoder:hot-words:
   *
   * Unlike initial-prompt they stay for every window.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_HOT_WORDS] = g_param_spec_string ("hot-words",
      "Hot words",
      "Names and words that every window is told before its text (Since: 1.0)",
      DEFAULT_HOT_WORDS, READY);
  /**
   * GstWhisperDecoder:suppress-blank:
   *
   * As in OpenAI's code, at the first token alone.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_SUPPRESS_BLANK] =
      g_param_spec_boolean ("suppress-blank", "Suppress blank",
          "Text begins with neither a blank nor the end (Since: 1.0)",
          DEFAULT_SUPPRESS_BLANK, READY);
  /**
   * GstWhisperDecoder:suppress-tokens:
   *
   * As in OpenAI's code.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_SUPPRESS_TOKENS] = g_param_spec_string (
      "suppress-tokens", "Suppress tokens",
      "Ids of tokens that are never chosen, with commas between them; -1 stands for those that are no speech (Since: 1.0)",
      DEFAULT_SUPPRESS_TOKENS, READY);
  /**
   * GstWhisperDecoder:max-initial-timestamp:
   *
   * In ns; steps are of 20 ms.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_MAX_INITIAL_TIMESTAMP] = g_param_spec_uint64 (
      "max-initial-timestamp", "Max initial timestamp",
      "Latest time after a window's start at which its first segment may begin, in ns (Since: 1.0)",
      0, G_MAXUINT64, DEFAULT_MAX_INITIAL_TIMESTAMP, READY);
}

static void
install_words (GParamSpec **specs)
{
  /**
   * GstWhisperDecoder:text:
   *
   * What one buffer is.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_TEXT] = g_param_spec_enum ("text", "Text",
      "What a buffer holds; words imply timestamps=words (Since: 1.0)",
      register_text (), DEFAULT_TEXT, READY);
  /**
   * GstWhisperDecoder:line-length:
   *
   * Longer words stand alone in their line.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_LINE_LENGTH] = g_param_spec_uint ("line-length",
      "Line length",
      "Characters of a cue's line, with timestamps=words; 0 = any number (Since: 1.0)",
      0, G_MAXUINT, DEFAULT_LINE_LENGTH, READY);
  /**
   * GstWhisperDecoder:lines:
   *
   * Text that needs more makes several cues.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_LINES] = g_param_spec_uint ("lines", "Lines",
      "Lines of a cue, with timestamps=words; 0 = any number (Since: 1.0)", 0,
      G_MAXUINT, DEFAULT_LINES, READY);
  /**
   * GstWhisperDecoder:max-pause:
   *
   * In ns.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_MAX_PAUSE] = g_param_spec_uint64 ("max-pause",
      "Max pause",
      "A longer pause between words ends a cue, with timestamps=words, in ns (Since: 1.0)",
      0, G_MAXUINT64, DEFAULT_MAX_PAUSE, READY);
  /**
   * GstWhisperDecoder:hallucination-silence-threshold:
   *
   * In ns.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_HALLUCINATION_SILENCE_THRESHOLD] = g_param_spec_uint64 (
      "hallucination-silence-threshold", "Hallucination silence threshold",
      "Unlikely text between silences longer than this, in ns, is left out; implies timestamps=words; 0 = off (Since: 1.0)",
      0, G_MAXUINT64, DEFAULT_HALLUCINATION_SILENCE_THRESHOLD, READY);
}

static void
install_search (GParamSpec **specs)
{
  /**
   * GstWhisperDecoder:batch:
   *
   * Windows of one stream; beside whispermel's modes fixed and pauses.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_BATCH] = gst_npu_range_uint ("batch", "Batch",
      "Windows decoded at once, of recordings whose windows do not depend on each other; the text does not depend on it (Since: 1.0)",
      1, 16, DEFAULT_BATCH, READY);
  /**
   * GstWhisperDecoder:beam-size:
   *
   * Sequences that are followed at once.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_BEAM_SIZE] =
      gst_npu_range_uint ("beam-size", "Beam size",
          "Beams at temperature 0; 1 = the best token each time (Since: 1.0)",
          1, 16, DEFAULT_BEAM_SIZE, READY);
  /**
   * GstWhisperDecoder:best-of:
   *
   * Samples that are drawn at once.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_BEST_OF] = gst_npu_range_uint ("best-of", "Best of",
      "Samples at a temperature above 0, of which the best is kept (Since: 1.0)",
      1, 16, DEFAULT_BEST_OF, READY);
  /**
   * GstWhisperDecoder:patience:
   *
   * Factor of beam-size, as in OpenAI's code.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_PATIENCE] = gst_npu_range_double ("patience",
      "Patience",
      "A search with beams ends after beam-size times as many finished texts (Since: 1.0)",
      0.1, 16, DEFAULT_PATIENCE, READY);
  /**
   * GstWhisperDecoder:length-penalty:
   *
   * Exponent, as in OpenAI's code.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_LENGTH_PENALTY] = gst_npu_range_double (
      "length-penalty", "Length penalty",
      "Exponent of Google's length penalty where texts are compared; negative = compare means (Since: 1.0)",
      -1, 16, DEFAULT_LENGTH_PENALTY, READY);
  /**
   * GstWhisperDecoder:seed:
   *
   * The same seed gives the same text.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_SEED] = g_param_spec_uint64 ("seed", "Seed",
      "Of the samples at a temperature above 0; with the window's time, so that a file has the same text each time (Since: 1.0)",
      0, G_MAXUINT64, DEFAULT_SEED, READY);
}

static void
install_fallback (GParamSpec **specs)
{
  /**
   * GstWhisperDecoder:temperature:
   *
   * 0 takes the likeliest token.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_TEMPERATURE] = gst_npu_range_double ("temperature",
      "Temperature", "Of the first attempt at a window (Since: 1.0)", 0, 2,
      DEFAULT_TEMPERATURE, READY);
  /**
   * GstWhisperDecoder:temperature-increment:
   *
   * To the next attempt.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_TEMPERATURE_INCREMENT] = gst_npu_range_double (
      "temperature-increment", "Temperature increment",
      "Added for each attempt after one that failed, up to 1; 0 = one attempt only (Since: 1.0)",
      0, 1, DEFAULT_TEMPERATURE_INCREMENT, READY);
  /**
   * GstWhisperDecoder:compression-ratio-threshold:
   *
   * Bytes of the text over those that zlib makes of it.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_COMPRESSION_RATIO_THRESHOLD] = gst_npu_range_double (
      "compression-ratio-threshold", "Compression ratio threshold",
      "Text that zlib makes smaller than this is a loop, and the attempt has failed (Since: 1.0)",
      0, G_MAXFLOAT, DEFAULT_COMPRESSION_RATIO_THRESHOLD, READY);
  /**
   * GstWhisperDecoder:logprob-threshold:
   *
   * Mean of the tokens' natural logarithms.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_LOGPROB_THRESHOLD] = gst_npu_range_double (
      "logprob-threshold", "Log probability threshold",
      "A mean log probability below this means that the attempt has failed (Since: 1.0)",
      -G_MAXFLOAT, 0, DEFAULT_LOGPROB_THRESHOLD, READY);
  /**
   * GstWhisperDecoder:no-speech-threshold:
   *
   * A probability.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_NO_SPEECH_THRESHOLD] = gst_npu_range_double (
      "no-speech-threshold", "No speech threshold",
      "Probability of no speech above which a window whose text is unlikely, too, is silence (Since: 1.0)",
      0, 1, DEFAULT_NO_SPEECH_THRESHOLD, READY);
}

static void
install_live (GParamSpec **specs)
{
  /**
   * GstWhisperDecoder:commit:
   *
   * alignatt goes with whispermel mode=growing.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_COMMIT] = g_param_spec_enum ("commit", "Commit",
      "Which text is final; a change takes effect in the next stream or after a flush (Since: 1.0)",
      register_commit (), DEFAULT_COMMIT, ALWAYS);
  /**
   * GstWhisperDecoder:margin:
   *
   * In ns of the stream.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_MARGIN] = gst_npu_range_uint64 ("margin", "Margin",
      "commit=alignatt: time between the end of a word and the newest audio for the word to be final, in ns (Since: 1.0)",
      0, 10 * GST_SECOND, DEFAULT_MARGIN, ALWAYS);
  /**
   * GstWhisperDecoder:context:
   *
   * Tokens; more of them cost time and may make loops.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_CONTEXT] = gst_npu_range_uint ("context", "Context",
      "commit=alignatt: tokens of earlier text that a window is told before its own; 0 = none (Since: 1.0)",
      0, 200, DEFAULT_CONTEXT, READY);
  /**
   * GstWhisperDecoder:latency:
   *
   * In ms; what the element answers to the latency query.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_LATENCY] = gst_npu_range_uint ("latency", "Latency",
      "commit=alignatt: longest time from the start of a word to its text, beyond upstream's latency, in ms (Since: 1.0)",
      0, 60000, DEFAULT_LATENCY, ALWAYS);
  /**
   * GstWhisperDecoder:lateness:
   *
   * In ms.
   *
   * Since: 1.0
   */
  specs[GST_WHISPER_DECODER_LATENESS] = gst_npu_range_uint ("lateness",
      "Lateness",
      "commit=alignatt: time by which text is late on purpose, in ms; not part of the latency, from the next segment on (Since: 1.0)",
      0, G_MAXUINT / 1000, DEFAULT_LATENESS, ALWAYS);
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
