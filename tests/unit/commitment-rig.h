/* Hypotheses as a test makes them, and what becomes of them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "decoding/commitment.h"

#define MS G_GUINT64_CONSTANT (1000000)
#define MAX_WORDS 64

static const NpuCommitmentOptions usual = {500 * MS, -1, 0.6f, 0};

/* A hypothesis in the making: each word is one token, or more. */
typedef struct {
  NpuHypothesis h;
  guint32 tokens[4 * MAX_WORDS];
  NpuHypothesisWord words[MAX_WORDS], out[MAX_WORDS];
  NpuCommit commit;
} Heard;

static inline void
heard_begin (Heard *heard, guint64 start_ms, guint64 end_ms)
{
  *heard = (Heard){.h = {.start = start_ms * MS, .end = end_ms * MS}};
  heard->h.tokens = heard->tokens;
  heard->h.words = heard->words;
  heard->h.avg_logprob = -0.2f;
  heard->h.no_speech_prob = 0.01f;
}

static inline void
heard_add (Heard *heard, guint32 token, guint64 start_ms, guint64 end_ms)
{
  NpuHypothesisWord *word = &heard->words[heard->h.n_words++];

  *word = (NpuHypothesisWord){.first = heard->h.n_tokens,
      .n = 1,
      .start = start_ms * MS,
      .end = end_ms * MS,
      .peak = (start_ms + end_ms) / 2 * MS,
      .sound = token};
  heard->tokens[heard->h.n_tokens++] = token;
}

static inline void
commit (NpuCommitment *commitment, Heard *heard)
{
  npu_commitment_add (commitment, &heard->h, heard->out, &heard->commit);
}

static inline guint
begin (NpuCommitment *commitment, guint64 start_ms, gboolean is_new)
{
  const guint32 *prefix, *draft;
  guint n_prefix, n_draft;

  npu_commitment_begin (
      commitment, start_ms * MS, is_new, &prefix, &n_prefix, &draft, &n_draft);
  return n_prefix;
}
