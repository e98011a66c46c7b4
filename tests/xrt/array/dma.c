/* DMA channels: tasks, descriptors one after the other, words as far as streams
 * and locks let them.
 *
 * A task that is repeated is repeated as a whole: all of the descriptors that
 * follow each other from its first.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "array-private.h"

#include <string.h>

#define REPEATS_SHIFT 16
#define TOKEN_SHIFT 31

bool
channel_push (Channel *channel, uint32_t value)
{
  Tile *tile = channel->tile;
  const uint32_t mask = tile->kind == MEMORY ? 0x3f : 0xf;
  char name[NAME_SIZE];

  if ((value & mask) >= tile->n_bds)
    return array_fail (tile->array,
        "%s: a task for descriptor %u: there are %u",
        channel_name (channel, name), value & mask, tile->n_bds);
  if (channel->n_queued == QUEUE_DEPTH)
    return array_fail (tile->array,
        "%s: a task for descriptor %u, but its queue of %d is full",
        channel_name (channel, name), value & mask, QUEUE_DEPTH);
  channel->queue[channel->n_queued++] = (Task){
      .first = (int) (value & mask),
      .repeats = (value >> REPEATS_SHIFT & 0xff) + 1,
      .token = value >> TOKEN_SHIFT,
  };
  tile->array->changed = true;
  return true;
}

bool
channel_reset (Channel *channel)
{
  char name[NAME_SIZE];

  if (channel->n_words || channel->tokens)
    return array_fail (channel->tile->array,
        "%s is reset with %u words and %u tokens left",
        channel_name (channel, name), channel->n_words, channel->tokens);
  channel->busy = channel->started = channel->waits_for_lock = false;
  channel->n_queued = 0;
  /* Iterations of its descriptors begin anew when those are written. */
  return channel->tile->array->changed = true;
}

/* --- from task to task, from descriptor to descriptor */

static bool
take_task (Channel *channel)
{
  if (channel->busy)
    return true;
  if (!channel->n_queued)
    return false;
  channel->task = channel->queue[0];
  memmove (channel->queue, channel->queue + 1,
      --channel->n_queued * sizeof *channel->queue);
  channel->busy = true;
  channel->started = false;
  channel->active = channel->task.first;
  channel->repeats_left = channel->task.repeats;
  channel->tile->array->changed = true;
  return true;
}

/* Reads the descriptor and takes its lock. */
static bool
start_bd (Channel *channel)
{
  Tile *tile = channel->tile;
  const int index = channel->active;
  uint32_t *iteration = &tile->iteration[index];

  if (channel->started)
    return true;
  channel->waits_for_lock = false;
  if (!bd_read (tile, index, &channel->bd))
    return false;
  if (channel->bd.acquire.lock >= 0 &&
      !lock_acquire (tile, channel->bd.acquire)) {
    channel->waits_for_lock = true;
    return false;
  }
  channel->offset = (uint64_t) *iteration * channel->bd.iteration_step;
  *iteration = (*iteration + 1) % channel->bd.iteration_wrap;
  channel->position = 0;
  memset (channel->digit, 0, sizeof channel->digit);
  channel->started = true;
  tile->array->changed = true;
  tile->array->descriptors++;
  return true;
}

static bool
end_bd (Channel *channel)
{
  channel->started = false;
  channel->tile->array->changed = true;
  if (channel->bd.release.lock >= 0 &&
      !lock_release (channel->tile, channel->bd.release))
    return false;
  if (channel->bd.next >= 0) {
    channel->active = channel->bd.next;
    return true;
  }
  channel->active = channel->task.first;
  if (--channel->repeats_left)
    return true;
  channel->tokens += channel->task.token;
  channel->busy = false;
  return true;
}

/* --- words */

static unsigned
room_of (const Channel *sender)
{
  unsigned room = FIFO_WORDS;

  for (unsigned i = 0; i < sender->n_receivers; i++)
    if (room > FIFO_WORDS - sender->receivers[i]->n_words)
      room = FIFO_WORDS - sender->receivers[i]->n_words;
  return room;
}

static void
put (Channel *receiver, const uint32_t *words, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    receiver->fifo[(receiver->head + receiver->n_words + i) % FIFO_WORDS] =
        words[i];
  receiver->n_words += n;
}

static void
take (Channel *receiver, uint32_t *words, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    words[i] = receiver->fifo[(receiver->head + i) % FIFO_WORDS];
  receiver->head = (receiver->head + n) % FIFO_WORDS;
  receiver->n_words -= n;
}

/* How many words were moved; 0 also after a failure. */
static unsigned
move (Channel *channel)
{
  const uint32_t left = channel->bd.length - channel->position;
  uint32_t words[FIFO_WORDS];
  unsigned n =
      channel->direction == MM2S ? room_of (channel) : channel->n_words;

  if (n > left)
    n = left;
  if (!n)
    return 0;
  if (channel->direction == S2MM) {
    take (channel, words, n);
    return bd_move (channel, words, NULL, n) ? n : 0;
  }
  if (!bd_move (channel, NULL, words, n))
    return 0;
  for (unsigned i = 0; i < channel->n_receivers; i++)
    put (channel->receivers[i], words, n);
  return n;
}

static bool
fail_route (const Channel *sender)
{
  const Tile *end = sender->end ? sender->end : sender->tile;
  char name[NAME_SIZE];

  return array_fail (end->array,
      "%s, descriptor %d: its stream goes nowhere: %s (%d,%d) has no port that "
      "takes it on",
      channel_name (sender, name), sender->active, tile_kind_name (end),
      end->column, end->row);
}

bool
channel_step (Channel *channel)
{
  Array *array = channel->tile->array;

  while (!array->failed && take_task (channel) && start_bd (channel)) {
    unsigned n;

    if (channel->direction == MM2S && (channel->end || !channel->n_receivers))
      return fail_route (channel);
    n = move (channel);
    array->words += n;
    array->changed |= n > 0;
    if (channel->position < channel->bd.length) {
      if (n)
        continue;
      break;
    }
    if (!end_bd (channel))
      return false;
  }
  return !array->failed;
}
