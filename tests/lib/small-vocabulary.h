/* A vocabulary made on the spot, in every form that vocabularies come in.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "tokenizer/npu-tokenizer.h"

G_BEGIN_DECLS

typedef enum {
  VOCABULARY_TOKENIZER_JSON,
  VOCABULARY_VOCAB_JSON,
  VOCABULARY_LIST_JSON,
  VOCABULARY_LINES,
  VOCABULARY_TIKTOKEN,
  N_VOCABULARY_FORMS,
} VocabularyForm;

/* What such a file is called. */
extern const char *const vocabulary_form_names[N_VOCABULARY_FORMS];

/* The bytes of text token @id of a model with @n_vocab tokens: 0 to 255 are all
 * bytes, then some words, in which each begins with a token before it, and last
 * what nobody says. (transfer full) */
GByteArray *small_vocabulary_token (guint n_vocab, guint id);

/* The file for a model with @n_vocab tokens. */
GString *small_vocabulary_write (guint n_vocab, VocabularyForm form);

/* Special tokens of a multilingual model with 400 text tokens: in Whisper's
 * order, though no Whisper has so few. */
void small_vocabulary_special (NpuSpecialTokens *special);

G_END_DECLS
