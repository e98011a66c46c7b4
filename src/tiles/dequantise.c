/* Built by itself, at -O3: a loop of bytes to floats that -O2 leaves scalar
 * was most of a tile's packing.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "dequantise.h"

void
tiles_dequantise (float *restrict x, const gint8 *restrict data, float scale)
{
  for (guint i = 0; i < 64 * 64; i++)
    x[i] = (float) data[i] * scale;
}
