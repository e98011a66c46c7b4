/* Operations to overlays: which does it best, and with how many tiles.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "device/op-args.h"
#include "xrt-private.h"

#define MAX_BATCH 24 /* tiles of a window */

typedef struct {
  guint (*match) (const XrtOverlay *overlay, const NpuOp *op);
  gboolean (*open) (XrtKernel *kernel, const NpuOp *op, GError **error);
} OpFuncs;

static const OpFuncs funcs[] = {
    [NPU_OP_LINEAR] = {xrt_linear_match, xrt_linear_open},
    [NPU_OP_ATTENTION] = {xrt_attention_match, xrt_attention_open},
    [NPU_OP_LAYERNORM] = {xrt_layernorm_match, xrt_layernorm_open},
    [NPU_OP_GELU] = {xrt_gelu_match, xrt_gelu_open},
    [NPU_OP_PROGRAM] = {xrt_packed_match, xrt_packed_open},
};

static XrtProgram *
find_program (XrtDevice *device, const NpuOp *op)
{
  XrtProgram *best = NULL;
  guint best_match = 0;

  for (guint i = 0; i < device->programs->len; i++) {
    XrtProgram *program = g_ptr_array_index (device->programs, i);
    const guint match = funcs[op->kind].match (program->overlay, op);

    if (match > best_match) {
      best = program;
      best_match = match;
    }
  }
  return best;
}

static gboolean
fail_unsupported (const XrtDevice *device, const NpuOp *op, GError **error)
{
  g_autofree char *text = npu_op_to_string (op);

  if (op->kind == NPU_OP_PROGRAM)
    g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
        "%s/" XRT_OVERLAYS_FILE
        " has no overlay '%s' with layout = packed; add its description, or use one that is there",
        device->overlays->directory, op->program ? op->program : "");
  else
    g_set_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED,
        "%s/" XRT_OVERLAYS_FILE " has no overlay for %s",
        device->overlays->directory, text);
  return FALSE;
}

/* The most tiles that one command of the program takes. */
static guint
batch_for (const XrtProgram *program, const NpuOp *op)
{
  switch (op->kind) {
    case NPU_OP_PROGRAM:
      return 1;
    case NPU_OP_ATTENTION:
      return program->overlay->heads * N_TILES (op->rows);
    default:
      return MIN (program->overlay->rows / NPU_TILE_ROWS, MAX_BATCH);
  }
}

gboolean
xrt_query (NpuDevice *base, const NpuOp *op, guint depth, NpuSupport *support,
    GError **error)
{
  XrtDevice *device = (XrtDevice *) base;
  const XrtProgram *program = find_program (device, op);

  if (!program)
    return fail_unsupported (device, op, error);
  support->batch = batch_for (program, op);
  return TRUE;
}

NpuKernel *
xrt_kernel_open (NpuDevice *base, const NpuOp *op, GError **error)
{
  XrtDevice *device = (XrtDevice *) base;
  XrtProgram *program = find_program (device, op);
  XrtKernel *kernel;

  if (!program) {
    fail_unsupported (device, op, error);
    return NULL;
  }
  kernel = g_new0 (XrtKernel, 1);
  kernel->base.device = base;
  kernel->program = program;
  kernel->kernels = &device->cpu->host.kernels;
  kernel->op = npu_op_to_keep (op);
  if (!funcs[op->kind].open (kernel, op, error)) {
    xrt_kernel_free (&kernel->base);
    return NULL;
  }
  kernel->base.packed_size = kernel->constants ? kernel->constants->size : 0;
  return &kernel->base;
}

void
xrt_kernel_free (NpuKernel *base)
{
  XrtKernel *kernel = (XrtKernel *) base;

  npu_buffer_free (kernel->constants);
  g_free (kernel->bias);
  g_free (kernel->weight_scale);
  g_free (kernel->signs);
  g_free (kernel->c_signs);
  g_free (kernel->zeros);
  g_free (kernel);
}
