/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "encoder-weights.h"

#include <string.h>

EncoderWeights
encoder_weights_plain (const NpuTensor *weight, const NpuTensor *bias)
{
  return (EncoderWeights){.weight = {weight}, .bias = {bias}};
}

EncoderWeights
encoder_weights_conv (const NpuTensor *weight, const NpuTensor *bias)
{
  return (EncoderWeights){.weight = {weight}, .bias = {bias}, .is_conv = TRUE};
}

EncoderWeights
encoder_weights_qkv (const NpuModelBlock *block)
{
  return (EncoderWeights){
      .weight = {block->query_weight, block->key_weight, block->value_weight},
      .bias = {block->query_bias, NULL, block->value_bias},
  };
}

/* Names their numbers for sharing. */
static char *
key_of (const EncoderWeights *weights, const char *identity)
{
  GString *key;

  if (!identity)
    return NULL;
  key = g_string_new (identity);
  for (guint i = 0; i < G_N_ELEMENTS (weights->weight); i++)
    if (weights->weight[i])
      g_string_append_printf (key, "\n%s\n%s", weights->weight[i]->name,
          weights->bias[i] ? weights->bias[i]->name : "");
  if (weights->is_conv)
    g_string_append (key, "\nconv");
  return g_string_free (key, FALSE);
}

/* Room for @n floats, whose content is lost. */
static float *
reserve (float **floats, gsize *n_floats, gsize n)
{
  if (*n_floats < n) {
    g_free (*floats);
    *floats = g_new (float, n);
    *n_floats = n;
  }
  return *floats;
}

static gboolean
read_conv (
    const NpuTensor *tensor, float *y, NpuPlanFloats *floats, GError **error)
{
  const gsize n_out = tensor->shape[0], n_in = tensor->shape[1];
  float *row = reserve (&floats->row, &floats->n_row, 3 * n_in);

  for (gsize o = 0; o < n_out; o++, y += 3 * n_in) {
    if (!npu_tensor_read (tensor, o * 3 * n_in, 3 * n_in, row, error))
      return FALSE;
    for (gsize i = 0; i < n_in; i++)
      for (gsize tap = 0; tap < 3; tap++)
        y[tap * n_in + i] = row[3 * i + tap];
  }
  return TRUE;
}

static gboolean
read_weights (gconstpointer data, NpuPlanFloats *floats, GError **error)
{
  const EncoderWeights *weights = data;
  const guint n_tensors = G_N_ELEMENTS (weights->weight);
  gsize n = 0, n_bias = 0;
  float *weight, *bias;

  for (guint i = 0; i < n_tensors && weights->weight[i]; i++) {
    n += npu_tensor_n_elements (weights->weight[i]);
    n_bias += weights->weight[i]->shape[0];
  }
  weight = reserve (&floats->weight, &floats->n_weight, n);
  bias = reserve (&floats->bias, &floats->n_bias, n_bias);

  for (guint i = 0; i < n_tensors && weights->weight[i]; i++) {
    const NpuTensor *from = weights->weight[i];
    const gsize n_from = npu_tensor_n_elements (from);
    const gsize n_out = from->shape[0];

    if (weights->is_conv ? !read_conv (from, weight, floats, error)
                         : !npu_tensor_read (from, 0, n_from, weight, error))
      return FALSE;
    if (!weights->bias[i])
      memset (bias, 0, n_out * sizeof *bias);
    else if (!npu_tensor_read (weights->bias[i], 0, n_out, bias, error))
      return FALSE;
    weight += n_from;
    bias += n_out;
  }
  return TRUE;
}

NpuPlanWeights
encoder_weights_source (const EncoderWeights *weights, const char *identity)
{
  return (NpuPlanWeights){
      .data = g_memdup2 (weights, sizeof *weights),
      .key = key_of (weights, identity),
      .read = read_weights,
  };
}
