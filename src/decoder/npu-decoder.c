/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-decoder.h"

#include <math.h>
#include <string.h>

#include "decoder-private.h"

/* --- opening ------------------------------------------------------------- */

static gboolean
check_options (const NpuDecoderOptions *options, GError **error)
{
  if (options->max_windows < 1 ||
      options->max_windows > NPU_DECODER_MAX_WINDOWS ||
      options->max_sequences < 1 ||
      options->max_sequences > NPU_DECODER_MAX_SEQUENCES) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "a decoder has 1 to %d windows and 1 to %d sequences, not %u and %u",
        NPU_DECODER_MAX_WINDOWS, NPU_DECODER_MAX_SEQUENCES,
        options->max_windows, options->max_sequences);
    return FALSE;
  }
  if (options->timeout == 0) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "a timeout of 0 leaves a step no time");
    return FALSE;
  }
  return npu_precision_check (options->precision, error);
}

/* Whether sizes are what the kernels take: true of every Whisper. */
static gboolean
check_sizes (NpuModel *model, GError **error)
{
  const NpuModelConfig *config = npu_model_get_config (model);
  const guint longest =
      MAX (config->decoder.n_positions, config->encoder.n_positions);

  if (config->decoder.d != config->decoder.n_heads * NPU_HEAD_DIM ||
      4 * config->decoder.d > NPU_Q8_COLUMNS ||
      longest > DECODER_MAX_RUNS * NPU_FEW_KEYS) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_FORMAT,
        "a decoder of width %u, %u heads and %u positions is no Whisper's: heads have %d columns each, widths go to %d, positions to %d",
        config->decoder.d, config->decoder.n_heads, longest, NPU_HEAD_DIM,
        NPU_Q8_COLUMNS / 4, DECODER_MAX_RUNS * NPU_FEW_KEYS);
    return FALSE;
  }
  if (config->decoder.d != config->encoder.d) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_FORMAT,
        "the decoder's width %u is not the encoder's %u", config->decoder.d,
        config->encoder.d);
    return FALSE;
  }
  return TRUE;
}

/* What is multiplied: with bfloat16 a decoder would gain nothing over float. */
static DecoderProduct
choose_product (NpuDecoder *decoder)
{
  switch (decoder->options.precision) {
    case NPU_PRECISION_F32:
    case NPU_PRECISION_BF16:
      decoder->precision = NPU_PRECISION_F32;
      return DECODER_F32;
    case NPU_PRECISION_INT16:
      decoder->precision = NPU_PRECISION_INT16;
      return DECODER_S16;
    default:
      decoder->precision = NPU_PRECISION_INT8;
      return DECODER_S8;
  }
}

static gboolean
open_decoder (NpuDecoder *decoder, GError **error)
{
  const NpuDecoderWeights *from = npu_model_get_decoder (decoder->model, error);
  const DecoderProduct product = choose_product (decoder);

  if (!from || !check_sizes (decoder->model, error))
    return FALSE;
  decoder->embedding = from->token_embedding;
  decoder->alignment_heads = npu_alignment_heads_for_model (decoder->model);
  decoder->weights =
      decoder_weights_new (decoder->model, decoder->host, product, error);
  if (!decoder->weights ||
      !decoder_windows_init (&decoder->windows, decoder->weights,
          decoder->model, decoder->host, decoder->options.max_windows,
          decoder->options.timeout, error))
    return FALSE;
  decoder_cache_init (&decoder->cache, decoder->options.max_sequences,
      decoder->weights->n_positions,
      (gsize) decoder->weights->n_layers * 2 * decoder->weights->d);
  decoder_step_init (decoder);
  return TRUE;
}

