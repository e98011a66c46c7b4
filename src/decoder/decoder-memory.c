/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decoder-memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#define LINE 64
#define HUGE_PAGE ((gsize) 2 << 20)
#define BLOCK (4 * HUGE_PAGE)

gpointer
decoder_memory_new (gsize size)
{
  const gboolean is_large = size >= HUGE_PAGE;
  gpointer memory = NULL;

  if (posix_memalign (&memory, is_large ? HUGE_PAGE : LINE, MAX (size, LINE)))
    return NULL;
#ifdef MADV_HUGEPAGE
  if (is_large)
    madvise (memory, size, MADV_HUGEPAGE);
#endif
  return memory;
}

void
decoder_arena_init (DecoderArena *arena)
{
  *arena = (DecoderArena){.blocks = g_ptr_array_new_with_free_func (free)};
}

void
decoder_arena_clear (DecoderArena *arena)
{
  g_clear_pointer (&arena->blocks, g_ptr_array_unref);
}

gpointer
decoder_arena_new (DecoderArena *arena, gsize n, gsize size)
{
  gpointer array;
  gsize n_bytes;

  if (n > (G_MAXSIZE - HUGE_PAGE) / size)
    return NULL;
  n_bytes = (n * size + LINE - 1) / LINE * LINE;
  if (n_bytes > arena->n_left) {
    const gsize block =
        MAX (BLOCK, (n_bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    gpointer memory = decoder_memory_new (block);

    if (!memory)
      return NULL;
    g_ptr_array_add (arena->blocks, memory);
    arena->next = memory;
    arena->n_left = block;
  }
  array = arena->next;
  arena->next += n_bytes;
  arena->n_left -= n_bytes;
  return array;
}
