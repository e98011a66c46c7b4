/* Floats to the types of model files, by ggml's reference arithmetic
 * (ggml/src/ggml-quants.c, quantize_row_*_ref).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "model/npu-model.h"

G_BEGIN_DECLS

/* Round to nearest, ties to even. */
guint16 quantise_half (float x);
guint16 quantise_bfloat16 (float x);

/* Appends @x[n], all finite, as @dtype; n is a multiple of 32 for the block
 * types. */
void quantise_append (
    GByteArray *bytes, NpuDtype dtype, const float *x, gsize n);

G_END_DECLS
