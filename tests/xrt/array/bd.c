/* Buffer descriptors: their fields, their locks, and the words that they
 * address, in order.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "array-private.h"

#include <stdio.h>
#include <string.h>

#define ARGUMENT_SHIFT 40 /* see txn.c */

static uint32_t
field (const uint32_t *words, int word, int low, int high)
{
  return words[word] >> low & (uint32_t) ((1ull << (high - low + 1)) - 1);
}

static LockUse
lock_use (bool used, uint32_t lock, uint32_t value)
{
  return (LockUse){
      used ? (int) lock : -1, (int) (value & 0x7f) - (value & 0x40 ? 0x80 : 0)};
}

static bool
is_valid_of_core (const uint32_t *w, Bd *bd)
{
  bd->length = field (w, 0, 0, 13);
  bd->base = field (w, 0, 14, 27);
  bd->n_dims = 3;
  bd->step[0] = field (w, 2, 0, 12) + 1;
  bd->step[1] = field (w, 2, 13, 25) + 1;
  bd->step[2] = field (w, 3, 0, 12) + 1;
  bd->wrap[0] = field (w, 3, 13, 20);
  bd->wrap[1] = field (w, 3, 21, 28);
  bd->iteration_step = field (w, 4, 0, 12) + 1;
  bd->iteration_wrap = field (w, 4, 13, 18) + 1;
  bd->next = field (w, 5, 26, 26) ? (int) field (w, 5, 27, 30) : -1;
  bd->acquire =
      lock_use (field (w, 5, 12, 12), field (w, 5, 0, 3), field (w, 5, 5, 11));
  bd->release = lock_use (
      field (w, 5, 18, 24) != 0, field (w, 5, 13, 16), field (w, 5, 18, 24));
  return field (w, 5, 25, 25);
}

static bool
is_valid_of_memory (const uint32_t *w, Bd *bd)
{
  bd->length = field (w, 0, 0, 16);
  bd->base = field (w, 1, 0, 18);
  bd->n_dims = 4;
  for (int i = 0; i < 4; i++)
    bd->step[i] = field (w, 2 + i, 0, 16) + 1;
  for (int i = 0; i < 3; i++)
    bd->wrap[i] = field (w, 2 + i, 17, 26);
  bd->iteration_step = field (w, 6, 0, 16) + 1;
  bd->iteration_wrap = field (w, 6, 17, 22) + 1;
  bd->next = field (w, 1, 19, 19) ? (int) field (w, 1, 20, 25) : -1;
  bd->acquire =
      lock_use (field (w, 7, 15, 15), field (w, 7, 0, 7), field (w, 7, 8, 14));
  bd->release = lock_use (
      field (w, 7, 24, 30) != 0, field (w, 7, 16, 23), field (w, 7, 24, 30));
  return field (w, 7, 31, 31);
}

static bool
is_valid_of_shim (const uint32_t *w, Bd *bd)
{
  bd->length = w[0];
  bd->base = ((uint64_t) field (w, 2, 0, 15) << 32 | w[1]) / 4;
  bd->n_dims = 3;
  for (int i = 0; i < 3; i++)
    bd->step[i] = field (w, 3 + i, 0, 19) + 1;
  for (int i = 0; i < 2; i++)
    bd->wrap[i] = field (w, 3 + i, 20, 29);
  bd->iteration_step = field (w, 6, 0, 19) + 1;
  bd->iteration_wrap = field (w, 6, 20, 25) + 1;
  bd->next = field (w, 7, 26, 26) ? (int) field (w, 7, 27, 30) : -1;
  bd->acquire =
      lock_use (field (w, 7, 12, 12), field (w, 7, 0, 3), field (w, 7, 5, 11));
  bd->release = lock_use (
      field (w, 7, 18, 24) != 0, field (w, 7, 13, 16), field (w, 7, 18, 24));
  return field (w, 7, 25, 25);
}

/* Padding of a memory tile's descriptor, in all of its places. */
static bool
has_padding (const uint32_t *w)
{
  return field (w, 1, 26, 31) || field (w, 3, 27, 31) || field (w, 4, 27, 30) ||
         field (w, 5, 17, 31);
}

