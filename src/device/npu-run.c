/* Runs: launches of a kernel, checked against what it was opened for.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "npu-device-private.h"

NpuRun *
npu_run_new (NpuDevice *device, const NpuRunOptions *options, GError **error)
{
  static const NpuRunOptions defaults = {0};
  GError *cause = NULL;
  NpuRun *run;

  if (!options)
    options = &defaults;
  run = device->klass->run_new (device, options, &cause);
  if (!run) {
    npu_device_fail (device, cause, error);
    return NULL;
  }
  run->device = device;
  return run;
}

void
npu_run_free (NpuRun *run)
{
  NpuLaunch *list = run ? run->list : NULL;

  if (run)
    run->device->klass->run_free (run);
  g_free (list);
}

/* --- launches ----------------------------------------------------------- */

static gboolean
rows_fit (const NpuLaunch *launch, GError **error)
{
  const NpuKernel *kernel = launch->kernel;
  const guint kv_rows = launch->kv_rows ? launch->kv_rows : launch->rows;
  const guint64 end = (guint64) launch->first_tile + launch->n_tiles;
  guint64 n_tiles = kernel->max_rows;

  if (kernel->n_groups > 0) {
    const guint64 tiles_of_rows = ((guint64) launch->rows + 63) / 64;

    if (launch->rows == 0 || launch->rows > kernel->max_rows ||
        kv_rows > kernel->max_kv_rows) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
          "a launch has %u rows and %u keys; its kernel was opened for %u and %u at most",
          launch->rows, kv_rows, kernel->max_rows, kernel->max_kv_rows);
      return FALSE;
    }
    n_tiles = tiles_of_rows * kernel->n_groups;
  }
  if (launch->n_tiles > 0 && end <= n_tiles)
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "a launch has %u tiles from tile %u of %" G_GUINT64_FORMAT,
      launch->n_tiles, launch->first_tile, n_tiles);
  return FALSE;
}

/* A launch beyond its buffers would write over other memory. */
static gboolean
launch_fits (const NpuLaunch *launch, GError **error)
{
  const NpuKernel *kernel = launch->kernel;

  /* A kernel that was not opened here says nothing of itself. */
  if (kernel->max_rows > 0 && !rows_fit (launch, error))
    return FALSE;
  for (guint i = 0; i < NPU_MAX_ARGS; i++)
    if (kernel->arg_size[i] > 0 && kernel->arg_alignment[i] > 1 &&
        launch->offset[i] % kernel->arg_alignment[i] != 0) {
      g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
          "argument %u of a launch begins at byte %" G_GSIZE_FORMAT
          ", which is no multiple of %u",
          i, launch->offset[i], kernel->arg_alignment[i]);
      return FALSE;
    }
  for (guint i = 0; i < NPU_MAX_ARGS; i++) {
    const NpuBuffer *buffer = launch->args[i];
    const gsize size = kernel->arg_size[i], offset = launch->offset[i];

    if (size == 0 ||
        (buffer && offset <= buffer->size && size <= buffer->size - offset))
      continue;
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "argument %u of a launch needs %" G_GSIZE_FORMAT
        " bytes from byte %" G_GSIZE_FORMAT " of a buffer of %" G_GSIZE_FORMAT,
        i, size, offset, buffer ? buffer->size : 0);
    return FALSE;
  }
  return TRUE;
}

gboolean
npu_device_has_host_work (NpuDevice *device)
{
  return device->klass->prepare != NULL;
}

gboolean
npu_run_prepare (NpuRun *run, const NpuLaunch *launch, GError **error)
{
  GError *cause = NULL;

  return !run->device->klass->prepare ||
         (launch_fits (launch, &cause) &&
             run->device->klass->prepare (run, launch, &cause)) ||
         npu_device_fail (run->device, cause, error);
}

gboolean
npu_run_finish (NpuRun *run, const NpuLaunch *launch, GError **error)
{
  GError *cause = NULL;

  return !run->device->klass->finish ||
         run->device->klass->finish (run, launch, &cause) ||
         npu_device_fail (run->device, cause, error);
}

