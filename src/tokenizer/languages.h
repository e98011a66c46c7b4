/* The languages that Whisper knows (openai/whisper, tokenizer.py).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Index of a language by code, English name or BCP 47 tag; -1 if unknown. */
int npu_language_find (const char *name);

G_END_DECLS
