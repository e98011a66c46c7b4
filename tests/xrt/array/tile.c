/* Writes to a tile: its memory, locks, descriptors, stream switch, task queues
 * and core.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "array-private.h"

#include <string.h>

#define COLUMN_SHIFT 25
#define ROW_SHIFT 20
#define OFFSET_MASK 0xfffffu

#define LOCK_STRIDE 0x10
#define BD_STRIDE 0x20
#define CHANNEL_STRIDE 8
#define QUEUE_REGISTER 4 /* of a channel: the other controls it */
#define RESET 2u         /* in a channel's and in a core's control */

#define PROGRAM_START 0x20000u
#define PROGRAM_END 0x24000u
#define CORE_CONTROL 0x32000u
#define SHIM_MUX 0x1f000u
#define SHIM_DEMUX 0x1f004u
#define SLAVES 0x100u /* behind the masters of a switch */
#define SWITCH_SIZE 0x100u

/* Where a tile of each kind has what. */
static const struct {
  uint32_t locks, bds, channels, ports;
} layouts[] = {
    [SHIM] = {0x14000, 0x1d000, 0x1d200, 0x3f000},
    [MEMORY] = {0xc0000, 0xa0000, 0xa0600, 0xb0000},
    [CORE] = {0x1f000, 0x1d000, 0x1de00, 0x3f000},
};

static bool
write_memory (Tile *tile, uint32_t offset, uint32_t value, uint32_t mask)
{
  uint32_t old;

  memcpy (&old, tile->memory + offset, sizeof old);
  value = (old & ~mask) | (value & mask);
  memcpy (tile->memory + offset, &value, sizeof value);
  tile->states[offset / 4] = READ; /* it may stay, or be written over */
  return true;
}

/* Six bits with a sign. */
static int
lock_value (uint32_t value)
{
  return (int) (value & 0x3f) - (value & 0x20 ? 0x40 : 0);
}

/* What a write to a descriptor that is at work would do is anybody's guess. */
static bool
check_bd_is_free (Tile *tile, int index)
{
  for (int direction = 0; direction < 2; direction++)
    for (unsigned i = 0; i < tile->n_channels; i++) {
      const Channel *channel = &tile->channels[direction][i];
      char name[NAME_SIZE];
      bool used = channel->busy && channel->active == index;

      for (unsigned j = 0; j < channel->n_queued; j++)
        used |= channel->queue[j].first == index;
      if (used)
        return array_fail (tile->array,
            "descriptor %d of %s (%d,%d) is rewritten while %s has it", index,
            tile_kind_name (tile), tile->column, tile->row,
            channel_name (channel, name));
    }
  return true;
}

static bool
write_bd (Tile *tile, uint32_t offset, uint32_t value, uint32_t mask)
{
  static const unsigned iteration_words[] = {6, 6, 4};
  static const unsigned iteration_shifts[] = {26, 23, 19};
  const int index = (int) (offset / BD_STRIDE);
  const unsigned word = offset % BD_STRIDE / 4;
  uint32_t *place = &tile->bds[index][word];

  if (!check_bd_is_free (tile, index))
    return false;
  *place = (*place & ~mask) | (value & mask);
  if (word == iteration_words[tile->kind])
    tile->iteration[index] = *place >> iteration_shifts[tile->kind] & 0x3f;
  return true;
}

static bool
write_channel (Tile *tile, uint32_t offset, uint32_t value)
{
  const unsigned number = offset / CHANNEL_STRIDE;
  Channel *channel =
      &tile->channels[number / tile->n_channels][number % tile->n_channels];

  if (offset % CHANNEL_STRIDE == QUEUE_REGISTER)
    return channel_push (channel, value);
  /* A shim's channels have no such bit. */
  return tile->kind == SHIM || !(value & RESET) || channel_reset (channel);
}

static bool
write_port (Tile *tile, uint32_t offset, uint32_t value, uint32_t mask)
{
  uint32_t *place = offset < SLAVES ? &tile->masters[offset / 4]
                                    : &tile->slaves[(offset - SLAVES) / 4];

  *place = (*place & ~mask) | (value & mask);
  tile->array->routed = false;
  return true;
}

static bool
write_core (Tile *tile, uint32_t value)
{
  const bool enabled = value & 1;

  if (value & RESET)
    core_reset (tile);
  if (enabled && !tile->enabled && !core_enable (tile))
    return false;
  tile->enabled = enabled;
  tile->array->changed = true;
  return true;
}

static bool
is_in (uint32_t *offset, uint32_t start, uint32_t size)
{
  if (*offset < start || *offset >= start + size)
    return false;
  *offset -= start;
  return true;
}

/* What is none of these is not modelled, and not wanted: events, clocks,
 * resets, packets' slots (a stream that is sent as packets is told where it
 * enters a switch). */
static bool
write_register (Tile *tile, uint32_t offset, uint32_t value, uint32_t mask)
{
  const uint32_t locks = layouts[tile->kind].locks;
  const uint32_t ports = layouts[tile->kind].ports;

  if (is_in (&offset, locks, tile->n_locks * LOCK_STRIDE)) {
    if (offset % LOCK_STRIDE == 0)
      tile->locks[offset / LOCK_STRIDE] = lock_value (value & mask);
    tile->array->changed = true;
    return true;
  }
  if (is_in (&offset, layouts[tile->kind].bds, tile->n_bds * BD_STRIDE))
    return write_bd (tile, offset, value, mask);
  if (is_in (&offset, layouts[tile->kind].channels,
          2 * tile->n_channels * CHANNEL_STRIDE))
    return write_channel (tile, offset, value & mask);
  if (is_in (&offset, ports, 2 * SWITCH_SIZE))
    return write_port (tile, offset, value, mask);
  return true;
}

bool
array_write (Array *array, uint64_t address, uint32_t value, uint32_t mask)
{
  const int column = (int) (address >> COLUMN_SHIFT & 0x7f);
  const int row = (int) (address >> ROW_SHIFT & 0x1f);
  const uint32_t offset = (uint32_t) (address & OFFSET_MASK);
  Tile *tile = array_tile (array, column, row);

  if (!tile)
    return array_fail (array,
        "a write to 0x%llx, in tile (%d,%d): the array has %u columns of %d",
        (unsigned long long) address, column, row, array->columns, ROWS);
  if (offset % 4)
    return array_fail (array, "a write to 0x%llx, in %s (%d,%d): misaligned",
        (unsigned long long) address, tile_kind_name (tile), column, row);
  if (offset < tile->size)
    return write_memory (tile, offset, value, mask);
  if (tile->kind == CORE && offset >= PROGRAM_START && offset < PROGRAM_END) {
    if (offset == PROGRAM_START)
      tile->program = value;
    return true;
  }
  if (tile->kind == CORE && offset == CORE_CONTROL)
    return write_core (tile, value & mask);
  if (tile->kind == SHIM && (offset == SHIM_MUX || offset == SHIM_DEMUX)) {
    uint32_t *place = offset == SHIM_MUX ? &tile->mux : &tile->demux;

    *place = (*place & ~mask) | (value & mask);
    array->routed = false;
    return true;
  }
  return write_register (tile, offset, value, mask);
}
