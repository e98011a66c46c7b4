/* What sequences remember: keys and values of self-attention, a slot for each
 * token, which sequences that were forked share.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  gboolean begun;
  guint window;
  guint64 window_serial; /* of the window's content when it was begun */
  guint n_tokens;
  float **slots; /* [n_positions], n_tokens of them taken */
} DecoderSequence;

typedef struct {
  guint n_sequences, n_positions;
  gsize slot_size; /* floats */
  DecoderSequence *sequences;

  /*< private >*/
  GPtrArray *chunks;
  GPtrArray *free_slots;
} DecoderCache;

void decoder_cache_init (
    DecoderCache *cache, guint n_sequences, guint n_positions, gsize slot_size);
void decoder_cache_clear (DecoderCache *cache);

/* Appends a slot to @sequence, which has room; its content is undefined. FALSE
 * where there is no memory. */
gboolean decoder_cache_append (DecoderCache *cache, guint sequence);
void decoder_cache_truncate (
    DecoderCache *cache, guint sequence, guint n_tokens);
void decoder_cache_fork (DecoderCache *cache, guint from, guint to);

G_END_DECLS
