/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bpe.h"

#include <string.h>

#define NONE G_MAXUINT32

struct _NpuBpe {
  const NpuVocabulary *vocabulary;
  guint32 *slots; /* open addressing: ids or NONE; a power of two of them */
  guint32 mask;
  gsize longest; /* token, in bytes */
};

/* FNV-1a. */
static guint32
hash_bytes (const guint8 *bytes, gsize n)
{
  guint32 hash = 2166136261u;

  for (gsize i = 0; i < n; i++)
    hash = (hash ^ bytes[i]) * 16777619u;
  return hash ^ hash >> 15;
}

/* The slot that holds bytes[n], or the empty one where they belong. */
static guint32 *
find_slot (const NpuBpe *bpe, const guint8 *bytes, gsize n)
{
  for (guint32 i = hash_bytes (bytes, n);; i++) {
    guint32 *slot = &bpe->slots[i & bpe->mask];
    const guint8 *token;
    gsize length;

    if (*slot == NONE)
      return slot;
    token = npu_vocabulary_get (bpe->vocabulary, *slot, &length);
    if (length == n && memcmp (token, bytes, n) == 0)
      return slot;
  }
}

NpuBpe *
npu_bpe_new (const NpuVocabulary *vocabulary)
{
  NpuBpe *bpe = g_new0 (NpuBpe, 1);
  guint32 n_slots = 1024;

  while (n_slots < 2 * vocabulary->n_text)
    n_slots *= 2;
  bpe->vocabulary = vocabulary;
  bpe->slots = g_new (guint32, n_slots);
  bpe->mask = n_slots - 1;
  memset (bpe->slots, 0xff, n_slots * sizeof *bpe->slots);
  for (guint32 id = 0; id < vocabulary->n_text; id++) {
    gsize n;
    const guint8 *bytes = npu_vocabulary_get (vocabulary, id, &n);
    guint32 *slot = n > 0 ? find_slot (bpe, bytes, n) : NULL;

    if (slot && *slot == NONE)
      *slot = id;
    bpe->longest = MAX (bpe->longest, n);
  }
  return bpe;
}

void
npu_bpe_free (NpuBpe *bpe)
{
  g_free (bpe->slots);
  g_free (bpe);
}

gint32
npu_bpe_find (const NpuBpe *bpe, const guint8 *bytes, gsize n)
{
  if (n == 0 || n > bpe->longest)
    return -1;
  return (gint32) *find_slot (bpe, bytes, n);
}

/* A piece while it is merged: parts in a list, each known by its first byte.
 * ends[part] is the next one's first byte, or 0 for a part that is no more. */
typedef struct {
  const NpuBpe *bpe;
  const guint8 *bytes;
  guint32 n;
  guint32 *ends, *before;
  GArray *heap; /* of Pair */
} Piece;

/* Two neighbours that make a token. Stale once either has changed: then
 * first, middle and end are no longer neighbouring parts. */
typedef struct {
  guint32 id, first, middle, end;
} Pair;

static gboolean
comes_first (const Pair *a, const Pair *b)
{
  return a->id != b->id ? a->id < b->id : a->first < b->first;
}

static void
heap_push (GArray *heap, Pair pair)
{
  guint i = heap->len;
  Pair *pairs;

  g_array_append_val (heap, pair);
  pairs = (Pair *) heap->data;
  for (; i > 0 && comes_first (&pair, &pairs[(i - 1) / 2]); i = (i - 1) / 2)
    pairs[i] = pairs[(i - 1) / 2];
  pairs[i] = pair;
}

static Pair
heap_pop (GArray *heap)
{
  Pair *pairs = (Pair *) heap->data;
  const Pair top = pairs[0], last = pairs[heap->len - 1];
  const guint n = heap->len - 1;
  guint i = 0;

  g_array_set_size (heap, n);
  for (guint child = 1; child < n; child = 2 * i + 1) {
    if (child + 1 < n && comes_first (&pairs[child + 1], &pairs[child]))
      child++;
    if (!comes_first (&pairs[child], &last))
      break;
    pairs[i] = pairs[child];
    i = child;
  }
  if (n > 0)
    pairs[i] = last;
  return top;
}

/* The part at @first and the one behind it are a pair, if they make a token. */
static void
offer_pair (Piece *piece, guint32 first)
{
  const guint32 middle = piece->ends[first];
  gint32 id;

  if (middle == piece->n)
    return;
  id = npu_bpe_find (
      piece->bpe, piece->bytes + first, piece->ends[middle] - first);
  if (id >= 0)
    heap_push (
        piece->heap, (Pair){(guint32) id, first, middle, piece->ends[middle]});
}

static void
merge_pair (Piece *piece, const Pair *pair)
{
  if (piece->ends[pair->first] != pair->middle ||
      piece->ends[pair->middle] != pair->end)
    return; /* stale */
  piece->ends[pair->first] = pair->end;
  piece->ends[pair->middle] = 0;
  if (pair->end < piece->n)
    piece->before[pair->end] = pair->first;
  if (pair->first > 0)
    offer_pair (piece, piece->before[pair->first]);
  offer_pair (piece, pair->first);
}

static void
encode_by_pairs (
    const NpuBpe *bpe, const guint8 *bytes, guint32 n, GArray *tokens)
{
  g_autofree guint32 *ends = g_new (guint32, n);
  g_autofree guint32 *before = g_new (guint32, n);
  g_autoptr (GArray) heap = g_array_new (FALSE, FALSE, sizeof (Pair));
  Piece piece = {bpe, bytes, n, ends, before, heap};

  for (guint32 i = 0; i < n; i++) {
    ends[i] = i + 1;
    before[i] = i - 1;
  }
  for (guint32 i = 0; i < n; i++)
    offer_pair (&piece, i);
  while (heap->len > 0) {
    const Pair pair = heap_pop (heap);

    merge_pair (&piece, &pair);
  }
  for (guint32 i = 0; i < n; i = ends[i]) {
    const guint32 id = (guint32) npu_bpe_find (bpe, bytes + i, ends[i] - i);

    g_array_append_val (tokens, id);
  }
}

void
npu_bpe_encode (const NpuBpe *bpe, const guint8 *bytes, gsize n, GArray *tokens)
{
  const gint32 whole = npu_bpe_find (bpe, bytes, n);

  if (whole >= 0) {
    const guint32 id = (guint32) whole;

    g_array_append_val (tokens, id);
    return;
  }
  /* No token is as long as this, so a cut changes little, and offsets fit. */
  for (gsize at = 0; at < n;) {
    const guint32 length = (guint32) MIN (n - at, (gsize) 1 << 30);

    encode_by_pairs (bpe, bytes + at, length, tokens);
    at += length;
  }
}
