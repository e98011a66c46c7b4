/* One window: a buffer of mel in, a buffer of hidden states out.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "encoder/npu-encoder.h"

G_BEGIN_DECLS

/* What the caps say of a window. */
typedef struct {
  guint n_frames;
  guint n_mels;
  guint d;
  gboolean half; /* states are 16-bit floats */
} GstNpuEncoderWindow;

/* In bytes. */
gsize gst_npu_encoder_window_mel_size (const GstNpuEncoderWindow *window);
gsize gst_npu_encoder_window_states_size (const GstNpuEncoderWindow *window);

/**
 * gst_npu_encoder_window_encode:
 * @mel: C float[1][n_mels][n_frames]
 * @states: (inout): C float[1][n_frames / 2][d], or half floats; of that size
 *   or larger, and cut to it
 *
 * Returns: %FALSE with @error set: a GST_STREAM_ERROR where the mel is of
 * another size or has a value that is not finite, a GST_RESOURCE_ERROR where a
 * buffer cannot be mapped, or what npu_encoder_encode() says.
 */
gboolean gst_npu_encoder_window_encode (const GstNpuEncoderWindow *window,
    NpuEncoder *encoder, GstBuffer *mel, GstBuffer *states, NpuStats *stats,
    GError **error);

G_END_DECLS
