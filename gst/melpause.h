/* Where speech may be cut.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * mel_pause_find:
 * @samples: 16 kHz
 * @first: the quietest piece is looked for from this sample on
 * @end: and up to this one
 * @length: of the piece, in samples, whole steps of 10 ms
 *
 * Returns: the middle of the piece with the least energy, the latest of
 *   several; @end where there is no room for one.
 */
gsize mel_pause_find (
    const float *samples, gsize first, gsize end, gsize length);

G_END_DECLS
