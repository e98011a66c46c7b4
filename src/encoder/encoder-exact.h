/* A short window in float, without an encoder in float: a few blocks at a time
 * are opened, run and freed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "encoder-plan.h"

G_BEGIN_DECLS

#define ENCODER_EXACT_WEIGHTS (10u << 20) /* 40 MiB */

/**
 * encoder_exact_encode:
 * @weights: of the blocks that are open at once; but at least a block
 * @plan: (inout): the part that ran last, or NULL before the first; the caller
 *   frees it after the executor, which may still use it after a failure
 * @mel: [n_mels][n_frames]
 * @states: (out caller-allocates): [n_frames / 2][d]
 *
 * Returns: %FALSE with @error set where weights could not be read or a launch
 * failed.
 */
gboolean encoder_exact_encode (const NpuModel *model, NpuDevice *device,
    NpuExecutor *executor, guint weights, EncoderPlan **plan, const float *mel,
    guint n_frames, float *states, GError **error);

G_END_DECLS
