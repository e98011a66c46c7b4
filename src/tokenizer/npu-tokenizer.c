/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-tokenizer.h"

#include <string.h>

#include "bpe.h"
#include "languages.h"
#include "non-speech.h"
#include "npu-error.h"
#include "pre-tokenizer.h"
#include "tokenizer-private.h"
#include "utf8.h"

struct _NpuTokenizer {
  gatomicrefcount refs;
  NpuVocabulary *vocabulary;
  NpuBpe *bpe;
  GArray *suppressed; /* of guint32 */
};

gboolean
npu_special_tokens_init (NpuSpecialTokens *special, guint n_vocab)
{
  const gboolean is_multilingual = n_vocab >= 51865;
  const guint n_others = 51765; /* than languages, English-only */
  guint32 next;

  if (n_vocab < 51864 || n_vocab > 51866)
    return FALSE;
  special->n_vocab = n_vocab;
  special->is_multilingual = is_multilingual;
  special->n_languages = n_vocab - n_others - is_multilingual;
  special->eot = 50256 + is_multilingual;
  special->sot = special->eot + 1;
  next = special->sot + 1 + special->n_languages;
  special->translate = next++;
  special->transcribe = next++;
  special->start_of_lm = next++;
  special->start_of_prev = next++;
  special->no_speech = next++;
  special->no_timestamps = next++;
  special->timestamp_begin = next;
  return TRUE;
}

NpuTokenizer *
npu_tokenizer_new_of_vocabulary (NpuVocabulary *vocabulary)
{
  NpuTokenizer *tokenizer = g_new0 (NpuTokenizer, 1);

  g_atomic_ref_count_init (&tokenizer->refs);
  tokenizer->vocabulary = vocabulary;
  tokenizer->bpe = npu_bpe_new (vocabulary);
  tokenizer->suppressed = npu_non_speech_tokens (tokenizer);
  return tokenizer;
}

gboolean
npu_special_tokens_init_or_fail (
    NpuSpecialTokens *special, guint n_vocab, GError **error)
{
  if (npu_special_tokens_init (special, n_vocab))
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_FORMAT,
      "the model has %u tokens; Whisper's models have 51864 (English-only), 51865 or 51866 (multilingual), and what the special tokens of others are is not known",
      n_vocab);
  return FALSE;
}

NpuTokenizer *
npu_tokenizer_new_of_file (guint n_vocab, const char *location, GError **error)
{
  NpuSpecialTokens special;
  NpuVocabulary *vocabulary;

  if (!npu_special_tokens_init_or_fail (&special, n_vocab, error))
    return NULL;
  vocabulary = npu_vocabulary_open (&special, location, error);
  if (vocabulary)
    return npu_tokenizer_new_of_vocabulary (vocabulary);
  npu_error_make_valid (error); /* names of files are any bytes */
  return NULL;
}

/* A ggml file's own words; there are some. */
static NpuVocabulary *
read_words (NpuModel *model, const NpuSpecialTokens *special, GError **error)
{
  g_autoptr (NpuVocabulary) vocabulary =
      npu_vocabulary_new (special, npu_model_get_location (model));
  const guint n_words = npu_model_get_n_words (model);

  for (guint id = 0; id < n_words; id++) {
    gsize n;
    const guint8 *bytes = npu_model_get_word (model, id, &n);

    if (!npu_vocabulary_add (vocabulary, id, bytes, n, error))
      return NULL;
  }
  if (!npu_vocabulary_finish (vocabulary, error))
    return NULL;
  return g_steal_pointer (&vocabulary);
}

/* Of a ggml file that is not the model's. */
static NpuVocabulary *
read_words_of (
    const char *location, const NpuSpecialTokens *special, GError **error)
{
  g_autoptr (NpuModel) model = npu_model_open (location, error);

  return model ? read_words (model, special, error) : NULL;
}

static NpuVocabulary *
find_vocabulary (NpuModel *model, const char *location,
    const NpuSpecialTokens *special, GError **error)
{
  if (location && npu_vocabulary_is_ggml (location))
    return read_words_of (location, special, error);
  if (location)
    return npu_vocabulary_open (special, location, error);
  if (npu_model_get_n_words (model) > 0)
    return read_words (model, special, error);
  if (model->synthetic)
    return npu_vocabulary_new_synthetic (
        special, npu_model_get_location (model));
  return npu_vocabulary_open_beside (
      special, npu_model_get_location (model), error);
}

