/* Caps of mel and of hidden states: other/tensors, whose dimensions are a
 * string, innermost first, with or without trailing 1s (nnstreamer's
 * convention). "3000:80:1" is C float[1][80][3000].
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* C [1][outer][inner]: mel is [1][bands][frames], states are
 * [1][positions][width]. */
typedef struct {
  guint inner, outer;
} TensorDims;

/* Returns %FALSE unless @text is two positive numbers and any number of 1s. */
gboolean tensor_dims_parse (const char *text, TensorDims *dims);

/* What the caps on one side say about those on the other. */
typedef struct {
  guint n_mels;     /* bands of the model, 0 while none is loaded */
  guint d;          /* width of its states, 0 while none is loaded */
  const char *type; /* of the states: "float32" or "float16" */
} TensorShapes;

/* Returns: (transfer full): caps of the states of mel that has @caps. */
GstCaps *tensor_caps_mel_to_states (
    const GstCaps *caps, const TensorShapes *shapes);

/* Returns: (transfer full): caps of mel whose states can have @caps. Where
 * those leave the dimensions open, a whole window of 30 s comes first, so that
 * the number of bands can be read from the first structure. */
GstCaps *tensor_caps_states_to_mel (
    const GstCaps *caps, const TensorShapes *shapes);

/* Returns: (transfer full): @caps without dimensions that are no mel. */
GstCaps *tensor_caps_keep_mel (
    GstCaps *caps /* transfer full */, const TensorShapes *shapes);

/**
 * tensor_caps_parse_mel:
 * @caps: fixed caps that arrived on a sink pad
 * @n_mels: bands that the model takes
 * @n_frames: (out): frames of a window
 *
 * Returns: %FALSE with @error set to a GST_STREAM_ERROR that says what is
 * wrong with the dimensions and what to do.
 */
gboolean tensor_caps_parse_mel (
    const GstCaps *caps, guint n_mels, guint *n_frames, GError **error);

/* Returns: whether @caps are those of states [1][n_positions][d]. */
gboolean tensor_caps_are_states (
    const GstCaps *caps, const TensorShapes *shapes, guint n_positions);

G_END_DECLS
