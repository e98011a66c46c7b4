/* The bytes of a model's text tokens, and where they come from.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-tokenizer.h"

G_BEGIN_DECLS

/* Text tokens 0 to n_text - 1: all before eot. */
typedef struct {
  NpuSpecialTokens special;
  guint n_text;
  char *file; /* for messages */
  GByteArray *bytes;
  GByteArray *token;          /* one on its way from an alphabet */
  guint32 *offsets, *lengths; /* [n_text] in bytes */
  guint8 *is_known;           /* [n_text] */
  guint n_known;
} NpuVocabulary;

/* Empty, for a model with @special. */
NpuVocabulary *npu_vocabulary_new (
    const NpuSpecialTokens *special, const char *file);
void npu_vocabulary_free (NpuVocabulary *vocabulary);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuVocabulary, npu_vocabulary_free)

static inline const guint8 *
npu_vocabulary_get (const NpuVocabulary *vocabulary, guint32 id, gsize *n)
{
  *n = vocabulary->lengths[id];
  return vocabulary->bytes->data + vocabulary->offsets[id];
}

/* Token @id is bytes[n]. Ids from eot on are only looked at: a special token's
 * name must be the one that the model has at this id. FORMAT for an id that the
 * model has not, that comes twice, or a name at the wrong place. */
gboolean npu_vocabulary_add (NpuVocabulary *vocabulary, guint64 id,
    const guint8 *bytes, gsize n, GError **error);

/* The same, of text in GPT-2's alphabet, a printable character for each byte
 * (openai/gpt-2, encoder.py, bytes_to_unicode). */
gboolean npu_vocabulary_add_text (NpuVocabulary *vocabulary, guint64 id,
    const char *text, gsize n, GError **error);

/* FORMAT unless it has all text tokens, and each byte is one. */
gboolean npu_vocabulary_finish (NpuVocabulary *vocabulary, GError **error);

/* Fills @vocabulary from what is in a file of its name: */
/* tokenizer.json, vocab.json, vocabulary.json */
gboolean npu_vocabulary_read_json (
    NpuVocabulary *vocabulary, const char *text, gsize n, GError **error);
/* vocabulary.txt: a token a line */
gboolean npu_vocabulary_read_lines (
    NpuVocabulary *vocabulary, const char *text, gsize n, GError **error);
/* *.tiktoken: base64, a space, the rank, a line */
gboolean npu_vocabulary_read_tiktoken (
    NpuVocabulary *vocabulary, const char *text, gsize n, GError **error);
gboolean npu_vocabulary_is_tiktoken (const char *text, gsize n);

/* By what @text is like. */
gboolean npu_vocabulary_read (
    NpuVocabulary *vocabulary, const char *text, gsize n, GError **error);

/* A ggml file, which begins with "lmgg": it is read as a model. */
gboolean npu_vocabulary_is_ggml (const char *location);

/* A file, or a folder that holds one. */
NpuVocabulary *npu_vocabulary_open (
    const NpuSpecialTokens *special, const char *location, GError **error);
/* Beside the model's file, or in its folder. */
NpuVocabulary *npu_vocabulary_open_beside (const NpuSpecialTokens *special,
    const char *model_location, GError **error);

/* Whole: all bytes, then made-up words. */
NpuVocabulary *npu_vocabulary_new_synthetic (
    const NpuSpecialTokens *special, const char *name);

G_END_DECLS
