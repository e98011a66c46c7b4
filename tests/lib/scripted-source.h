/* Logits by a function of the tokens so far, with a decoder's caches.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "decoding/npu-decoding.h"

G_BEGIN_DECLS

#define SCRIPTED_SEQUENCES 64

/* Sets logits[n_vocab] after tokens[n] of a sequence that reads @window. */
typedef void (*ScriptedLogitsFunc) (
    gpointer data, guint window, const guint32 *tokens, guint n, float *logits);

/* Sets attention[n_heads][n_positions] of the last of tokens[n]. */
typedef void (*ScriptedAttentionFunc) (gpointer data, guint window,
    const guint32 *tokens, guint n, float *attention);

typedef struct {
  NpuLogitsSource source; /* its refine is NULL unless it is set */
  ScriptedLogitsFunc func;
  ScriptedAttentionFunc attend; /* NULL: nobody knows */
  gpointer data;
  GArray *sequences[SCRIPTED_SEQUENCES]; /* of guint32 */
  guint windows[SCRIPTED_SEQUENCES];
  guint n_steps, n_rows, most_rows, n_forks, most_tokens, n_refined;
  float coarseness; /* logits are multiples of it; 0: exact */
  guint fail_at;    /* the step that fails with LAUNCH, from 1; 0: none */
  GArray *asked;    /* of guint: the sequence of each row of the last step that
                     * wanted logits */
} ScriptedSource;

ScriptedSource *scripted_source_new (
    guint n_vocab, ScriptedLogitsFunc func, gpointer data);
void scripted_source_free (ScriptedSource *scripted);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ScriptedSource, scripted_source_free)

/* Tokens look somewhere. */
void scripted_source_set_attention (
    ScriptedSource *scripted, guint n_heads, ScriptedAttentionFunc attend);

/* Makes the steps' logits coarse, as integers of 8 bits do; refine gives the
 * exact ones. */
void scripted_source_set_coarse (ScriptedSource *scripted, float step);

G_END_DECLS