NpuDecoder *
npu_decoder_new (NpuModel *model, NpuDevice *device,
    const NpuDecoderOptions *options, GError **error)
{
  const NpuHost *host = npu_host_of (device);
  NpuDecoder *decoder;

  if (!check_options (options, error))
    return NULL;
  if (!host) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
        "device '%s' has no CPU beside it, which a decoder needs",
        npu_device_get_name (device));
    return NULL;
  }
  decoder = g_new0 (NpuDecoder, 1);
  decoder->model = npu_model_ref (model);
  decoder->device = npu_device_ref (device);
  decoder->host = host;
  decoder->options = *options;
  if (!open_decoder (decoder, error)) {
    npu_decoder_free (decoder);
    return NULL;
  }
  return decoder;
}

void
npu_decoder_free (NpuDecoder *decoder)
{
  if (!decoder)
    return;
  decoder_step_clear (decoder);
  if (decoder->cache.sequences)
    decoder_cache_clear (&decoder->cache);
  decoder_windows_clear (&decoder->windows);
  decoder_weights_unref (decoder->weights);
  g_clear_pointer (&decoder->alignment_heads, g_array_unref);
  npu_model_unref (decoder->model);
  npu_device_unref (decoder->device);
  g_free (decoder);
}

guint
npu_decoder_get_n_vocab (NpuDecoder *decoder)
{
  return decoder->weights->n_vocab;
}

guint
npu_decoder_get_n_positions (NpuDecoder *decoder)
{
  return decoder->weights->n_positions;
}

guint
npu_decoder_get_d (NpuDecoder *decoder)
{
  return decoder->weights->d;
}

NpuPrecision
npu_decoder_get_precision (NpuDecoder *decoder)
{
  return decoder->precision;
}

guint
npu_decoder_get_n_alignment_heads (NpuDecoder *decoder)
{
  return decoder->alignment_heads->len;
}

NpuDevice *
npu_decoder_get_device (NpuDecoder *decoder)
{
  return decoder->device;
}

/* --- windows and sequences ----------------------------------------------- */

static gboolean
is_cancelled (NpuDecoder *decoder, GError **error)
{
  if (!g_atomic_int_get (&decoder->cancelled))
    return FALSE;
  g_set_error_literal (
      error, NPU_ERROR, NPU_ERROR_CANCELLED, "the decoder was cancelled");
  return TRUE;
}

gboolean
npu_decoder_set_window (NpuDecoder *decoder, guint window, const float *states,
    guint n_positions, GError **error)
{
  if (is_cancelled (decoder, error))
    return FALSE;
  if (window >= decoder->options.max_windows) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "there is no window %u: the decoder has %u", window,
        decoder->options.max_windows);
    return FALSE;
  }
  return decoder_windows_set (
      &decoder->windows, window, states, n_positions, error);
}

guint
npu_decoder_get_window_positions (NpuDecoder *decoder, guint window)
{
  g_return_val_if_fail (window < decoder->options.max_windows, 0);
  return decoder->windows.windows[window].n_positions;
}

void
npu_decoder_begin (NpuDecoder *decoder, guint i, guint window)
{
  DecoderSequence *sequence;

  g_return_if_fail (i < decoder->options.max_sequences);
  g_return_if_fail (window < decoder->options.max_windows);
  decoder_cache_truncate (&decoder->cache, i, 0);
  sequence = &decoder->cache.sequences[i];
  sequence->begun = TRUE;
  sequence->window = window;
  sequence->window_serial = decoder->windows.windows[window].serial;
}

void
npu_decoder_fork (NpuDecoder *decoder, guint from, guint to)
{
  g_return_if_fail (from < decoder->options.max_sequences);
  g_return_if_fail (to < decoder->options.max_sequences);
  decoder_cache_fork (&decoder->cache, from, to);
}

void
npu_decoder_truncate (NpuDecoder *decoder, guint sequence, guint n_tokens)
{
  g_return_if_fail (sequence < decoder->options.max_sequences);
  decoder_cache_truncate (&decoder->cache, sequence, n_tokens);
}

guint
npu_decoder_get_n_tokens (NpuDecoder *decoder, guint sequence)
{
  g_return_val_if_fail (sequence < decoder->options.max_sequences, 0);
  return decoder->cache.sequences[sequence].n_tokens;
}

