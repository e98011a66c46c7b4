/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-units.h"

#include <stdlib.h>

#include "npu-clock.h"

/* A stage of fewer row tiles than this for each worker is cut into about as
 * many units: the last ones to end are a small part of it. Of more, each tile's
 * input is converted once, and its output is one thread's. */
#define UNITS_PER_WORKER 3

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

static void
make_rows (CpuUnits *units, gsize size)
{
  const guint n_tiles = units->launch.n_tiles;

  if (units->rows_size < n_tiles * size) {
    free (units->rows);
    units->rows_size = n_tiles * size;
    units->rows = aligned_new (units->rows_size);
  }
  if (units->n_tiles_left < n_tiles) {
    g_free (units->parts_left);
    units->parts_left = g_new (atomic_uint, n_tiles);
    units->n_tiles_left = n_tiles;
  }
  for (guint i = 0; i < n_tiles; i++)
    atomic_init (&units->parts_left[i], units->n_parts);
}

void
cpu_units_cut (
    CpuUnits *units, const CpuDevice *device, const NpuLaunch *launch)
{
  const CpuKernel *kernel = (const CpuKernel *) launch->kernel;

  units->launch = *launch;
  units->n_parts = n_parts_for (device, &units->launch);
  if (units->n_parts > 1) {
    units->n_blocks = divide_up (kernel->n_blocks, units->n_parts);
    units->n_parts = divide_up (kernel->n_blocks, units->n_blocks);
    if (kernel->rows_size > 0)
      make_rows (units, kernel->rows_size);
  }
  units->n_units = units->launch.n_tiles * units->n_parts;
}

void
cpu_units_clear (CpuUnits *units)
{
  free (units->rows);
  g_free (units->parts_left);
}

/* --- running ------------------------------------------------------------- */

/* Not two of the last ones, so that threads end together, and one where each is
 * observed. */
guint
cpu_units_to_take (const CpuUnits *units, const CpuDevice *device, guint next)
{
  const CpuKernel *kernel = (const CpuKernel *) units->launch.kernel;
  const guint rest = units->n_units - next;

  return kernel->run_pair && units->n_parts == 1 &&
                 rest >= 2 * device->base.n_workers && !device->tile_observer
             ? 2
             : 1;
}

static void
run_part (CpuUnits *units, guint unit, CpuWorker *lane)
{
  const CpuKernel *kernel = (const CpuKernel *) units->launch.kernel;
  const guint i = unit / units->n_parts;
  CpuPart part = {.tile = units->launch.first_tile + i,
      .first_block = unit % units->n_parts * units->n_blocks};

  part.n_blocks = MIN (units->n_blocks, kernel->n_blocks - part.first_block);
  if (kernel->rows_size > 0)
    part.rows = (float *) (units->rows + i * kernel->rows_size);
  kernel->run_part (kernel, &units->launch, &part, lane);
  if (kernel->rows_size > 0 && atomic_fetch_sub_explicit (&units->parts_left[i],
                                   1, memory_order_acq_rel) == 1)
    kernel->store_rows (kernel, &units->launch, part.tile, part.rows);
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
cpu_units_run (CpuUnits *units, const CpuDevice *device, guint first, guint n,
    CpuWorker *lane)
{
  const NpuLaunch *launch = &units->launch;
  const CpuKernel *kernel = (const CpuKernel *) launch->kernel;
  const guint tile = launch->first_tile + first;

  if (lane->scratch_size < kernel->scratch_size) {
    free (lane->scratch);
    lane->scratch_size = kernel->scratch_size;
    lane->scratch = aligned_new (lane->scratch_size);
  }
  if (units->n_parts > 1)
    run_part (units, first, lane);
  else if (G_UNLIKELY (device->tile_observer != NULL))
    run_tile_observed (device, launch, tile, lane);
  else if (n == 2)
    kernel->run_pair (kernel, launch, tile, lane);
  else
    kernel->run_tile (kernel, launch, tile, lane);
}
