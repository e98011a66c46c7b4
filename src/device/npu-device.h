/* A device: buffers with a host mapping, kernels opened for one operation,
 * and launches of a kernel over a range of tiles.
 *
 * Everything above works through these verbs only; cpu/ and xrt/ implement
 * them. A device may be used by several executors in several threads.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-api.h"
#include "npu-error.h"

G_BEGIN_DECLS

#define NPU_MAX_ARGS 5
#define NPU_MAX_THREADS 256 /* workers of a CPU device */

typedef struct _NpuDevice NpuDevice;
typedef struct _NpuDeviceClass NpuDeviceClass;
typedef struct _NpuBuffer NpuBuffer;
typedef struct _NpuKernel NpuKernel;
typedef struct _NpuRun NpuRun;

/* --- operations ------------------------------------------------------- */

typedef enum {
  NPU_TYPE_F32,  /* row tiles past the last valid row hold anything finite */
  NPU_TYPE_Q8,   /* int8 with scales: rows in q8 tiles (npu-kernels.h), weights
                  * per output column, attention tiles device-packed */
  NPU_TYPE_BF16, /* bfloat16, in rows like F32; weights whose products are
                  * bfloat16's, where A in F32 is rounded as it is read */
  NPU_TYPE_S16,  /* weights whose products are 16-bit integers', with a scale
                  * for each row and column, where A in F32 is quantised as it
                  * is read; float's where those are no faster */
} NpuType;

typedef enum {
  /* args A, C, R. C = epilogue (A B): A is rows x k with rows a_stride
   * elements apart (so that a convolution over frames is a linear map over
   * overlapping rows), B the constant weights [n][k], C rows x n, R the
   * residual, rows x n, or the same buffer as C. */
  NPU_OP_LINEAR,
  /* args Q, K, V, O. O[rows][heads * 64]; Q, K, V are tiles packed by a
   * linear operation whose c_layout is NPU_LAYOUT_QKV_TILES, or by
   * npu_kernel_pack_tile(). One tile of a launch is one query tile of one
   * head: tile = head * n_row_tiles + r, where n_row_tiles = ceil (rows / 64)
   * for the rows of the launch. */
  NPU_OP_ATTENTION,
  /* args X, Y: rows x n. */
  NPU_OP_LAYERNORM,
  NPU_OP_GELU,
  /* args IN, OUT: a program of the device by its name, on blocks whose sizes
   * and content are its own. Tile t is block t of both; rows is how many
   * blocks there are at most. */
  NPU_OP_PROGRAM,
} NpuOpKind;

typedef enum {
  NPU_LAYOUT_ROWS,      /* row-major */
  NPU_LAYOUT_QKV_TILES, /* n = 3 * heads * 64 columns q, k, v go to the args
                         * C, K, V (1, 2, 3) as attention tiles */
} NpuLayout;

enum { NPU_ARG_A = 0, NPU_ARG_C = 1, NPU_ARG_R = 2 }; /* linear, rows */
enum { NPU_ARG_QKV_Q = 1, NPU_ARG_QKV_K = 2, NPU_ARG_QKV_V = 3 }; /* tiles */
enum { NPU_ARG_Q = 0, NPU_ARG_K = 1, NPU_ARG_V = 2, NPU_ARG_O = 3 };
enum { NPU_ARG_X = 0, NPU_ARG_Y = 1 };
enum { NPU_ARG_IN = 0, NPU_ARG_OUT = 1 };

#define NPU_ARG_BIT(arg) (1u << (arg))

/* Describes one operation. Pointers need to live only until
 * npu_device_kernel_open() returns: a device packs what it keeps. */