/* --- a step -------------------------------------------------------------- */

static gboolean
check_row (NpuDecoder *decoder, const NpuDecoderRow *row, GError **error)
{
  const DecoderSequence *sequence;
  const DecoderWindow *window;

  if (row->sequence >= decoder->options.max_sequences) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "there is no sequence %u: the decoder has %u", row->sequence,
        decoder->options.max_sequences);
    return FALSE;
  }
  if (row->token >= decoder->weights->n_vocab) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "there is no token %u: the vocabulary has %u", row->token,
        decoder->weights->n_vocab);
    return FALSE;
  }
  sequence = &decoder->cache.sequences[row->sequence];
  window = &decoder->windows.windows[sequence->window];
  if (!sequence->begun || window->n_positions == 0 ||
      window->serial != sequence->window_serial) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "sequence %u was not begun since its window was set", row->sequence);
    return FALSE;
  }
  if (sequence->n_tokens == decoder->weights->n_positions) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "sequence %u is full: it has %u tokens", row->sequence,
        sequence->n_tokens);
    return FALSE;
  }
  return TRUE;
}

/* x[d] = the token's embedding at a position. */
static gboolean
embed (NpuDecoder *decoder, guint32 token, guint position, float *x,
    GError **error)
{
  const gsize d = decoder->weights->d;
  const float *at = decoder->weights->positions + position * d;

  if (!npu_tensor_read (decoder->embedding, token * d, d, x, error))
    return FALSE;
  for (gsize i = 0; i < d; i++)
    x[i] += at[i];
  return TRUE;
}

static gboolean
add_row (NpuDecoder *decoder, const NpuDecoderRow *row, float *logits,
    float *attention, GError **error)
{
  DecoderStep *step = &decoder->step;
  const guint n = step->n_rows;
  DecoderSequence *sequence;

  if (!check_row (decoder, row, error))
    return FALSE;
  sequence = &decoder->cache.sequences[row->sequence];
  if (!embed (decoder, row->token, sequence->n_tokens,
          step->x + (gsize) n * decoder->weights->d, error))
    return FALSE;
  if (!decoder_cache_append (&decoder->cache, row->sequence)) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_FAILED,
        "no memory for more tokens of the decoder's sequences");
    return FALSE;
  }
  step->sequence[n] = row->sequence;
  step->slots[n] = sequence->slots[sequence->n_tokens - 1];
  step->n_keys[n] = sequence->n_tokens;
  step->attention[n] = attention;
  step->n_attending += attention != NULL;
  step->n_rows++;
  if (row->wants_logits) {
    step->wanted[step->n_wanted] = n;
    step->logits[step->n_wanted++] = logits;
  }
  return TRUE;
}

/* Rows that read one window stand together. */
static void
group_by_window (NpuDecoder *decoder)
{
  DecoderStep *step = &decoder->step;
  guint n = 0, longest = 0;

  step->n_windows = 0;
  for (guint window = 0; window < decoder->options.max_windows; window++) {
    const guint first = n;

    for (guint row = 0; row < step->n_rows; row++)
      if (decoder->cache.sequences[step->sequence[row]].window == window)
        step->by_window[n++] = row;
    if (n == first)
      continue;
    step->windows[step->n_windows] = window;
    step->window_first[step->n_windows++] = first;
    longest = MAX (longest, decoder->windows.windows[window].n_positions);
  }
  step->window_first[step->n_windows] = n;
  step->n_runs = (longest + NPU_FEW_KEYS - 1) / NPU_FEW_KEYS;
}

/* Weights and states that were all finite may still make sums that are not. */
static gboolean
check_result (NpuDecoder *decoder, GError **error)
{
  const DecoderStep *step = &decoder->step;
  const gsize d = decoder->weights->d;

  for (guint i = 0; i < step->n_wanted; i++) {
    const guint row = step->wanted[i];
    float zero = 0;

    for (gsize j = 0; j < d; j++)
      zero += step->final[i * d + j] * 0;
    if (zero == 0)
      continue;
    g_set_error (error, NPU_ERROR, NPU_ERROR_FORMAT,
        "token %u of sequence %u has no logits: sums of the model's weights and the window's states overflow",
        step->n_keys[row] - 1, step->sequence[row]);
    return FALSE;
  }
  return TRUE;
}

