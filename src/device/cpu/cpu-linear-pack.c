/* Weights of a linear map in the product's type, packed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "cpu-ops.h"
#include "device/q8-weights.h"

static const CpuDevice *
device_of (const CpuKernel *kernel)
{
  return (const CpuDevice *) kernel->base.device;
}

static gboolean
pack_f32_weight (CpuKernel *kernel, const float *weight, GError **error)
{
  kernel->product = NPU_PRODUCT_F32;
  kernel->gemm = cpu_gemm_new_f32 (&kernel->kernels->gemm_f32, weight,
      kernel->op.linear.n, kernel->op.linear.k, error);
  return kernel->gemm != NULL;
}

/* Bytes as what they stand for. */
static gboolean
pack_q8_weight_in_float (CpuKernel *kernel, const gint8 *q, GError **error)
{
  const guint n = kernel->op.linear.n;
  const gsize size = (gsize) n * kernel->op.linear.k;
  g_autofree float *weight = g_new (float, size);

  for (gsize i = 0; i < size; i++)
    weight[i] = q[i];
  memset (kernel->zero_sum, 0, n * sizeof *kernel->zero_sum);
  return pack_f32_weight (kernel, weight, error);
}

/* Rotates and quantises weight[n][k] by output column and packs it. */
static gboolean
pack_q8_weight (CpuKernel *kernel, const float *weight, GError **error)
{
  const guint n = kernel->op.linear.n, k = kernel->op.linear.k;
  g_autofree gint8 *q = g_malloc ((gsize) n * k);

  kernel->signs = cpu_rotation_signs (k);
  kernel->weight_scale = g_new (float, n);
  kernel->zero_sum = g_new (gint32, n);
  q8_weights_quantise (q, kernel->weight_scale, kernel->zero_sum, weight, n, k);
  if (!device_of (kernel)->int8_products)
    return pack_q8_weight_in_float (kernel, q, error);
  for (guint i = 0; i < n; i++)
    kernel->zero_sum[i] *= NPU_Q8_ZERO;
  kernel->product = NPU_PRODUCT_S8;
  kernel->gemm = cpu_gemm_new_s8 (
      cpu_gemm_has_amx () ? NULL : &kernel->kernels->linear_s8, q, n, k, error);
  return kernel->gemm != NULL;
}

gboolean
cpu_linear_has_s16 (const CpuDevice *device, const NpuLinearOp *op)
{
  return op->a_storage == NPU_STORAGE_F32 &&
         cpu_gemm_takes (&device->host.kernels.gemm_s16, op->n, op->k);
}

/* Quantises weight[n][k] by output column and packs it, where such products
 * are fast. */
static gboolean
pack_s16_weight (CpuKernel *kernel, const float *weight, GError **error)
{
  const guint n = kernel->op.linear.n, k = kernel->op.linear.k;
  g_autofree gint16 *q = NULL;

  if (!cpu_linear_has_s16 (device_of (kernel), &kernel->op.linear))
    return pack_f32_weight (kernel, weight, error);
  q = g_new (gint16, (gsize) n * k);
  kernel->weight_scale = g_new (float, n);
  kernel->kernels->quantize_s16 (
      q, kernel->weight_scale, weight, k, (int) n, (int) k);
  kernel->gemm = cpu_gemm_new_s16 (&kernel->kernels->gemm_s16, q, n, k);
  if (!kernel->gemm) {
    g_clear_pointer (&kernel->weight_scale, g_free);
    return pack_f32_weight (kernel, weight, error);
  }
  kernel->product = NPU_PRODUCT_S16;
  kernel->zero_sum = g_new0 (gint32, n);
  return TRUE;
}

/* For products of bfloat16 where those are fast, else for float products of
 * rounded values. */
static gboolean
pack_bf16_weight (CpuKernel *kernel, const float *weight, GError **error)
{
  const NpuLinearOp *op = &kernel->op.linear;
  const gsize size = (gsize) op->n * op->k;
  g_autofree guint16 *rounded = g_new (guint16, size);
  g_autofree float *expanded = NULL;

  kernel->kernels->convert_bf16 (rounded, weight, size);
  if (device_of (kernel)->fast_bf16)
    kernel->gemm = cpu_gemm_new_bf16 (
        &kernel->kernels->gemm_bf16, rounded, op->n, op->k, NULL);
  if (kernel->gemm) {
    kernel->product = NPU_PRODUCT_BF16;
    return TRUE;
  }
  expanded = g_new (float, size);
  cpu_expand_bf16 (expanded, rounded, size);
  return pack_f32_weight (kernel, expanded, error);
}

gboolean
cpu_linear_pack (CpuKernel *kernel, const float *weight, GError **error)
{
  switch (kernel->op.linear.product) {
    case NPU_PRODUCT_S8:
      return pack_q8_weight (kernel, weight, error);
    case NPU_PRODUCT_BF16:
      return pack_bf16_weight (kernel, weight, error);
    case NPU_PRODUCT_S16:
      return pack_s16_weight (kernel, weight, error);
    default:
      return pack_f32_weight (kernel, weight, error);
  }
}
