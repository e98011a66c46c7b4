/* One more run, with a trace: the ring's lanes from the executor, a lane per
 * worker from the device; drawn where that is asked for.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "bench-svg.h"
#include "bench.h"
#include "base/npu-output-file.h"

#define MAX_WORKERS 64

/* Names a worker's tiles by the stage of their kernel. The map is filled in a
 * run before the trace begins, and only read from then on. */
typedef struct {
  GHashTable *names; /* of kernel: name of its stage */
  NpuTrace *trace;   /* NULL at first */
} Sink;

static void
note_stage (const NpuStage *stage, NpuExecutorEvent event,
    const NpuExecutorEventInfo *info, gpointer user_data)
{
  Sink *sink = user_data;

  g_hash_table_insert (
      sink->names, stage->launch.kernel, g_strdup (stage->name));
}

static void
note_tile (guint worker, const NpuKernel *kernel, guint tile, guint64 start,
    guint64 end, gpointer user_data)
{
  const Sink *sink = user_data;
  const char *name;
  char lane[32];

  if (sink->trace == NULL)
    return;
  name = g_hash_table_lookup (sink->names, kernel);
  g_snprintf (lane, sizeof lane, "worker %u", worker);
  npu_trace_add (sink->trace, lane, name != NULL ? name : "tile", "compute",
      start, end, tile, 1);
}

static gboolean
run_traced (BenchTraced *traced, Sink *sink, const char *location,
    guint n_workers, GError **error)
{
  gboolean done;

  npu_executor_set_observer (traced->executor, note_stage, sink);
  if (!traced->run (traced->object, error))
    return FALSE;
  npu_executor_set_observer (traced->executor, NULL, NULL);

  sink->trace = npu_trace_new (location, error);
  if (sink->trace == NULL)
    return FALSE;
  npu_executor_set_trace (traced->executor, sink->trace);
  for (guint i = 0; i < MIN (n_workers, MAX_WORKERS); i++) {
    char lane[32];

    g_snprintf (lane, sizeof lane, "worker %u", i);
    npu_trace_add_lane (sink->trace, lane);
  }
  done = traced->run (traced->object, error);
  npu_executor_set_trace (traced->executor, NULL);
  return npu_trace_close (sink->trace, done ? error : NULL) && done;
}

/* The configuration to be seen: of windows, else of blocks, the greatest depth
 * at its best batch. */
static const BenchResult *
choose (const Bench *bench)
{
  const char *mode = bench->options.encoder ? BENCH_ENCODER : NULL;
  const BenchResult *chosen = NULL;

  for (guint i = 0; i < bench->results->len; i++) {
    const BenchResult *result = &g_array_index (bench->results, BenchResult, i);

    if (mode != NULL ? strcmp (result->mode, mode) != 0
                     : g_strcmp0 (result->workload, "block") != 0)
      continue;
    if (chosen == NULL || result->depth > chosen->depth ||
        (result->depth == chosen->depth && result->list_ms < chosen->list_ms))
      chosen = result;
  }
  return chosen;
}

/* From the file @from, and that file to where it was asked for. */
static gboolean
draw (const Bench *bench, const BenchResult *chosen, const char *from,
    GError **error)
{
  g_autofree char *text = NULL;
  gsize size;
  const gboolean is_window = chosen->model != NULL;
  g_autofree char *title =
      g_strdup_printf ("%s, depth %u, %u tiles a launch, %s on %s",
          is_window ? bench->model_name : "blocks of loose tiles",
          chosen->depth, chosen->batch, chosen->precision,
          npu_device_get_description (bench->device));

  if (!bench_svg_draw (from, bench->options.svg, title, error))
    return FALSE;
  return bench->options.trace == NULL ||
         (g_file_get_contents (from, &text, &size, error) &&
             npu_output_file_write_all (
                 bench->options.trace, text, size, error));
}

gboolean
bench_trace (Bench *bench, GError **error)
{
  const BenchResult *chosen = choose (bench);
  Sink sink = {0};
  const NpuDeviceOptions device_options = {
      .threads = bench->options.threads,
      .latency = bench->options.latency_us * (guint64) 1000,
      .overlays = bench->options.overlays,
      .tile_observer = note_tile,
      .tile_observer_data = &sink,
  };
  g_autofree char *temporary = NULL;
  const char *location = bench->options.trace;
  BenchTraced traced = {0};
  NpuDevice *device;
  gboolean done = FALSE;

  if (bench->options.svg != NULL) {
    int fd = g_file_open_tmp ("npuenc-bench-XXXXXX.json", &temporary, error);

    if (fd < 0)
      return FALSE;
    close (fd);
    location = temporary;
  }
  sink.names = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  device = npu_device_open (bench->options.device, &device_options, error);
  if (device != NULL) {
    done = chosen->model != NULL
               ? bench_encoder_traced (bench, device, chosen->depth,
                     chosen->batch, &traced, error)
               : bench_tiles_traced (bench, device, chosen->depth,
                     chosen->batch, &traced, error);
    done = done && run_traced (&traced, &sink, location,
                       npu_device_get_n_workers (device), error);
    if (traced.free != NULL)
      traced.free (traced.object);
  }
  npu_device_unref (device); /* no worker uses the trace any more */
  npu_trace_free (sink.trace);
  g_hash_table_unref (sink.names);

  if (done && bench->options.svg != NULL)
    done = draw (bench, chosen, temporary, error);
  if (temporary != NULL)
    g_unlink (temporary);
  return done;
}
