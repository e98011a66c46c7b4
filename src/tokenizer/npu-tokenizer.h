/* Whisper's vocabulary: token ids to bytes, text to token ids, and the ids
 * with a meaning of their own (openai/whisper, tokenizer.py).
 *
 * A token's id is its merge rank, so no list of merges is read. Immutable, any
 * thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "model/npu-model.h"
#include "npu-api.h"

G_BEGIN_DECLS

typedef struct _NpuTokenizer NpuTokenizer;

typedef struct {
  guint n_vocab; /* 51864, 51865, 51866 */
  gboolean is_multilingual;
  guint n_languages; /* 99 or 100; their tokens are sot + 1 ... */
  guint32 eot, sot, translate, transcribe, start_of_lm, start_of_prev,
      no_speech, no_timestamps, timestamp_begin;
} NpuSpecialTokens;

/* Seconds from one timestamp token to the next, and how many there are. */
#define NPU_TIMESTAMP_NS 20000000
#define NPU_N_TIMESTAMPS 1501

/* FALSE for a size that is none of the three. */
NPU_API gboolean npu_special_tokens_init (
    NpuSpecialTokens *special, guint n_vocab);

/**
 * npu_tokenizer_new:
 * @model: its decoder's n_vocab decides about the special tokens
 * @location: (nullable): tokenizer.json, vocab.json, vocabulary.txt or .json,
 *   *.tiktoken, a ggml file, or a folder that has one of the first five; %NULL
 *   looks inside the model and beside it, there for NAME-tokenizer.json too,
 *   where the model's name begins with NAME. Told by content, not by name
 *
 * Returns: (transfer full): a tokenizer, or %NULL with @error set: NOT_FOUND
 *   names all that was looked for; FORMAT where the file and the model differ
 *   in count
 *   or in where special tokens are, or where n_vocab is none of Whisper's.
 */
NPU_API NpuTokenizer *npu_tokenizer_new (
    NpuModel *model, const char *location, GError **error);
NPU_API NpuTokenizer *npu_tokenizer_ref (NpuTokenizer *tokenizer);
NPU_API void npu_tokenizer_unref (NpuTokenizer *tokenizer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuTokenizer, npu_tokenizer_unref)

NPU_API const NpuSpecialTokens *npu_tokenizer_get_special (
    NpuTokenizer *tokenizer);

/* The token of a space alone. */
NPU_API guint32 npu_tokenizer_get_blank (NpuTokenizer *tokenizer);

/* The bytes of a text token, perhaps half a character; NULL and 0 for tokens
 * that are no text. May hold NUL. */
NPU_API const guint8 *npu_tokenizer_get_bytes (
    NpuTokenizer *tokenizer, guint32 token, gsize *n);

/* The text of tokens[n], special and timestamp tokens left out: valid UTF-8,
 * one U+FFFD for each maximal part that is not (WHATWG, Unicode 3.9).
 * (transfer full): may hold NUL, @length (optional) bytes without the last. */
NPU_API char *npu_tokenizer_decode (
    NpuTokenizer *tokenizer, const guint32 *tokens, guint n, gsize *length);

/* Appends the guint32 ids of @text, in which the names of special tokens are
 * plain text. */
NPU_API void npu_tokenizer_encode (
    NpuTokenizer *tokenizer, const char *text, gssize length, GArray *tokens);

/* Index of a language by Whisper's code or English name, or by a BCP 47 tag
 * whose first subtag counts; -1 where the model does not know it. */
NPU_API int npu_tokenizer_find_language (
    NpuTokenizer *tokenizer, const char *name);
/* "en", "haw"; NULL past the last. */
NPU_API const char *npu_language_get_code (guint index);
/* "English" */
NPU_API const char *npu_language_get_name (guint index);

/* The ids of "-1" in suppress-tokens: non-speech, and the special tokens that
 * never are an answer. (transfer none): sorted. */
NPU_API const guint32 *npu_tokenizer_get_suppressed (
    NpuTokenizer *tokenizer, guint *n);

G_END_DECLS
