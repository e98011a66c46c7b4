/* Loose tiles through an executor on a fake device, with buffers per slot.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "executor/npu-executor.h"
#include "fake-device.h"

G_BEGIN_DECLS

#define RIG_TILE_WORDS 32

typedef struct {
  NpuDevice *device;
  NpuKernel *kernel;
  NpuExecutor *executor;
  NpuBuffer *in[NPU_EXECUTOR_MAX_DEPTH], *out[NPU_EXECUTOR_MAX_DEPTH];
  NpuStage stage;   /* may be changed before a run, other than upwards */
  guint32 *results; /* [n_tiles][RIG_TILE_WORDS] */
  guint n_prepared, n_finished;          /* launches of the last run */
  guint fail_prepare_at, fail_finish_at; /* launch, or G_MAXUINT */
} Rig;

/* What a device does with a tile of the rig: FakeOptions.tile. */
void rig_tile (const NpuLaunch *launch, guint tile, gpointer user_data);

/* An executor with one stage "rig" that packs tile inputs into the slot's
 * buffers and unpacks its outputs. @timeout in ns. */
Rig *rig_new (NpuDevice *device, guint depth, guint n_tiles, guint batch,
    guint64 timeout);
void rig_free (Rig *rig);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Rig, rig_free)

/* Forgets the results and runs the stage @n_times in a row. */
gboolean rig_run (Rig *rig, guint n_times, GError **error);

/* Fails the test unless every tile has its result. */
void rig_assert_right (Rig *rig);

G_END_DECLS
