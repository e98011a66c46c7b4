/* One window on its way from states to an answer, step by step: it says which
 * rows it wants and takes their logits, so that windows can share the decoder's
 * steps. What a window answers does not depend on which others do.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-decoding.h"

G_BEGIN_DECLS

/* Which language a window is in, where none was given: called with what its
 * first step finds, from npu_decodings_step(). Returns one, and in
 * *@probability how likely it is. */
typedef int (*NpuLanguageFunc) (
    gpointer data, int found, float no_speech_prob, float *probability);

/* What there is to decode; all is copied. */
typedef struct {
  guint window;         /* of the source, set before */
  guint first_sequence; /* of npu_decoding_n_sequences() of its own */
  const NpuDecodingOptions *options;
  const guint32 *prompt; /* [n_prompt] */
  guint n_prompt;
  const guint32 *prefix; /* [n_prefix] */
  guint n_prefix;
  NpuLanguageFunc choose_language; /* or NULL: what is found */
  gpointer data;
} NpuWindowTask;

typedef struct _NpuWindowDecoding NpuWindowDecoding;

/* As npu_decode_window(); @source and @tokenizer must outlive it. */
NpuWindowDecoding *npu_window_decoding_new (const NpuLogitsSource *source,
    NpuTokenizer *tokenizer, const NpuWindowTask *task, GError **error);
void npu_window_decoding_free (NpuWindowDecoding *decoding);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuWindowDecoding, npu_window_decoding_free)

/* Nothing is left to do. */
gboolean npu_window_decoding_is_whole (const NpuWindowDecoding *decoding);

/* The answer of a window that is whole, once. @decoded: (out): to be cleared */
void npu_window_decoding_end (
    NpuWindowDecoding *decoding, NpuDecodedWindow *decoded);

/* Memory for the logits of a step, used again in the next. */
typedef struct {
  GArray *rows;   /* of NpuDecoderRow */
  GArray *counts; /* of guint: rows of each window */
  GPtrArray *logits;
  guint n_vocab;
} NpuDecodingStep;

void npu_decoding_step_init (NpuDecodingStep *step, guint n_vocab);
void npu_decoding_step_clear (NpuDecodingStep *step);

/**
 * npu_decodings_step:
 * @decodings: [n], all on @source, none whole, with sequences of their own
 *
 * Gives the source, in one step, what each window wants next. They take their
 * logits in the order of @decodings.
 *
 * Returns: %FALSE with @error set: then none of them can go on
 */
gboolean npu_decodings_step (NpuDecodingStep *step,
    const NpuLogitsSource *source, NpuWindowDecoding *const *decodings, guint n,
    GError **error);

G_END_DECLS
