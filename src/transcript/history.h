/* What a window is told of the text before it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "decoding/npu-decoding.h"

G_BEGIN_DECLS

typedef struct {
  guint max;       /* tokens that a window can be told */
  GArray *carried; /* of guint32: what every window is told */
  GArray *initial; /* of guint32: what the first one is told */
  GArray *tokens;  /* of guint32: what the next one is told besides; begins with
                    * the initial prompt */
} NpuHistory;

/* @n_positions: of the decoder
 * @carry_initial: @initial_prompt is for every window
 * To be cleared. */
void npu_history_init (NpuHistory *history, NpuTokenizer *tokenizer,
    guint n_positions, const char *hot_words, const char *initial_prompt,
    gboolean carry_initial);
void npu_history_clear (NpuHistory *history);

/* Only the initial prompt is left: in a new stream. */
void npu_history_reset (NpuHistory *history);

/* Appends text. */
void npu_history_add (NpuHistory *history, const guint32 *tokens, guint n);

/* After a window with text: forgets what is too old, or all. */
void npu_history_end_window (NpuHistory *history,
    const NpuDecodedWindow *decoded, gboolean condition_on_previous_text);

/* (transfer full): of guint32, at most max: what is carried, and the newest
 * that it leaves room for. */
GArray *npu_history_build_prompt (const NpuHistory *history);

G_END_DECLS
