/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstnpuencoderstats.h"

#include "gstnpuencoder.h"

#define GST_CAT_DEFAULT gst_npu_encoder_debug

#define FRAME_DURATION (10 * GST_MSECOND)
#define MS(ns) ((double) (ns) / GST_MSECOND)

void
gst_npu_encoder_setup_init (GstNpuEncoderSetup *setup,
    const GstNpuEncoderSession *session, NpuEncoder *encoder)
{
  setup->depth = npu_encoder_get_depth (encoder);
  setup->batch_size = npu_encoder_get_batch_size (encoder);
  setup->device =
      g_strdup (npu_device_get_name (npu_encoder_get_device (encoder)));
  setup->precision = g_strdup (npu_encoder_get_precision (encoder));
  setup->model = g_strdup (session->model_name);
  setup->placement = g_strdup (npu_encoder_get_placement (encoder));
}

void
gst_npu_encoder_setup_clear (GstNpuEncoderSetup *setup)
{
  g_free (setup->device);
  g_free (setup->precision);
  g_free (setup->model);
  g_free (setup->placement);
  *setup = (GstNpuEncoderSetup){0};
}

void
gst_npu_encoder_stats_init_window (GstNpuEncoderStats *stats, GstBuffer *buffer,
    const GstSegment *segment, guint n_frames)
{
  const GstClockTime duration = GST_BUFFER_DURATION_IS_VALID (buffer)
                                    ? GST_BUFFER_DURATION (buffer)
                                    : n_frames * FRAME_DURATION;

  *stats = (GstNpuEncoderStats) GST_NPU_ENCODER_STATS_INIT;
  gst_npu_report_init (
      &stats->report, segment, GST_BUFFER_PTS (buffer), duration);
}

void
gst_npu_encoder_stats_add (
    GstNpuEncoderStats *totals, GstNpuEncoderStats *window)
{
  gst_npu_report_add (&totals->report, &window->report);
  npu_stats_add (&totals->npu, &window->npu);
}

static double
realtime_factor (const GstNpuEncoderStats *stats)
{
  return gst_npu_report_get_realtime_factor (
      &stats->report, stats->npu.total_time);
}

/* The fields that a window, a stage and the totals have in common. */
static void
set_npu_stats (GstStructure *structure, const NpuStats *npu)
{
  gst_structure_set (structure, "tiles", G_TYPE_UINT64, npu->tiles, "launches",
      G_TYPE_UINT64, npu->launches, "stalls", G_TYPE_UINT64, npu->stalls,
      "total-time", G_TYPE_UINT64, npu->total_time, "tile-time", G_TYPE_UINT64,
      npu_stats_tile_time (npu), "dma-write-time", G_TYPE_UINT64,
      npu->dma_write_time, "compute-time", G_TYPE_UINT64, npu->compute_time,
      "dma-read-time", G_TYPE_UINT64, npu->dma_read_time, "dma-overhead",
      G_TYPE_DOUBLE, npu_stats_dma_overhead (npu), NULL);
}

GstStructure *
gst_npu_encoder_stats_to_structure (
    const GstNpuEncoderStats *stats, const GstNpuEncoderSetup *setup)
{
  GstStructure *structure =
      gst_npu_report_to_structure (&stats->report, "npuencoder-stats");

  set_npu_stats (structure, &stats->npu);
  gst_structure_set (structure, "realtime-factor", G_TYPE_DOUBLE,
      realtime_factor (stats), "depth", G_TYPE_UINT, setup->depth, "batch-size",
      G_TYPE_UINT, setup->batch_size, "device", G_TYPE_STRING, setup->device,
      "precision", G_TYPE_STRING, setup->precision, "model", G_TYPE_STRING,
      setup->model, "placement", G_TYPE_STRING, setup->placement, NULL);
  return structure;
}

/* --- the log and the details of one window ------------------------------ */

void
gst_npu_encoder_report_init (GstNpuEncoderReport *report, GstElement *element,
    GstNpuEncoderVerbosity verbosity, gboolean collect)
{
  *report = (GstNpuEncoderReport){
      element, verbosity, collect, G_VALUE_INIT, G_VALUE_INIT};
  g_value_init (&report->stages, GST_TYPE_ARRAY);
  g_value_init (&report->events, GST_TYPE_ARRAY);
}

void
gst_npu_encoder_report_clear (GstNpuEncoderReport *report)
{
  g_value_unset (&report->stages);
  g_value_unset (&report->events);
}

static void
append_structure (GValue *array, GstStructure *structure)
{
  GValue value = G_VALUE_INIT;

  g_value_init (&value, GST_TYPE_STRUCTURE);
  g_value_take_boxed (&value, structure);
  gst_value_array_append_and_take_value (array, &value);
}

