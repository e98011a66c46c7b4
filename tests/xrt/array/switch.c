/* Stream switches: circuits from each sender to its receivers, as the ports of
 * all tiles connect them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "array-private.h"

#define ENABLED (1u << 31)
#define PACKETS (1u << 30)
#define SLAVE_MASK 0x7fu
#define TO_DMA 1u /* of a shim's multiplexers */
#define MAX_HOPS 64

typedef enum {
  NONE,
  CORE_PORT,
  DMA,
  CONTROL,
  FIFO,
  SOUTH,
  WEST,
  NORTH,
  EAST,
  TRACE
} Bundle;

typedef struct {
  Bundle bundle;
  int n;
} Ports;

/* In the order of their registers. */
static const Ports masters[][9] = {
    [SHIM] = {{CONTROL, 1}, {FIFO, 1}, {SOUTH, 6}, {WEST, 4}, {NORTH, 6},
        {EAST, 4}, {NONE, 0}},
    [MEMORY] = {{DMA, 6}, {CONTROL, 1}, {SOUTH, 4}, {NORTH, 6}, {NONE, 0}},
    [CORE] = {{CORE_PORT, 1}, {DMA, 2}, {CONTROL, 1}, {FIFO, 1}, {SOUTH, 4},
        {WEST, 4}, {NORTH, 6}, {EAST, 4}, {NONE, 0}},
};
static const Ports slaves[][10] = {
    [SHIM] = {{CONTROL, 1}, {FIFO, 1}, {SOUTH, 8}, {WEST, 4}, {NORTH, 4},
        {EAST, 4}, {TRACE, 1}, {NONE, 0}},
    [MEMORY] = {{DMA, 6}, {CONTROL, 1}, {SOUTH, 6}, {NORTH, 4}, {TRACE, 1},
        {NONE, 0}},
    [CORE] = {{CORE_PORT, 1}, {DMA, 2}, {CONTROL, 1}, {FIFO, 1}, {SOUTH, 6},
        {WEST, 4}, {NORTH, 4}, {EAST, 4}, {TRACE, 2}, {NONE, 0}},
};

static const char *const bundle_names[] = {"none", "core", "DMA", "control",
    "FIFO", "south", "west", "north", "east", "trace"};

/* Which slave port a bundle's port is; -1: none. */
static int
slave_of (const Tile *tile, Bundle bundle, int index)
{
  int port = 0;

  for (const Ports *ports = slaves[tile->kind]; ports->bundle; ports++) {
    if (ports->bundle == bundle)
      return index < ports->n ? port + index : -1;
    port += ports->n;
  }
  return -1;
}

/* The bundle of a master port, and which of it. */
static Bundle
master_bundle (const Tile *tile, int port, int *index)
{
  for (const Ports *ports = masters[tile->kind]; ports->bundle; ports++) {
    *index = port;
    if (port < ports->n)
      return ports->bundle;
    port -= ports->n;
  }
  return NONE;
}

static bool
add_receiver (Channel *sender, Channel *receiver)
{
  char name[NAME_SIZE], other[NAME_SIZE];

  if (receiver->sender && receiver->sender != sender)
    return array_fail (sender->tile->array, "both %s and %s send to %s (%d,%d)",
        channel_name (sender, name), channel_name (receiver->sender, other),
        tile_kind_name (receiver->tile), receiver->tile->column,
        receiver->tile->row);
  if (sender->n_receivers == MAX_RECEIVERS)
    return array_fail (sender->tile->array, "%s sends to more than %d",
        channel_name (sender, name), MAX_RECEIVERS);
  receiver->sender = sender;
  sender->receivers[sender->n_receivers++] = receiver;
  return true;
}

static bool follow (Channel *sender, Tile *tile, int slave, int hops);

/* Through a master port to what is behind it. */
static bool
leave (Channel *sender, Tile *tile, Bundle bundle, int index, int hops)
{
  static const struct {
    int column, row;
    Bundle opposite;
  } ways[] = {
      [SOUTH] = {0, -1, NORTH},
      [WEST] = {-1, 0, EAST},
      [NORTH] = {0, 1, SOUTH},
      [EAST] = {1, 0, WEST},
  };
  Tile *next;
  int slave;
  char name[NAME_SIZE];

  if (bundle == DMA)
    return add_receiver (sender, &tile->channels[S2MM][index]);
  if (tile->kind == SHIM && bundle == SOUTH && index >= 2 &&
      (tile->demux >> (2 * index) & 3) == TO_DMA)
    return add_receiver (sender, &tile->channels[S2MM][index == 2 ? 0 : 1]);
  next = bundle >= SOUTH && bundle <= EAST
             ? array_tile (tile->array, tile->column + ways[bundle].column,
                   tile->row + ways[bundle].row)
             : NULL;
  slave = next ? slave_of (next, ways[bundle].opposite, index) : -1;
  if (slave < 0)
    return array_fail (tile->array,
        "the stream of %s leaves %s (%d,%d) by its port %s %d, where nothing "
        "is",
        channel_name (sender, name), tile_kind_name (tile), tile->column,
        tile->row, bundle_names[bundle], index);
  return follow (sender, next, slave, hops + 1);
}

/* From a slave port to all master ports that take its stream. */
static bool
follow (Channel *sender, Tile *tile, int slave, int hops)
{
  int index;
  bool taken = false;
  Bundle bundle;
  char name[NAME_SIZE];

  if (hops > MAX_HOPS)
    return array_fail (tile->array, "the stream of %s goes in circles",
        channel_name (sender, name));
  if (!(tile->slaves[slave] & ENABLED)) {
    sender->end = tile;
    return true;
  }
  if (tile->slaves[slave] & PACKETS)
    return array_fail (tile->array,
        "%s (%d,%d) takes packets of %s: packet switching is not modelled",
        tile_kind_name (tile), tile->column, tile->row,
        channel_name (sender, name));
  for (int port = 0; (bundle = master_bundle (tile, port, &index)); port++) {
    const uint32_t master = tile->masters[port];

    if (!(master & ENABLED) || (master & PACKETS) ||
        (int) (master & SLAVE_MASK) != slave)
      continue;
    taken = true;
    if (!leave (sender, tile, bundle, index, hops))
      return false;
  }
  if (!taken)
    sender->end = tile;
  return true;
}

/* The port by which a sender's stream enters its tile's switch; -1: none. A
 * shim's is where its multiplexer has the DMA. */
static int
entry_of (const Channel *sender)
{
  const Tile *tile = sender->tile;

  if (tile->kind != SHIM)
    return slave_of (tile, DMA, sender->index);
  if ((tile->mux >> (sender->index ? 14 : 10) & 3) != TO_DMA)
    return -1;
  return slave_of (tile, SOUTH, sender->index ? 7 : 3);
}

bool
array_route (Array *array)
{
  for (unsigned i = 0; i < array->columns * ROWS; i++)
    for (int j = 0; j < MAX_CHANNELS; j++) {
      array->tiles[i].channels[S2MM][j].sender = NULL;
      array->tiles[i].channels[MM2S][j].n_receivers = 0;
      array->tiles[i].channels[MM2S][j].end = NULL;
    }
  for (unsigned i = 0; i < array->columns * ROWS; i++)
    for (unsigned j = 0; j < array->tiles[i].n_channels; j++) {
      Channel *sender = &array->tiles[i].channels[MM2S][j];
      const int slave = entry_of (sender);

      if (slave >= 0 && !follow (sender, sender->tile, slave, 0))
        return false;
    }
  array->routed = true;
  return true;
}
