/* Whisper's decoder in float64 and plain loops, for tests to compare with.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "model/npu-model.h"

G_BEGIN_DECLS

/**
 * ref_decoder_logits:
 * @states: [n_states][d]
 * @tokens: [n_tokens]
 *
 * Returns: (transfer full): [n_tokens][n_vocab] logits of each token after
 *   those before it.
 */
double *ref_decoder_logits (NpuModel *model, const float *states,
    guint n_states, const guint32 *tokens, guint n_tokens);

/* The same, and scores (out caller-allocates): [n_layers][n_heads][n_tokens]
 * [n_states], of cross-attention before the softmax; or NULL. */
double *ref_decoder_attending (NpuModel *model, const float *states,
    guint n_states, const guint32 *tokens, guint n_tokens, double *scores);

G_END_DECLS
