/* Text as a cue may have it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-api.h"

G_BEGIN_DECLS

/* Appends the valid UTF-8 of text[n] to @cue, without white space at its ends;
 * line ends and tabs are spaces, of several spaces one; controls and a byte
 * order mark at the start are left out, and so is a character that was cut at
 * the end (U+FFFD); "-->", which separates times in SRT and WebVTT, is an
 * arrow. */
NPU_API void npu_cue_text_append (GString *cue, const char *text, gsize n);

/* Whether there is a letter, a digit or a sign for something in it, such as a
 * currency, not marks alone. */
gboolean npu_cue_text_has_word (const char *text);

G_END_DECLS
