/* Tokenizers without a model.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-tokenizer.h"
#include "vocabulary.h"

G_BEGIN_DECLS

/* @vocabulary: (transfer full): finished */
NpuTokenizer *npu_tokenizer_new_of_vocabulary (NpuVocabulary *vocabulary);

/* @location: as of npu_tokenizer_new(), not %NULL */
NpuTokenizer *npu_tokenizer_new_of_file (
    guint n_vocab, const char *location, GError **error);

/* FORMAT names the number. */
gboolean npu_special_tokens_init_or_fail (
    NpuSpecialTokens *special, guint n_vocab, GError **error);

G_END_DECLS
