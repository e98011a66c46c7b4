/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-units.h"

#include <stdlib.h>

#include "npu-clock.h"

/* A stage of fewer row tiles than this for each worker is cut into about as
 * many units: the last ones to end are a small part of it. Of more, each tile's
 * input is converted once, and its output is one thread's. */
#define UNITS_PER_WORKER 4

static gpointer
aligned_new (gsize size)
{
  void *data = NULL;

  if (posix_memalign (&data, 64, MAX (size, 64)))
    g_error (
        "no memory for %" G_GSIZE_FORMAT " bytes of a thread's scratch", size);
  return data;
}

/* --- cutting ------------------------------------------------------------- */

static guint
divide_up (guint a, guint b)
{
  return (a + b - 1) / b;
}

/* Into how many parts the columns of each tile are cut. A launch may be one of
 * several of its stage, which are in flight together: its rows tell. */
static guint
n_parts_for (const CpuDevice *device, const NpuLaunch *launch)
{
  const CpuKernel *kernel = (const CpuKernel *) launch->kernel;
  const guint n_wanted = UNITS_PER_WORKER * device->base.n_workers;
  const guint n_tiles = divide_up (launch->rows, NPU_TILE_ROWS);

  if (!kernel->run_part || device->base.n_workers == 1 ||
      device->tile_observer || n_tiles >= n_wanted)
    return 1;
  return MIN (divide_up (n_wanted, n_tiles), kernel->n_blocks);
}

/* What parts of a tile have in common; kept for the next launch. */
static void
make_rows (CpuRun *run, gsize size)
{
  const guint n_tiles = run->launch.n_tiles;

  if (run->rows_size < n_tiles * size) {
    free (run->rows);
    run->rows_size = n_tiles * size;
    run->rows = aligned_new (run->rows_size);
  }
  if (run->n_tiles_left < n_tiles) {
    g_free (run->parts_left);
    run->parts_left = g_new (atomic_uint, n_tiles);
    run->n_tiles_left = n_tiles;
  }
  for (guint i = 0; i < n_tiles; i++)
    atomic_init (&run->parts_left[i], run->n_parts);
}

void
cpu_units_cut (CpuRun *run)
{
  const CpuDevice *device = (const CpuDevice *) run->base.device;
  const CpuKernel *kernel = (const CpuKernel *) run->launch.kernel;

  run->n_parts = n_parts_for (device, &run->launch);
  if (run->n_parts > 1) {
    run->n_blocks = divide_up (kernel->n_blocks, run->n_parts);
    run->n_parts = divide_up (kernel->n_blocks, run->n_blocks);
    if (kernel->rows_size > 0)
      make_rows (run, kernel->rows_size);
  }
  run->n_units = run->launch.n_tiles * run->n_parts;
}

void
cpu_units_clear (CpuRun *run)
{
  free (run->rows);
  g_free (run->parts_left);
}

/* --- running ------------------------------------------------------------- */

/* Not two of the last ones, so that threads end together, and one where each is
 * observed. */
guint
cpu_units_to_take (const CpuDevice *device, const CpuRun *run)
{
  const CpuKernel *kernel = (const CpuKernel *) run->launch.kernel;
  const guint rest = run->n_units - run->next_unit;

  return kernel->run_pair && run->n_parts == 1 &&
                 rest >= 2 * device->base.n_workers && !device->tile_observer
             ? 2
             : 1;
}

static void
run_part (CpuRun *run, guint unit, CpuWorker *lane)
{
  const CpuKernel *kernel = (const CpuKernel *) run->launch.kernel;
  const guint i = unit / run->n_parts;
  CpuPart part = {.tile = run->launch.first_tile + i,
      .first_block = unit % run->n_parts * run->n_blocks};

  part.n_blocks = MIN (run->n_blocks, kernel->n_blocks - part.first_block);
  if (kernel->rows_size > 0)
    part.rows = (float *) (run->rows + i * kernel->rows_size);
  kernel->run_part (kernel, &run->launch, &part, lane);
  if (kernel->rows_size > 0 && atomic_fetch_sub_explicit (&run->parts_left[i],
                                   1, memory_order_acq_rel) == 1)
    kernel->store_rows (kernel, &run->launch, part.tile, part.rows);
}

/* Of a tile, seen by the device's observer. */
static void
run_tile_observed (const CpuDevice *device, const NpuLaunch *launch, guint tile,
    CpuWorker *lane)
{
  const CpuKernel *kernel = (const CpuKernel *) launch->kernel;
  const guint64 start = npu_clock_ns ();

  kernel->run_tile (kernel, launch, tile, lane);
  device->tile_observer (lane->number, launch->kernel, tile, start,
      npu_clock_ns (), device->tile_observer_data);
}

void
cpu_units_run (CpuRun *run, guint first, guint n, CpuWorker *lane)
{
  const CpuDevice *device = (const CpuDevice *) run->base.device;
  const NpuLaunch *launch = &run->launch;
  const CpuKernel *kernel = (const CpuKernel *) launch->kernel;
  const guint tile = launch->first_tile + first;

  if (lane->scratch_size < kernel->scratch_size) {
    free (lane->scratch);
    lane->scratch_size = kernel->scratch_size;
    lane->scratch = aligned_new (lane->scratch_size);
  }
  if (run->n_parts > 1)
    run_part (run, first, lane);
  else if (G_UNLIKELY (device->tile_observer != NULL))
    run_tile_observed (device, launch, tile, lane);
  else if (n == 2)
    kernel->run_pair (kernel, launch, tile, lane);
  else
    kernel->run_tile (kernel, launch, tile, lane);
}
