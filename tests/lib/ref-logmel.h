/* Whisper's log-mel in float64, in plain loops over its definition, to judge
 * the product by.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Returns [n_mels][n_frames] of @n_samples at 16 kHz, padded with silence to
 * n_frames * 160, which is more than 200. Free with g_free(). */
float *ref_log_mel (
    const float *samples, gsize n_samples, guint n_mels, guint n_frames);

G_END_DECLS
