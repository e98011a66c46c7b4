/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-decoding.h"

#include "npu-error.h"
#include "search.h"
#include "window-decoding.h"

/* What stands before an answer takes half of them. */
#define MIN_POSITIONS 32u

void
npu_decoding_options_init (NpuDecodingOptions *options)
{
  *options = (NpuDecodingOptions){
      .task = NPU_TASK_TRANSCRIBE,
      .language = -1,
      .timestamps = TRUE,
      .beam_size = 1,
      .best_of = 5,
      .patience = 1,
      .length_penalty = -1,
      .temperature_increment = 0.2f,
      .compression_ratio_threshold = 2.4f,
      .logprob_threshold = -1,
      .no_speech_threshold = 0.6f,
      .suppress_blank = TRUE,
      .max_initial_timestamp = 50,
  };
}

void
npu_decoded_window_clear (NpuDecodedWindow *window)
{
  g_clear_pointer (&window->tokens, g_array_unref);
  g_clear_pointer (&window->text, g_free);
}

static gboolean fail_settings (GError **error, const char *format, ...)
    G_GNUC_PRINTF (2, 3);

static gboolean
fail_settings (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error)
    *error = g_error_new_valist (NPU_ERROR, NPU_ERROR_SETTINGS, format, args);
  va_end (args);
  return FALSE;
}

gboolean
npu_decoding_check (const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    const NpuDecodingOptions *options, guint n_prefix, GError **error)
{
  const NpuSpecialTokens *special = npu_tokenizer_get_special (tokenizer);

  if (source->n_vocab != special->n_vocab)
    return fail_settings (error,
        "the decoder has %u tokens and the vocabulary %u: they are of different models",
        source->n_vocab, special->n_vocab);
  if (source->n_positions < MIN_POSITIONS)
    return fail_settings (error,
        "the model's decoder has room for %u tokens, and at least %u are needed: it is no Whisper model that can write",
        source->n_positions, MIN_POSITIONS);
  if (options->task == NPU_TASK_TRANSLATE && !special->is_multilingual)
    return fail_settings (error, "an English-only model cannot translate");
  if (special->is_multilingual &&
      options->language >= (int) special->n_languages)
    return fail_settings (error,
        "the model has %u languages, number %d is none of them",
        special->n_languages, options->language);
  if (options->beam_size < 1 || options->beam_size > NPU_MAX_BEAMS)
    return fail_settings (error, "beam size %u is not from 1 to %d",
        options->beam_size, NPU_MAX_BEAMS);
  if (options->best_of < 1 || options->best_of > NPU_MAX_SAMPLES)
    return fail_settings (error, "best of %u is not from 1 to %d",
        options->best_of, NPU_MAX_SAMPLES);
  if (!(options->temperature >= 0 && options->temperature <= 100))
    return fail_settings (
        error, "temperature %g is not from 0 to 100", options->temperature);
  if (!(options->patience >= 0 && options->patience <= 100))
    return fail_settings (
        error, "patience %g is not from 0 to 100", options->patience);
  if (n_prefix > source->n_positions / 4)
    return fail_settings (error, "a prefix of %u tokens is more than %u",
        n_prefix, source->n_positions / 4);
  return TRUE;
}

guint
npu_decoding_n_sequences (const NpuDecodingOptions *options)
{
  return npu_search_n_sequences (options);
}

gboolean
npu_decode_window (const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    guint window, const NpuDecodingOptions *options, const guint32 *prompt,
    guint n_prompt, const guint32 *prefix, guint n_prefix,
    NpuDecodedWindow *decoded, GError **error)
{
  const NpuWindowTask task = {.window = window,
      .options = options,
      .prompt = prompt,
      .n_prompt = n_prompt,
      .prefix = prefix,
      .n_prefix = n_prefix};
  g_autoptr (NpuWindowDecoding) decoding =
      npu_window_decoding_new (source, tokenizer, &task, error);
  NpuDecodingStep step;
  gboolean ok = decoding != NULL;

  if (!ok)
    return FALSE;
  npu_decoding_step_init (&step, source->n_vocab);
  while (ok && !npu_window_decoding_is_whole (decoding))
    ok = npu_decodings_step (&step, source, &decoding, 1, error);
  npu_decoding_step_clear (&step);
  if (ok)
    npu_window_decoding_end (decoding, decoded);
  return ok;
}
