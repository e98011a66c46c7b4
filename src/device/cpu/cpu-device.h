/* The CPU as a device: workers that serve the launches of all streams.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "cpu-gemm.h"
#include "device/npu-device-impl.h"
#include "npu-few.h"
#include "npu-kernels.h"

G_BEGIN_DECLS

/* How long a worker helps with lists before the ring's tiles have a turn. */
#define CPU_LIST_TURN 2000000u /* ns */

/* Threads that wait for runs are told in groups: each run is of one. */
#define CPU_N_WAITERS 16

typedef struct _CpuList CpuList;

typedef struct {
  NpuDevice base;
  NpuKernels kernels; /* the table for this CPU */
  NpuFewKernels few;
  /* Products of bfloat16 are faster than float's; without, they are float
   * products of rounded values. */
  gboolean fast_bf16;
  /* int8 products are exact and several times as fast as float's, as with
   * VNNI. */
  gboolean int8_products;
  GThread **workers;
  guint64 latency; /* ns from submission until a launch may start */
  NpuTileObserver tile_observer;
  gpointer tile_observer_data;

  GMutex lock;               /* of all below and of the runs */
  GCond work;                /* there is something to do, or quit */
  GCond done[CPU_N_WAITERS]; /* a run of this group has completed */
  guint n_runs;              /* that were ever made */
  GList *streams;            /* of CpuStream, all */
  GQueue ready;  /* of CpuStream with tiles that no worker took; the first is
                  * served */
  guint n_taken; /* tiles of its turn */
  GQueue lists;  /* of CpuList that run, oldest first */
  gboolean quit;
  guint n_begun;  /* workers that have begun, each by its number */
  guint n_asleep; /* workers that wait for work, less those that were called */
} CpuDevice;

/* What a worker has for itself. */
typedef struct {
  guint number;
  CpuGemmThread *gemm;
  guint8 *scratch; /* 64-byte aligned */
  gsize scratch_size;
} CpuWorker;

typedef struct _CpuKernel CpuKernel;

typedef void (*CpuTileFunc) (const CpuKernel *kernel, const NpuLaunch *launch,
    guint tile, CpuWorker *worker);

/* An operation opened on the CPU: constants in the layout its tiles want. */
struct _CpuKernel {
  NpuKernel base;
  CpuTileFunc run_tile;
  CpuTileFunc run_pair; /* a tile and the next, where that is faster; or NULL */
  gsize scratch_size;
  NpuOp op; /* its pointers are NULL but for those below */

  const NpuKernels *kernels;
  const NpuAttentionKernel *attention; /* QKV_TILES and attention */
  const NpuKernel *tiles_for; /* QKV_TILES: another device's attention, or
                               * NULL */
  CpuGemm *gemm;
  NpuType product; /* linear: the type that is multiplied */
  float *bias;     /* linear's, or beta */
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

/* The device, or NULL where it is none of the CPU's. */
CpuDevice *cpu_device_from (NpuDevice *device);

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
