/* A window's tokens to its segments (openai/whisper, transcribe.py).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "tokenizer/npu-tokenizer.h"

G_BEGIN_DECLS

/* The end of the window's audio, wherever that is. */
#define NPU_WINDOW_END G_MAXUINT

/* tokens[first] to tokens[first + n - 1], in timestamps of 20 ms from the
 * window's start; end may be NPU_WINDOW_END. */
typedef struct {
  guint first, n;
  guint start, end;
} NpuSlice;

/**
 * npu_segments_cut:
 * @is_cut: the answer did not end by itself
 * @slices: of NpuSlice; appended to. Empty ones among them
 *
 * Where timestamps stand side by side, one segment ends and the next begins.
 * What follows the last such pair is not whole, and the next window begins
 * there; but after a single timestamp at the end there is no more speech.
 *
 * Returns: how far the window is used up, in timestamps, above 0, or
 *   NPU_WINDOW_END
 */
guint npu_segments_cut (const NpuSpecialTokens *special, const guint32 *tokens,
    guint n, gboolean is_cut, GArray *slices);

/* Appends what follows the last pair, to the window's end: for a window that no
 * other goes on from there. Not after NPU_WINDOW_END. */
void npu_segments_add_rest (const NpuSpecialTokens *special,
    const guint32 *tokens, guint n, GArray *slices);

/* Whether tokens[n] end by text and one timestamp: no speech follows it. */
gboolean npu_segments_have_single_end (
    const NpuSpecialTokens *special, const guint32 *tokens, guint n);

/* NpuDecodingOptions.last_begin of a window that no other goes on from, of
 * @duration ns. */
guint npu_segments_last_begin (guint64 duration);

G_END_DECLS
