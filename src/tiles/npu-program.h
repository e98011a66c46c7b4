/* Programs of an NPU by their names: lists of packed blocks, each computed by
 * one command, through a ring of launches. The programs and the sizes of their
 * blocks are what the overlays directory describes (layout = packed); what is
 * in a block is the program's own affair.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "device/npu-device.h"
#include "executor/npu-executor.h"

G_BEGIN_DECLS

typedef struct _NpuProgram NpuProgram;

typedef struct {
  guint depth;     /* launches in flight, 1 to 16; 1 is sequential */
  guint batch;     /* blocks per launch, 1 to 24; 0 = the device's choice */
  guint64 timeout; /* ns per launch; 0 = 10 s */
} NpuProgramOptions;

/**
 * npu_program_new:
 * @device: must outlive the program; one with programs: `xrt`
 * @name: of the program: "attention_64x64"
 *
 * Returns: (transfer full): the program with a ring of its own, or %NULL with
 * @error set: UNSUPPORTED where the device has no program of that name,
 * SETTINGS, or what the device says.
 */
NPU_API NpuProgram *npu_program_new (NpuDevice *device, const char *name,
    const NpuProgramOptions *options, GError **error);
NPU_API void npu_program_free (NpuProgram *program);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuProgram, npu_program_free)

/* Bytes of a block that it reads, and of one that it writes. */
NPU_API gsize npu_program_get_in_size (NpuProgram *program);
NPU_API gsize npu_program_get_out_size (NpuProgram *program);
NPU_API guint npu_program_get_batch (NpuProgram *program);
/* Bytes of the slots' buffers. */
NPU_API gsize npu_program_get_memory_size (NpuProgram *program);
/* (transfer none): for statistics, an observer, or a trace. */
NPU_API NpuExecutor *npu_program_get_executor (NpuProgram *program);

/**
 * npu_program_run:
 * @in: in[n_blocks][in size]
 * @out: (out): out[n_blocks][out size]
 *
 * Computes all blocks; the same bytes at every depth and batch. One run at a
 * time. Returns: %FALSE with @error set, and @out in part.
 */
NPU_API gboolean npu_program_run (NpuProgram *program, gconstpointer in,
    guint n_blocks, gpointer out, GError **error);

G_END_DECLS
