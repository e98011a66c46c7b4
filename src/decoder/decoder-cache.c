/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decoder-cache.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_SLOTS 32

/* Before each slot, as far as a cache line goes. */
typedef struct {
  guint n_users;
} __attribute__ ((aligned (64))) SlotHead;

static SlotHead *
head_of (float *slot)
{
  return (SlotHead *) slot - 1;
}

void
decoder_cache_init (
    DecoderCache *cache, guint n_sequences, guint n_positions, gsize slot_size)
{
  *cache = (DecoderCache){
      .n_sequences = n_sequences,
      .n_positions = n_positions,
      .slot_size = slot_size,
      .sequences = g_new0 (DecoderSequence, n_sequences),
      .chunks = g_ptr_array_new_with_free_func (free),
      .free_slots = g_ptr_array_new (),
  };
  for (guint i = 0; i < n_sequences; i++)
    cache->sequences[i].slots = g_new0 (float *, n_positions);
}

void
decoder_cache_clear (DecoderCache *cache)
{
  for (guint i = 0; i < cache->n_sequences; i++)
    g_free (cache->sequences[i].slots);
  g_free (cache->sequences);
  g_clear_pointer (&cache->chunks, g_ptr_array_unref);
  g_clear_pointer (&cache->free_slots, g_ptr_array_unref);
}

static gboolean
add_chunk (DecoderCache *cache)
{
  const gsize size =
      sizeof (SlotHead) + (cache->slot_size * sizeof (float) + 63) / 64 * 64;
  void *chunk = NULL;

  if (posix_memalign (&chunk, 64, CHUNK_SLOTS * size))
    return FALSE;
  g_ptr_array_add (cache->chunks, chunk);
  for (guint i = CHUNK_SLOTS; i-- > 0;)
    g_ptr_array_add (
        cache->free_slots, (guint8 *) chunk + i * size + sizeof (SlotHead));
  return TRUE;
}

gboolean
decoder_cache_append (DecoderCache *cache, guint i)
{
  DecoderSequence *sequence = &cache->sequences[i];
  float *slot;

  g_assert (sequence->n_tokens < cache->n_positions);
  if (cache->free_slots->len == 0 && !add_chunk (cache))
    return FALSE;
  slot = g_ptr_array_steal_index_fast (
      cache->free_slots, cache->free_slots->len - 1);
  head_of (slot)->n_users = 1;
  sequence->slots[sequence->n_tokens++] = slot;
  return TRUE;
}

void
decoder_cache_truncate (DecoderCache *cache, guint i, guint n_tokens)
{
  DecoderSequence *sequence = &cache->sequences[i];

  while (sequence->n_tokens > n_tokens) {
    float *slot = sequence->slots[--sequence->n_tokens];

    if (--head_of (slot)->n_users == 0)
      g_ptr_array_add (cache->free_slots, slot);
  }
}

void
decoder_cache_fork (DecoderCache *cache, guint from, guint to)
{
  const DecoderSequence *source = &cache->sequences[from];
  DecoderSequence *target = &cache->sequences[to];

  if (from == to)
    return;
  for (guint i = 0; i < source->n_tokens; i++)
    head_of (source->slots[i])->n_users++;
  decoder_cache_truncate (cache, to, 0);
  target->begun = source->begun;
  target->window = source->window;
  target->window_serial = source->window_serial;
  target->n_tokens = source->n_tokens;
  memcpy (
      target->slots, source->slots, source->n_tokens * sizeof *source->slots);
}