static gboolean
run_step (NpuDecoder *decoder, const NpuDecoderRow *rows, guint n_rows,
    float *const *logits, float *const *attention, GError **error)
{
  DecoderStep *step = &decoder->step;

  for (guint i = 0; i < n_rows; i++)
    if (!add_row (decoder, &rows[i],
            rows[i].wants_logits ? logits[step->n_wanted] : NULL,
            attention ? attention[i] : NULL, error))
      return FALSE;
  group_by_window (decoder);
  return decoder_step_run (decoder, error) && check_result (decoder, error);
}

gboolean
npu_decoder_step_attending (NpuDecoder *decoder, const NpuDecoderRow *rows,
    guint n_rows, float *const *logits, float *const *attention, GError **error)
{
  DecoderStep *step = &decoder->step;
  guint n_wanted = 0;

  decoder->n_last = step->n_rows = step->n_wanted = step->n_attending = 0;
  if (is_cancelled (decoder, error))
    return FALSE;
  if (n_rows == 0) {
    g_set_error_literal (
        error, NPU_ERROR, NPU_ERROR_SETTINGS, "a step needs a row at least");
    return FALSE;
  }
  for (guint i = 0; i < n_rows; i++)
    n_wanted += rows[i].wants_logits != 0;
  if (!decoder_step_reserve (decoder, n_rows, n_wanted)) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_FAILED,
        "no memory for a step of %u rows", n_rows);
    return FALSE;
  }
  if (run_step (decoder, rows, n_rows, logits, attention, error)) {
    decoder->n_last = step->n_wanted;
    return TRUE;
  }
  for (guint i = step->n_rows; i-- > 0;)
    decoder_cache_truncate (
        &decoder->cache, step->sequence[i], step->n_keys[i] - 1);
  return FALSE;
}

gboolean
npu_decoder_step (NpuDecoder *decoder, const NpuDecoderRow *rows, guint n_rows,
    float *const *logits, GError **error)
{
  return npu_decoder_step_attending (
      decoder, rows, n_rows, logits, NULL, error);
}

/* By the step's own kernel: in float the same bytes. */
gboolean
npu_decoder_refine (NpuDecoder *decoder, guint row, const guint32 *ids, guint n,
    float *logits, GError **error)
{
  const DecoderWeights *weights = decoder->weights;
  const guint d = weights->d;
  const float *x = decoder->step.final + (gsize) row * d;
  g_autofree float *read = NULL;

  if (row >= decoder->n_last) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "the last step has no row %u with logits", row);
    return FALSE;
  }
  if (weights->product != DECODER_F32)
    read = g_new (float, d + 16);
  for (guint i = 0; i < n; i++) {
    const gsize first = (gsize) ids[i] * d;

    if (ids[i] >= weights->n_vocab) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
          "there is no token %u: the vocabulary has %u", ids[i],
          weights->n_vocab);
      return FALSE;
    }
    if (read && !npu_tensor_read (decoder->embedding, first, d, read, error))
      return FALSE;
    decoder->host->few.dot_f32 (&logits[i], 1, x, d,
        read ? read : (const float *) weights->vocabulary.weight + first, 1, 1,
        d);
  }
  return TRUE;
}

/* --- cancellation -------------------------------------------------------- */

void
npu_decoder_cancel (NpuDecoder *decoder)
{
  g_atomic_int_set (&decoder->cancelled, 1);
  npu_executor_cancel (decoder->windows.executor);
}

void
npu_decoder_resume (NpuDecoder *decoder)
{
  npu_executor_resume (decoder->windows.executor);
  g_atomic_int_set (&decoder->cancelled, 0);
}
