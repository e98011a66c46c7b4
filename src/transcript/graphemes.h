/* Characters as readers see them: where a text may be cut (Unicode, UAX 29,
 * extended grapheme clusters, by what GLib tells of a code point).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Whether there is a border between the valid UTF-8 @before and @after. Empty
 * text has one. */
gboolean npu_graphemes_break (const char *before, const char *after);

/* How many of them text[n], valid UTF-8, has. */
guint npu_graphemes_count (const char *text, gsize n);

G_END_DECLS
