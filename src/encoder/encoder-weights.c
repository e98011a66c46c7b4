/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "encoder-weights.h"

float *
encoder_weights_plain (const NpuTensor *tensor, GError **error)
{
  const gsize n = npu_tensor_n_elements (tensor);
  g_autofree float *x = g_new (float, n);

  if (!npu_tensor_read (tensor, 0, n, x, error))
    return NULL;
  return g_steal_pointer (&x);
}

float *
encoder_weights_conv (const NpuTensor *tensor, GError **error)
{
  const gsize n_out = tensor->shape[0], n_in = tensor->shape[1];
  g_autofree float *x = encoder_weights_plain (tensor, error);
  float *y;

  if (!x)
    return NULL;
  y = g_new (float, n_out * 3 * n_in);
  for (gsize o = 0; o < n_out; o++)
    for (gsize tap = 0; tap < 3; tap++)
      for (gsize i = 0; i < n_in; i++)
        y[(o * 3 + tap) * n_in + i] = x[(o * n_in + i) * 3 + tap];
  return y;
}

float *
encoder_weights_qkv (const NpuModelBlock *block, GError **error)
{
  const gsize n = npu_tensor_n_elements (block->query_weight);
  g_autofree float *x = g_new (float, 3 * n);

  if (!npu_tensor_read (block->query_weight, 0, n, x, error) ||
      !npu_tensor_read (block->key_weight, 0, n, x + n, error) ||
      !npu_tensor_read (block->value_weight, 0, n, x + 2 * n, error))
    return NULL;
  return g_steal_pointer (&x);
}

float *
encoder_weights_qkv_bias (const NpuModelBlock *block, GError **error)
{
  const gsize n = npu_tensor_n_elements (block->query_bias);
  g_autofree float *x = g_new0 (float, 3 * n);

  if (!npu_tensor_read (block->query_bias, 0, n, x, error) ||
      !npu_tensor_read (block->value_bias, 0, n, x + 2 * n, error))
    return NULL;
  return g_steal_pointer (&x);
}
