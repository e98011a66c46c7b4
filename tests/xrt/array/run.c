/* The order of things: whatever can go on does, in an order that the seed
 * settles, until what is waited for has come or nothing changes. Then the chain
 * of who waits for whom is followed to its end, and told.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "array-private.h"

#include <stdio.h>
#include <string.h>

#define MAX_TILES 64

/* Rounds in which what is waited for does not come, though words go round: the
 * longest launch of a design here has a fiftieth of it. */
#define MAX_ROUNDS 10000000u

/* One round: each tile once, its core and its channels in turns. */
static bool
step_all (Array *array)
{
  const unsigned n = array->columns * ROWS;
  unsigned order[MAX_TILES];

  for (unsigned i = 0; i < n; i++) {
    const unsigned j = (unsigned) (array_random (array) % (i + 1));

    order[i] = order[j];
    order[j] = i;
  }
  for (unsigned i = 0; i < n; i++) {
    Tile *tile = &array->tiles[order[i]];
    const unsigned channels = 2 * tile->n_channels;
    const unsigned start = (unsigned) (array_random (array) % channels);

    if (!core_step (tile))
      return false;
    for (unsigned j = 0; j < channels; j++) {
      const unsigned k = (start + j) % channels;

      if (!channel_step (&tile->channels[k % 2][k / 2]))
        return false;
    }
  }
  return true;
}

/* --- why nothing goes on */

/* The chain of those who wait, as text. */
typedef struct {
  char text[ARRAY_MESSAGE / 2];
  size_t length;
  unsigned mark;
} Chain;

static void
add (Chain *chain, const char *text)
{
  const size_t left = sizeof chain->text - chain->length;
  const int n = snprintf (chain->text + chain->length, left, "%s%s",
      chain->length ? ", which waits for " : "", text);

  chain->length += n < (int) left ? (size_t) n : left - 1;
}

static void explain_channel (Chain *chain, Channel *channel);

/* Whether a descriptor that the channel has at hand, or one that follows,
 * releases the lock. */
static bool
channel_releases (Channel *channel, const Tile *owner, int lock)
{
  Tile *tile = channel->tile;
  int index = channel->active;

  if (!channel->busy)
    return false;
  for (unsigned i = 0; i < tile->n_bds && index >= 0; i++) {
    Bd bd;
    int number;

    if (!bd_read (tile, index, &bd))
      return false;
    if (bd.release.lock >= 0 &&
        lock_of (tile, bd.release.lock, &number) == owner && number == lock)
      return true;
    index = bd.next;
  }
  return false;
}

static void explain_core (Chain *chain, Tile *tile);

/* Who would release lock @number of @owner's, and why that does not. */
static void
explain_lock (Chain *chain, Tile *owner, int number)
{
  Array *array = owner->array;
  char text[128];

  for (int column = owner->column - 1; column <= owner->column + 1; column++) {
    Tile *tile = array_tile (array, column, owner->row);

    for (int i = 0; tile && i < 2 * MAX_CHANNELS; i++)
      if (channel_releases (&tile->channels[i % 2][i / 2], owner, number)) {
        explain_channel (chain, &tile->channels[i % 2][i / 2]);
        return;
      }
  }
  if (owner->core && core_releases (owner->core, number)) {
    explain_core (chain, owner);
    return;
  }
  snprintf (text, sizeof text, "nobody: no task or core releases that lock");
  add (chain, text);
}

static bool
is_marked (Chain *chain, unsigned *mark)
{
  if (*mark == chain->mark) {
    add (chain, "the first of this circle");
    return true;
  }
  *mark = chain->mark;
  return false;
}

static void
explain_core (Chain *chain, Tile *tile)
{
  int lock;
  char text[128];

  snprintf (text, sizeof text, "core (%d,%d)", tile->column, tile->row);
  if (core_waits (tile->core, &lock))
    snprintf (text, sizeof text, "core (%d,%d) (lock %d is %d)", tile->column,
        tile->row, lock, tile->locks[lock]);
  add (chain, text);
  if (!is_marked (chain, &tile->mark) && core_waits (tile->core, &lock))
    explain_lock (chain, tile, lock);
}

