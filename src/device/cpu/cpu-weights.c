/* Pieces are next to each other in blocks of huge pages, as most of them are
 * smaller than such pages, or no multiple of one. With pages of 4 KiB a window
 * of base has 20000 of weights, more than a core keeps addresses of, and to
 * look one up takes long in a virtual machine.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cpu-weights.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINE 64
#define HUGE_PAGE ((gsize) 2 << 20)
#define BLOCK (16 * HUGE_PAGE) /* little of it is left at its end */

/* A smaller piece would make a process larger by a huge page. A sanitizer is to
 * see where each ends. */
#if defined(__SANITIZE_ADDRESS__)
#define MIN_SHARED G_MAXSIZE
#else
#define MIN_SHARED ((gsize) 256 << 10)
#endif

struct _CpuWeightsBlock {
  guint8 *data;
  gsize size, used;
  guint n_pieces;
};

static GMutex lock;
static CpuWeightsBlock *last; /* that pieces are taken from, or NULL */

static CpuWeightsBlock *
block_new (gsize size)
{
  CpuWeightsBlock *block;
  void *data = NULL;

  size = MAX (BLOCK, (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
  if (posix_memalign (&data, HUGE_PAGE, size))
    return NULL;
#ifdef MADV_HUGEPAGE
  madvise (data, size, MADV_HUGEPAGE);
#endif
  block = g_new0 (CpuWeightsBlock, 1);
  block->data = data;
  block->size = size;
  return block;
}

/* With the lock held. */
static gboolean
take_piece (CpuWeights *weights)
{
  const gsize size = (weights->size + LINE - 1) / LINE * LINE;

  if (!last || last->size - last->used < size) {
    CpuWeightsBlock *block = block_new (size);

    if (!block)
      return FALSE;
    last = block; /* the one before is its pieces' alone */
  }
  weights->block = last;
  weights->data = last->data + last->used;
  last->used += size;
  last->n_pieces++;
  return TRUE;
}

gboolean
cpu_weights_init (CpuWeights *weights, gsize size)
{
  void *data = NULL;
  gboolean done;

  *weights = (CpuWeights){.size = size};
  if (size >= MIN_SHARED) {
    g_mutex_lock (&lock);
    done = take_piece (weights);
    g_mutex_unlock (&lock);
    return done;
  }
  if (posix_memalign (&data, LINE, MAX (size, LINE)))
    return FALSE;
  weights->data = data;
  return TRUE;
}

/* Gives the system back what a piece alone has of a block. */
static void
discard (const CpuWeights *weights)
{
  const gsize page = (gsize) sysconf (_SC_PAGESIZE);
  const gsize begin = GPOINTER_TO_SIZE (weights->data);
  const gsize from = (begin + page - 1) / page * page;
  const gsize to = (begin + weights->size) / page * page;

  if (from < to)
    madvise (GSIZE_TO_POINTER (from), to - from, MADV_DONTNEED);
}

void
cpu_weights_clear (CpuWeights *weights)
{
  CpuWeightsBlock *block = weights->block;

  if (!block) {
    free (weights->data);
  } else {
    g_mutex_lock (&lock);
    if (--block->n_pieces == 0) {
      if (last == block)
        last = NULL;
      free (block->data);
      g_free (block);
    } else {
      discard (weights);
    }
    g_mutex_unlock (&lock);
  }
  *weights = (CpuWeights){0};
}
