/* A device: buffers with a host mapping, kernels opened for one operation,
 * and launches of a kernel over a range of tiles.
 *
 * Everything above works through these verbs only; npu-device-impl.h is for the
 * folders cpu/ and xrt/, which implement them. Devices and kernels are shared
 * in a process and may be used by any number of executors and threads.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-api.h"
#include "npu-error.h"
#include "npu-op.h"

G_BEGIN_DECLS

#define NPU_MAX_THREADS 256 /* workers of a CPU device */

typedef struct _NpuDevice NpuDevice;
typedef struct _NpuBuffer NpuBuffer;
typedef struct _NpuRun NpuRun;

/* --- device ----------------------------------------------------------- */

/* Called in worker number @worker, from 0, after it computed a tile from @start
 * to @end: CLOCK_MONOTONIC in ns. From several threads at once. */
typedef void (*NpuTileObserver) (guint worker, const NpuKernel *kernel,
    guint tile, guint64 start, guint64 end, gpointer user_data);

typedef struct {
  guint threads;        /* CPU workers; 0 = as many as this process may use */
  guint64 latency;      /* ns added between submission and start of a launch,
                         * to see what depth is worth on hardware that has one */
  const char *overlays; /* directory of overlays, or NULL */
  guint64 keep_awake;   /* ns for which an NPU is kept awake after a launch */
  NpuTileObserver tile_observer; /* of the CPU device's workers, or NULL */
  gpointer tile_observer_data;
  /* Devices of two pools are two, whatever else is the same; or NULL. */
  const char *pool;
  /* (out) (transfer full): why `auto` took a device and not a better one that
   * is there, a sentence, or NULL. */
  char **note;
} NpuDeviceOptions;

/* A launch: tiles [first_tile, first_tile + n_tiles) of a kernel's output. */
typedef struct {
  NpuKernel *kernel;
  NpuBuffer *args[NPU_MAX_ARGS];
  gsize offset[NPU_MAX_ARGS]; /* bytes from each buffer's start */
  guint rows;                 /* valid rows now, <= the operation's */
  guint kv_rows;              /* likewise; 0 means as many as rows */
  guint first_tile;
  guint n_tiles;
  /* NPU_ARG_BITs of arguments that cross between host and device: inputs that
   * the host wrote last, outputs that the host reads next. prepare and finish
   * sync them where the device itself works on them. */
  guint sync_args;
} NpuLaunch;

/* One command of a list: units of work that depend on each other in no way, so
 * that any thread may run any of them at any time. What a unit computes does
 * not depend on who runs it. */
typedef struct {
  void (*run) (gpointer data, guint unit);
  gpointer data;
  guint n_units; /* from 0 */
} NpuCommand;

/* When a completed launch ran: CLOCK_MONOTONIC in ns. */
typedef struct {
  guint64 start; /* its first tile began: waiting in a queue is not in it */
  guint64 end;   /* its last tile was done */
} NpuRunTimes;

typedef enum {
  NPU_SYNC_TO_DEVICE,
  NPU_SYNC_FROM_DEVICE,
} NpuSyncDirection;

/* Memory that the device and the host both see. */
struct _NpuBuffer {
  NpuDevice *device;
  guint8 *data; /* host mapping, 64-byte aligned, zeroed when new */
  gsize size;
};

/* Read only, as a kernel may be that of several. */
struct _NpuKernel {
  NpuDevice *device;
  gsize arg_size[NPU_MAX_ARGS]; /* bytes each argument needs for op.rows,
                                 * whole tiles */
  /* NPU_ARG_BITs of the arguments that the host reads or writes, be it in
   * prepare, in finish, or because the device is the CPU. Launches on others
   * need no sync of them. */
  guint host_args;
  /* Groups (attention: heads) that every launch must cover whole, whatever
   * the batch; 0 where a launch may have any tiles of one group. */
  guint groups_per_launch;
  gsize packed_size; /* bytes of its constants */

  /*< private >*/
  /* What a launch may have, of the operation that it was opened for. */
  guint max_rows, max_kv_rows, n_groups;
  guint arg_alignment[NPU_MAX_ARGS]; /* of offsets, bytes */
  struct _NpuCacheEntry *entry;      /* where it is shared */
  NpuKernel *tiles_for;              /* one reference, or NULL */
};

/* What a device says of an operation. */
typedef struct {
  /* What is really multiplied: F32 where the device does not have the one that
   * was asked for, or has it no faster. */
  NpuProduct product;
  /* Of that product, against float's of the same processor, about; 0 where
   * nobody has measured it. */
  double rate;
  guint batch; /* tiles per launch that suit it */
} NpuSupport;

