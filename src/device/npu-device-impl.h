/* What implements a device: cpu/, xrt/, and tests' own.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "base/npu-cache.h"
#include "npu-host.h"

G_BEGIN_DECLS

typedef struct _NpuDeviceClass NpuDeviceClass;

/* All zero where it is not said otherwise. */
struct _NpuDevice {
  const NpuDeviceClass *klass;
  char *name;        /* "cpu", "xrt:0" */
  char *description; /* for a log: instruction set, workers, firmware */
  guint n_workers;   /* the CPU's: threads that compute its tiles */
  /* A CPU device that does over this device's buffers what it cannot do
   * itself, one reference. NULL where this device is the CPU. */
  NpuDevice *host;
  const NpuHost *tables; /* a CPU device's, as long as it is there */

  /*< private >*/
  NpuCacheEntry *entry; /* of the registry; NULL: opened by another way */
  NpuCache kernels;     /* by operation and weights */
  gsize n_kernels, packed_size, buffers_size; /* atomic: NpuDeviceUsage */
};

/* The handle of one launch in flight; belongs to one slot of a ring. */
struct _NpuRun {
  NpuDevice *device;
  gconstpointer stream;
  guint64 timeout; /* ns: what its submission may wait for others */

  /*< private >*/
  NpuLaunch *list; /* [n_list] of npu_run_submit_list(), room for max_list */
  guint n_list, max_list;
  guint first_begun;  /* of those: of the last submission */
  guint next_in_list; /* that was not submitted yet */
};

/* What a device implements; see npu-device.h for each contract. A verb is
 * called in any thread, and in several at once but for those on one run. */
struct _NpuDeviceClass {
  void (*free) (NpuDevice *device);
  /* FALSE with @error UNSUPPORTED. */
  gboolean (*query) (NpuDevice *device, const NpuOp *op, guint depth,
      NpuSupport *support, GError **error);
  /* May be NULL: the device answered LOST, and nobody gets it any more. */
  void (*forget) (NpuDevice *device);

  NpuBuffer *(*buffer_new) (NpuDevice *device, gsize size, GError **error);
  void (*buffer_free) (NpuBuffer *buffer);
  gboolean (*buffer_sync) (NpuBuffer *buffer, NpuSyncDirection direction,
      gsize offset, gsize size, GError **error);

  /* Sets packed_size, among others. */
  NpuKernel *(*kernel_open) (
      NpuDevice *device, const NpuOp *op, GError **error);
  void (*kernel_free) (NpuKernel *kernel);
  void (*pack_tile) (const NpuKernel *kernel, guint arg, guint8 *data,
      guint tile, const float *x, gsize stride, guint rows);

  NpuRun *(*run_new) (
      NpuDevice *device, const NpuRunOptions *options, GError **error);
  void (*run_free) (NpuRun *run);
  /* Both NULL where a launch has no host work. */
  gboolean (*prepare) (NpuRun *run, const NpuLaunch *launch, GError **error);
  gboolean (*finish) (NpuRun *run, const NpuLaunch *launch, GError **error);
  gboolean (*submit) (NpuRun *run, const NpuLaunch *launch, GError **error);
  /* Both NULL where a list is submitted one launch after the other. How many
   * of @launches from the first on, at least one, submit_list takes as one:
   * their prepare comes before it in this order, and their finish after the
   * wait. That is never called for one. */
  guint (*count_joined) (
      NpuRun *run, const NpuLaunch *launches, guint n_launches);
  gboolean (*submit_list) (
      NpuRun *run, const NpuLaunch *launches, guint n_launches, GError **error);
  gboolean (*wait) (
      NpuRun *run, guint64 timeout, NpuRunTimes *times, GError **error);
  gboolean (*is_done) (NpuRun *run);
  /* May be NULL: what has begun goes on, the rest need not. */
  void (*cancel) (NpuRun *run);
  /* NULL where a device has no processors of the host. */
  gboolean (*run_list) (NpuDevice *device, const NpuCommand *commands,
      guint n_commands, guint64 timeout, const gint *cancelled, GError **error);
};

G_END_DECLS
