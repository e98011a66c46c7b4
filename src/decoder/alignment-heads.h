/* The heads of cross-attention that follow the speech in time: at a token they
 * look at where it is spoken (openai/whisper, __init__.py, _ALIGNMENT_HEADS).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "model/npu-model.h"

G_BEGIN_DECLS

/* Those of a shape of OpenAI's, told by its layers, heads and vocabulary; of
 * any other, as OpenAI's code does, all heads of the upper half of its layers.
 * The two large models of 51865 tokens, v1 and v2, have one shape: it is v1
 * where "large-v1" stands in @location. (transfer full): of NpuAlignmentHead,
 * by layer. */
GArray *npu_alignment_heads_new (
    const NpuTransformerConfig *decoder, guint n_vocab, const char *location);

/* Those that the model's own files name, else those of its shape. (transfer
 * full): as above. */
GArray *npu_alignment_heads_for_model (NpuModel *model);

G_END_DECLS
