/* The arithmetic of stages, groups, batches and rows.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-schedule.h"

static guint
group_size (const NpuStage *stage)
{
  guint size = stage->tiles_per_group;

  return size == 0 || size > stage->n_tiles ? stage->n_tiles : size;
}

static guint64
divide_up (guint tiles, guint batch)
{
  return tiles / batch + (tiles % batch != 0);
}

/* Launches that hold tiles [0, n_tiles); the last may hold more. */
static guint64
count_for_tiles (const NpuStage *stage, guint n_tiles)
{
  guint group = group_size (stage);

  return n_tiles / group * divide_up (group, stage->batch) +
         divide_up (n_tiles % group, stage->batch);
}

guint64
npu_schedule_count (const NpuStage *stage)
{
  return stage->n_tiles == 0 ? 0 : count_for_tiles (stage, stage->n_tiles);
}

guint
npu_schedule_launch_tiles (const NpuStage *stage, guint first_tile)
{
  guint group = group_size (stage);
  guint left_in_group = group - first_tile % group;
  guint left = stage->n_tiles - first_tile;

  return MIN (stage->batch, MIN (left_in_group, left));
}

guint
npu_schedule_rows_end (const NpuStage *stage, guint first_tile, guint n_tiles)
{
  return first_tile % group_size (stage) + n_tiles;
}

guint64
npu_schedule_count_for_rows (const NpuStage *stage, guint rows_end)
{
  guint group, last_group;

  if (stage->n_tiles == 0)
    return 0;
  group = group_size (stage);
  last_group = (stage->n_tiles - 1) / group * group;
  /* Groups are launched in order, so the last one's rows come last. */
  if (rows_end > stage->n_tiles - last_group)
    return npu_schedule_count (stage);
  return count_for_tiles (stage, last_group + rows_end);
}
