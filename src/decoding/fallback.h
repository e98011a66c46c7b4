/* Attempts at a window with rising temperature, until one is good enough
 * (openai/whisper, transcribe.py, decode_with_fallback).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-decoding.h"

G_BEGIN_DECLS

/* One attempt: sets tokens, text, avg_logprob, no_speech_prob,
 * compression_ratio and is_cut. */
typedef gboolean (*NpuAttemptFunc) (gpointer data, float temperature,
    NpuDecodedWindow *decoded, GError **error);

/**
 * npu_decode_with_fallback:
 * @decoded: (out): to be cleared, where %TRUE is returned
 *
 * An attempt fails that repeats itself or is unlikely, except where it is
 * silence that is unlikely. Where all fail, the likeliest of those that do not
 * repeat themselves is kept, else the likeliest that came to an end (a loop is
 * likely, and has none), else the likeliest.
 */
gboolean npu_decode_with_fallback (const NpuDecodingOptions *options,
    guint32 timestamp_begin, NpuAttemptFunc attempt, gpointer data,
    NpuDecodedWindow *decoded, GError **error);

G_END_DECLS
