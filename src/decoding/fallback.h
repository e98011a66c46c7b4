/* Attempts at a window with rising temperature, until one is good enough
 * (openai/whisper, transcribe.py, decode_with_fallback).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-decoding.h"

G_BEGIN_DECLS

/* Of one window. */
typedef struct {
  const NpuDecodingOptions *options;
  guint32 timestamp_begin;
  guint n_tries;       /* attempts taken */
  gboolean has_failed; /* the last one */
  NpuDecodedWindow best;
} NpuFallback;

void npu_fallback_init (NpuFallback *fallback,
    const NpuDecodingOptions *options, guint32 timestamp_begin);
/* Before npu_fallback_end(). */
void npu_fallback_clear (NpuFallback *fallback);

/* Whether there is to be another attempt, the first included, and at which
 * temperature. An attempt fails that repeats itself or is unlikely, except
 * where it is silence that is unlikely. */
gboolean npu_fallback_needs_attempt (
    const NpuFallback *fallback, float *temperature);

/* @attempt: (transfer full): tokens, text, avg_logprob, no_speech_prob,
 *   compression_ratio and is_cut of that attempt */
void npu_fallback_take (NpuFallback *fallback, const NpuDecodedWindow *attempt);

/* @decoded: (out): what is kept, with the rest of its fields but those of
 *   language and n_steps; to be cleared
 *
 * Where all attempts failed, the likeliest of those that do not repeat
 * themselves is kept, else the likeliest that came to an end (a loop is likely,
 * and has none), else the likeliest. */
void npu_fallback_end (NpuFallback *fallback, NpuDecodedWindow *decoded);

G_END_DECLS
