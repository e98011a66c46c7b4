/* A launch as units that any thread computes in any order: row tiles, or where
 * those are few, row tiles by blocks of columns.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "cpu-device.h"

G_BEGIN_DECLS

/* All zero before the first launch. */
typedef struct {
  NpuLaunch launch;
  guint n_units;
  guint n_parts;  /* of each tile */
  guint n_blocks; /* of a part */

  /* What the parts of a tile have in common; kept for the next launch. */
  guint8 *rows;
  gsize rows_size;
  atomic_uint *parts_left; /* [n_tiles_left]: that have not run */
  guint n_tiles_left;
} CpuUnits;

/* Cuts @launch, which nobody computes. What is cut depends on rows and workers
 * only; the bytes do not depend on it. */
void cpu_units_cut (
    CpuUnits *units, const CpuDevice *device, const NpuLaunch *launch);
void cpu_units_clear (CpuUnits *units);

/* How many units a thread takes from @next on. */
guint cpu_units_to_take (
    const CpuUnits *units, const CpuDevice *device, guint next);

/* Computes units [first, first + n), as many as were taken at once. */
void cpu_units_run (CpuUnits *units, const CpuDevice *device, guint first,
    guint n, CpuWorker *lane);

G_END_DECLS