/* What a device holds for all of its users. */
typedef struct {
  guint n_kernels;
  gsize packed_size;  /* bytes of weights and other constants */
  gsize buffers_size; /* bytes of buffers: activations */
} NpuDeviceUsage;

/* What the constants of an operation are read from where they are not packed
 * yet. */
typedef struct {
  /* Names the floats: of two sources with the same key they are the same. NULL:
   * nobody else has them. */
  const char *key;
  /* Sets op->weight and op->bias, which need to live until the kernel is
   * open. */
  gboolean (*read) (gpointer data, NpuOp *op, GError **error);
  gpointer data;
} NpuWeightsSource;

typedef struct {
  /* Runs of one stream are its: a device is shared between streams, and not
   * between runs. NULL: a stream of its own. */
  gconstpointer stream;
  guint64 timeout; /* ns that a submission may wait for launches of others; 0:
                    * the device's own idea */
} NpuRunOptions;

/**
 * npu_device_open:
 * @name: `auto`, `cpu`, `xrt` or `xrt:N`
 *
 * `auto` takes an NPU where there is one and overlays are given, else the CPU;
 * where the NPU is there but cannot be opened, or the folder of overlays is not
 * there, @options->note says why.
 *
 * Who opens the same device with the same options gets the same one, as long as
 * somebody in this process has it: the same workers, contexts and kernels.
 * `threads` of 0 are the same as their number; the CPUs that the calling thread
 * may use, on which workers run, count among the options, and so does the
 * content of the folder of overlays. A device with a latency or an observer is
 * its opener's alone, and a device that was lost is opened anew.
 *
 * Returns: (transfer full): a device or %NULL with @error set: SETTINGS for a
 * name that is none of these or options out of range, NOT_FOUND, OPEN, BUSY
 * or FAILED for a device that cannot be had.
 */
NPU_API NpuDevice *npu_device_open (
    const char *name, const NpuDeviceOptions *options, GError **error);
NPU_API NpuDevice *npu_device_ref (NpuDevice *device);
/* The last one closes the device; its kernels, buffers and runs must be gone.
 */
NPU_API void npu_device_unref (NpuDevice *device);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuDevice, npu_device_unref)

/* "cpu", "xrt:0"; and for a log: instruction set, workers, firmware. */
NPU_API const char *npu_device_get_name (const NpuDevice *device);
NPU_API const char *npu_device_get_description (const NpuDevice *device);
/* The CPU device that does over this device's buffers what it cannot do
 * itself: the device itself where it is the CPU. (transfer none) */
NPU_API NpuDevice *npu_device_get_host (NpuDevice *device);
/* Threads of the host that compute. */
NPU_API guint npu_device_get_n_workers (const NpuDevice *device);
NPU_API NpuDeviceUsage npu_device_get_usage (NpuDevice *device);

/**
 * npu_device_query:
 * @op: as if it had weights and a bias, which are not looked at
 * @depth: slots of the ring that it is for
 * @support: (out)
 *
 * Returns: %FALSE with @error UNSUPPORTED where the device does not do @op.
 */
NPU_API gboolean npu_device_query (NpuDevice *device, const NpuOp *op,
    guint depth, NpuSupport *support, GError **error);
/* Whether the device has this product for rows of floats, and faster than
 * float's: asked of a small linear map. */
NPU_API gboolean npu_device_has_product (NpuDevice *device, NpuProduct product);

NPU_API NpuBuffer *npu_buffer_new (
    NpuDevice *device, gsize size, GError **error);
NPU_API void npu_buffer_free (NpuBuffer *buffer);
/* Makes what the host wrote visible to the device, or the other way. */
NPU_API gboolean npu_buffer_sync (NpuBuffer *buffer, NpuSyncDirection direction,
    gsize offset, gsize size, GError **error);

/**
 * npu_kernel_open:
 *
 * Opens @op on @device and packs its constants there, for the caller alone.
 *
 * Returns: (transfer full): the kernel, or %NULL with @error set; the code
 * UNSUPPORTED means that another device should be asked.
 */
NPU_API NpuKernel *npu_kernel_open (
    NpuDevice *device, const NpuOp *op, GError **error);

/**
 * npu_kernel_get:
 * @op: without weights
 * @weights: (nullable): NULL where the operation has none
 *
 * The same for everybody who asks for this operation with these weights, as
 * long as somebody has it: the weights are read and packed once. One with
 * tiles_for keeps that kernel, which must be shared too if this one is to be.
 *
 * Returns: as npu_kernel_open(), or what reading the weights says.
 */
