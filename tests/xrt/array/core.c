/* What a core's program may do: objects in the buffers that the descriptors of
 * its DMA channels name, guarded by the locks that these use.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "array-private.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OBJECTS 16
#define ALIGNMENT 32 /* of the vectors that programs load */

typedef struct {
  bool is_open;
  Channel *channel;
  Bd objects[MAX_OBJECTS]; /* in turns */
  unsigned n_objects, next;
  bool is_held;
} Fifo;

struct ArrayCore {
  Tile *tile;
  const CoreProgram *runs;
  Fifo fifos[ARRAY_MAX_FIFOS];
  int step;
  int waits_for; /* a lock; -1: none */
};

bool
array_core_fail (ArrayCore *core, const char *format, ...)
{
  char text[ARRAY_MESSAGE / 2];
  va_list args;

  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  return array_fail (core->tile->array, "core (%d,%d): %s", core->tile->column,
      core->tile->row, text);
}

/* --- FIFOs */

/* The descriptors of a channel's task, as far as they follow each other in a
 * ring. */
static bool
read_objects (ArrayCore *core, Channel *channel, Fifo *fifo)
{
  int index = channel->busy ? channel->task.first : channel->queue[0].first;
  bool seen[MAX_BDS] = {false};

  fifo->channel = channel;
  for (fifo->n_objects = 0; index >= 0 && !seen[index];) {
    Bd *bd = &fifo->objects[fifo->n_objects];

    if (fifo->n_objects++ == MAX_OBJECTS)
      return array_core_fail (core, "more than %d buffers", MAX_OBJECTS);
    seen[index] = true;
    if (!bd_read (core->tile, index, bd))
      return false;
    index = bd->next;
  }
  return true;
}

bool
array_core_open (
    ArrayCore *core, unsigned slot, ArrayDirection direction, size_t size)
{
  Channel *channels = core->tile->channels[direction == ARRAY_IN ? S2MM : MM2S];
  Fifo *fifo = &core->fifos[slot];

  for (unsigned i = 0; i < core->tile->n_channels; i++) {
    if (!channels[i].busy && !channels[i].n_queued)
      continue;
    if (!read_objects (core, &channels[i], fifo))
      return false;
    if ((size_t) fifo->objects[0].length * 4 == size) {
      fifo->is_open = true;
      return true;
    }
  }
  return array_core_fail (core,
      "its program wants objects of %zu bytes %s, but no %s channel has such",
      size, direction == ARRAY_IN ? "in" : "out",
      direction == ARRAY_IN ? "S2MM" : "MM2S");
}

static bool
is_input (const Fifo *fifo)
{
  return fifo->channel->direction == S2MM;
}

static bool
check_object (ArrayCore *core, const Fifo *fifo, const Bd *object)
{
  Tile *tile = core->tile;
  char name[NAME_SIZE];

  if (object->base * 4 % ALIGNMENT)
    return array_core_fail (core,
        "its program takes the buffer of %s, descriptor %d, at 0x%llx: "
        "misaligned, vectors are loaded from multiples of %d",
        channel_name (fifo->channel, name), object->index,
        (unsigned long long) object->base * 4, ALIGNMENT);
  if ((object->base + object->length) * 4 > tile->size)
    return array_core_fail (core,
        "the buffer of %s, descriptor %d, at 0x%llx is outside of its memory",
        channel_name (fifo->channel, name), object->index,
        (unsigned long long) object->base * 4);
  if (object->acquire.lock < 0 || object->release.lock < 0)
    return array_core_fail (core, "descriptor %d of %s has no locks",
        object->index, channel_name (fifo->channel, name));
  return true;
}

/* Words that the program is given to read, or has written. */
static bool
mark_object (ArrayCore *core, const Fifo *fifo, const Bd *object)
{
  uint8_t *states = core->tile->states + object->base;
  char name[NAME_SIZE];

  for (uint32_t i = 0; i < object->length; i++) {
    if (is_input (fifo) && states[i] == UNWRITTEN)
      return array_core_fail (core,
          "reads word 0x%llx, in the buffer of %s, descriptor %d, before it "
          "was written",
          (unsigned long long) object->base + i,
          channel_name (fifo->channel, name), object->index);
    if (!is_input (fifo) && states[i] == WRITTEN)
      return array_core_fail (core,
          "writes over word 0x%llx, in the buffer of %s, descriptor %d, before "
          "it was sent",
          (unsigned long long) object->base + i,
          channel_name (fifo->channel, name), object->index);
  }
  memset (states, is_input (fifo) ? READ : WRITTEN, object->length);
  return true;
}

/* The lock that the DMA releases when the object is the core's to take. */
void *
array_core_acquire (ArrayCore *core, unsigned slot)
{
  Fifo *fifo = &core->fifos[slot];
  const Bd *object = &fifo->objects[fifo->next];
  Tile *tile = core->tile;

  if (tile->array->failed || !check_object (core, fifo, object))
    return NULL;
  if (!fifo->is_held) {
    const LockUse use = {object->release.lock, -object->release.value};

    core->waits_for = use.lock;
    if (!lock_acquire (tile, use))
      return NULL;
    core->waits_for = -1;
    fifo->is_held = true;
    tile->array->changed = true;
    if (is_input (fifo) && !mark_object (core, fifo, object))
      return NULL;
  }
  return tile->memory + object->base * 4;
}

