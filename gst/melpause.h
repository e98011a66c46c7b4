/* Where speech may be cut.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The middle of the quietest quarter of a second of samples[n] that is in its
 * last third, the latest of several; @n where that is shorter. 16 kHz. */
gsize mel_pause_find (const float *samples, gsize n);

G_END_DECLS
