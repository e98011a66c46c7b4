/* What a sequence's next token may be, and how likely.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "logit-filters.h"
#include "logits.h"
#include "random.h"

G_BEGIN_DECLS

/* Candidates of a kind, text or timestamps. A beam of 16 takes 17. */
#define NPU_N_CANDIDATES 17

/* Logits of products with weights of 8 bits are off by 0.7 at most, measured on
 * base: what is further than this below the best is not the exact best. */
#define NPU_INEXACT_MARGIN 3.0f

/* One row of filtered logits. */
typedef struct {
  float *logits; /* [n_vocab], of the caller */
  guint n_text;  /* ids below are text and the like, from here timestamps */
  guint n_vocab;
  /* The likeliest, text and timestamps together, largest first. None: nothing
   * may come. */
  NpuCandidate best[2 * NPU_N_CANDIDATES];
  guint n_best;
  double logsumexp; /* of all that may come */
} NpuNextToken;

/* Asks for exact logits of ids[n]; NULL where all are. */
typedef gboolean (*NpuRefineFunc) (
    gpointer data, const guint32 *ids, guint n, float *logits, GError **error);

/**
 * npu_next_token_read:
 * @logits: [n_vocab], as the decoder gives them; filtered in place and kept
 *
 * Applies @filters, makes the likeliest exact, then lets only a timestamp come
 * where those together are likelier than any other token.
 *
 * Returns: %FALSE with @error set: FAILED where a logit that counts is NaN or
 *   plus infinity
 */
gboolean npu_next_token_read (NpuNextToken *next,
    const NpuFilterContext *context, const NpuLogitFilter *filters,
    guint n_filters, NpuRefineFunc refine, gpointer data, float *logits,
    GError **error);

static inline double
npu_next_token_logprob (const NpuNextToken *next, guint32 id)
{
  return next->logits[id] - next->logsumexp;
}

/* Draws from softmax (logits / temperature), temperature > 0. */
guint32 npu_next_token_draw (
    const NpuNextToken *next, float temperature, NpuRandom *random);

G_END_DECLS