void
array_core_release (ArrayCore *core, unsigned slot)
{
  Fifo *fifo = &core->fifos[slot];
  const Bd *object = &fifo->objects[fifo->next];
  const LockUse use = {object->acquire.lock, -object->acquire.value};

  if (core->tile->array->failed)
    return;
  if (!is_input (fifo) && !mark_object (core, fifo, object))
    return;
  fifo->is_held = false;
  fifo->next = (fifo->next + 1) % fifo->n_objects;
  lock_release (core->tile, use);
}

void *
array_core_memory (ArrayCore *core, size_t address, size_t size)
{
  if (address % ALIGNMENT || address + size > core->tile->size) {
    array_core_fail (core,
        "its program has %zu bytes of scratch at 0x%zx: misaligned, or outside "
        "of its memory",
        size, address);
    return NULL;
  }
  return core->tile->memory + address;
}

/* --- the core */

bool
core_enable (Tile *tile)
{
  if (tile->program >= tile->array->n_programs)
    return array_fail (tile->array,
        "core (%d,%d) is enabled, but it is not told what it runs: its program "
        "is number %u of %u",
        tile->column, tile->row, tile->program, tile->array->n_programs);
  if (tile->core)
    return true;
  tile->core = calloc (1, sizeof *tile->core);
  if (!tile->core)
    abort ();
  tile->core->tile = tile;
  tile->core->runs = &tile->array->programs[tile->program];
  tile->core->waits_for = -1;
  return true;
}

/* FIFOs are opened when the core first runs: then the DMA has its tasks. */
bool
core_step (Tile *tile)
{
  ArrayCore *core = tile->core;
  Array *array = tile->array;

  if (!core || !tile->enabled)
    return true;
  if (!core->fifos[0].is_open &&
      !core->runs->program->begin (core, core->runs->parameters))
    return false;
  core->runs->program->run (core, core->runs->parameters, &core->step);
  return !array->failed;
}

void
core_free (ArrayCore *core)
{
  free (core);
}

void
core_reset (Tile *tile)
{
  core_free (tile->core);
  tile->core = NULL;
  tile->enabled = false;
  memset (tile->states, UNWRITTEN, tile->size / 4);
}

bool
core_waits (const ArrayCore *core, int *lock)
{
  *lock = core->waits_for;
  return core->waits_for >= 0;
}

bool
core_releases (const ArrayCore *core, int lock)
{
  for (unsigned i = 0; i < ARRAY_MAX_FIFOS; i++)
    for (unsigned j = 0; j < core->fifos[i].n_objects; j++)
      if (core->fifos[i].is_open &&
          core->fifos[i].objects[j].acquire.lock == lock)
        return true;
  return false;
}

/* --- which program */

static const ArrayProgram *
find_program (Array *array, const char *name, const char *object)
{
  extern const ArrayProgram array_programs[];
  const ArrayProgram *(*find) (const char *);

  if (object && *object && !array->object) {
    array->object = dlopen (object, RTLD_NOW | RTLD_LOCAL);
    if (!array->object) {
      array_fail (array, "%s cannot be loaded: %s", object, dlerror ());
      return NULL;
    }
  }
  if (array->object) {
    *(void **) &find = dlsym (array->object, "array_program");
    if (find && find (name))
      return find (name);
  }
  for (const ArrayProgram *program = array_programs; program->name; program++)
    if (!strcmp (program->name, name))
      return program;
  array_fail (array, "there is no program '%s' for cores", name);
  return NULL;
}

static bool
set_parameter (
    Array *array, CoreProgram *core, const char *name, const char *value)
{
  const ArrayProgram *program = core->program;
  char *end;

  for (int i = 0; i < ARRAY_MAX_PARAMETERS; i++)
    if (program->parameters[i] && !strcmp (program->parameters[i], name)) {
      core->parameters[i] = (int) strtol (value, &end, 0);
      return (*value && !*end && core->parameters[i] > 0) ||
             array_fail (array, "program '%s': '%s' cannot be '%s'",
                 program->name, name, value);
    }
  return array_fail (
      array, "program '%s' has no parameter '%s'", program->name, name);
}

bool
array_add_program (Array *array, const char *line, const char *object)
{
  char text[256], *rest = NULL, *word;
  CoreProgram *core = &array->programs[array->n_programs];

  if (array->n_programs == ARRAY_MAX_PROGRAMS)
    return array_fail (
        array, "more than %d programs for cores", ARRAY_MAX_PROGRAMS);
  snprintf (text, sizeof text, "%s", line);
  word = strtok_r (text, " ", &rest);
  if (!word)
    return array_fail (array, "no program is named");
  core->program = find_program (array, word, object);
  if (!core->program)
    return false;
  while ((word = strtok_r (NULL, " ", &rest))) {
    char *value = strchr (word, '=');

    if (!value)
      return array_fail (array, "'%s' is no NAME=NUMBER", word);
    *value++ = 0;
    if (!set_parameter (array, core, word, value))
      return false;
  }
  for (int i = 0; i < ARRAY_MAX_PARAMETERS; i++)
    if (core->program->parameters[i] && !core->parameters[i])
      return array_fail (array, "program '%s' lacks its parameter '%s'",
          core->program->name, core->program->parameters[i]);
  array->n_programs++;
  return true;
}
