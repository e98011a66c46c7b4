/* Runs: a launch's host part before and after, and its job between.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <stdlib.h>

#include "xrt-private.h"

/* What a launch waits for others where its owner does not say, and the most
 * that it waits. */
#define DEFAULT_TIMEOUT ((guint64) 10 * 1000000000)
#define MAX_TIMEOUT ((guint64) 3600 * 1000000000)

NpuRun *
xrt_run_new (NpuDevice *base, const NpuRunOptions *options, GError **error)
{
  XrtRun *run = g_new0 (XrtRun, 1);

  run->base.device = base;
  xrt_job_init (&run->job, (XrtDevice *) base,
      options->timeout ? MIN (options->timeout, MAX_TIMEOUT) : DEFAULT_TIMEOUT);
  return &run->base;
}

void
xrt_run_free (NpuRun *base)
{
  XrtRun *run = (XrtRun *) base;

  /* After that long its context goes, and the launch with it. */
  xrt_job_wait (&run->job, run->job.timeout, NULL, NULL);
  xrt_job_clear (&run->job);
  npu_buffer_free (run->staging_in);
  npu_buffer_free (run->staging_out);
  g_free (run->row_scale);
  free (run->scratch);
  g_free (run);
}

gboolean
xrt_run_stage (XrtRun *run, NpuBuffer **staging, gsize size, GError **error)
{
  if (*staging && (*staging)->size >= size)
    return TRUE;
  npu_buffer_free (*staging);
  *staging = npu_buffer_new (run->base.device, size, error);
  return *staging != NULL;
}

guint8 *
xrt_run_scratch (XrtRun *run, gsize size)
{
  if (run->scratch_size < size) {
    free (run->scratch);
    run->scratch = NULL;
    if (posix_memalign ((void **) &run->scratch, 64, size))
      g_error ("no memory for %" G_GSIZE_FORMAT " bytes of a launch's scratch",
          size);
    run->scratch_size = size;
  }
  return run->scratch;
}

gboolean
xrt_run_prepare (NpuRun *base, const NpuLaunch *launch, GError **error)
{
  const XrtKernel *kernel = (const XrtKernel *) launch->kernel;

  return !kernel->prepare ||
         kernel->prepare (kernel, (XrtRun *) base, launch, error);
}

gboolean
xrt_run_finish (NpuRun *base, const NpuLaunch *launch, GError **error)
{
  const XrtKernel *kernel = (const XrtKernel *) launch->kernel;

  return !kernel->finish ||
         kernel->finish (kernel, (XrtRun *) base, launch, error);
}

/* --- submission -------------------------------------------------------- */

static gboolean
bind_command (
    XrtApiCommand *command, guint index, gpointer user_data, GError **error)
{
  const XrtRun *run = user_data;
  const XrtKernel *kernel = (const XrtKernel *) run->launch.kernel;
  const XrtOverlay *overlay = kernel->program->overlay;
  XrtApiError cause;

  for (guint i = 0; i < overlay->n_args; i++) {
    const XrtPart part =
        kernel->part (kernel, run, &run->launch, index, overlay->args[i]);
    const XrtBuffer *buffer = (const XrtBuffer *) part.buffer;

    if (!xrt_api_command_set (
            command, i, buffer->bo, part.offset, part.size, &cause))
      return xrt_error_set (
          error, XRT_DOING_LAUNCH, run->base.device->name, &cause);
  }
  return TRUE;
}

gboolean
xrt_run_submit (NpuRun *base, const NpuLaunch *launch, GError **error)
{
  XrtRun *run = (XrtRun *) base;
  const XrtKernel *kernel = (const XrtKernel *) launch->kernel;

  for (guint i = 0; i < NPU_MAX_ARGS; i++)
    if (kernel->base.arg_size[i] > 0 &&
        launch->args[i]->device != base->device) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
          "argument %u of a launch is a buffer of device %s, not %s", i,
          launch->args[i]->device->name, base->device->name);
      return FALSE;
    }
  run->launch = *launch;
  return xrt_job_start (&run->job, kernel->program,
      kernel->count (kernel, launch), bind_command, run, error);
}

gboolean
xrt_run_wait (NpuRun *base, guint64 timeout, NpuRunTimes *times, GError **error)
{
  return xrt_job_wait (&((XrtRun *) base)->job, timeout, times, error);
}

gboolean
xrt_run_is_done (NpuRun *base)
{
  return xrt_job_is_done (&((XrtRun *) base)->job);
}