typedef struct {
  NpuOpKind kind;
  guint rows;     /* the most rows a launch will have */
  guint kv_rows;  /* attention: the most keys; 0 means as many as rows */
  guint k, n;     /* linear: inner size and output columns; else n columns */
  guint a_stride; /* linear: elements between rows of A; 0 means k */
  guint heads;    /* attention and NPU_LAYOUT_QKV_TILES */
  NpuType a_type; /* of A, X, or the attention tiles */
  NpuType b_type; /* of the weights */
  NpuType c_type; /* of C, Y; with NPU_LAYOUT_QKV_TILES of the tiles */
  NpuLayout c_layout;
  gboolean gelu;       /* linear: exact GELU after the bias */
  gboolean residual;   /* linear: C += R, after the GELU */
  float scale;         /* attention: of the scores */
  float epsilon;       /* layernorm */
  const float *weight; /* linear: [n][k]; layernorm: gamma [n] */
  const float *bias;   /* linear: [n] or NULL; layernorm: beta [n] */
  const char *program; /* NPU_OP_PROGRAM: its name */
  /* NPU_LAYOUT_QKV_TILES: the attention that will read the tiles, which packs
   * them and must outlive this kernel; NULL is one of the same device. */
  const NpuKernel *tiles_for;
} NpuOp;

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

struct _NpuDevice {
  const NpuDeviceClass *klass;
  char *name;        /* "cpu", "xrt:0" */
  char *description; /* for a log: instruction set, workers, firmware */
  /* Why `auto` took this device and not a better one that is there, a
   * sentence; or NULL. */
  char *note;
  /* The CPU's: products of bfloat16 are faster than float's. Without, they are
   * float products of rounded values. */
  gboolean fast_bf16;
  /* The CPU's: int8 products are exact and several times as fast as float's, as
   * with VNNI. */
  gboolean int8_products;
  /* The CPU's: products of NPU_TYPE_S16 are those of integers. */
  gboolean int16_products;
  /* The CPU's: int8 products, or 16-bit ones in their place, are faster than
   * float's. */
  gboolean fast_int8;
  guint n_workers; /* the CPU's: threads that compute its tiles */
  /* A CPU device that does over this device's buffers what it cannot do
   * itself; belongs to it. NULL where this device is the CPU. */
  NpuDevice *host;
};

/* Memory that the device and the host both see. */
struct _NpuBuffer {
  NpuDevice *device;
  guint8 *data; /* host mapping, 64-byte aligned, zeroed when new */
  gsize size;
};

struct _NpuKernel {
  NpuDevice *device;
  gsize arg_size[NPU_MAX_ARGS]; /* bytes each argument needs for op.rows,
                                 * whole tiles */
  /* NPU_ARG_BITs of the arguments that the host reads or writes, be it in
   * prepare, in finish, or because the device is the CPU. Launches on others
   * need no sync of them. */
  guint host_args;
  /* What a launch may have, of the operation that it was opened for; set by
   * npu_kernel_open(). */
  guint max_rows, max_kv_rows, n_groups;
  guint arg_alignment[NPU_MAX_ARGS]; /* of offsets, bytes */
  /* Groups (attention: heads) that every launch must cover whole, whatever
   * the batch; 0 where a launch may have any tiles of one group. */
  guint groups_per_launch;
};

/* The handle of one launch in flight; belongs to one slot of a ring. */
struct _NpuRun {
  NpuDevice *device;
};

/* What a device implements; see the functions below for each contract. */
struct _NpuDeviceClass {
  void (*free) (NpuDevice *device);
  guint (*batch_for) (NpuDevice *device, const NpuOp *op, guint depth);
  NpuBuffer *(*buffer_new) (NpuDevice *device, gsize size, GError **error);
  void (*buffer_free) (NpuBuffer *buffer);
  gboolean (*buffer_sync) (NpuBuffer *buffer, NpuSyncDirection direction,
      gsize offset, gsize size, GError **error);
  NpuKernel *(*kernel_open) (
      NpuDevice *device, const NpuOp *op, GError **error);
  void (*kernel_free) (NpuKernel *kernel);
  void (*pack_tile) (const NpuKernel *kernel, guint arg, guint8 *data,
      guint tile, const float *x, gsize stride, guint rows);
  NpuRun *(*run_new) (NpuDevice *device, GError **error);
  void (*run_free) (NpuRun *run);
  /* Both NULL where a launch has no host work. */
  gboolean (*prepare) (NpuRun *run, const NpuLaunch *launch, GError **error);
  gboolean (*finish) (NpuRun *run, const NpuLaunch *launch, GError **error);
  gboolean (*submit) (NpuRun *run, const NpuLaunch *launch, GError **error);
  gboolean (*wait) (
      NpuRun *run, guint64 timeout, NpuRunTimes *times, GError **error);
  gboolean (*is_done) (NpuRun *run);
  /* NULL where a device has no processors of the host. */
  gboolean (*run_list) (NpuDevice *device, const NpuCommand *commands,
      guint n_commands, guint64 timeout, const gint *cancelled, GError **error);
};