static bool
has_packets (const Tile *tile, const uint32_t *w)
{
  switch (tile->kind) {
    case SHIM:
      return field (w, 2, 30, 30);
    case MEMORY:
      return field (w, 0, 31, 31);
    default:
      return field (w, 1, 30, 30);
  }
}

bool
bd_read (Tile *tile, int index, Bd *bd)
{
  static bool (*const is_valid[]) (const uint32_t *, Bd *) = {
      [SHIM] = is_valid_of_shim,
      [MEMORY] = is_valid_of_memory,
      [CORE] = is_valid_of_core,
  };
  const uint32_t *words = tile->bds[index];
  const char *what = NULL;

  *bd = (Bd){.index = index};
  if (!is_valid[tile->kind](words, bd))
    what = "is started and not valid: it was never written";
  else if (!bd->length)
    what = "has no words";
  else if (has_packets (tile, words))
    what = "sends packets: packet switching is not modelled";
  else if (tile->kind == MEMORY && has_padding (words))
    what = "pads: padding is not modelled";
  else if (bd->next >= (int) tile->n_bds)
    what = "goes on with a descriptor that is none";
  return !what ||
         array_fail (tile->array, "descriptor %d of %s (%d,%d) %s", index,
             tile_kind_name (tile), tile->column, tile->row, what);
}

/* --- locks */

/* Memory tiles have those of their neighbours too: west, own, east. */
Tile *
lock_of (Tile *tile, int lock, int *index)
{
  if (tile->kind != MEMORY) {
    *index = lock;
    return tile;
  }
  *index = lock % MAX_LOCKS;
  if (lock >= 3 * MAX_LOCKS)
    return NULL;
  return array_tile (
      tile->array, tile->column + lock / MAX_LOCKS - 1, MEMORY_ROW);
}

bool
lock_acquire (Tile *tile, LockUse use)
{
  int index;
  Tile *owner = lock_of (tile, use.lock, &index);
  int *lock;

  if (!owner)
    return array_fail (tile->array,
        "%s (%d,%d) takes lock %d of a tile that is not there",
        tile_kind_name (tile), tile->column, tile->row, use.lock);
  lock = &owner->locks[index];
  if (use.value < 0 ? *lock < -use.value : *lock != use.value)
    return false;
  *lock = use.value < 0 ? *lock + use.value : 0;
  return true;
}

bool
lock_release (Tile *tile, LockUse use)
{
  int index;
  Tile *owner = lock_of (tile, use.lock, &index);

  if (!owner)
    return array_fail (tile->array,
        "%s (%d,%d) releases lock %d of a tile that is not there",
        tile_kind_name (tile), tile->column, tile->row, use.lock);
  owner->locks[index] += use.value;
  tile->array->changed = true;
  return (owner->locks[index] >= -64 && owner->locks[index] <= 63) ||
         array_fail (tile->array, "lock %d of %s (%d,%d) comes to %d", index,
             tile_kind_name (owner), owner->column, owner->row,
             owner->locks[index]);
}

/* --- words */

/* Where the descriptor's words are: a tile's memory or an argument of the
 * host's. */
typedef struct {
  uint8_t *data;
  uint8_t *states; /* NULL for the host's */
  uint64_t words;
  char name[64];
  Tile *tile;
} Place;

