/* Ways from a prompt to an answer: one token after the other, or several
 * answers at once, of which the likeliest is kept (openai/whisper, decoding.py,
 * TokenDecoder and SequenceRanker).
 *
 * A search does not call the source's step: it says which rows it wants next
 * and takes their logits, so that several searches can share a step.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "next-token.h"

G_BEGIN_DECLS

#define NPU_MAX_BEAMS 16
#define NPU_MAX_SAMPLES 16
#define NPU_MAX_ANSWERS MAX (NPU_MAX_BEAMS, NPU_MAX_SAMPLES)

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

typedef struct _NpuSearchStrategy NpuSearchStrategy;

/* One attempt at a window. The fields up to `first` are the caller's. */
typedef struct {
  const NpuLogitsSource *source;
  const NpuSpecialTokens *special;
  const NpuDecodingOptions *options;
  guint32 blank; /* the token " " */
  NpuLogitFilter filters[NPU_MAX_LOGIT_FILTERS];
  guint n_filters;
  const guint32 *prefix; /* [n_prefix] */
  guint n_prefix;
  guint first_sequence; /* of npu_search_n_sequences() that it may use: holds
                         * n_start tokens, those before the first sampled one */
  guint n_start;
  guint max_tokens;   /* of an answer, the prefix included; more than it */
  NpuNextToken first; /* what may come after n_start tokens */

  guint n_steps; /* tokens sampled, in all attempts */

  /*< private >*/
  const NpuSearchStrategy *strategy; /* NULL: no attempt is under way */
  float temperature;
  GArray *answers;  /* of NpuAnswer: samples, or beams */
  GArray *finished; /* of NpuAnswer: what beams became */
  /* Those of answers that grow, in the order of their rows. */
  guint open[NPU_MAX_ANSWERS];
  guint n_open;
  NpuRandom randoms[NPU_MAX_SAMPLES];
} NpuSearch;

/* How an answer is looked for. */
struct _NpuSearchStrategy {
  /* Takes search->first. */
  void (*begin) (NpuSearch *search);
  /* Takes what may come after each open answer. */
  gboolean (*take) (
      NpuSearch *search, float *const *logits, guint first_row, GError **error);
  /* The answers of which the best is kept, none if nothing could come. */
  GArray *(*get_answers) (NpuSearch *search);
};

extern const NpuSearchStrategy npu_sampling, npu_beam_search;

/* How many sequences of the source an attempt may use. */
guint npu_search_n_sequences (const NpuDecodingOptions *options);

/* Begins an attempt: the likeliest token, again and again, or beams at
 * temperature 0; else best_of samples. */
void npu_search_begin (NpuSearch *search, float temperature);

/* Appends to @rows the rows whose logits the attempt needs next, all of which
 * want logits; returns how many, 0 once it is at its end. */
guint npu_search_ask (const NpuSearch *search, GArray *rows);

/* Takes what was asked for: logits[n] of the source's last step, in which they
 * are the rows from @first_row on, counted among those that wanted logits. */
gboolean npu_search_take (
    NpuSearch *search, float *const *logits, guint first_row, GError **error);

/* Ends the attempt. @answer: (out): the best; to be cleared. */
void npu_search_end (NpuSearch *search, NpuAnswer *answer);

/* Ends an attempt of which nothing is wanted. */
void npu_search_clear (NpuSearch *search);

/* --- for strategies */

/* Reads what may come after @n_tokens tokens, in the @row-th row of the last
 * step. */
gboolean npu_search_read (NpuSearch *search, const guint32 *tokens,
    guint n_tokens, guint row, float *logits, NpuNextToken *next,
    GError **error);

/* How good an answer is among others: its sum by its length, or by the penalty
 * of Wu et al. 2016. */
double npu_search_rank (const NpuSearch *search, const NpuAnswer *answer);

/* An array of answers that clears them. */
GArray *npu_answers_new (void);

static inline NpuAnswer *
npu_answers_get (GArray *answers, guint i)
{
  return &g_array_index (answers, NpuAnswer, i);
}

G_END_DECLS
