/* Whisper's decoder (openai/whisper, model.py, TextDecoder) as one reads it:
 * everything is computed anew, without a cache.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "ref-decoder.h"

#include <math.h>
#include <string.h>

#define HEAD_DIM 64

static double *
read_tensor (const NpuTensor *tensor)
{
  const gsize n = npu_tensor_n_elements (tensor);
  g_autofree float *values = g_new (float, n);
  g_autoptr (GError) error = NULL;
  double *doubles = g_new (double, n);

  npu_tensor_read (tensor, 0, n, values, &error);
  g_assert_no_error (error);
  for (gsize i = 0; i < n; i++)
    doubles[i] = values[i];
  return doubles;
}

/* Returns [rows][out] of x[rows][in]. */
static double *
apply_linear (
    const NpuTensor *weight, const NpuTensor *bias, const double *x, gsize rows)
{
  const gsize out = weight->shape[0], in = weight->shape[1];
  g_autofree double *w = read_tensor (weight);
  g_autofree double *b = bias ? read_tensor (bias) : NULL;
  double *y = g_new (double, rows *out);

  for (gsize r = 0; r < rows; r++)
    for (gsize o = 0; o < out; o++) {
      double sum = b ? b[o] : 0;

      for (gsize i = 0; i < in; i++)
        sum += x[r * in + i] * w[o * in + i];
      y[r * out + o] = sum;
    }
  return y;
}

static double *
apply_norm (
    const NpuTensor *weight, const NpuTensor *bias, const double *x, gsize rows)
{
  const gsize d = weight->shape[0];
  g_autofree double *gamma = read_tensor (weight);
  g_autofree double *beta = read_tensor (bias);
  double *y = g_new (double, rows *d);

  for (gsize r = 0; r < rows; r++) {
    const double *row = x + r * d;
    double mean = 0, variance = 0;

    for (gsize j = 0; j < d; j++)
      mean += row[j] / d;
    for (gsize j = 0; j < d; j++)
      variance += (row[j] - mean) * (row[j] - mean) / d;
    for (gsize j = 0; j < d; j++)
      y[r * d + j] =
          (row[j] - mean) / sqrt (variance + 1e-5) * gamma[j] + beta[j];
  }
  return y;
}

/* o[64] of one query and head, over @n keys that are @d apart; scores[n] or
 * NULL is what its softmax is of. */
static void
attend (double *o, const double *q, const double *k, const double *v, gsize n,
    gsize d, double *scores)
{
  g_autofree double *weight = g_new (double, n);
  double max = -INFINITY, sum = 0;

  for (gsize i = 0; i < n; i++) {
    weight[i] = 0;
    for (gsize j = 0; j < HEAD_DIM; j++)
      weight[i] += q[j] * k[i * d + j] / 8;
    max = MAX (max, weight[i]);
  }
  if (scores)
    memcpy (scores, weight, n * sizeof *scores);
  for (gsize i = 0; i < n; i++)
    sum += weight[i] = exp (weight[i] - max);
  memset (o, 0, HEAD_DIM * sizeof *o);
  for (gsize i = 0; i < n; i++)
    for (gsize j = 0; j < HEAD_DIM; j++)
      o[j] += weight[i] / sum * v[i * d + j];
}

/* x[rows][d] += the attention's output; its own rows are keys where @states is
 * NULL, each seeing those up to itself. */
static void
add_attention (const NpuAttentionWeights *weights, double *x, gsize rows,
    const double *states, gsize n_states, double *scores)
{
  const gsize d = weights->query_weight->shape[0];
  g_autofree double *norm =
      apply_norm (weights->ln_weight, weights->ln_bias, x, rows);
  const double *from = states ? states : norm;
  const gsize n = states ? n_states : rows;
  g_autofree double *q =
      apply_linear (weights->query_weight, weights->query_bias, norm, rows);
  g_autofree double *k = apply_linear (weights->key_weight, NULL, from, n);
  g_autofree double *v =
      apply_linear (weights->value_weight, weights->value_bias, from, n);
  g_autofree double *attended = g_new (double, rows *d);
  g_autofree double *out = NULL;

  for (gsize r = 0; r < rows; r++)
    for (gsize head = 0; head < d; head += HEAD_DIM)
      attend (attended + r * d + head, q + r * d + head, k + head, v + head,
          states ? n : r + 1, d,
          scores ? scores + (head / HEAD_DIM * rows + r) * n : NULL);
  out = apply_linear (weights->out_weight, weights->out_bias, attended, rows);
  for (gsize i = 0; i < rows * d; i++)
    x[i] += out[i];
}

static void
add_mlp (const NpuMlpWeights *weights, double *x, gsize rows)
{
  const gsize d = weights->fc2_weight->shape[0];
  g_autofree double *norm =
      apply_norm (weights->ln_weight, weights->ln_bias, x, rows);
  g_autofree double *hidden =
      apply_linear (weights->fc1_weight, weights->fc1_bias, norm, rows);
  g_autofree double *out = NULL;

  for (gsize i = 0; i < rows * weights->fc1_weight->shape[0]; i++)
    hidden[i] = 0.5 * hidden[i] * (1 + erf (hidden[i] / sqrt (2)));
  out = apply_linear (weights->fc2_weight, weights->fc2_bias, hidden, rows);
  for (gsize i = 0; i < rows * d; i++)
    x[i] += out[i];
}

double *
ref_decoder_attending (NpuModel *model, const float *states, guint n_states,
    const guint32 *tokens, guint n_tokens, double *scores)
{
  const NpuDecoderWeights *weights = npu_model_get_decoder (model, NULL);
  const NpuModelConfig *config = npu_model_get_config (model);
  const gsize d = config->decoder.d;
  g_autofree double *embedding = read_tensor (weights->token_embedding);
  g_autofree double *positions = read_tensor (weights->positional_embedding);
  g_autofree double *keys = g_new (double, n_states *d);
  g_autofree double *x = g_new (double, n_tokens *d);
  g_autofree double *norm = NULL;

  for (gsize i = 0; i < n_states * d; i++)
    keys[i] = states[i];
  for (gsize i = 0; i < n_tokens; i++)
    for (gsize j = 0; j < d; j++)
      x[i * d + j] = embedding[tokens[i] * d + j] + positions[i * d + j];
  for (guint i = 0; i < config->decoder.n_layers; i++) {
    add_attention (&weights->blocks[i].self, x, n_tokens, NULL, 0, NULL);
    add_attention (&weights->blocks[i].cross, x, n_tokens, keys, n_states,
        scores ? scores + i * d / HEAD_DIM * n_tokens * n_states : NULL);
    add_mlp (&weights->blocks[i].mlp, x, n_tokens);
  }
  norm = apply_norm (weights->ln_weight, weights->ln_bias, x, n_tokens);
  return apply_linear (weights->token_embedding, NULL, norm, n_tokens);
}

double *
ref_decoder_logits (NpuModel *model, const float *states, guint n_states,
    const guint32 *tokens, guint n_tokens)
{
  return ref_decoder_attending (
      model, states, n_states, tokens, n_tokens, NULL);
}