static bool
find_place (Channel *channel, Place *place, uint64_t *base)
{
  Tile *tile = channel->tile, *owner = tile;
  const uint64_t address = channel->bd.base;
  char name[NAME_SIZE];

  if (tile->kind == SHIM) {
    const uint64_t index = (address * 4) >> ARGUMENT_SHIFT;
    Argument *argument = &tile->array->arguments[index ? index - 1 : 0];

    if (!index || index > ARRAY_MAX_ARGUMENTS || !argument->data)
      return array_fail (tile->array,
          "%s, descriptor %d: address 0x%llx is no argument's: nothing patched "
          "it",
          channel_name (channel, name), channel->bd.index,
          (unsigned long long) address * 4);
    *place = (Place){argument->data, NULL, argument->size / 4, "", tile};
    snprintf (place->name, sizeof place->name, "argument %llu",
        (unsigned long long) index - 1);
    *base = address & ((1ull << (ARGUMENT_SHIFT - 2)) - 1);
    return true;
  }
  *base = address;
  if (tile->kind == MEMORY) {
    const uint64_t words = tile->size / 4;

    owner = address / words > 2
                ? NULL /* west, own, east */
                : array_tile (tile->array,
                      tile->column + (int) (address / words) - 1, MEMORY_ROW);
    *base = address % words;
  }
  if (!owner)
    return array_fail (tile->array,
        "%s, descriptor %d: word 0x%llx is in the memory of a tile that is not "
        "there",
        channel_name (channel, name), channel->bd.index,
        (unsigned long long) address);
  *place = (Place){owner->memory, owner->states, owner->size / 4, "", owner};
  snprintf (place->name, sizeof place->name, "the memory of %s (%d,%d)",
      tile_kind_name (owner), owner->column, owner->row);
  return true;
}

/* The word that comes next, from the descriptor's base, and how many follow
 * each other there. */
static uint64_t
next_offset (const Channel *channel, uint32_t *run)
{
  const Bd *bd = &channel->bd;
  uint64_t offset = channel->offset;

  for (unsigned i = 0; i < bd->n_dims; i++)
    offset += (uint64_t) channel->digit[i] * bd->step[i];
  *run = bd->length - channel->position;
  if (bd->step[0] != 1)
    *run = 1;
  else if (bd->n_dims > 1 && bd->wrap[0] &&
           *run > bd->wrap[0] - channel->digit[0])
    *run = bd->wrap[0] - channel->digit[0];
  return offset;
}

static void
advance (Channel *channel, uint32_t n)
{
  const Bd *bd = &channel->bd;

  channel->position += n;
  channel->digit[0] += n;
  for (unsigned i = 0; i + 1 < bd->n_dims; i++) {
    if (!bd->wrap[i] || channel->digit[i] < bd->wrap[i])
      return;
    channel->digit[i] -= bd->wrap[i];
    channel->digit[i + 1]++;
  }
}

/* What is read must have been written, and what is written over read: else one
 * side does not wait for the other. */
static bool
check_states (
    Channel *channel, const Place *place, uint64_t at, uint32_t n, bool reads)
{
  char name[NAME_SIZE];

  if (!place->states)
    return true;
  for (uint64_t i = at; i < at + n; i++) {
    if (reads && place->states[i] == UNWRITTEN)
      return array_fail (place->tile->array,
          "%s, descriptor %d: reads word 0x%llx of %s before it was written",
          channel_name (channel, name), channel->bd.index,
          (unsigned long long) i, place->name);
    if (!reads && place->states[i] == WRITTEN)
      return array_fail (place->tile->array,
          "%s, descriptor %d: writes over word 0x%llx of %s before it was read",
          channel_name (channel, name), channel->bd.index,
          (unsigned long long) i, place->name);
  }
  memset (place->states + at, reads ? READ : WRITTEN, n);
  return true;
}

bool
bd_move (Channel *channel, const uint32_t *from, uint32_t *to, unsigned n)
{
  Place place;
  uint64_t base = 0;
  char name[NAME_SIZE];

  if (!find_place (channel, &place, &base))
    return false;
  while (n) {
    uint32_t run;
    const uint64_t at = base + next_offset (channel, &run);

    if (run > n)
      run = n;
    if (at + run > place.words)
      return array_fail (channel->tile->array,
          "%s, descriptor %d: word 0x%llx is outside of %s, which has 0x%llx",
          channel_name (channel, name), channel->bd.index,
          (unsigned long long) (at + run - 1), place.name,
          (unsigned long long) place.words);
    if (!check_states (channel, &place, at, run, to != NULL))
      return false;
    if (to)
      memcpy (to, place.data + at * 4, run * 4);
    else
      memcpy (place.data + at * 4, from, run * 4);
    to = to ? to + run : NULL;
    from = from ? from + run : NULL;
    advance (channel, run);
    n -= run;
  }
  return true;
}
