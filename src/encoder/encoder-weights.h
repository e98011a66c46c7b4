/* The model's tensors as the matrices that the plan's operations take.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "model/npu-model.h"

G_BEGIN_DECLS

/* What the weights of an operation are made of. */
typedef struct {
  const NpuTensor *weight[3]; /* one above the other; NULL past the last */
  const NpuTensor *bias[3];   /* of each; NULL is zeros */
  /* A convolution's [out][in][3], which becomes the linear map [out][3][in]
   * over three frames that follow each other. */
  gboolean is_conv;
} EncoderWeights;

/* Memory for the weights of one operation after another. */
typedef struct {
  float *weight, *bias;
  float *row; /* of a convolution */
  gsize n_weight, n_bias, n_row;
} EncoderFloats;

/* One tensor and its bias, as they are. */
EncoderWeights encoder_weights_plain (
    const NpuTensor *weight, const NpuTensor *bias);
EncoderWeights encoder_weights_conv (
    const NpuTensor *weight, const NpuTensor *bias);
/* Query, key and value of a block as one map [3 d][d], and its bias [3 d] with
 * zeros for the key, which has none. */
EncoderWeights encoder_weights_qkv (const NpuModelBlock *block);

/* Names their numbers for sharing: of the model's identity, which may be NULL,
 * and then there is no name. (transfer full) */
char *encoder_weights_key (const EncoderWeights *weights, const char *identity);

/* Reads them into @floats->weight and @floats->bias; FALSE with @error set
 * where a tensor holds a NaN or an infinity. */
gboolean encoder_weights_read (
    const EncoderWeights *weights, EncoderFloats *floats, GError **error);
void encoder_floats_clear (EncoderFloats *floats);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (EncoderFloats, encoder_floats_clear)

G_END_DECLS
