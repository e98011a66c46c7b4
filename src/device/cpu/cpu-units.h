/* A launch as units that any thread computes in any order: row tiles, or where
 * those are few, row tiles by blocks of columns.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "cpu-queue.h"

G_BEGIN_DECLS

/* Cuts the run's launch, with the run in nobody's hands. What is cut depends on
 * rows and workers only; the bytes do not depend on it. */
void cpu_units_cut (CpuRun *run);
void cpu_units_clear (CpuRun *run);

/* How many of the next units a thread takes: with the device's lock held. */
guint cpu_units_to_take (const CpuDevice *device, const CpuRun *run);

/* Computes units [first, first + n), as many as were taken at once. */
void cpu_units_run (CpuRun *run, guint first, guint n, CpuWorker *lane);

G_END_DECLS
