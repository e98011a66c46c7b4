/* A core's program for the array's model: what the core would do, as a function
 * on the host over the tile's own memory.
 *
 * A core is fed by its DMA channels: objects come by its S2MM channels and go
 * by its MM2S ones, in buffers that the design's descriptors name and guarded
 * by the locks that they use. A program finds each of these by direction and
 * by its object's bytes, as the design has them.
 *
 * A shared object for designs of one's own (NPUSIM_PROGRAMS) exports
 *   const ArrayProgram *array_program (const char *name);
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_MAX_PARAMETERS 8
#define ARRAY_MAX_FIFOS 4

typedef struct ArrayCore ArrayCore;

typedef enum { ARRAY_IN, ARRAY_OUT } ArrayDirection;

typedef struct {
  const char *name;
  /* Of the line that names it, in this order; all must be there. */
  const char *parameters[ARRAY_MAX_PARAMETERS];
  /* Once: opens the core's FIFOs. False after array_core_fail(). */
  bool (*begin) (ArrayCore *core, const int *parameters);
  /* As far as the core gets; called again and again. Returns at an acquisition
   * that returned NULL, and begins there the next time: `step` is its own. */
  void (*run) (ArrayCore *core, const int *parameters, int *step);
} ArrayProgram;

/* Opens FIFO @slot of the core, the one whose objects have @size bytes. */
bool array_core_open (
    ArrayCore *core, unsigned slot, ArrayDirection direction, size_t size);
/* The next object, 32-byte aligned, or NULL: not yet. What comes in has been
 * written, or it is an error. */
void *array_core_acquire (ArrayCore *core, unsigned slot);
void array_core_release (ArrayCore *core, unsigned slot);
/* @size bytes of the tile's memory at @address, for scratch; NULL after an
 * error. Must be aligned to 32. */
void *array_core_memory (ArrayCore *core, size_t address, size_t size);
bool array_core_fail (ArrayCore *core, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));
