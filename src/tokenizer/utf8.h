/* Bytes that should be UTF-8 and perhaps are not (Unicode 3.9, WHATWG
 * Encoding).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Bytes of the well-formed character that bytes[n] begin with, n > 0. Where
 * there is none: *@is_valid is FALSE, and what is returned are the bytes of the
 * maximal part of one, at least 1: they are one U+FFFD. */
guint npu_utf8_next (const guint8 *bytes, gsize n, gboolean *is_valid);

/* Appends bytes[n] to @text, a U+FFFD for each maximal part that is not valid.
 * NUL is a character like others. */
void npu_utf8_append_valid (GString *text, const guint8 *bytes, gsize n);

/* The 25 code points with the property White_Space. g_unichar_isspace() lacks
 * U+000B and U+0085. */
gboolean npu_unichar_is_white_space (gunichar c);

/* What is left of the valid text[*n] without white space at its ends. */
const char *npu_utf8_strip (const char *text, gsize *n);

G_END_DECLS
