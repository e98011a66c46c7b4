/* Weights of int8 products, the same on every device.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * q8_weights_quantise:
 * @q: (out): [n][k]
 * @scale: (out): [n]: a weight is about q * scale, after the rotation
 * @sum: (out): [n]: the sum of q over k
 * @weight: [n][k], k a multiple of 64
 *
 * Rotates each output column's weights as rows of activations are when they
 * become q8 tiles (npu-rotate.h), and quantises them.
 */
void q8_weights_quantise (
    gint8 *q, float *scale, gint32 *sum, const float *weight, guint n, guint k);

G_END_DECLS
