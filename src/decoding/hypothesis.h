/* What a window sounds like behind a forced prefix: the likeliest token each
 * time, from a draft that one step verifies (Leviathan et al. 2023, greedy).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-decoding.h"

G_BEGIN_DECLS

/* The most drafted tokens that are looked at, in one step: of more than these
 * few are right. */
#define NPU_HYPOTHESIS_MAX_DRAFT 32

typedef struct {
  const guint32 *prompt; /* [n_prompt]: before sot */
  guint n_prompt;
  const guint32 *prefix; /* [n_prefix]: first tokens of the answer */
  guint n_prefix;        /* at most half of the positions */
  const guint32 *draft;  /* [n_draft]: what may follow them */
  guint n_draft;
  guint max_tokens; /* behind the prefix */

  /* A window that is less likely speech than this allows is not decoded: its
   * answer is empty. 0: any is */
  float no_speech_threshold;
} NpuHypothesisTask;

typedef struct {
  GArray *tokens;   /* of guint32: behind the prefix, text alone */
  float *attention; /* C float[n_rows][n_heads][n_positions], scores: of sot
                     * and all that follows it to the last token */
  guint n_rows;
  guint first_row;   /* it tells where the first of prefix and tokens is heard:
                      * n_rows = first_row + n_prefix + tokens->len + 1 */
  float avg_logprob; /* of what was sampled, with eot */
  float no_speech_prob;
  gboolean is_cut; /* at max_tokens, without eot */
  guint n_steps;   /* of the decoder */
  guint n_sampled; /* tokens that were not drafted right, with eot */
} NpuHeard;

void npu_heard_clear (NpuHeard *heard);

/**
 * npu_hypothesis_decode:
 * @window: number of the window in @source
 * @n_positions: of the window, as it was set
 * @options: task, language (of a multilingual model, not -1), and what is
 *   suppressed; timestamps are off, there is no search and no fallback
 * @heard: (out): to be cleared, where %TRUE is returned
 *
 * The tokens are the same with any draft. Uses sequence 0.
 *
 * Returns: %FALSE with @error set: SETTINGS for a prefix that is too long;
 *   FAILED for logits that are not numbers; what
 *   the source says
 */
gboolean npu_hypothesis_decode (const NpuLogitsSource *source,
    NpuTokenizer *tokenizer, guint window, guint n_positions,
    const NpuDecodingOptions *options, const NpuHypothesisTask *task,
    NpuHeard *heard, GError **error);

G_END_DECLS