NpuTokenizer *
npu_tokenizer_new (NpuModel *model, const char *location, GError **error)
{
  const guint n_vocab = npu_model_get_config (model)->n_vocab;
  NpuSpecialTokens special;
  NpuVocabulary *vocabulary;

  if (n_vocab == 0) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND,
        "the model '%s' has an encoder only: for text take a whole one",
        npu_model_get_location (model));
    npu_error_make_valid (error);
    return NULL;
  }
  if (!npu_special_tokens_init_or_fail (&special, n_vocab, error))
    return NULL;
  vocabulary = find_vocabulary (model, location, &special, error);
  if (vocabulary)
    return npu_tokenizer_new_of_vocabulary (vocabulary);
  npu_error_make_valid (error);
  return NULL;
}

NpuTokenizer *
npu_tokenizer_ref (NpuTokenizer *tokenizer)
{
  g_atomic_ref_count_inc (&tokenizer->refs);
  return tokenizer;
}

void
npu_tokenizer_unref (NpuTokenizer *tokenizer)
{
  if (!g_atomic_ref_count_dec (&tokenizer->refs))
    return;
  npu_bpe_free (tokenizer->bpe);
  npu_vocabulary_free (tokenizer->vocabulary);
  g_array_unref (tokenizer->suppressed);
  g_free (tokenizer);
}

const NpuSpecialTokens *
npu_tokenizer_get_special (NpuTokenizer *tokenizer)
{
  return &tokenizer->vocabulary->special;
}

const guint8 *
npu_tokenizer_get_bytes (NpuTokenizer *tokenizer, guint32 token, gsize *n)
{
  *n = 0;
  if (token >= tokenizer->vocabulary->n_text)
    return NULL;
  return npu_vocabulary_get (tokenizer->vocabulary, token, n);
}

char *
npu_tokenizer_decode (
    NpuTokenizer *tokenizer, const guint32 *tokens, guint n, gsize *length)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  GString *text;

  /* A character may be cut between tokens. */
  for (guint i = 0; i < n; i++) {
    gsize n_bytes;
    const guint8 *token =
        npu_tokenizer_get_bytes (tokenizer, tokens[i], &n_bytes);

    if (n_bytes > 0)
      g_byte_array_append (bytes, token, (guint) n_bytes);
  }
  text = g_string_sized_new (bytes->len);
  npu_utf8_append_valid (text, bytes->data, bytes->len);
  if (length)
    *length = text->len;
  return g_string_free (text, FALSE);
}

void
npu_tokenizer_encode (
    NpuTokenizer *tokenizer, const char *text, gssize length, GArray *tokens)
{
  g_autoptr (GString) valid = g_string_new (NULL);
  const gsize n = length < 0 ? strlen (text) : (gsize) length;
  gsize at = 0;

  npu_utf8_append_valid (valid, (const guint8 *) text, n);
  while (at < valid->len) {
    const gsize piece = npu_next_piece (valid->str + at, valid->len - at);

    npu_bpe_encode (
        tokenizer->bpe, (const guint8 *) valid->str + at, piece, tokens);
    at += piece;
  }
}

guint32
npu_tokenizer_get_blank (NpuTokenizer *tokenizer)
{
  return (guint32) npu_bpe_find (tokenizer->bpe, (const guint8 *) " ", 1);
}

int
npu_tokenizer_find_language (NpuTokenizer *tokenizer, const char *name)
{
  const NpuSpecialTokens *special = &tokenizer->vocabulary->special;
  const int index = npu_language_find (name);

  /* English is the first. */
  return index < (special->is_multilingual ? (int) special->n_languages : 1)
             ? index
             : -1;
}

const guint32 *
npu_tokenizer_get_suppressed (NpuTokenizer *tokenizer, guint *n)
{
  *n = tokenizer->suppressed->len;
  return (const guint32 *) tokenizer->suppressed->data;
}
