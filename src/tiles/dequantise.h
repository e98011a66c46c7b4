/* Bytes to floats.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* x[64][64] = data[64][64] * scale. */
void tiles_dequantise (float *x, const gint8 *data, float scale);

G_END_DECLS
