/* Runs: a launch's host part before and after, and its job between, which is
 * that of several launches where those of a list share a hardware context and
 * leave the host nothing to do between them.
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

typedef struct {
  const XrtRun *run;
  const NpuLaunch *launches;
} Submission;

static gboolean
bind_command (XrtApiCommand *command, guint launch_index, guint index,
    gpointer user_data, GError **error)
{
  const Submission *submission = user_data;
  const XrtRun *run = submission->run;
  const NpuLaunch *launch = &submission->launches[launch_index];
  const XrtKernel *kernel = (const XrtKernel *) launch->kernel;
  const XrtOverlay *overlay = kernel->program->overlay;
  XrtApiError cause;

  for (guint i = 0; i < overlay->n_args; i++) {
    const XrtPart part =
        kernel->part (kernel, run, launch, index, overlay->args[i]);
    const XrtBuffer *buffer = (const XrtBuffer *) part.buffer;

    if (!xrt_api_command_set (
            command, i, buffer->bo, part.offset, part.size, &cause))
      return xrt_error_set (
          error, XRT_DOING_LAUNCH, run->base.device->name, &cause);
  }
  return TRUE;
}

static gboolean
buffers_are_the_devices (
    const NpuRun *base, const NpuLaunch *launch, GError **error)
{
  const NpuKernel *kernel = launch->kernel;

  for (guint i = 0; i < NPU_MAX_ARGS; i++)
    if (kernel->arg_size[i] > 0 && launch->args[i]->device != base->device) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
          "argument %u of a launch is a buffer of device %s, not %s", i,
          launch->args[i]->device->name, base->device->name);
      return FALSE;
    }
  return TRUE;
}

gboolean
xrt_run_submit_list (
    NpuRun *base, const NpuLaunch *launches, guint n_launches, GError **error)
{
  Submission submission = {(XrtRun *) base, launches};
  XrtJobPart *parts = g_newa (XrtJobPart, n_launches);

  for (guint i = 0; i < n_launches; i++) {
    const XrtKernel *kernel = (const XrtKernel *) launches[i].kernel;

    if (!buffers_are_the_devices (base, &launches[i], error))
      return FALSE;
    parts[i] =
        (XrtJobPart){kernel->program, kernel->count (kernel, &launches[i])};
  }
  return xrt_job_start (&((XrtRun *) base)->job, parts, n_launches,
      bind_command, &submission, error);
}

gboolean
xrt_run_submit (NpuRun *base, const NpuLaunch *launch, GError **error)
{
  return xrt_run_submit_list (base, launch, 1, error);
}

/* Whether @next may be of one submission with @before, which comes before it:
 * a context's chain, with nothing for the host between. */
static gboolean
joins (const NpuLaunch *before, const NpuLaunch *next)
{
  const XrtKernel *first = (const XrtKernel *) before->kernel;
  const XrtKernel *second = (const XrtKernel *) next->kernel;

  return first->program->context == second->program->context &&
         !(first->stages_out && first->stages_out (first, before)) &&
         !(second->stages_in && second->stages_in (second, next));
}

/* Of more commands than the driver takes at once, a submission would wait for
 * its own first ones. */
guint
xrt_run_count_joined (NpuRun *base, const NpuLaunch *launches, guint n_launches)
{
  guint n_commands = 0;

  for (guint i = 0; i < n_launches; i++) {
    const XrtKernel *kernel = (const XrtKernel *) launches[i].kernel;

    n_commands += kernel->count (kernel, &launches[i]);
    if (i > 0 && (n_commands > XRT_MAX_IN_FLIGHT * XRT_MAX_CHAIN ||
                     !joins (&launches[i - 1], &launches[i])))
      return i;
  }
  return n_launches;
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
