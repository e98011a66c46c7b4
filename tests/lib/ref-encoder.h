/* Whisper's encoder in float64 and plain loops, for tests to compare with
 * (Radford et al. 2022; openai/whisper, model.py, AudioEncoder).
 *
 * It shares nothing with the encoder under test but the reading of weights.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "model/npu-model.h"

G_BEGIN_DECLS

typedef struct _RefEncoder RefEncoder;

/* Copies the weights; a tensor that cannot be read fails the test. */
RefEncoder *ref_encoder_new (const NpuModel *model);
void ref_encoder_free (RefEncoder *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (RefEncoder, ref_encoder_free)

/**
 * ref_encoder_encode:
 * @mel: [n_mels][n_frames]
 * @n_frames: even, 2 to 3000
 *
 * One core takes about 0.3 s for 400 frames of the tiny size.
 *
 * Returns: (transfer full): [n_frames / 2][d] floats, rounded from doubles.
 */
float *ref_encoder_encode (RefEncoder *self, const float *mel, guint n_frames);

G_END_DECLS
