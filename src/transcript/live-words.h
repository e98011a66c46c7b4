/* A hypothesis to words with times.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "decoding/commitment.h"
#include "decoding/hypothesis.h"
#include "npu-live-transcript.h"

G_BEGIN_DECLS

/* Appends the words of @heard, NpuHypothesisWord, with times in the stream, to
 * @words. Punctuation goes with its word. @n_prefix: tokens that it was heard
 * behind */
void npu_live_words_find (NpuTokenizer *tokenizer,
    const NpuDecodingOptions *options, const NpuLiveWindow *window,
    guint n_heads, guint n_prefix, const NpuHeard *heard, GArray *words);

G_END_DECLS
