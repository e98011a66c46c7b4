/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fallback.h"

/* An answer that Whisper gives to digital silence, such as " you" from 0.00 to
 * 2.00: it is likely, as the no-speech token is. */
#define SILENCE_MAX_TOKENS 4
#define SILENCE_LAST_TIMESTAMP 100 /* of 20 ms */

/* Even where the steps of temperature are small. */
#define MAX_TRIES 11

static gboolean
repeats_itself (
    const NpuDecodingOptions *options, const NpuDecodedWindow *decoded)
{
  return decoded->compression_ratio > options->compression_ratio_threshold;
}

static gboolean
sounds_like_silence (
    const NpuDecodingOptions *options, const NpuDecodedWindow *decoded)
{
  return decoded->no_speech_prob > options->no_speech_threshold;
}

static gboolean
needs_fallback (
    const NpuDecodingOptions *options, const NpuDecodedWindow *decoded)
{
  const gboolean is_unlikely =
      !(decoded->avg_logprob >= options->logprob_threshold);

  if (is_unlikely && sounds_like_silence (options, decoded))
    return FALSE;
  return is_unlikely || repeats_itself (options, decoded);
}

/* A word or two, by timestamps at the very beginning. */
static gboolean
is_little (const NpuDecodedWindow *decoded, guint32 timestamp_begin)
{
  guint n_text = 0, n_times = 0;

  for (guint i = 0; i < decoded->tokens->len; i++) {
    const guint32 token = g_array_index (decoded->tokens, guint32, i);

    if (token < timestamp_begin)
      n_text++;
    else if (token - timestamp_begin > SILENCE_LAST_TIMESTAMP)
      return FALSE;
    else
      n_times++;
  }
  return n_text <= SILENCE_MAX_TOKENS && n_times >= 2;
}

static gboolean
is_silence (const NpuDecodingOptions *options, const NpuDecodedWindow *decoded,
    guint32 timestamp_begin)
{
  return sounds_like_silence (options, decoded) &&
         (!(decoded->avg_logprob > options->logprob_threshold) ||
             is_little (decoded, timestamp_begin));
}

/* How far an attempt went astray: not at all; it repeats itself, as a speaker
 * may; it repeats itself without end. */
static guint
astray (const NpuDecodingOptions *options, const NpuDecodedWindow *decoded)
{
  if (!repeats_itself (options, decoded))
    return 0;
  return decoded->is_cut ? 2 : 1;
}

/* Of two attempts that failed. */
static gboolean
is_better (const NpuDecodingOptions *options, const NpuDecodedWindow *a,
    const NpuDecodedWindow *b)
{
  const guint a_astray = astray (options, a), b_astray = astray (options, b);

  if (a_astray != b_astray)
    return a_astray < b_astray;
  return a->avg_logprob > b->avg_logprob;
}

gboolean
npu_decode_with_fallback (const NpuDecodingOptions *options,
    guint32 timestamp_begin, NpuAttemptFunc attempt, gpointer data,
    NpuDecodedWindow *decoded, GError **error)
{
  const float step = options->temperature_increment;
  guint n_tries = 0;
  gboolean has_failed;

  *decoded = (NpuDecodedWindow){0};
  do {
    const float temperature = options->temperature + (float) n_tries * step;
    NpuDecodedWindow next = {0};

    if (n_tries > 0 &&
        (!(step > 0) || temperature > 1.0f + 1e-4f || n_tries == MAX_TRIES))
      break;
    if (!attempt (data, temperature, &next, error)) {
      npu_decoded_window_clear (decoded);
      return FALSE;
    }
    next.temperature = temperature;
    n_tries++;
    has_failed = needs_fallback (options, &next);
    if (n_tries == 1 || !has_failed || is_better (options, &next, decoded)) {
      npu_decoded_window_clear (decoded);
      *decoded = next;
    } else {
      npu_decoded_window_clear (&next);
    }
  } while (has_failed);

  decoded->n_tries = n_tries;
  decoded->has_failed = has_failed;
  decoded->is_silence = is_silence (options, decoded, timestamp_begin);
  return TRUE;
}
