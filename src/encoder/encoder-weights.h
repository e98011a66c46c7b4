/* The model's tensors as the matrices that the plan's operations take.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "model/npu-model.h"

G_BEGIN_DECLS

/* All return newly allocated floats (g_free), or NULL with @error set where
 * the tensor holds a NaN or an infinity. */

/* The tensor as it is. */
float *encoder_weights_plain (const NpuTensor *tensor, GError **error);

/* A convolution's [out][in][3] as the linear map [out][3][in] over three
 * frames that follow each other. */
float *encoder_weights_conv (const NpuTensor *tensor, GError **error);

/* Query, key and value of a block as one map [3 d][d], and its bias [3 d]
 * with zeros for the key, which has none. */
float *encoder_weights_qkv (const NpuModelBlock *block, GError **error);
float *encoder_weights_qkv_bias (const NpuModelBlock *block, GError **error);

G_END_DECLS
