/* Life of the array, its memory and its errors.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "array-private.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_TILE_SIZE 0x80000
#define CORE_SIZE 0x10000
#define SWITCH_PORTS 64

static void *
new_memory (size_t size)
{
  void *memory = aligned_alloc (64, (size + 63) / 64 * 64);

  if (!memory) {
    fprintf (stderr, "npusim: no memory for %zu bytes\n", size);
    abort ();
  }
  return memset (memory, 0, size);
}

static void
tile_init (Tile *tile, Array *array, int column, int row)
{
  *tile = (Tile){.array = array, .column = column, .row = row};
  tile->kind = row == SHIM_ROW ? SHIM : row == MEMORY_ROW ? MEMORY : CORE;
  tile->size = tile->kind == SHIM     ? 0
               : tile->kind == MEMORY ? MEMORY_TILE_SIZE
                                      : CORE_SIZE;
  tile->n_locks = tile->kind == MEMORY ? 64 : 16;
  tile->n_bds = tile->kind == MEMORY ? 48 : 16;
  tile->n_channels = tile->kind == MEMORY ? 6 : 2;
  tile->masters = new_memory (SWITCH_PORTS * sizeof *tile->masters);
  tile->slaves = new_memory (SWITCH_PORTS * sizeof *tile->slaves);
  if (tile->size) {
    tile->memory = new_memory (tile->size);
    tile->states = new_memory (tile->size / 4);
  }
  for (int direction = 0; direction < 2; direction++)
    for (int i = 0; i < MAX_CHANNELS; i++) {
      Channel *channel = &tile->channels[direction][i];

      channel->tile = tile;
      channel->direction = (Direction) direction;
      channel->index = i;
    }
}

Array *
array_new (unsigned columns, uint64_t seed)
{
  Array *array = new_memory (sizeof *array);

  array->columns = columns;
  array->random = seed * 0x9e3779b97f4a7c15u + 1;
  array->tiles = new_memory (columns * ROWS * sizeof *array->tiles);
  for (unsigned column = 0; column < columns; column++)
    for (int row = 0; row < ROWS; row++)
      tile_init (&array->tiles[column * ROWS + (unsigned) row], array,
          (int) column, row);
  return array;
}

void
array_free (Array *array)
{
  if (!array)
    return;
  for (unsigned i = 0; i < array->columns * ROWS; i++) {
    Tile *tile = &array->tiles[i];

    core_free (tile->core);
    free (tile->memory);
    free (tile->states);
    free (tile->masters);
    free (tile->slaves);
  }
  if (array->object)
    dlclose (array->object);
  free (array->tiles);
  free (array);
}

void
array_set_argument (Array *array, unsigned index, void *data, size_t size)
{
  if (index < ARRAY_MAX_ARGUMENTS)
    array->arguments[index] = (Argument){data, size};
}

const char *
array_error (const Array *array)
{
  return array->error;
}

void
array_get_counts (const Array *array, uint64_t *words, uint64_t *bds)
{
  *words = array->words;
  *bds = array->descriptors;
}

bool
array_fail (Array *array, const char *format, ...)
{
  va_list args;

  if (array->failed)
    return false;
  va_start (args, format);
  vsnprintf (array->error, sizeof array->error, format, args);
  va_end (args);
  array->failed = true;
  return false;
}

Tile *
array_tile (Array *array, int column, int row)
{
  if (column < 0 || column >= (int) array->columns || row < 0 || row >= ROWS)
    return NULL;
  return &array->tiles[column * ROWS + row];
}

const char *
tile_kind_name (const Tile *tile)
{
  static const char *const names[] = {"shim", "memory tile", "core"};

  return names[tile->kind];
}

const char *
channel_name (const Channel *channel, char name[NAME_SIZE])
{
  snprintf (name, NAME_SIZE, "%s %d of %s (%d,%d)",
      channel->direction == S2MM ? "S2MM" : "MM2S", channel->index,
      tile_kind_name (channel->tile), channel->tile->column,
      channel->tile->row);
  return name;
}

/* xorshift64*, Vigna 2016. */
uint64_t
array_random (Array *array)
{
  array->random ^= array->random >> 12;
  array->random ^= array->random << 25;
  array->random ^= array->random >> 27;
  return array->random * 0x2545f4914f6cdd1du;
}
