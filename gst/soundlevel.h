/* How loud samples are.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Mean power of @samples, [n], n > 0, without their mean, which nobody hears,
 * in dB of full scale; -120 for silence. */
double sound_level (const float *samples, gsize n);

G_END_DECLS
