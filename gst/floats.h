/* Arrays of floats as they leave and enter a pad: half precision, and a check
 * for values that no mel has.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* y[n] = x[n] in IEEE half precision, rounded to nearest, ties to even. What
 * is too large becomes an infinity. @y need not be aligned. */
void floats_to_half (void *y, const float *x, gsize n);

/* y[n] = x[n], which is in IEEE half precision and need not be aligned. */
void floats_from_half (float *y, const void *x, gsize n);

/* Returns: the index of the first NaN or infinity in x[n]; n where all are
 * finite. */
gsize floats_find_non_finite (const float *x, gsize n);

G_END_DECLS
