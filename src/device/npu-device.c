/* The verbs of a device: argument checks, then the device's own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-device.h"

#include <string.h>

#include "cpu/cpu-device.h"
#include "npu-device-kinds.h"
#ifdef HAVE_XRT
#include "xrt/xrt-device.h"
#endif

#define TILE_ALIGNMENT 64 /* bytes */

/* --- opening ----------------------------------------------------------- */

#ifdef HAVE_XRT
#define XRT_OPEN xrt_device_open
#else
static NpuDevice *
no_xrt (const char *name, const NpuDeviceOptions *options, GError **error)
{
  g_set_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND,
      "device '%s' cannot be opened: this build has no XRT support; "
      "use device=cpu, or device=auto which takes what there is",
      name);
  return NULL;
}

#define XRT_OPEN no_xrt
#endif

static NpuDeviceOpenFunc xrt_open = XRT_OPEN;

void
npu_device_replace_xrt (NpuDeviceOpenFunc open)
{
  xrt_open = open ? open : XRT_OPEN;
}

/* That there is no NPU is no news; that its overlays are not there is. */
static gboolean
is_news (const GError *refused)
{
  if (!g_error_matches (refused, NPU_ERROR, NPU_ERROR_NOT_FOUND))
    return TRUE;
#ifdef HAVE_XRT
  return xrt_open == xrt_device_open && xrt_device_is_there ();
#else
  return FALSE;
#endif
}

static NpuDevice *
open_best (const NpuDeviceOptions *options, GError **error)
{
  g_autoptr (GError) refused = NULL;
  NpuDevice *device;

  if (options->overlays) {
    device = xrt_open ("xrt", options, &refused);
    if (device)
      return device;
  }
  device = cpu_device_open (options, error);
  if (device && refused && !g_file_test (options->overlays, G_FILE_TEST_IS_DIR))
    device->note = g_strdup_printf (
        "There is no folder of overlays '%s', so that no NPU was looked for",
        options->overlays);
  else if (device && refused && is_news (refused))
    device->note = g_strdup (refused->message);
  else if (device && refused)
    g_info ("device=auto takes the CPU: %s", refused->message);
  return device;
}

NpuDevice *
npu_device_open (
    const char *name, const NpuDeviceOptions *options, GError **error)
{
  static const NpuDeviceOptions defaults = {0};

  if (!options)
    options = &defaults;
  if (strcmp (name, "auto") == 0)
    return open_best (options, error);
  if (strcmp (name, "cpu") == 0)
    return cpu_device_open (options, error);
  if (strcmp (name, "xrt") == 0 || g_str_has_prefix (name, "xrt:"))
    return xrt_open (name, options, error);

  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "device '%s' is not known; it must be auto, cpu, xrt or xrt:N", name);
  return NULL;
}

/* --- verbs ------------------------------------------------------------- */

void
npu_device_free (NpuDevice *device)
{
  if (device)
    device->klass->free (device);
}

guint
npu_device_batch_for (NpuDevice *device, const NpuOp *op, guint depth)
{
  return device->klass->batch_for (device, op, depth);
}

NpuBuffer *
npu_buffer_new (NpuDevice *device, gsize size, GError **error)
{
  return device->klass->buffer_new (device, size, error);
}

void
npu_buffer_free (NpuBuffer *buffer)
{
  if (buffer)
    buffer->device->klass->buffer_free (buffer);
}

gboolean
npu_buffer_sync (NpuBuffer *buffer, NpuSyncDirection direction, gsize offset,
    gsize size, GError **error)
{
  if (offset > buffer->size || size > buffer->size - offset) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "%" G_GSIZE_FORMAT " bytes from byte %" G_GSIZE_FORMAT
        " are not in a buffer of %" G_GSIZE_FORMAT,
        size, offset, buffer->size);
    return FALSE;
  }
  return buffer->device->klass->buffer_sync (
      buffer, direction, offset, size, error);
}

/* Of an element of a row; of packed tiles whole cache lines. */
static guint
alignment_of (NpuType type)
{
  switch (type) {
    case NPU_TYPE_F32:
      return sizeof (float);
    case NPU_TYPE_BF16:
      return sizeof (guint16);
    default:
      return TILE_ALIGNMENT;
  }
}

