/* The heads of cross-attention that follow the speech in time: at a token they
 * look at where it is spoken (openai/whisper, __init__.py, _ALIGNMENT_HEADS).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "model/npu-model.h"

G_BEGIN_DECLS

typedef struct {
  guint8 layer, head;
} NpuAlignmentHead;

/* Those of a model of OpenAI's, told by its layers, heads and vocabulary; of
 * any other, as OpenAI's code does, all heads of the upper half of its layers.
 * The two large models of 51865 tokens, v1 and v2, have one shape: it is v1
 * where "large-v1" stands in @location. (transfer full): of NpuAlignmentHead,
 * by layer. */
GArray *npu_alignment_heads_new (
    const NpuTransformerConfig *decoder, guint n_vocab, const char *location);

G_END_DECLS
