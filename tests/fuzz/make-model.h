/* Model files made by a tape of decisions: nearly whole models in every format
 * and naming, with a few things wrong.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A file of *@file_size bytes, which lies against a page that may not be
 * touched; until the next call. */
const guint8 *make_model (const guint8 *tape, gsize size, gsize *file_size);

G_END_DECLS
