/* Caps of hidden states as whisperdecoder takes them: other/tensors with
 * dimensions=D:T:1, C [1][T][D], of floats or half floats.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define STATES_MAX_POSITIONS 1500

typedef struct {
  guint n_positions, d; /* 0: not known */
  gboolean half;
} StatesFormat;

/* In bytes, of one window. */
gsize states_format_size (const StatesFormat *format);

/* Returns: %FALSE with @error set, a GST_STREAM_ERROR that says what is wrong
 * with fixed caps and what to do. */
gboolean states_caps_parse (
    const GstCaps *caps, StatesFormat *format, GError **error);

/* Returns: (transfer full): @caps (transfer full) without dimensions that are
 * no states. */
GstCaps *states_caps_keep (GstCaps *caps);

/* Returns: %FALSE with @error set where the states are not of the width that a
 * model named @model takes, @d. */
gboolean states_format_check_width (
    const StatesFormat *format, guint d, const char *model, GError **error);

G_END_DECLS
