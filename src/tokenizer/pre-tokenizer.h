/* Text to the pieces that byte pairs are merged in: the pattern of GPT-2
 * (openai/tiktoken, tiktoken_ext/openai_public.py),
 *
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Bytes of the piece that text[n] begins with; n > 0 bytes of valid UTF-8. */
gsize npu_next_piece (const char *text, gsize n);

G_END_DECLS
