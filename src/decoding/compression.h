/* How much a text repeats itself.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Bytes of text[n] by the bytes that zlib makes of it at level 6, its header
 * and checksum included (openai/whisper, utils.py). 0 for nothing. */
float npu_compression_ratio (const char *text, gsize n);

G_END_DECLS
