/* A decoder that has lost its way repeats itself.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The number of tokens[n] up to the end of the first instance of an n-gram of 1
 * to 16 tokens that comes three times in a row, or four times where it has one
 * or two; @n where there is none. @length: (out): tokens of the n-gram, or 0 */
guint npu_repetition_find (const guint32 *tokens, guint n, guint *length);

G_END_DECLS
