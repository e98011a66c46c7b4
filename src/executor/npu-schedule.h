/* How a stage divides into launches, and which launches wrote which rows.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-executor.h"

G_BEGIN_DECLS

/* Launches of @stage: each group's tiles in runs of @batch, the last of a
 * group as short as it comes out; or whole groups, groups_per_launch in each
 * but the last. */
guint64 npu_schedule_count (const NpuStage *stage);

/* Tiles of the launch that begins at @first_tile, which is below n_tiles and
 * where a launch ended, or 0. */
guint npu_schedule_launch_tiles (const NpuStage *stage, guint first_tile);

/* Row tile after the last one that a launch over tiles
 * [@first_tile, @first_tile + @n_tiles) covers. */
guint npu_schedule_rows_end (
    const NpuStage *stage, guint first_tile, guint n_tiles);

/* How many launches of @stage, from its first, must have completed for row
 * tiles [0, @rows_end) to be written by all of its groups. Rows that the
 * stage does not have ask for all of it. */
guint64 npu_schedule_count_for_rows (const NpuStage *stage, guint rows_end);

G_END_DECLS
