/* Caps of log-mel windows: other/tensors with dimensions FRAMES:BANDS:1.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* What every mel has in common; dimensions are a string and left open here:
 * "3000:80:1", innermost first, is C float[1][80][3000]. */
#define MEL_CAPS                                                               \
  "other/tensors, format=(string)static, num_tensors=(int)1, types=(string)float32, framerate=(fraction)0/1"

/**
 * mel_caps_new:
 * @n_mels: 80 or 128, or 0 for either, 80 first
 * @step: at least 1
 *
 * Returns: (transfer full): caps for windows of @first frames, @first + @step
 * and so on up to @last, with each spelling of the dimensions, because caps
 * compare them as strings.
 */
GstCaps *mel_caps_new (guint n_mels, guint first, guint last, guint step);

/* The bands that @caps ask for first: 80, 128, or 0 where they do not say. */
guint mel_caps_get_wish (const GstCaps *caps);

/* The bands of fixed @caps made by mel_caps_new(). */
guint mel_caps_get_n_mels (const GstCaps *caps);

G_END_DECLS
