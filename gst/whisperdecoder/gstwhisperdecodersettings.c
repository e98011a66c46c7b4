/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstwhisperdecodersettings.h"

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
