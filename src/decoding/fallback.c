/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fallback.h"

/* An answer that Whisper gives to digital silence, such as " you" from 0.00 to
 * 2.00: it is likely, as the no-speech token is. */
#define SILENCE_MAX_TOKENS 4
#define SILENCE_LAST_TIMESTAMP 100 /* of 20 ms */

/* Noise and music are often given the same words over and over, just not often
 * enough to fail, nor unlikely enough: from 0.85 and 0.5 of the thresholds on.
 * Of 258 answers to speech (base and tiny.en) none repeats itself by more than
 * 0.7, and none has a no-speech probability above 0.2. Whoever does say one
 * thing over and over may be taken for no speech, but what he says is likely.
 */
#define NEARLY_REPEATS 0.85f
#define NEARLY_UNLIKELY 0.5f

/* Even where the steps of temperature are small. */
#define MAX_TRIES 11

static gboolean
repeats_itself (
    const NpuDecodingOptions *options, const NpuDecodedWindow *decoded)
{
  return decoded->compression_ratio > options->compression_ratio_threshold;
}

/* Of the first attempt: the others have said less likely things by then. */
static gboolean
is_nearly_both (
    const NpuDecodingOptions *options, const NpuDecodedWindow *decoded)
{
  return decoded->temperature <= options->temperature &&
         decoded->compression_ratio >
             NEARLY_REPEATS * options->compression_ratio_threshold &&
         decoded->avg_logprob < NEARLY_UNLIKELY * options->logprob_threshold;
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

  if (sounds_like_silence (options, decoded) &&
      (is_unlikely || is_nearly_both (options, decoded)))
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
             is_nearly_both (options, decoded) ||
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

void
npu_fallback_init (NpuFallback *fallback, const NpuDecodingOptions *options,
    guint32 timestamp_begin)
{
  *fallback = (NpuFallback){
      .options = options,
      .timestamp_begin = timestamp_begin,
      .has_failed = TRUE,
  };
}

void
npu_fallback_clear (NpuFallback *fallback)
{
  npu_decoded_window_clear (&fallback->best);
}

static float
next_temperature (const NpuFallback *fallback)
{
  const NpuDecodingOptions *options = fallback->options;

  return options->temperature +
         (float) fallback->n_tries * options->temperature_increment;
}

gboolean
npu_fallback_needs_attempt (const NpuFallback *fallback, float *temperature)
{
  *temperature = next_temperature (fallback);
  if (fallback->n_tries == 0)
    return TRUE;
  return fallback->has_failed && fallback->options->temperature_increment > 0 &&
         *temperature <= 1.0f + 1e-4f && fallback->n_tries < MAX_TRIES;
}

void
npu_fallback_take (NpuFallback *fallback, const NpuDecodedWindow *attempt)
{
  const NpuDecodingOptions *options = fallback->options;
  NpuDecodedWindow next = *attempt;

  next.temperature = next_temperature (fallback);
  fallback->n_tries++;
  fallback->has_failed = needs_fallback (options, &next);
  if (fallback->n_tries == 1 || !fallback->has_failed ||
      is_better (options, &next, &fallback->best)) {
    npu_decoded_window_clear (&fallback->best);
    fallback->best = next;
  } else {
    npu_decoded_window_clear (&next);
  }
}

void
npu_fallback_end (NpuFallback *fallback, NpuDecodedWindow *decoded)
{
  *decoded = fallback->best;
  fallback->best = (NpuDecodedWindow){0};
  decoded->n_tries = fallback->n_tries;
  decoded->has_failed = fallback->has_failed;
  decoded->is_silence =
      is_silence (fallback->options, decoded, fallback->timestamp_begin);
}
