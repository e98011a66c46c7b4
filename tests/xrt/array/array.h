/* An untimed model of the array of an AIE2 NPU (Phoenix, Hawk Point): what a
 * design does there, executed from what a device is given: the configuration
 * (CDO, as it is in a PDI) and a launch's instruction stream (TXN).
 *
 *   array.c      life, memory, errors
 *   cdo.c        configurations
 *   txn.c        instruction streams
 *   tile.c       writes to a tile: memory, locks, queues, cores
 *   bd.c         buffer descriptors: what they say, words they address
 *   switch.c     stream switches: from each sender to its receivers
 *   dma.c        DMA channels, word by word
 *   core.c       what a core's program may do
 *   programs.c   the programs of kernels/aie2
 *   run.c        the order of things, and why nothing goes on
 *
 * Registers and their fields are those of AMD's AM025 (AIE-ML register
 * reference) and aie-rt's xaiemlgbl_params.h; configurations are those of
 * bootgen's CDO commands; streams are those of aie-rt's xaie_txn.h with the
 * three operations of mlir-aie's tools (0x80 wait for a token, 0x81 patch an
 * address). It knows no time: a transfer is done when it can be. Packet
 * switching, padding, cascades and trace are not modelled: what uses them is an
 * error, never a guess.
 *
 * Needs neither XRT nor the rest of the simulator.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_MAX_ARGUMENTS 8
#define ARRAY_MAX_PROGRAMS 8
#define ARRAY_MESSAGE 1024

typedef struct Array Array;

/* An array of @columns, each with a shim, a memory and four core tiles. @seed
 * settles the order in which what can go on does; results must not depend on
 * it. Never NULL. */
Array *array_new (unsigned columns, uint64_t seed);
void array_free (Array *array);

/* What cores run: a line of words,
 *   NAME [KEY=NUMBER...]
 * where NAME is one of programs.c's or of the shared object @object (or
 * NULL), see array-core.h. Before the configuration. Of several, a core runs
 * the one whose number, from 0, is in the first word of its program memory,
 * where a compiled program would be. */
bool array_add_program (Array *array, const char *line, const char *object);

/* Executes the CDOs in @data: of a file, of several, or of a whole PDI. */
bool array_configure (Array *array, const void *data, size_t size);

/* The launch's buffer argument @index, by reference until the next call. */
void array_set_argument (Array *array, unsigned index, void *data, size_t size);

/* Executes a stream of @n words, until its end and until everything in the
 * array has come to rest. */
bool array_run (Array *array, const uint32_t *words, size_t n);

/* Why one of these returned false: a sentence with tile, channel and
 * descriptor. Afterwards an array can only be freed. */
const char *array_error (const Array *array);

/* Words moved by DMA channels and descriptors worked off, of all launches. */
void array_get_counts (const Array *array, uint64_t *words, uint64_t *bds);
