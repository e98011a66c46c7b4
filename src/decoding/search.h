/* Ways from a prompt to an answer: one token after the other, or several
 * answers at once, of which the likeliest is kept (openai/whisper, decoding.py,
 * TokenDecoder and SequenceRanker).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "next-token.h"

G_BEGIN_DECLS

#define NPU_MAX_BEAMS 16
#define NPU_MAX_SAMPLES 16

/* What all attempts at a window share. Sequence 0 of the source holds n_start
 * tokens, those before the first that is sampled. */
typedef struct {
  const NpuLogitsSource *source;
  const NpuSpecialTokens *special;
  const NpuDecodingOptions *options;
  guint32 blank; /* the token " " */
  NpuLogitFilter filters[NPU_MAX_LOGIT_FILTERS];
  guint n_filters;
  const guint32 *prefix; /* [n_prefix] */
  guint n_prefix;
  guint n_start;
  guint max_tokens;   /* of an answer, the prefix included; more than it */
  NpuNextToken first; /* what may come after n_start tokens */
  float *rows;        /* [max (beam_size, best_of)][n_vocab] */
  guint n_steps;      /* tokens sampled, in all attempts */
} NpuSearch;

/* An answer, whole or on its way. */
typedef struct {
  GArray
      *tokens; /* of guint32: the prefix, and what was sampled, without eot */
  double sum;  /* of log-probabilities, eot's included */
  gboolean has_ended; /* by eot */
  guint sequence;     /* of the source */
} NpuAnswer;

void npu_answer_init (
    NpuAnswer *answer, const guint32 *tokens, guint n_tokens, guint sequence);
void npu_answer_clear (NpuAnswer *answer);

/* Reads what may come after @n_tokens tokens, in the @row-th row of the last
 * step. */
gboolean npu_search_read (NpuSearch *search, const guint32 *tokens,
    guint n_tokens, guint row, float *logits, NpuNextToken *next,
    GError **error);

/* Gives the last token of each of answers[n] to the source; search->rows has
 * their logits. */
gboolean npu_search_step (NpuSearch *search, const NpuAnswer *const *answers,
    guint n, GError **error);

/* How good an answer is among others: its sum by its length, or by the penalty
 * of Wu et al. 2016. */
double npu_search_rank (const NpuSearch *search, const NpuAnswer *answer);

/* The likeliest token, again and again, at temperature 0; else the best of
 * best_of samples. @answer: (out): to be cleared. */
gboolean npu_search_sample (
    NpuSearch *search, float temperature, NpuAnswer *answer, GError **error);

/* The best of the beams. */
gboolean npu_search_beam (NpuSearch *search, NpuAnswer *answer, GError **error);

/* The answers that a beam search found, in the order in which it did; for
 * tests. (transfer full): of NpuAnswer. */
GArray *npu_search_beam_all (NpuSearch *search, GError **error);

G_END_DECLS
