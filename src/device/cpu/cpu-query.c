/* What the CPU says of an operation: the only place that knows which products
 * it has, and what they are worth.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "cpu-ops.h"

/* Against float's, about, where a CPU has the product: docs/results-cpu.md. */
#define RATE_S8 3.5
#define RATE_S16 2.0
#define RATE_BF16 2.0

/* A launch may cost the submitting thread two context switches, so it carries
 * several tiles for every worker; all of the ring's make at least twice the
 * workers, so that none waits for the host. At the usual depth of 3 the ring
 * holds a full window's 24 row tiles: while another process has the core of one
 * worker, the others do not run out of tiles. */
static guint
batch_for (const CpuDevice *device, guint depth)
{
  const guint for_workers = (2 * device->base.n_workers + depth - 1) / depth;

  return CLAMP (for_workers, 8, 24);
}

/* What is multiplied where a product is asked for; see cpu_linear_pack(). */
static NpuProduct
product_of (const CpuDevice *device, const NpuLinearOp *op)
{
  switch (op->product) {
    case NPU_PRODUCT_S8:
      return device->int8_products || device->claims_int8 ? NPU_PRODUCT_S8
                                                          : NPU_PRODUCT_F32;
    case NPU_PRODUCT_BF16:
      return device->fast_bf16 ? NPU_PRODUCT_BF16 : NPU_PRODUCT_F32;
    case NPU_PRODUCT_S16:
      return cpu_linear_has_s16 (device, op) ? NPU_PRODUCT_S16
                                             : NPU_PRODUCT_F32;
    default:
      return NPU_PRODUCT_F32;
  }
}

static double
rate_of (NpuProduct product)
{
  switch (product) {
    case NPU_PRODUCT_S8:
      return RATE_S8;
    case NPU_PRODUCT_BF16:
      return RATE_BF16;
    case NPU_PRODUCT_S16:
      return RATE_S16;
    default:
      return 1.0;
  }
}

gboolean
cpu_device_query (NpuDevice *base, const NpuOp *op, guint depth,
    NpuSupport *support, GError **error)
{
  const CpuDevice *device = (const CpuDevice *) base;

  if (!cpu_op_is_supported (op, error))
    return FALSE;
  support->batch = batch_for (device, depth);
  support->product = op->kind == NPU_OP_LINEAR
                         ? product_of (device, &op->linear)
                         : NPU_PRODUCT_F32;
  support->rate = rate_of (support->product);
  return TRUE;
}
