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
divide_up (guint64 tiles, guint64 batch)
{
  return tiles / batch + (tiles % batch != 0);
}

/* Tiles of a launch that covers whole groups; 0 where launches do not. */
static guint64
whole_groups_size (const NpuStage *stage)
{
  return (guint64) stage->groups_per_launch * group_size (stage);
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
  if (stage->n_tiles == 0)
    return 0;
  if (stage->groups_per_launch > 0)
    return divide_up (stage->n_tiles, whole_groups_size (stage));
  return count_for_tiles (stage, stage->n_tiles);
}

guint
npu_schedule_launch_tiles (const NpuStage *stage, guint first_tile)
{
  guint group = group_size (stage);
  guint left_in_group = group - first_tile % group;
  guint left = stage->n_tiles - first_tile;

  if (stage->groups_per_launch > 0)
    return (guint) MIN (whole_groups_size (stage), left);
  return MIN (stage->batch, MIN (left_in_group, left));
}

guint
npu_schedule_rows_end (const NpuStage *stage, guint first_tile, guint n_tiles)
{
  const guint group = group_size (stage);

  /* Whole groups have all of their rows. */
  return n_tiles >= group ? group : first_tile % group + n_tiles;
}

guint64
npu_schedule_count_for_rows (const NpuStage *stage, guint rows_end)
{
  guint group, last_group;

  if (stage->n_tiles == 0)
    return 0;
  group = group_size (stage);
  last_group = (stage->n_tiles - 1) / group * group;
  /* Groups are launched in order, so the last one's rows come last: where
   * launches cover whole groups, with the last launch. */
  if (stage->groups_per_launch > 0 || rows_end > stage->n_tiles - last_group)
    return npu_schedule_count (stage);
  return count_for_tiles (stage, last_group + rows_end);
}