static void
explain_receivers (Chain *chain, Channel *sender)
{
  Channel *full = sender->receivers[0];

  for (unsigned i = 1; i < sender->n_receivers; i++)
    if (sender->receivers[i]->n_words > full->n_words)
      full = sender->receivers[i];
  explain_channel (chain, full);
}

static void
explain_channel (Chain *chain, Channel *channel)
{
  Tile *tile = channel->tile, *owner = tile;
  const LockUse use = channel->bd.acquire;
  int number = use.lock;
  char name[NAME_SIZE], text[200];

  channel_name (channel, name);
  if (!channel->busy)
    snprintf (text, sizeof text, "%s, which has no task", name);
  else if (channel->waits_for_lock) {
    owner = lock_of (tile, use.lock, &number);
    snprintf (text, sizeof text,
        "%s, descriptor %d (lock %d of %s (%d,%d) is %d, it wants %d)", name,
        channel->active, number, tile_kind_name (owner), owner->column,
        owner->row, owner->locks[number],
        use.value < 0 ? -use.value : use.value);
  } else
    snprintf (text, sizeof text, "%s, descriptor %d (word %u of %u)", name,
        channel->active, channel->position, channel->bd.length);
  add (chain, text);
  if (!channel->busy || is_marked (chain, &channel->mark))
    return;
  if (channel->waits_for_lock)
    explain_lock (chain, owner, number);
  else if (channel->direction == MM2S)
    explain_receivers (chain, channel);
  else if (channel->sender)
    explain_channel (chain, channel->sender);
  else
    add (chain, "nobody: no route leads to it");
}

static bool
fail_deadlock (Array *array, Channel *channel)
{
  static unsigned marks;
  Chain chain = {.mark = __atomic_add_fetch (&marks, 1, __ATOMIC_RELAXED)};

  explain_channel (&chain, channel);
  return array_fail (
      array, "deadlock: nothing goes on. The stream waits for %s", chain.text);
}

/* --- running */

bool
array_wait (Array *array, Channel *channel)
{
  if (!array->routed && !array_route (array))
    return false;
  for (unsigned rounds = 0; !channel->tokens; rounds++) {
    char name[NAME_SIZE];

    if (rounds == MAX_ROUNDS)
      return array_fail (array,
          "the stream waits for %s, and words go round without an end",
          channel_name (channel, name));
    array->changed = false;
    if (!step_all (array))
      return false;
    if (!channel->tokens && !array->changed)
      return fail_deadlock (array, channel);
  }
  channel->tokens--;
  return true;
}

/* What may not be left at the end of a launch: the shims' tasks, transfers that
 * have begun, words in streams, tokens. What waits in the array for the next
 * launch may. */
static bool
check_rest (Array *array, Channel *channel)
{
  char name[NAME_SIZE];
  Chain chain = {.mark = UINT32_MAX};

  channel_name (channel, name);
  if (channel->n_words)
    return array_fail (array,
        "%s: %u words are left in its stream at the end: %s", name,
        channel->n_words,
        channel->busy ? "its descriptor waits for a lock" : "it has no task");
  if (channel->tokens)
    return array_fail (array,
        "%s: %u tokens are left at the end: the stream does not wait for them",
        name, channel->tokens);
  if (channel->busy && channel->tile->kind == SHIM) {
    explain_channel (&chain, channel);
    return array_fail (
        array, "a transfer is not over at the end: %s", chain.text);
  }
  if (channel->busy && channel->started && channel->position)
    return array_fail (array,
        "%s, descriptor %d: word %u of %u at the end: the rest never came",
        name, channel->active, channel->position, channel->bd.length);
  return true;
}

bool
array_settle (Array *array)
{
  unsigned rounds = 0;

  if (!array->routed && !array_route (array))
    return false;
  do {
    array->changed = false;
    if (!step_all (array))
      return false;
  } while (array->changed && ++rounds < MAX_ROUNDS);
  if (array->changed)
    return array_fail (
        array, "words go round without an end after the stream's");
  for (unsigned i = 0; i < array->columns * ROWS; i++)
    for (int j = 0; j < 2 * MAX_CHANNELS; j++)
      if (!check_rest (array, &array->tiles[i].channels[j % 2][j / 2]))
        return false;
  return true;
}
