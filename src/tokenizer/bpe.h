/* Byte-level byte-pair encoding over a vocabulary whose ids are the merge ranks
 * (Sennrich et al. 2016; openai/tiktoken).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "vocabulary.h"

G_BEGIN_DECLS

typedef struct _NpuBpe NpuBpe;

/* @vocabulary must outlive it; every byte must be a token of it. */
NpuBpe *npu_bpe_new (const NpuVocabulary *vocabulary);
void npu_bpe_free (NpuBpe *bpe);

/* The token of bytes[n]; -1 if there is none. Of two the lower. */
gint32 npu_bpe_find (const NpuBpe *bpe, const guint8 *bytes, gsize n);

/* Appends the guint32 ids of one piece: again and again the two neighbours
 * whose joined bytes are the token of the lowest id become that token, the
 * leftmost first. O(n log n). */
void npu_bpe_encode (
    const NpuBpe *bpe, const guint8 *bytes, gsize n, GArray *tokens);

G_END_DECLS
