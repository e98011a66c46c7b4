/* What is done to words' times that cannot be right, and to text that cannot
 * be (openai/whisper, timing.py, add_word_timestamps, and transcribe.py).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "words.h"

G_BEGIN_DECLS

/* In seconds. */
typedef struct {
  double median; /* of words, at most 0.7 */
  double max;    /* that a word is believed to last: twice as long */
} NpuWordDurations;

/* Cuts words that last too long where a sentence ends: a mark at its end, the
 * word after one at its start. Before punctuation is merged. */
NpuWordDurations npu_words_cut_at_sentences (GArray *words);

/**
 * npu_words_fit_segment:
 * @words: [n], n > 0: those of one segment
 * @last_speech: end of the words before
 * @start: (inout): of the segment; @end likewise
 *
 * The first words after a pause are made as long as words are; then the
 * segment takes the times of its first and last word, or where these are far
 * outside of it, they its.
 */
void npu_words_fit_segment (NpuWord *words, guint n, NpuWordDurations durations,
    double last_speech, double *start, double *end);

/* Whether words[n] are unlikely, too short or too long for speech. */
gboolean npu_words_are_anomaly (const NpuWord *words, guint n);

G_END_DECLS
