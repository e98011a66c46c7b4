/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-decoding.h"

#include "compression.h"
#include "fallback.h"
#include "language.h"
#include "npu-error.h"
#include "prompt.h"
#include "search.h"
#include "tokenizer/tokenizer-private.h"
#include "tokenizer/utf8.h"

/* A window being decoded. */
typedef struct {
  NpuSearch search;
  NpuTokenizer *tokenizer;
  guint window;
  GArray *start; /* tokens before the first sampled one */
  guint n_fed;   /* of them, that sequence 0 has been given */
  guint sot;     /* index of sot in them */
  float *row;    /* [n_vocab]: the last token's logits, for all attempts */
  int language;
  float language_prob, no_speech_prob;
} WindowDecoding;

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

static gboolean
check_options (const NpuLogitsSource *source, const NpuSpecialTokens *special,
    const NpuDecodingOptions *options, guint n_prefix, GError **error)
{
  if (source->n_vocab != special->n_vocab)
    return fail_settings (error,
        "the decoder has %u tokens and the vocabulary %u: they are of "
        "different models",
        source->n_vocab, special->n_vocab);
  if (source->n_positions < 32)
    return fail_settings (
        error, "the decoder has only %u positions", source->n_positions);
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

static void
begin (WindowDecoding *decoding)
{
  const NpuLogitsSource *source = decoding->search.source;

  source->begin (source->self, 0, decoding->window);
  decoding->n_fed = 0;
}

/* By a step on sot alone. Where nothing stands before sot, that step is the
 * prompt's first. */
static gboolean
detect_language (WindowDecoding *decoding, gboolean has_prompt, GError **error)
{
  const NpuLogitsSource *source = decoding->search.source;
  const NpuSpecialTokens *special = decoding->search.special;
  const NpuDecoderRow row = {0, special->sot, TRUE};
  g_autofree float *probabilities = g_new (float, special->n_languages);
  float *logits = decoding->search.rows;

  if (!source->step (source->self, &row, 1, &logits, error) ||
      !npu_no_speech_read (special, logits, &decoding->no_speech_prob, error) ||
      !npu_languages_read (source, special, 0, logits, probabilities,
          &decoding->language, error))
    return FALSE;
  decoding->language_prob = probabilities[decoding->language];
  decoding->n_fed = 1;
  if (has_prompt)
    begin (decoding);
  return TRUE;
}

/* Gives sequence 0 what stands before the answer, in one step, and reads what
 * may come first. */
static gboolean
feed_start (WindowDecoding *decoding, GError **error)
{
  NpuSearch *search = &decoding->search;
  const NpuSpecialTokens *special = search->special;
  const GArray *start = decoding->start;
  g_autofree NpuDecoderRow *rows = g_new0 (NpuDecoderRow, start->len);
  float *logits[2];
  guint n_rows = 0, n_logits = 0;
  const gboolean has_sot = decoding->n_fed <= decoding->sot;

  for (guint i = decoding->n_fed; i < start->len; i++) {
    const guint32 token = g_array_index (start, guint32, i);
    const gboolean is_sot = i == decoding->sot;
    const gboolean is_last = i + 1 == start->len;

    rows[n_rows++] = (NpuDecoderRow){0, token, is_sot || is_last};
    if (is_sot || is_last)
      logits[n_logits++] = is_last ? decoding->row : search->rows;
  }
  if (!search->source->step (search->source->self, rows, n_rows, logits, error))
    return FALSE;
  if (has_sot && !npu_no_speech_read (
                     special, logits[0], &decoding->no_speech_prob, error))
    return FALSE;
  return npu_search_read (search, search->prefix, search->n_prefix,
      n_logits - 1, decoding->row, &search->first, error);
}

/* Text and how much it repeats itself. */
static void
read_text (NpuTokenizer *tokenizer, NpuDecodedWindow *decoded)
{
  gsize n, n_kept = 0;
  g_autofree char *text = npu_tokenizer_decode (
      tokenizer, (guint32 *) decoded->tokens->data, decoded->tokens->len, &n);
  const char *stripped = npu_utf8_strip (text, &n);

  decoded->compression_ratio = npu_compression_ratio (stripped, n);
  decoded->text = g_malloc (n + 1);
  for (gsize i = 0; i < n; i++) {
    if (stripped[i] != '\0') /* text may hold it, a string may not */
      decoded->text[n_kept++] = stripped[i];
  }
  decoded->text[n_kept] = '\0';
}

static gboolean
attempt (
    gpointer data, float temperature, NpuDecodedWindow *decoded, GError **error)
{
  WindowDecoding *decoding = data;
  NpuSearch *search = &decoding->search;
  const NpuLogitsSource *source = search->source;
  NpuAnswer answer;
  gboolean ok;

  source->truncate (source->self, 0, search->n_start);
  if (temperature > 0 || search->options->beam_size == 1)
    ok = npu_search_sample (search, temperature, &answer, error);
  else
    ok = npu_search_beam (search, &answer, error);
  if (!ok)
    return FALSE;
  decoded->tokens = answer.tokens;
  decoded->is_cut = !answer.has_ended;
  decoded->avg_logprob =
      (float) (answer.sum / (answer.tokens->len - search->n_prefix + 1));
  read_text (decoding->tokenizer, decoded);
  decoded->no_speech_prob = decoding->no_speech_prob;
  return TRUE;
}

/* The answer's length: half of the positions, and what the others leave. */
static void
set_limits (WindowDecoding *decoding)
{
  NpuSearch *search = &decoding->search;
  const guint n_positions = search->source->n_positions;
  const guint n_before = decoding->start->len - search->n_prefix;

  search->n_start = decoding->start->len;
  search->max_tokens = MIN (n_positions / 2, n_positions - n_before);
}

static gboolean
decode (WindowDecoding *decoding, const guint32 *prompt, guint n_prompt,
    NpuDecodedWindow *decoded, GError **error)
{
  NpuSearch *search = &decoding->search;
  const NpuSpecialTokens *special = search->special;
  const NpuDecodingOptions *options = search->options;

  npu_prompt_append_previous (
      special, search->source->n_positions, prompt, n_prompt, decoding->start);
  begin (decoding);
  if (special->is_multilingual && options->language < 0 &&
      !detect_language (decoding, decoding->start->len > 0, error))
    return FALSE;
  decoding->sot = decoding->start->len;
  npu_prompt_append_task (special, options->task, decoding->language,
      options->timestamps, decoding->start);
  g_array_append_vals (decoding->start, search->prefix, search->n_prefix);
  set_limits (decoding);

  if (!feed_start (decoding, error) ||
      !npu_decode_with_fallback (
          options, special->timestamp_begin, attempt, decoding, decoded, error))
    return FALSE;
  decoded->n_steps = search->n_steps;
  decoded->language = special->is_multilingual ? decoding->language : -1;
  decoded->language_prob = decoding->language_prob;
  return TRUE;
}

gboolean
npu_decode_window (const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    guint window, const NpuDecodingOptions *options, const guint32 *prompt,
    guint n_prompt, const guint32 *prefix, guint n_prefix,
    NpuDecodedWindow *decoded, GError **error)
{
  const NpuSpecialTokens *special = npu_tokenizer_get_special (tokenizer);
  const gsize n_rows = MAX (options->beam_size, options->best_of);
  g_autoptr (GArray) start = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autofree float *row = NULL;
  g_autofree float *rows = NULL;
  WindowDecoding decoding = {
      .search = {source, special, options, .prefix = prefix,
          .n_prefix = n_prefix},
      .tokenizer = tokenizer,
      .window = window,
      .start = start,
      .language = options->language,
      .language_prob = 1,
  };

  if (!check_options (source, special, options, n_prefix, error))
    return FALSE;
  row = g_new (float, special->n_vocab);
  rows = g_new (float, n_rows * special->n_vocab);
  decoding.row = row;
  decoding.search.rows = rows;
  decoding.search.blank = npu_tokenizer_get_blank (tokenizer);
  decoding.search.n_filters =
      npu_logit_filters_choose (options, decoding.search.filters);
  return decode (&decoding, prompt, n_prompt, decoded, error);
}
