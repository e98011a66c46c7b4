/* The CPU as a device: workers that serve one queue of tiles.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "cpu-gemm.h"
#include "device/npu-device.h"
#include "npu-few.h"
#include "npu-kernels.h"

G_BEGIN_DECLS

/* How long a worker helps with lists before the ring's tiles have a turn. */
#define CPU_LIST_TURN 2000000u /* ns */

typedef struct _CpuList CpuList;

typedef struct {
  NpuDevice base;
  NpuKernels kernels; /* the table for this CPU */
  NpuFewKernels few;
  GThread **workers;
  guint64 latency; /* ns from submission until a launch may start */
  NpuTileObserver tile_observer;
  gpointer tile_observer_data;

  GMutex lock;  /* of all below and of the runs */
  GCond work;   /* the queue has changed, or quit */
  GCond done;   /* a run that a thread waits for has completed */
  GQueue queue; /* of CpuRun with tiles that no worker took, oldest first */
  GQueue lists; /* of CpuList that run, oldest first */
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

NpuDevice *cpu_device_open (const NpuDeviceOptions *options, GError **error);

/* The device, or NULL where it is none of the CPU's. */
CpuDevice *cpu_device_from (NpuDevice *device);

/* cpu-ops.c */
NpuKernel *cpu_kernel_open (NpuDevice *device, const NpuOp *op, GError **error);
void cpu_kernel_free (NpuKernel *kernel);
void cpu_kernel_pack_tile (const NpuKernel *kernel, guint arg, guint8 *data,
    guint tile, const float *x, gsize stride, guint rows);

G_END_DECLS
