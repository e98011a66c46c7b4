/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstwhisperdecodersession.h"

#include <string.h>

#include "common/gstnpudevice.h"
#include "common/gstnpuerror.h"
#include "common/gstnpumodel.h"
#include "gstwhisperdecoder.h"

#define GST_CAT_DEFAULT gst_whisper_decoder_debug

void
gst_whisper_decoder_post_error (
    GstElement *element, const GError *error, const char *properties)
{
  g_autoptr (GError) decode = NULL;

  if (g_error_matches (error, NPU_ERROR, NPU_ERROR_LAUNCH)) {
    decode = g_error_new_literal (
        GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE, error->message);
    error = decode;
  }
  gst_npu_post_error (element, error, GST_RESOURCE_ERROR_OPEN_READ, properties);
}

/* --- what the settings mean for a model --------------------------------- */

/* "-1, 50256": the ids of them all, for a vocabulary of n_vocab. */
static gboolean
parse_suppress (
    GArray *ids, NpuTokenizer *tokenizer, const char *text, GError **error)
{
  const guint n_vocab = npu_tokenizer_get_special (tokenizer)->n_vocab;
  g_auto (GStrv) parts = g_strsplit (text ? text : "", ",", -1);

  for (guint i = 0; parts[i]; i++) {
    const char *part = g_strstrip (parts[i]);
    guint64 id;

    if (strcmp (part, "-1") == 0) {
      guint n;
      const guint32 *usual = npu_tokenizer_get_suppressed (tokenizer, &n);

      g_array_append_vals (ids, usual, n);
    } else if (*part == '\0' && !parts[1]) {
      continue; /* an empty list */
    } else if (g_ascii_string_to_unsigned (
                   part, 10, 0, n_vocab - 1, &id, NULL)) {
      const guint32 token = id;

      g_array_append_val (ids, token);
    } else {
      g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
          "suppress-tokens is '%s', and '%s' is no token of this model: give numbers from 0 to %u with commas between them, or -1 for those that are no speech",
          text, part, n_vocab - 1);
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean
is_auto (const char *text)
{
  return !text || *text == '\0' || g_ascii_strcasecmp (text, "auto") == 0;
}

/* An English-only model is told nothing, but must be asked for English. */
gboolean
gst_whisper_decoder_session_find_language (
    const GstWhisperDecoderSession *session, const char *code, int *language,
    GError **error)
{
  const NpuSpecialTokens *special =
      npu_tokenizer_get_special (session->tokenizer);
  gboolean is_english;

  *language = -1;
  if (is_auto (code))
    return TRUE;
  *language = npu_tokenizer_find_language (session->tokenizer, code);
  if (special->is_multilingual) {
    if (*language >= 0)
      return TRUE;
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "language-code is '%s', which is none of the %u languages of %s: give a code such as en, de or yue, or auto",
        code, special->n_languages, session->model->name);
    return FALSE;
  }

  is_english = *language >= 0 &&
               g_strcmp0 (npu_language_get_code (*language), "en") == 0;
  *language = -1;
  if (!is_english)
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "language-code is '%s', but %s knows English only: set it to en or auto, or property model to a multilingual one",
        code, session->model->name);
  return is_english;
}

static gboolean
check_task (const GstWhisperDecoderSession *session, int task, GError **error)
{
  if (task != NPU_TASK_TRANSLATE ||
      npu_tokenizer_get_special (session->tokenizer)->is_multilingual)
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "task is translate, but %s knows English only: set it to transcribe, or property model to a multilingual one",
      session->model->name);
  return FALSE;
}

/* Timestamps are 20 ms apart. */
static guint
initial_timestamp (guint64 ns)
{
  const guint64 n =
      ns / NPU_TIMESTAMP_NS + (ns % NPU_TIMESTAMP_NS >= NPU_TIMESTAMP_NS / 2);

  return n >= NPU_N_TIMESTAMPS ? G_MAXUINT : (guint) n;
}

/* --- opening ------------------------------------------------------------ */

static gboolean
open_model (GstWhisperDecoderSession *session, GstElement *element)
{
  session->model =
      gst_npu_model_open (element, session->location, "the text means nothing");
  return session->model != NULL;
}

static gboolean
open_decoder (GstWhisperDecoderSession *session, GstElement *element,
    const GstWhisperDecoderSettings *settings)
{
  const NpuDeviceOptions device_options = {.threads = settings->threads};
  const NpuDecoderOptions options = {
      .precision = settings->precision,
      .max_windows = settings->batch,
      .max_sequences =
          settings->batch * MAX (settings->beam_size, settings->best_of),
      .timeout = settings->timeout * GST_MSECOND,
  };
  g_autofree char *table = NULL;
  g_autoptr (GError) error = NULL;

  session->device =
      gst_npu_device_open (element, settings->device, &device_options, &error);
  if (!session->device) {
    gst_whisper_decoder_post_error (
        element, error, "properties device, threads");
    return FALSE;
  }
  session->decoder =
      npu_decoder_new (session->model, session->device, &options, &error);
  if (!session->decoder) {
    gst_whisper_decoder_post_error (
        element, error, "properties model, device, precision");
    return FALSE;
  }
  table = npu_decoder_describe (session->decoder);
  GST_INFO_OBJECT (element, "its parts are computed in:\n%s", table);
  npu_logits_source_init (&session->source, session->decoder);
  return TRUE;
}

static gboolean
open_tokenizer (GstWhisperDecoderSession *session, GstElement *element,
    const GstWhisperDecoderSettings *settings)
{
  const gboolean is_named = settings->vocabulary && *settings->vocabulary;
  g_autoptr (GError) error = NULL;

  session->tokenizer = npu_tokenizer_new (
      session->model, is_named ? settings->vocabulary : NULL, &error);
  if (!session->tokenizer)
    gst_whisper_decoder_post_error (
        element, error, "properties vocabulary, model");
  return session->tokenizer != NULL;
}

