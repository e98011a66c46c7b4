/* Words of an answer, and when they are spoken (openai/whisper, timing.py and
 * tokenizer.py).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-decoding.h"

G_BEGIN_DECLS

typedef struct {
  char *text;         /* valid UTF-8, mostly with the space before it */
  guint n_tokens;     /* that spell it */
  double start, end;  /* in seconds */
  double probability; /* mean of its tokens' */
} NpuWord;

/* (transfer full): of NpuWord, which it owns */
GArray *npu_words_new (void);

/* Whether text of a language, by Whisper's code, NULL for none, has no spaces
 * between words: each character is a word then. */
gboolean npu_language_has_no_spaces (const char *code);

/**
 * npu_words_split:
 * @tokens: [n] text tokens
 * @by_character: else at spaces and at ASCII punctuation
 *
 * Never inside a character. All tokens are in a word; times and probabilities
 * are 0.
 *
 * Returns: (transfer full): of NpuWord
 */
GArray *npu_words_split (NpuTokenizer *tokenizer, const guint32 *tokens,
    guint n, gboolean by_character);

/* Joins opening marks to the word after them and closing ones to the word
 * before. What was joined stays as a word without text and tokens; times stay
 * as they are. */
void npu_words_merge_punctuation (GArray *words);

/**
 * npu_find_words:
 * @window: number of the window in @source, set before
 * @sequence: of the source, to use: what it had is lost
 * @language: index, -1: an English-only model
 * @tokens: [n] text tokens of the window's answer, no timestamps; at most as
 *   many as half of the positions
 * @n_used: positions of the window that have audio
 * @words: (out): of NpuWord, in seconds from the window's start; unmerged
 *
 * Gives the source the text as an answer without timestamps, and reads where
 * the alignment heads look, and how likely each token was among text.
 *
 * Returns: %FALSE with @error set: UNSUPPORTED where the source does not know
 *   where tokens look; what the source says
 */
gboolean npu_find_words (const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    guint window, guint sequence, NpuTask task, int language,
    const guint32 *tokens, guint n, guint n_used, GArray **words,
    GError **error);

G_END_DECLS
