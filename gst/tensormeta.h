/* GstTensorMeta (GStreamer 1.26) on buffers of hidden states; nothing where
 * the library that has it was not present at build time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Identifies the tensor: g_quark_from_string (STATES_TENSOR_ID). */
#define STATES_TENSOR_ID "whisper-encoder-states"

/* Describes @buffer, which holds [1][n_positions][d] values and nothing else,
 * by a tensor over the same memory. */
void tensor_meta_add_states (
    GstBuffer *buffer, guint n_positions, guint d, gboolean half);

/* Whether @meta describes tensors. */
gboolean tensor_meta_is_tensor (const GstMeta *meta);

G_END_DECLS
