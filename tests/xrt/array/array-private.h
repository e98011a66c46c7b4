/* What the files of the array's model share.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "array-core.h"
#include "array.h"

#define ROWS 6
#define SHIM_ROW 0
#define MEMORY_ROW 1

#define MAX_LOCKS 64
#define MAX_BDS 48
#define MAX_CHANNELS 6 /* in one direction */
#define QUEUE_DEPTH 4  /* tasks that wait behind the one at work */
#define FIFO_WORDS 32  /* that a receiver's stream holds */
#define MAX_RECEIVERS 8

typedef enum { SHIM, MEMORY, CORE } TileKind;
typedef enum { S2MM, MM2S } Direction; /* as streams have them */

typedef struct Tile Tile;
typedef struct Channel Channel;

typedef struct {
  int lock; /* in the numbering of the tile's descriptors; -1: none */
  int value;
} LockUse;

/* A descriptor as its registers say. Addresses are in words; those of the shim
 * in the host's memory. */
typedef struct {
  int index;
  uint32_t length;
  uint64_t base;
  unsigned n_dims;
  uint32_t step[4], wrap[3]; /* wrap 0: the rest */
  uint32_t iteration_step, iteration_wrap;
  int next; /* -1: none */
  LockUse acquire, release;
} Bd;

typedef struct {
  int first;
  unsigned repeats;
  bool token;
} Task;

struct Channel {
  Tile *tile;
  Direction direction;
  int index;

  Task queue[QUEUE_DEPTH];
  unsigned n_queued;
  bool busy; /* with `task` */
  Task task;
  unsigned repeats_left;
  int active;   /* its descriptor now */
  bool started; /* it has its lock; `bd` is what it said then */
  Bd bd;
  uint64_t offset; /* of its iteration, words */
  uint32_t position;
  uint32_t digit[4];

  /* S2MM: words that have arrived. */
  uint32_t fifo[FIFO_WORDS];
  unsigned head, n_words;
  Channel *sender;
  /* MM2S: where its words go. */
  Channel *receivers[MAX_RECEIVERS];
  unsigned n_receivers;
  const Tile *end; /* where a branch of its stream ends, with no port for it */

  unsigned tokens;
  bool waits_for_lock;
  unsigned mark; /* of run.c */
};

/* What is known of a word of a tile's memory. */
typedef enum { UNWRITTEN, WRITTEN, READ } WordState;

struct Tile {
  Array *array;
  TileKind kind;
  int column, row;
  uint8_t *memory;
  uint8_t *states; /* a WordState for each word */
  size_t size;     /* of the memory; 0 for a shim */
  int locks[MAX_LOCKS];
  unsigned n_locks, n_bds, n_channels;
  uint32_t bds[MAX_BDS][8];
  uint32_t iteration[MAX_BDS]; /* how often, modulo its wrap */
  uint32_t *masters, *slaves;  /* of the stream switch */
  uint32_t mux, demux;         /* of a shim */
  Channel channels[2][MAX_CHANNELS];

  uint32_t program; /* the first word of its program memory */
  bool enabled;
  ArrayCore *core;
  unsigned mark;
};

/* What cores run, with the parameters of its line. */
typedef struct {
  const ArrayProgram *program;
  int parameters[ARRAY_MAX_PARAMETERS];
} CoreProgram;

typedef struct {
  uint8_t *data;
  size_t size;
} Argument;

struct Array {
  unsigned columns;
  uint64_t random;
  Tile *tiles; /* [columns][ROWS] */
  Argument arguments[ARRAY_MAX_ARGUMENTS];
  CoreProgram programs[ARRAY_MAX_PROGRAMS];
  unsigned n_programs;
  void *object; /* of dlopen() */
  bool routed;  /* the channels' receivers are what the switches say */
  bool changed; /* something has happened in this round */
  bool failed;
  uint64_t words, descriptors;
  char error[ARRAY_MESSAGE];
};

/* --- array.c */

/* Keeps the first. Returns false. */
bool array_fail (Array *array, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));
/* NULL where there is none. */
Tile *array_tile (Array *array, int column, int row);
/* "S2MM 0 of memory tile (1,1)", in a buffer of the caller's. */
#define NAME_SIZE 48
const char *channel_name (const Channel *channel, char name[NAME_SIZE]);
const char *tile_kind_name (const Tile *tile);
uint64_t array_random (Array *array);

/* --- tile.c */

/* A register or a word of memory at an array's address. */
bool array_write (
    Array *array, uint64_t address, uint32_t value, uint32_t mask);

/* --- bd.c */

bool bd_read (Tile *tile, int index, Bd *bd);
/* The lock of a descriptor: in which tile, and which of it. */
Tile *lock_of (Tile *tile, int lock, int *index);
/* Whether it could be had, and then it is. */
bool lock_acquire (Tile *tile, LockUse use);
bool lock_release (Tile *tile, LockUse use);
/* Moves up to @n words of the channel's descriptor from @from to memory or from
 * memory to @to; false where it addresses what it may not. */
bool bd_move (Channel *channel, const uint32_t *from, uint32_t *to, unsigned n);

/* --- switch.c */

bool array_route (Array *array);

/* --- dma.c */

bool channel_push (Channel *channel, uint32_t value);
bool channel_step (Channel *channel);
/* Forgets its tasks; false where words are on their way. */
bool channel_reset (Channel *channel);

/* --- core.c */

bool core_enable (Tile *tile);
bool core_step (Tile *tile);
void core_free (ArrayCore *core);
/* The core begins anew once it is enabled, over memory that nobody wrote. */
void core_reset (Tile *tile);
/* The lock that it waits for; false where it does not wait. */
bool core_waits (const ArrayCore *core, int *lock);
/* Whether it releases this lock of its tile. */
bool core_releases (const ArrayCore *core, int lock);

/* --- run.c */

/* Until the channel has a token, which is taken. */
bool array_wait (Array *array, Channel *channel);
/* Until nothing changes; then nothing may be left. */
bool array_settle (Array *array);
