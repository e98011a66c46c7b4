/* Which words of a growing window are final: the policy of live captions, over
 * hypotheses, without a decoder and without a clock.
 *
 * A window is heard again and again while it grows, and each time there is a
 * hypothesis: words behind those that are committed, which stand as a forced
 * prefix. A word is committed once its attention ends well before the newest
 * audio (AlignAtt: Papi et al. 2023, Machacek and Polak 2025), at the end of an
 * utterance, or when its time is up; what is committed is never taken back.
 *
 * Times are the stream's, in ns.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _NpuCommitment NpuCommitment;

typedef struct {
  guint64 margin; /* between a word's end and now, for it to be final */
  float logprob_threshold;   /* a hypothesis below it is none */
  float no_speech_threshold; /* nor one above it, as long as nothing is
                              * committed in the utterance */
  guint context; /* tokens that are kept of what windows no longer hold */
} NpuCommitmentOptions;

/* A word of a hypothesis: tokens[first] to tokens[first + n - 1]. */
typedef struct {
  guint first, n;
  guint64 start, end; /* by its attention; start <= end */
  guint64 peak;       /* where most of its attention is */
  guint64 onset;      /* from where on most of it is, between start and end */
  guint sound;        /* the same for words that differ in marks and case only;
                       * 0 for marks alone */
  gboolean ends_sentence;
} NpuHypothesisWord;

/* What a window sounds like behind its prefix. */
typedef struct {
  guint64 start, end;    /* of the window's audio */
  gboolean is_last;      /* of the utterance: nothing is left open */
  gboolean is_held;      /* nothing is final but what is due */
  gboolean is_anew;      /* heard without its prefix */
  guint64 due;           /* words that begin before it are committed as they
                          * are; 0: none */
  const guint32 *tokens; /* [n_tokens], text alone */
  guint n_tokens;
  const NpuHypothesisWord *words; /* [n_words], in order, all of the tokens */
  guint n_words;
  float avg_logprob, no_speech_prob;
} NpuHypothesis;

/* What becomes of it. */
typedef struct {
  guint first;       /* word that is heard for the first time; those before it
                      * are committed already, and are heard again */
  guint n_committed; /* words from `first` on that are final from now on */
  guint n_shown;     /* words behind those that are likely to come */
  guint64 until;     /* end of the last committed word, or 0 */
  guint64 sentence;  /* end of the last committed sentence, or 0 */
  guint64 decided;   /* no text comes before it any more */
  gboolean has_looped;
} NpuCommit;

NpuCommitment *npu_commitment_new (const NpuCommitmentOptions *options);
void npu_commitment_free (NpuCommitment *commitment);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuCommitment, npu_commitment_free)

/* Forgets the stream. */
void npu_commitment_reset (NpuCommitment *commitment);

void npu_commitment_set_margin (NpuCommitment *commitment, guint64 margin);

/* Windows that hold what is committed are heard without a prefix, and the words
 * that come again are left out: in another language. */
void npu_commitment_hear_anew (NpuCommitment *commitment);

/**
 * npu_commitment_begin:
 * @start: of a window
 * @is_new: it is not the one before, grown or cut: after a hole, or the first
 *   of an utterance
 * @prefix: (out): (array length=n_prefix): the committed tokens that it still
 *   holds; valid until something is added
 * @draft: (out): (array length=n_draft): what was heard behind them the last
 *   time; likewise
 *
 * A window's start alone says which words it holds: those that end after it. So
 * windows may come late, or be cut elsewhere than was asked for.
 */
void npu_commitment_begin (NpuCommitment *commitment, guint64 start,
    gboolean is_new, const guint32 **prefix, guint *n_prefix,
    const guint32 **draft, guint *n_draft);

/* Above this no_speech_prob, nothing would come of the window that was begun; 0
 * where something is committed in the utterance. */
float npu_commitment_get_no_speech_threshold (const NpuCommitment *commitment);

/**
 * npu_commitment_get_context:
 * @n: (out)
 *
 * Of the window that was begun: the newest committed tokens before it, as many
 * as the options say. None after a hole, a loop, a silence of 5 s, or where
 * windows are heard anew.
 *
 * Returns: (transfer none) (array length=n): valid until something is added
 */
const guint32 *npu_commitment_get_context (
    const NpuCommitment *commitment, guint *n);

/**
 * npu_commitment_add:
 * @hypothesis: of the window that was begun
 * @words: (out): [n_words], the words, with times that do not run back
 *
 * Guards: a hypothesis that is unlikely or silence is none. Of a repetition, an
 * n-gram of 1 to 16 tokens for the third time (the fourth, where it is of one
 * or two), only the first is kept, unless each is heard further on than the one
 * before: then it was said. Words whose attention jumps back by more than 4 s,
 * or is on the silence behind the audio, are none, nor is what follows them;
 * nor are words of which four find no room for themselves.
 */
void npu_commitment_add (NpuCommitment *commitment,
    const NpuHypothesis *hypothesis, NpuHypothesisWord *words,
    NpuCommit *commit);

/* What guards would leave of a hypothesis. */
typedef struct {
  gboolean keeps_all; /* they leave out none of its words */
  gboolean has_looped;
  gboolean is_silence; /* or too unlikely, with nothing committed before it */
  guint64 until;       /* where the last word ends that is left, or 0 */
} NpuVerdict;

/* Before npu_commitment_add() of the same or another one of the window. */
NpuVerdict npu_commitment_judge (
    const NpuCommitment *commitment, const NpuHypothesis *hypothesis);

G_END_DECLS
