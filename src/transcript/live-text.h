/* Words of tokens as they are shown.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "decoding/commitment.h"
#include "npu-live-transcript.h"

G_BEGIN_DECLS

typedef struct {
  GArray *words;       /* of NpuLiveWord */
  GStringChunk *chunk; /* their texts */
  GString *all;        /* their texts in one */
} NpuLiveText;

void npu_live_text_init (NpuLiveText *text);
void npu_live_text_clear (NpuLiveText *text);

/* Text of words[n] of @tokens. @window: whose pauses are known, or NULL. What
 * does not begin with a space stands with the word before it, unless that ends
 * with punctuation: scripts without spaces come in runs. Punctuation alone is
 * none. */
void npu_live_text_set (NpuLiveText *text, NpuTokenizer *tokenizer,
    const NpuLiveWindow *window, const guint32 *tokens,
    const NpuHypothesisWord *words, guint n);

G_END_DECLS
