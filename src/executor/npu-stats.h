/* Statistics of an executor; the definitions that the documentation gives.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-api.h"

G_BEGIN_DECLS

/**
 * NpuStats:
 * @tiles: 64-row output tiles computed and read
 * @launches: submissions to the device
 * @stalls: submissions, other than a stage's first, that found every earlier
 *   launch completed: the device had idled for want of work
 * @total_time: ns of host time from the start of a list of stages to its end
 * @dma_write_time: ns of host time making inputs visible to the device
 *   (packing and sync)
 * @compute_time: ns during which at least one launch was computing; time in
 *   the device's queue does not count. Where launches of two stages compute at
 *   once, the time is the earlier stage's
 * @dma_read_time: ns of host time making outputs visible to the host (sync
 *   and unpacking)
 */
typedef struct {
  guint64 tiles;
  guint64 launches;
  guint64 stalls;
  guint64 total_time;
  guint64 dma_write_time;
  guint64 compute_time;
  guint64 dma_read_time;
} NpuStats;

/* Adds @other to @stats. */
NPU_API void npu_stats_add (NpuStats *stats, const NpuStats *other);

/* (dma_write_time + dma_read_time) / total_time in percent; 0 without time. */
NPU_API double npu_stats_dma_overhead (const NpuStats *stats);

/* total_time / tiles in ns; 0 without tiles. */
NPU_API guint64 npu_stats_tile_time (const NpuStats *stats);

G_END_DECLS
