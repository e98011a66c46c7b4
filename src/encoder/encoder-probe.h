/* Does int8 keep this model's states? A probe tells: a made-up window, encoded
 * in float and in int8.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Two tiles of positions, the second one short. */
#define ENCODER_PROBE_FRAMES 240
#define ENCODER_PROBE_POSITIONS (ENCODER_PROBE_FRAMES / 2)

/* Fills mel[n_mels][ENCODER_PROBE_FRAMES] with what resembles speech: vowels
 * whose formants glide, hisses, pauses, over a noise floor; always the same. */
void encoder_probe_fill (float *mel, guint n_mels);

/* Whether all but one in fifty of the probe's positions have a cosine of at
 * least 0.98 between @exact and @approximate, both [ENCODER_PROBE_POSITIONS]
 * [d]. In every model a few positions tip over at any rounding, float16's
 * too. */
gboolean encoder_probe_holds (
    const float *exact, const float *approximate, guint d);

G_END_DECLS