static void
stage_done (
    GstNpuEncoderReport *report, const NpuStage *stage, const NpuStats *stats)
{
  GST_INFO_OBJECT (report->element,
      "%s: %" G_GUINT64_FORMAT " tiles in %" G_GUINT64_FORMAT
      " launches, %.3f ms (write %.3f, compute %.3f, read %.3f), %" G_GUINT64_FORMAT
      " stalls",
      stage->name, stats->tiles, stats->launches, MS (stats->total_time),
      MS (stats->dma_write_time), MS (stats->compute_time),
      MS (stats->dma_read_time), stats->stalls);

  if (report->collect) {
    GstStructure *structure =
        gst_structure_new ("stage", "name", G_TYPE_STRING, stage->name, NULL);

    set_npu_stats (structure, stats);
    append_structure (&report->stages, structure);
  }
}

static const char *
event_name (NpuExecutorEvent event)
{
  switch (event) {
    case NPU_EVENT_LAUNCHED:
      return "launched";
    case NPU_EVENT_OVERLAPPED:
      return "overlapped";
    case NPU_EVENT_DRAINED:
    case NPU_EVENT_STAGE_DONE:
      break;
  }
  return "drained";
}

static void
log_launch (GstNpuEncoderReport *report, const NpuStage *stage,
    NpuExecutorEvent event, const NpuExecutorEventInfo *info)
{
  g_autofree char *what = NULL;

  if (gst_debug_category_get_threshold (gst_npu_encoder_debug) < GST_LEVEL_INFO)
    return;

  if (event == NPU_EVENT_LAUNCHED)
    what = g_strdup ("launched (no wait)");
  else if (event == NPU_EVENT_DRAINED)
    what = g_strdup ("drained");
  else if (info->completed_n_tiles == 0)
    what = g_strdup ("completed the stage before, launched");
  else
    what = g_strdup_printf ("completed %u-%u, launched",
        info->completed_first_tile,
        info->completed_first_tile + info->completed_n_tiles - 1);

  GST_INFO_OBJECT (report->element, "%s: tiles %u-%u in slot %u: %s%s",
      stage->name, info->first_tile, info->first_tile + info->n_tiles - 1,
      info->slot, what, info->stalled ? " (stall)" : "");
}

static void
observe (const NpuStage *stage, NpuExecutorEvent event,
    const NpuExecutorEventInfo *info, gpointer user_data)
{
  GstNpuEncoderReport *report = user_data;

  if (event == NPU_EVENT_STAGE_DONE) {
    stage_done (report, stage, info->stats);
    return;
  }
  if (report->verbosity < GST_NPU_ENCODER_VERBOSITY_TILES)
    return;

  log_launch (report, stage, event, info);
  if (report->collect)
    append_structure (&report->events,
        gst_structure_new ("launch", "event", G_TYPE_STRING, event_name (event),
            "stage", G_TYPE_STRING, stage->name, "slot", G_TYPE_UINT,
            info->slot, "first-tile", G_TYPE_UINT, info->first_tile, "tiles",
            G_TYPE_UINT, info->n_tiles, "stalled", G_TYPE_BOOLEAN,
            info->stalled, NULL));
}

void
gst_npu_encoder_report_attach (GstNpuEncoderReport *report, NpuEncoder *encoder)
{
  g_value_reset (&report->stages);
  g_value_reset (&report->events);
  if (report->verbosity >= GST_NPU_ENCODER_VERBOSITY_STAGES)
    npu_executor_set_observer (
        npu_encoder_get_executor (encoder), observe, report);
}

void
gst_npu_encoder_report_detach (NpuEncoder *encoder)
{
  npu_executor_set_observer (npu_encoder_get_executor (encoder), NULL, NULL);
}

/* Leaves @array empty. */
static void
move_array (GValue *array, GstStructure *structure, const char *field)
{
  GValue moved = *array;

  *array = (GValue) G_VALUE_INIT;
  g_value_init (array, GST_TYPE_ARRAY);
  gst_structure_take_value (structure, field, &moved);
}

void
gst_npu_encoder_report_finish (GstNpuEncoderReport *report,
    const GstNpuEncoderStats *window, GstStructure *structure)
{
  if (report->verbosity >= GST_NPU_ENCODER_VERBOSITY_SUMMARY)
    GST_INFO_OBJECT (report->element,
        "window %" G_GUINT64_FORMAT " at %" GST_TIME_FORMAT
        ": %.2f s of audio in %.3f ms (%.1f x realtime), %" G_GUINT64_FORMAT
        " tiles in %" G_GUINT64_FORMAT
        " launches, %.3f ms a tile, DMA overhead %.1f %%, %" G_GUINT64_FORMAT
        " stalls",
        window->report.window, GST_TIME_ARGS (window->report.timestamp),
        (double) window->report.duration / GST_SECOND,
        MS (window->npu.total_time), realtime_factor (window),
        window->npu.tiles, window->npu.launches,
        MS (npu_stats_tile_time (&window->npu)),
        npu_stats_dma_overhead (&window->npu), window->npu.stalls);

  if (!structure)
    return;
  if (report->verbosity >= GST_NPU_ENCODER_VERBOSITY_STAGES)
    move_array (&report->stages, structure, "stages");
  if (report->verbosity >= GST_NPU_ENCODER_VERBOSITY_TILES)
    move_array (&report->events, structure, "events");
}