static void
set_alignments (guint *alignment, const NpuOp *op)
{
  const gboolean tiles =
      op->kind == NPU_OP_LINEAR && op->c_layout == NPU_LAYOUT_QKV_TILES;

  for (guint i = 0; i < NPU_MAX_ARGS; i++)
    alignment[i] = 1;
  switch (op->kind) {
    case NPU_OP_LINEAR:
      alignment[NPU_ARG_A] = alignment_of (op->a_type);
      alignment[NPU_ARG_C] = tiles ? TILE_ALIGNMENT : alignment_of (op->c_type);
      alignment[NPU_ARG_R] = tiles ? TILE_ALIGNMENT : sizeof (float);
      alignment[NPU_ARG_QKV_V] = TILE_ALIGNMENT;
      break;
    case NPU_OP_ATTENTION:
      alignment[NPU_ARG_Q] = alignment[NPU_ARG_K] = alignment[NPU_ARG_V] =
          TILE_ALIGNMENT;
      alignment[NPU_ARG_O] = alignment_of (op->c_type);
      break;
    case NPU_OP_LAYERNORM:
    case NPU_OP_GELU:
      alignment[NPU_ARG_X] = alignment_of (op->a_type);
      alignment[NPU_ARG_Y] = alignment_of (op->c_type);
      break;
    default: /* a program's blocks are its own */
      break;
  }
}

NpuKernel *
npu_kernel_open (NpuDevice *device, const NpuOp *op, GError **error)
{
  NpuKernel *kernel;

  if (op->rows == 0) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "an operation on no rows cannot be opened");
    return NULL;
  }
  kernel = device->klass->kernel_open (device, op, error);
  if (!kernel)
    return NULL;
  kernel->max_rows = op->rows;
  kernel->max_kv_rows = op->kv_rows ? op->kv_rows : op->rows;
  kernel->n_groups = op->kind == NPU_OP_ATTENTION ? op->heads : 1;
  if (op->kind == NPU_OP_PROGRAM)
    kernel->n_groups = 0; /* its tiles are blocks */
  set_alignments (kernel->arg_alignment, op);
  return kernel;
}

void
npu_kernel_free (NpuKernel *kernel)
{
  if (kernel)
    kernel->device->klass->kernel_free (kernel);
}

void
npu_kernel_pack_tile (const NpuKernel *kernel, guint arg, guint8 *data,
    guint tile, const float *x, gsize stride, guint rows)
{
  g_return_if_fail (arg <= NPU_ARG_V && rows >= 1 && rows <= 64);
  kernel->device->klass->pack_tile (kernel, arg, data, tile, x, stride, rows);
}

NpuRun *
npu_run_new (NpuDevice *device, GError **error)
{
  return device->klass->run_new (device, error);
}

void
npu_run_free (NpuRun *run)
{
  if (run)
    run->device->klass->run_free (run);
}

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
          "a launch has %u rows and %u keys; its kernel was opened for %u and "
          "%u at most",
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
  return !run->device->klass->prepare ||
         (launch_fits (launch, error) &&
             run->device->klass->prepare (run, launch, error));
}

gboolean
npu_run_finish (NpuRun *run, const NpuLaunch *launch, GError **error)
{
  return !run->device->klass->finish ||
         run->device->klass->finish (run, launch, error);
}

gboolean
npu_run_submit (NpuRun *run, const NpuLaunch *launch, GError **error)
{
  return launch_fits (launch, error) &&
         run->device->klass->submit (run, launch, error);
}

gboolean
npu_run_wait (NpuRun *run, guint64 timeout, NpuRunTimes *times, GError **error)
{
  return run->device->klass->wait (run, timeout, times, error);
}

gboolean
npu_run_is_done (NpuRun *run)
{
  return run->device->klass->is_done (run);
}

gboolean
npu_device_run_list (NpuDevice *device, const NpuCommand *commands,
    guint n_commands, guint64 timeout, const gint *cancelled, GError **error)
{
  NpuDevice *host = device->host ? device->host : device;

  if (!host->klass->run_list) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
        "device '%s' runs no lists of commands", device->name);
    return FALSE;
  }
  return host->klass->run_list (
      host, commands, n_commands, timeout, cancelled, error);
}
