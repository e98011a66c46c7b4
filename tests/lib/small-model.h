/* Encoders, and decoders, of any width and depth made in memory, for tests that
 * need many runs or a shape that no file has.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "model/npu-model.h"

G_BEGIN_DECLS

/**
 * small_model_new:
 * @d: width, a multiple of 64
 * @outlier: 0, or how large a few channels of the residual are, and ten times
 *   what they are after GELU; real models have such channels
 *
 * Random F32 weights that keep the activations' scale, the same for the same
 * arguments; 1500 positions.
 *
 * Returns: (transfer full): a model without a decoder.
 */
NpuModel *small_model_new (
    guint n_mels, guint d, guint n_layers, float outlier);
void small_model_free (NpuModel *model); /* npu_model_unref() */

/* Gives a small model that has none a decoder of @n_layers, @n_vocab tokens and
 * @n_positions; any numbers will do. */
void small_model_add_decoder (
    NpuModel *model, guint n_layers, guint n_vocab, guint n_positions);

G_END_DECLS
