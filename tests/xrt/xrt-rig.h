/* What the tests of the XRT device share: the device over the simulated driver,
 * operations run through the executor, and what the simulator counted.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "executor/npu-executor.h"
#include "sim/npusim.h"

G_BEGIN_DECLS

#define MS ((guint64) 1000000)
#define SECOND ((guint64) 1000000000)

/* Leaves stdout to the test's results: what XRT writes there goes to stderr. To
 * be called before g_test_init(). */
void rig_keep_stdout (void);

/* Opens "xrt" with these overlays; fails the test where it cannot be had. */
NpuDevice *rig_open (const char *overlays);

/* Changes a setting of the simulator. */
void rig_sim (const char *name, const char *value);
NpusimCounters rig_counters (void);
/* Fails the test where the device was used as a real one would punish, or
 * anything of it is still there. */
void rig_assert_clean (void);

/* The files of one overlay. */
typedef struct {
  char *xclbin, *instructions;
  gsize xclbin_size, instructions_size;
} RigOverlay;

/* Those of overlay @name in the folder @overlays. */
void rig_overlay_load (
    RigOverlay *overlay, const char *overlays, const char *name);
void rig_overlay_clear (RigOverlay *overlay);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (RigOverlay, rig_overlay_clear)

/* A new folder with this overlay alone, (transfer full). Its overlays.ini is
 * @group, the lines that name the files, and @keys. */
char *rig_folder_new (
    const RigOverlay *overlay, const char *group, const char *keys);
/* Removes the folder, and frees its name. */
void rig_folder_free (char *folder);

/* One operation with a buffer for each of its arguments. */
typedef struct {
  NpuKernel *kernel;
  NpuBuffer *args[NPU_MAX_ARGS];
} RigOp;

/* Buffers that are NULL in @share are made. */
RigOp *rig_op_new (NpuDevice *device, const NpuOp *op, NpuBuffer *const *share);
/* @share as for rig_op_new(): those are not freed. */
void rig_op_free (RigOp *op, NpuBuffer *const *share);

typedef struct {
  guint rows, kv_rows;
  guint groups; /* heads; 0 means 1 */
  guint batch, depth;
  guint sync_args;
  guint64 timeout; /* 0 = 20 s */
} RigRun;

/* All of the operation's tiles through an executor. */
gboolean rig_op_run (RigOp *op, const RigRun *run, GError **error);

/* x[n] in [-1, 1), the same for the same seed. */
float *rig_random (gsize n, guint32 seed);
guint16 rig_to_bf16 (float x);
float rig_from_bf16 (guint16 x);
/* Cosine of what two have in common. */
double rig_cosine (const float *a, const float *b, gsize n);

G_END_DECLS