/**
 * npu_device_open:
 * @name: `auto`, `cpu`, `xrt` or `xrt:N`
 *
 * `auto` takes an NPU where there is one and overlays are given, else the CPU;
 * where the NPU is there but cannot be opened, or the folder of overlays is not
 * there, the device's note says why.
 *
 * Returns: (transfer full): a device or %NULL with @error set: SETTINGS for a
 * name that is none of these or options out of range, NOT_FOUND, OPEN, BUSY
 * or FAILED for a device that cannot be had.
 */
NPU_API NpuDevice *npu_device_open (
    const char *name, const NpuDeviceOptions *options, GError **error);

/* The type of weights that stands for int8: S16 on a CPU that has no int8
 * products. */
static inline NpuType
npu_device_int8_type (const NpuDevice *device)
{
  return device->host || device->int8_products ? NPU_TYPE_Q8 : NPU_TYPE_S16;
}

/* Frees the device; its kernels, buffers and runs must be gone. */
NPU_API void npu_device_free (NpuDevice *device);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuDevice, npu_device_free)

/* Tiles per launch that suit @op in a ring of @depth slots. */
NPU_API guint npu_device_batch_for (
    NpuDevice *device, const NpuOp *op, guint depth);

NPU_API NpuBuffer *npu_buffer_new (
    NpuDevice *device, gsize size, GError **error);
NPU_API void npu_buffer_free (NpuBuffer *buffer);
/* Makes what the host wrote visible to the device, or the other way. */
NPU_API gboolean npu_buffer_sync (NpuBuffer *buffer, NpuSyncDirection direction,
    gsize offset, gsize size, GError **error);

/**
 * npu_kernel_open:
 *
 * Opens @op on @device and packs its constants there.
 *
 * Returns: (transfer full): the kernel, or %NULL with @error set; the code
 * UNSUPPORTED means that another device should be asked.
 */
NPU_API NpuKernel *npu_kernel_open (
    NpuDevice *device, const NpuOp *op, GError **error);
NPU_API void npu_kernel_free (NpuKernel *kernel);

/* Packs x[rows][64], row stride in floats, 1 to 64 rows, as attention tile
 * number @tile (head * n_row_tiles + r) of the argument Q, K or V whose buffer
 * begins at @data. Host work; the range is synced by the caller. */
NPU_API void npu_kernel_pack_tile (const NpuKernel *kernel, guint arg,
    guint8 *data, guint tile, const float *x, gsize stride, guint rows);

NPU_API NpuRun *npu_run_new (NpuDevice *device, GError **error);
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
 * as it takes. The run must not be in flight; kernel and buffers must stay
 * until it has completed. SETTINGS where a buffer is smaller than what its
 * argument needs. */
NPU_API gboolean npu_run_submit (
    NpuRun *run, const NpuLaunch *launch, GError **error);

/* Waits until the run's launch has completed, @timeout ns at most. On
 * TIMEOUT the launch may still be in flight; on LAUNCH and LOST it is not. */
NPU_API gboolean npu_run_wait (
    NpuRun *run, guint64 timeout, NpuRunTimes *times, GError **error);

/* Whether the run's launch has completed; never blocks. */
NPU_API gboolean npu_run_is_done (NpuRun *run);

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