gboolean
npu_run_submit (NpuRun *run, const NpuLaunch *launch, GError **error)
{
  GError *cause = NULL;

  return (launch_fits (launch, &cause) &&
             run->device->klass->submit (run, launch, &cause)) ||
         npu_device_fail (run->device, cause, error);
}

/* --- lists ---------------------------------------------------------------
 * As many launches at once as the device takes as one submission, with the
 * host's part of them; the next when those were waited for. */

static gboolean
begin_next (NpuRun *run, GError **error)
{
  const NpuDeviceClass *klass = run->device->klass;
  const NpuLaunch *launches = run->list + run->next_in_list;
  const guint n_left = run->n_list - run->next_in_list;
  const guint n =
      klass->count_joined ? klass->count_joined (run, launches, n_left) : 1;

  run->first_begun = run->next_in_list;
  run->next_in_list += n;
  for (guint i = 0; klass->prepare && i < n; i++)
    if (!klass->prepare (run, &launches[i], error))
      return FALSE;
  return n == 1 ? klass->submit (run, launches, error)
                : klass->submit_list (run, launches, n, error);
}

static gboolean
finish_begun (NpuRun *run, GError **error)
{
  const NpuDeviceClass *klass = run->device->klass;

  for (guint i = run->first_begun; klass->finish && i < run->next_in_list; i++)
    if (!klass->finish (run, &run->list[i], error))
      return FALSE;
  return TRUE;
}

static void
keep_list (NpuRun *run, const NpuLaunch *launches, guint n_launches)
{
  if (run->max_list < n_launches) {
    run->list = g_renew (NpuLaunch, run->list, n_launches);
    run->max_list = n_launches;
  }
  memcpy (run->list, launches, n_launches * sizeof *launches);
  run->n_list = n_launches;
  run->next_in_list = 0;
}

static gboolean
submit_list (
    NpuRun *run, const NpuLaunch *launches, guint n_launches, GError **error)
{
  keep_list (run, launches, n_launches);
  if (begin_next (run, error))
    return TRUE;
  run->n_list = 0;
  return FALSE;
}

gboolean
npu_run_submit_list (
    NpuRun *run, const NpuLaunch *launches, guint n_launches, GError **error)
{
  GError *cause = NULL;
  gboolean fits = TRUE;

  g_return_val_if_fail (n_launches > 0, FALSE);
  for (guint i = 0; fits && i < n_launches; i++)
    fits = launch_fits (&launches[i], &cause);
  return (fits && submit_list (run, launches, n_launches, &cause)) ||
         npu_device_fail (run->device, cause, error);
}

/* Of one submission after the other; @times begin with the first. */
static gboolean
wait_for_list (NpuRun *run, guint64 timeout, NpuRunTimes *times, GError **error)
{
  const NpuDeviceClass *klass = run->device->klass;
  NpuRunTimes part = {0}, all = {0};
  gboolean done = TRUE;

  while (done) {
    done =
        klass->wait (run, timeout, &part, error) && finish_begun (run, error);
    if (all.start == 0)
      all.start = part.start;
    all.end = part.end;
    if (run->next_in_list == run->n_list)
      break;
    done = done && begin_next (run, error);
  }
  run->n_list = 0;
  if (done && times)
    *times = all;
  return done;
}

/* --- waiting ------------------------------------------------------------ */

gboolean
npu_run_wait (NpuRun *run, guint64 timeout, NpuRunTimes *times, GError **error)
{
  GError *cause = NULL;
  const gboolean done =
      run->n_list > 0 ? wait_for_list (run, timeout, times, &cause)
                      : run->device->klass->wait (run, timeout, times, &cause);

  return done || npu_device_fail (run->device, cause, error);
}

gboolean
npu_run_is_done (NpuRun *run)
{
  return run->next_in_list >= run->n_list && run->device->klass->is_done (run);
}

/* Of a list, what was not submitted is not any more. */
void
npu_run_cancel (NpuRun *run)
{
  run->n_list = MIN (run->n_list, run->next_in_list);
  if (run->device->klass->cancel)
    run->device->klass->cancel (run);
}