/* With the same options, as far as it has them. */
static void
open_live (GstWhisperDecoderSession *session,
    const GstWhisperDecoderSettings *settings,
    const NpuTranscriptOptions *options)
{
  const NpuLiveOptions live = {
      .decoding = options->decoding,
      .hot_words = options->hot_words,
      .initial_prompt = options->initial_prompt,
      .margin = settings->margin,
      .context = settings->context,
  };

  session->live =
      npu_live_transcript_new (&session->source, session->tokenizer, &live);
}

static gboolean
open_transcript (GstWhisperDecoderSession *session, GstElement *element,
    const GstWhisperDecoderSettings *settings)
{
  NpuTranscriptOptions options = {
      .decoding =
          {
              .task = settings->task,
              .timestamps =
                  settings->timestamps != GST_WHISPER_DECODER_TIMESTAMPS_NONE,
              .beam_size = settings->beam_size,
              .best_of = settings->best_of,
              .patience = settings->patience,
              .length_penalty = settings->length_penalty,
              .temperature = settings->temperature,
              .temperature_increment = settings->temperature_increment,
              .compression_ratio_threshold =
                  settings->compression_ratio_threshold,
              .logprob_threshold = settings->logprob_threshold,
              .no_speech_threshold = settings->no_speech_threshold,
              .suppress_blank = settings->suppress_blank,
              .max_initial_timestamp =
                  initial_timestamp (settings->max_initial_timestamp),
              .seed = settings->seed,
          },
      .words = gst_whisper_decoder_settings_want_words (settings),
      .hallucination_silence_threshold =
          (double) settings->hallucination_silence_threshold / GST_SECOND,
      .condition_on_previous_text = settings->condition_on_previous_text,
      .language_interval = settings->language_interval,
      .n_windows = settings->batch,
  };
  g_autoptr (GError) error = NULL;

  session->suppress = g_array_new (FALSE, FALSE, sizeof (guint32));
  session->prompt = g_strdup (settings->initial_prompt);
  session->hot_words = g_strdup (settings->hot_words);
  if (!gst_whisper_decoder_session_find_language (session,
          settings->language_code, &options.decoding.language, &error) ||
      !check_task (session, settings->task, &error) ||
      !parse_suppress (session->suppress, session->tokenizer,
          settings->suppress_tokens, &error)) {
    gst_whisper_decoder_post_error (
        element, error, "properties language-code, task, suppress-tokens");
    return FALSE;
  }
  options.decoding.suppress = (const guint32 *) session->suppress->data;
  options.decoding.n_suppress = session->suppress->len;
  options.initial_prompt = session->prompt;
  options.hot_words = session->hot_words;
  if (!npu_decoding_check (
          &session->source, session->tokenizer, &options.decoding, 0, &error)) {
    gst_whisper_decoder_post_error (
        element, error, "properties model, vocabulary");
    return FALSE;
  }
  session->transcript =
      npu_transcript_new (&session->source, session->tokenizer, &options);
  open_live (session, settings, &options);
  return TRUE;
}

GstWhisperDecoderSession *
gst_whisper_decoder_session_new (GstElement *element,
    const GstWhisperDecoderSettings *settings, const char *location)
{
  GstWhisperDecoderSession *session = g_new0 (GstWhisperDecoderSession, 1);

  session->location = g_strdup (location);
  /* What fails sooner comes first: a decoder packs weights. */
  if (open_model (session, element) &&
      open_tokenizer (session, element, settings) &&
      open_decoder (session, element, settings) &&
      open_transcript (session, element, settings))
    return session;
  gst_whisper_decoder_session_free (session);
  return NULL;
}

void
gst_whisper_decoder_session_free (GstWhisperDecoderSession *session)
{
  /* What uses a thing goes before it. */
  g_clear_pointer (&session->live, npu_live_transcript_free);
  g_clear_pointer (&session->transcript, npu_transcript_free);
  g_clear_pointer (&session->decoder, npu_decoder_free);
  g_clear_pointer (&session->tokenizer, npu_tokenizer_unref);
  g_clear_pointer (&session->device, npu_device_unref);
  g_clear_pointer (&session->model, npu_model_unref);
  g_clear_pointer (&session->suppress, g_array_unref);
  g_free (session->prompt);
  g_free (session->hot_words);
  g_free (session->location);
  g_free (session);
}

/* --- windows ------------------------------------------------------------ */

gboolean
gst_whisper_decoder_session_set_states (GstWhisperDecoderSession *session,
    const GstWhisperDecoderWindow *window, GError **error)
{
  return npu_decoder_set_window (
      session->decoder, 0, window->states, window->n_positions, error);
}

gboolean
gst_whisper_decoder_session_begin (GstWhisperDecoderSession *session,
    const GstWhisperDecoderWindow *window, GError **error)
{
  const int place = npu_transcript_find_free (session->transcript);

  g_return_val_if_fail (place >= 0, FALSE);
  return npu_decoder_set_window (session->decoder, (guint) place,
             window->states, window->n_positions, error) &&
         npu_transcript_begin_window (session->transcript, (guint) place,
             window->start, window->duration, error);
}

const char *
gst_whisper_decoder_session_language (
    const GstWhisperDecoderSettings *settings, const NpuDecodedWindow *decoded)
{
  if (settings->task == NPU_TASK_TRANSLATE || decoded->language < 0)
    return "en";
  return npu_language_get_code (decoded->language);
}
