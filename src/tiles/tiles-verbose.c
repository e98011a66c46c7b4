/* The pipeline told to people: a line for every launch, and the statistics.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tiles-private.h"

static void
print_tiles (FILE *file, const TilesSegment *segment, guint first, guint n)
{
  if (n == 1)
    fprintf (file, "tile %u", segment->order[first]);
  else
    fprintf (file, "tiles %u-%u", segment->order[first],
        segment->order[first + n - 1]);
}

void
tiles_verbose_observe (const NpuStage *stage, NpuExecutorEvent event,
    const NpuExecutorEventInfo *info, gpointer user_data)
{
  const NpuTiles *tiles = user_data;
  const TilesSegment *segment = stage->user_data;
  FILE *file = tiles->verbose;

  switch (event) {
    case NPU_EVENT_LAUNCHED:
      fprintf (file, "[fill]   %s, slot %u: ", stage->name, info->slot);
      print_tiles (file, segment, info->first_tile, info->n_tiles);
      fputs (" launched (no wait)", file);
      break;
    case NPU_EVENT_OVERLAPPED:
      fprintf (file, "[steady] %s, slot %u: ", stage->name, info->slot);
      if (info->completed_n_tiles > 0) {
        print_tiles (
            file, segment, info->completed_first_tile, info->completed_n_tiles);
        fputs (" completed, ", file);
      }
      print_tiles (file, segment, info->first_tile, info->n_tiles);
      fputs (" launched", file);
      break;
    case NPU_EVENT_DRAINED:
      fprintf (file, "[drain]  %s, slot %u: ", stage->name, info->slot);
      print_tiles (file, segment, info->first_tile, info->n_tiles);
      fputs (" completed", file);
      break;
    case NPU_EVENT_STAGE_DONE:
      return;
  }
  fputs (info->stalled ? " (stall)\n" : "\n", file);
}

void
npu_tiles_set_verbose (NpuTiles *tiles, FILE *file)
{
  tiles->verbose = file;
  npu_executor_set_observer (
      tiles->executor, file != NULL ? tiles_verbose_observe : NULL, tiles);
}

void
npu_tiles_print_stats (NpuTiles *tiles, FILE *file)
{
  NpuStats stats;

  npu_tiles_get_stats (tiles, &stats);
  fprintf (file,
      "depth %u, batch %u on %s\n"
      "  tiles      %10" G_GUINT64_FORMAT "\n"
      "  launches   %10" G_GUINT64_FORMAT "\n"
      "  stalls     %10" G_GUINT64_FORMAT "\n"
      "  total      %10.3f ms, %.4f ms per tile\n"
      "  dma-write  %10.3f ms\n"
      "  compute    %10.3f ms\n"
      "  dma-read   %10.3f ms\n"
      "  DMA overhead %8.2f %%\n",
      tiles->depth, tiles->batch, npu_device_get_description (tiles->device),
      stats.tiles, stats.launches, stats.stalls,
      (double) stats.total_time / 1e6,
      (double) npu_stats_tile_time (&stats) / 1e6,
      (double) stats.dma_write_time / 1e6, (double) stats.compute_time / 1e6,
      (double) stats.dma_read_time / 1e6, npu_stats_dma_overhead (&stats));
}
