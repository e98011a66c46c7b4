/* The CPU as a device: workers that serve the launches of all streams.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <stdatomic.h>

#include "cpu-gemm.h"
#include "device/npu-device-impl.h"

G_BEGIN_DECLS

/* How long a worker helps with lists before the ring's tiles have a turn. */
#define CPU_LIST_TURN 2000000u /* ns */

/* Threads that wait for runs are told in groups: each run is of one. */
#define CPU_N_WAITERS 16

typedef struct _CpuList CpuList;

/* What a thread has for itself while it computes units of runs: a lane. There
 * are as many as workers, and threads that wait for a run take them too, so
 * that never more compute. */
typedef struct {
  guint number;
  CpuGemmThread *gemm;
  guint8 *scratch; /* 64-byte aligned */
  gsize scratch_size;
} CpuWorker;

typedef struct {
  NpuDevice base;
  NpuHost host;
  /* Products of bfloat16 are faster than float's; without, they are float
   * products of rounded values. */
  gboolean fast_bf16;
  /* int8 products are exact and several times as fast as float's, as with
   * VNNI. */
  gboolean int8_products;
  /* Says that it has them and multiplies the same integers in float: to look at
   * what they cost in accuracy. */
  gboolean claims_int8;
  GThread **workers;
  CpuWorker *lanes; /* [n_lanes], as many as workers */
  guint n_lanes;
  guint64 latency; /* ns from submission until a launch may start */
  NpuTileObserver tile_observer;
  gpointer tile_observer_data;

  GMutex lock;               /* of all below and of the runs */
  GCond work;                /* workers are called, or quit */
  GCond done[CPU_N_WAITERS]; /* a run of this group has completed */
  guint n_runs;              /* that were ever made */
  GList *streams;            /* of CpuStream, all */
  GQueue ready;  /* of CpuStream with tiles that no worker took; the first is
                  * served */
  guint n_taken; /* tiles of its turn */
  GQueue lists;  /* of CpuList that run, oldest first */
  gboolean quit;
  CpuWorker **free_lanes; /* that no thread has, the first n_free */
  guint n_free;
  guint n_asleep;  /* workers that wait to be called */
  guint n_called;  /* of those: that were */
  guint n_looking; /* threads that have a lane and look for a unit */
  guint n_waiting; /* threads that sleep until their run is done */
  /* Looked at without the lock, too. */
  atomic_uint n_ready; /* units of runs that no thread took */
  atomic_uint n_lists; /* that run */
} CpuDevice;

typedef struct _CpuKernel CpuKernel;

typedef void (*CpuTileFunc) (const CpuKernel *kernel, const NpuLaunch *launch,
    guint tile, CpuWorker *worker);

/* Some of the columns of a row tile. */
typedef struct {
  guint tile;
  guint first_block, n_blocks; /* of those of the kernel */
  float *rows;                 /* [64][n] of the tile, see rows_size */
} CpuPart;

typedef void (*CpuPartFunc) (const CpuKernel *kernel, const NpuLaunch *launch,
    const CpuPart *part, CpuWorker *worker);

/* An operation opened on the CPU: constants in the layout its tiles want. */
struct _CpuKernel {
  NpuKernel base;
  CpuTileFunc run_tile;
  CpuTileFunc run_pair; /* a tile and the next, where that is faster; or NULL */
  /* Computes a part of a tile, in any order and thread: the same bytes. NULL:
   * a tile is computed whole. */
  CpuPartFunc run_part;
  guint n_blocks; /* of a tile's columns */
  /* Where the columns of a tile meet before they are stored: what its parts
   * have in common, bytes, and what stores them when all have run; or 0. */
  gsize rows_size;
  void (*store_rows) (const CpuKernel *kernel, const NpuLaunch *launch,
      guint tile, const float *rows);
  gsize scratch_size;
  NpuOp op; /* npu_op_to_keep() */

  const NpuKernels *kernels;
  const NpuAttentionKernel *attention; /* QKV_TILES and attention */
  const NpuKernel *tiles_for; /* QKV_TILES: another device's attention, or
                               * NULL */
  CpuGemm *gemm;
  NpuProduct product; /* linear: what is multiplied */
  float *bias;        /* linear's, or beta */
  float *gamma;
  float *weight_scale; /* [n], weights of integers */
  gint32 *zero_sum;    /* [n], likewise: see epilogue_s32 */
  float *signs;        /* [k] of the rotation, int8 weights */
  float *c_signs;      /* [n], where rows are quantised */
};

/* device-registry.c: what @options make of a device, for its key. */
guint cpu_device_n_workers (const NpuDeviceOptions *options);
/* The instruction sets that were chosen; "" for all. */
const char *cpu_device_level (void);

NpuDevice *cpu_device_open (const NpuDeviceOptions *options, GError **error);

/* cpu-query.c */
gboolean cpu_device_query (NpuDevice *device, const NpuOp *op, guint depth,
    NpuSupport *support, GError **error);

/* cpu-buffer.c */
NpuBuffer *cpu_buffer_new (NpuDevice *device, gsize size, GError **error);
void cpu_buffer_free (NpuBuffer *buffer);
gboolean cpu_buffer_sync (NpuBuffer *buffer, NpuSyncDirection direction,
    gsize offset, gsize size, GError **error);

/* cpu-ops.c */
NpuKernel *cpu_kernel_open (NpuDevice *device, const NpuOp *op, GError **error);
void cpu_kernel_free (NpuKernel *kernel);
void cpu_kernel_pack_tile (const NpuKernel *kernel, guint arg, guint8 *data,
    guint tile, const float *x, gsize stride, guint rows);

G_END_DECLS