NPU_API NpuKernel *npu_kernel_get (NpuDevice *device, const NpuOp *op,
    const NpuWeightsSource *weights, GError **error);
NPU_API void npu_kernel_unref (NpuKernel *kernel);

/* Packs x[rows][64], row stride in floats, 1 to 64 rows, as attention tile
 * number @tile (head * n_row_tiles + r) of the argument Q, K or V whose buffer
 * begins at @data. Host work; the range is synced by the caller. */
NPU_API void npu_kernel_pack_tile (const NpuKernel *kernel, guint arg,
    guint8 *data, guint tile, const float *x, gsize stride, guint rows);

/* @options: (nullable) */
NPU_API NpuRun *npu_run_new (
    NpuDevice *device, const NpuRunOptions *options, GError **error);
/* A run that is in flight is waited for. */
NPU_API void npu_run_free (NpuRun *run);

/* Whether runs of @device must be prepared and finished. */
NPU_API gboolean npu_device_has_host_work (NpuDevice *device);

/* The host's part of a launch, where the device has one. prepare makes the
 * inputs ready (packing, syncs) before npu_run_submit(), with the same launch;
 * finish makes the outputs ready (syncs, unpacking, what the device leaves to
 * the host) after npu_run_wait() succeeded. Both in the caller's thread. */
NPU_API gboolean npu_run_prepare (
    NpuRun *run, const NpuLaunch *launch, GError **error);
NPU_API gboolean npu_run_finish (
    NpuRun *run, const NpuLaunch *launch, GError **error);

/* Queues @launch and returns at once, unless the device has as many in flight
 * as it takes. It may begin only when the run is waited for: on the CPU the
 * thread that waits computes. The run must not be in flight; kernel and buffers
 * must stay until it has completed. SETTINGS where a buffer is smaller than
 * what its argument needs. */
NPU_API gboolean npu_run_submit (
    NpuRun *run, const NpuLaunch *launch, GError **error);

/**
 * npu_run_submit_list:
 * @launches: [n_launches], at least one, of the run's device; each begins when
 *   the one before is done and sees what that wrote. Not kept
 *
 * Submits launches that depend on each other as one: npu_run_wait() waits for
 * the last, with its timeout for each, or on the CPU for all in the waiting
 * thread's own running time. They may begin only then; whatever the host has to
 * do for them it does there, so nobody calls npu_run_prepare() or
 * npu_run_finish(). On the CPU the thread that waits computes, workers with
 * nothing else to do help, and nobody sleeps between two launches. On an NPU
 * launches of one hardware context follow each other as one submission up to
 * where the host has to pack or unpack something, which the waiting thread
 * does, as it submits the next.
 *
 * Returns: as npu_run_submit(), for any of @launches.
 */
NPU_API gboolean npu_run_submit_list (
    NpuRun *run, const NpuLaunch *launches, guint n_launches, GError **error);

/* Waits until the run's launch has completed, @timeout ns at most. On
 * TIMEOUT the launch may still be in flight; on LAUNCH and LOST it is not. */
NPU_API gboolean npu_run_wait (
    NpuRun *run, guint64 timeout, NpuRunTimes *times, GError **error);

/* Whether the run's launch has completed; never blocks. */
NPU_API gboolean npu_run_is_done (NpuRun *run);

/* What of the run's launch has not begun need not be done: its results are no
 * use to anybody. It is waited for as before, and completes soon. */
NPU_API void npu_run_cancel (NpuRun *run);

/**
 * npu_device_run_list:
 * @commands: [n_commands], each of which begins when all units of the one
 *   before are done
 * @timeout: ns of the calling thread's own running time
 * @cancelled: (nullable): set to 1 from any thread, atomically, it ends the
 *   list soon
 *
 * Runs commands of microseconds, too small for a launch each, on the host's
 * processors. The calling thread runs them, and workers of the device that
 * have nothing else to do help: with one worker there is no hand-over at all.
 * From several threads at once, each with its list; may allocate.
 *
 * Returns: %FALSE with @error set, TIMEOUT or CANCELLED, when no unit is
 *   running any more; some of the commands have run then.
 */
NPU_API gboolean npu_device_run_list (NpuDevice *device,
    const NpuCommand *commands, guint n_commands, guint64 timeout,
    const gint *cancelled, GError **error);

G_END_DECLS
