/* Programs that are designs: behind the text in a test xclbin's PDI is what a
 * real one has, the array's configuration, and the stream of instructions is
 * executed. The text says besides what buffers there are what the cores run,
 * since no core's code can be.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS 4 /* of an AIE2 array that have a shim's DMA */

static void
keep_error (Array *array, char *why, size_t why_size)
{
  snprintf (why, why_size, "%s", array_error (array));
  array_free (array);
}

/* Designs come first: their numbers are those of the array's programs. */
static bool
add_programs (Array *array, const SimPrograms *programs)
{
  for (int i = 0; i < programs->n && programs->list[i].cores[0]; i++)
    if (!array_add_program (
            array, programs->list[i].cores, sim.settings.programs))
      return false;
  return true;
}

Array *
sim_design_load (const SimPrograms *programs, const void *pdi, size_t size,
    char *why, size_t why_size)
{
  const size_t text = (strnlen (pdi, size) + 4) / 4 * 4; /* and a zero */
  Array *array;

  if (sim_device ()->strix) {
    snprintf (why, why_size,
        "the design is for the array of Phoenix; that of Strix is not "
        "modelled");
    return NULL;
  }
  array = array_new (COLUMNS, sim.settings.seed);
  if (text >= size) {
    snprintf (why, why_size, "the PDI has cores, but no configuration");
    array_free (array);
    return NULL;
  }
  if (!add_programs (array, programs) ||
      !array_configure (array, (const uint8_t *) pdi + text, size - text)) {
    keep_error (array, why, why_size);
    return NULL;
  }
  return array;
}

bool
sim_design_run (Array *array, const SimProgram *program, uint8_t *const *data,
    const uint32_t *stream, size_t n_words)
{
  uint64_t words, bds, words_before, bds_before;
  bool done;

  array_get_counts (array, &words_before, &bds_before);
  for (int i = 0; i < program->n_args; i++)
    array_set_argument (array, (unsigned) i, data[i],
        (size_t) sim_program_arg_size (program, program->args[i]));
  done = array_run (array, stream, n_words);
  array_get_counts (array, &words, &bds);
  __atomic_add_fetch (
      &sim.counters.array_words, words - words_before, __ATOMIC_RELAXED);
  __atomic_add_fetch (
      &sim.counters.array_bds, bds - bds_before, __ATOMIC_RELAXED);
  if (!done)
    sim_violation (SIM_ARRAY, "%s", array_error (array));
  return done;
}
