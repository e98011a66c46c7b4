/* The model's tensors as the matrices that the plan's operations take.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "model/npu-model.h"
#include "plan/npu-plan.h"

G_BEGIN_DECLS

/* What the weights of an operation are made of. */
typedef struct {
  const NpuTensor *weight[3]; /* one above the other; NULL past the last */
  const NpuTensor *bias[3];   /* of each; NULL is zeros */
  /* A convolution's [out][in][3], which becomes the linear map [out][3][in]
   * over three frames that follow each other. */
  gboolean is_conv;
} EncoderWeights;

/* One tensor and its bias, as they are. */
EncoderWeights encoder_weights_plain (
    const NpuTensor *weight, const NpuTensor *bias);
EncoderWeights encoder_weights_conv (
    const NpuTensor *weight, const NpuTensor *bias);
/* Query, key and value of a block as one map [3 d][d], and its bias [3 d] with
 * zeros for the key, which has none. */
EncoderWeights encoder_weights_qkv (const NpuModelBlock *block);

/* For a plan: reading fails where a tensor holds a NaN or an infinity. Shared
 * by the model's identity, which may be NULL. (transfer full) */
NpuPlanWeights encoder_weights_source (
    const EncoderWeights *weights, const char *identity);

G_END_DECLS
