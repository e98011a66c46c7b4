/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-program.h"

#include <string.h>

#define DEFAULT_TIMEOUT ((guint64) 10000000000)

/* A slot's own blocks. */
typedef struct {
  NpuBuffer *in, *out;
  guint first_block; /* of the launch in it */
} Slot;

struct _NpuProgram {
  NpuExecutor *executor;
  NpuKernel *kernel;
  guint depth, batch;
  gsize in_size, out_size; /* of a block */
  Slot slots[NPU_EXECUTOR_MAX_DEPTH];

  /* The list that runs. */
  const guint8 *in;
  guint8 *out;
};

/* --- making ------------------------------------------------------------ */

static gboolean
open_kernel (
    NpuProgram *program, NpuDevice *device, const char *name, GError **error)
{
  NpuOp op = {.kind = NPU_OP_PROGRAM, .rows = 1, .program = name};
  NpuSupport support;

  if (program->batch > NPU_EXECUTOR_MAX_BATCH) {
    g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
        "batch %u is not between 1 and %d, or 0 for the device's choice",
        program->batch, NPU_EXECUTOR_MAX_BATCH);
    return FALSE;
  }
  if (program->batch == 0)
    program->batch =
        npu_device_query (device, &op, program->depth, &support, NULL)
            ? MIN (support.batch, NPU_EXECUTOR_MAX_BATCH)
            : 1;
  op.rows = program->batch;
  program->kernel = npu_kernel_open (device, &op, error);
  if (!program->kernel)
    return FALSE;
  program->in_size = program->kernel->arg_size[NPU_ARG_IN] / program->batch;
  program->out_size = program->kernel->arg_size[NPU_ARG_OUT] / program->batch;
  return TRUE;
}

static gboolean
allocate_slots (NpuProgram *program, NpuDevice *device, GError **error)
{
  const gsize *size = program->kernel->arg_size;

  for (guint i = 0; i < program->depth; i++) {
    Slot *slot = &program->slots[i];

    slot->in = npu_buffer_new (device, size[NPU_ARG_IN], error);
    if (!slot->in)
      return FALSE;
    slot->out = npu_buffer_new (device, size[NPU_ARG_OUT], error);
    if (!slot->out)
      return FALSE;
  }
  return TRUE;
}

NpuProgram *
npu_program_new (NpuDevice *device, const char *name,
    const NpuProgramOptions *options, GError **error)
{
  g_autoptr (NpuProgram) program = g_new0 (NpuProgram, 1);

  program->depth = options->depth;
  program->batch = options->batch;
  program->executor = npu_executor_new (device, options->depth,
      options->timeout ? options->timeout : DEFAULT_TIMEOUT, error);
  if (!program->executor || !open_kernel (program, device, name, error) ||
      !allocate_slots (program, device, error))
    return NULL;
  return g_steal_pointer (&program);
}

void
npu_program_free (NpuProgram *program)
{
  if (!program)
    return;
  /* First: it waits for launches that use the buffers. */
  npu_executor_free (program->executor);
  for (guint i = 0; i < NPU_EXECUTOR_MAX_DEPTH; i++) {
    npu_buffer_free (program->slots[i].in);
    npu_buffer_free (program->slots[i].out);
  }
  npu_kernel_unref (program->kernel);
  g_free (program);
}

/* --- running ----------------------------------------------------------- */

static gboolean
write_blocks (const NpuStage *stage, guint index, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  NpuProgram *program = user_data;
  Slot *slot = &program->slots[index];

  memcpy (slot->in->data, program->in + launch->first_tile * program->in_size,
      launch->n_tiles * program->in_size);
  slot->first_block = launch->first_tile;
  launch->first_tile = 0;
  launch->args[NPU_ARG_IN] = slot->in;
  launch->args[NPU_ARG_OUT] = slot->out;
  return TRUE;
}

static gboolean
read_blocks (const NpuStage *stage, guint index, NpuLaunch *launch,
    gpointer user_data, GError **error)
{
  NpuProgram *program = user_data;
  const Slot *slot = &program->slots[index];

  memcpy (program->out + slot->first_block * program->out_size, slot->out->data,
      launch->n_tiles * program->out_size);
  return TRUE;
}

gboolean
npu_program_run (NpuProgram *program, gconstpointer in, guint n_blocks,
    gpointer out, GError **error)
{
  const NpuStage stage = {
      .name = "program",
      .launch =
          {
              .kernel = program->kernel,
              .rows = program->batch,
              .sync_args = NPU_ARG_BIT (NPU_ARG_IN) | NPU_ARG_BIT (NPU_ARG_OUT),
          },
      .n_tiles = n_blocks,
      .batch = program->batch,
      .prepare = write_blocks,
      .finish = read_blocks,
      .user_data = program,
  };

  program->in = in;
  program->out = out;
  return npu_executor_run (program->executor, &stage, 1, error);
}

/* --- what it is -------------------------------------------------------- */

gsize
npu_program_get_in_size (NpuProgram *program)
{
  return program->in_size;
}

gsize
npu_program_get_out_size (NpuProgram *program)
{
  return program->out_size;
}

guint
npu_program_get_batch (NpuProgram *program)
{
  return program->batch;
}

gsize
npu_program_get_memory_size (NpuProgram *program)
{
  return program->depth * program->batch *
         (program->in_size + program->out_size);
}

NpuExecutor *
npu_program_get_executor (NpuProgram *program)
{
  return program->executor;
}
