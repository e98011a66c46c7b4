/* Encoders of any width and depth made in memory, for tests that need many
 * runs or a shape that no file has.
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
 * Returns: (transfer full): a model; free with small_model_free() only.
 */
NpuModel *small_model_new (
    guint n_mels, guint d, guint n_layers, float outlier);
void small_model_free (NpuModel *model);

G_END_DECLS
