/* The probabilities that one row of logits gives, unfiltered: of languages and
 * of no speech.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-decoding.h"

G_BEGIN_DECLS

/* Softmax of logits[n_vocab] at the no-speech token. FAILED for logits that are
 * not numbers. */
gboolean npu_no_speech_read (const NpuSpecialTokens *special,
    const float *logits, float *probability, GError **error);

/* Softmax over the language tokens alone, [n_languages], of the @row-th row of
 * the last step; returns the likeliest in *@language. */
gboolean npu_languages_read (const NpuLogitsSource *source,
    const NpuSpecialTokens *special, guint row, const float *logits,
    float *probabilities, int *language, GError **error);

G_END_DECLS
