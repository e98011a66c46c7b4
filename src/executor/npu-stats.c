/* Sums and ratios of an executor's statistics.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-stats.h"

void
npu_stats_add (NpuStats *stats, const NpuStats *other)
{
  stats->tiles += other->tiles;
  stats->launches += other->launches;
  stats->stalls += other->stalls;
  stats->total_time += other->total_time;
  stats->dma_write_time += other->dma_write_time;
  stats->compute_time += other->compute_time;
  stats->dma_read_time += other->dma_read_time;
}

double
npu_stats_dma_overhead (const NpuStats *stats)
{
  if (stats->total_time == 0)
    return 0.0;
  return 100.0 * (double) (stats->dma_write_time + stats->dma_read_time) /
         (double) stats->total_time;
}

guint64
npu_stats_tile_time (const NpuStats *stats)
{
  return stats->tiles == 0 ? 0 : stats->total_time / stats->tiles;
}
