/* Whisper's encoder in float64 and plain loops, for tests to compare with.
 *
 * Every weight is kept transposed, [in][out], so that all products run along
 * rows and a compiler can vectorise them without reordering any sum.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "ref-encoder.h"

#include <math.h>
#include <string.h>

#define HEAD_DIM 64
#define N_TAPS 3 /* of a convolution's kernel */

typedef struct {
  gsize in, out;
  double *weight; /* [in][out] */
  double *bias;   /* [out], zeros where the model has none */
} Linear;

typedef struct {
  gsize in, out;
  double *weight; /* [N_TAPS][in][out] */
  double *bias;   /* [out] */
} Conv;

typedef struct {
  double *gamma, *beta; /* [d] */
} Norm;

typedef struct {
  Norm attn_ln, mlp_ln;
  Linear query, key, value, out, fc1, fc2;
} Block;

struct _RefEncoder {
  gsize n_mels, d, n_heads, n_layers;
  Conv conv1, conv2;
  double *positions; /* [n_positions][d] */
  Block *blocks;     /* [n_layers] */
  Norm ln_post;
};

/* --- weights ------------------------------------------------------------ */

static double *
read_tensor (const NpuTensor *tensor, gsize n)
{
  g_autofree float *values = g_new (float, n);
  g_autoptr (GError) error = NULL;
  double *doubles = g_new (double, n);

  g_assert_cmpuint (npu_tensor_n_elements (tensor), ==, n);
  npu_tensor_read (tensor, 0, n, values, &error);
  g_assert_no_error (error);

  for (gsize i = 0; i < n; i++)
    doubles[i] = values[i];
  return doubles;
}

static Linear
read_linear (
    const NpuTensor *weight, const NpuTensor *bias, gsize in, gsize out)
{
  g_autofree double *w = read_tensor (weight, out * in);
  Linear linear = {in, out, g_new (double, in *out), NULL};

  for (gsize o = 0; o < out; o++)
    for (gsize i = 0; i < in; i++)
      linear.weight[i * out + o] = w[o * in + i];
  linear.bias = bias ? read_tensor (bias, out) : g_new0 (double, out);
  return linear;
}

static Conv
read_conv (const NpuTensor *weight, const NpuTensor *bias, gsize in, gsize out)
{
  g_autofree double *w = read_tensor (weight, out * in * N_TAPS);
  Conv conv = {in, out, g_new (double, N_TAPS *in *out), NULL};

  for (gsize o = 0; o < out; o++)
    for (gsize i = 0; i < in; i++)
      for (gsize tap = 0; tap < N_TAPS; tap++)
        conv.weight[(tap * in + i) * out + o] = w[(o * in + i) * N_TAPS + tap];
  conv.bias = read_tensor (bias, out);
  return conv;
}

static Norm
read_norm (const NpuTensor *weight, const NpuTensor *bias, gsize d)
{
  return (Norm){read_tensor (weight, d), read_tensor (bias, d)};
}

RefEncoder *
ref_encoder_new (const NpuModel *model)
{
  RefEncoder *self = g_new0 (RefEncoder, 1);
  gsize d = model->d;

  self->n_mels = model->n_mels;
  self->d = d;
  self->n_heads = model->n_heads;
  self->n_layers = model->n_layers;
  self->conv1 =
      read_conv (model->conv1_weight, model->conv1_bias, model->n_mels, d);
  self->conv2 = read_conv (model->conv2_weight, model->conv2_bias, d, d);
  self->positions =
      read_tensor (model->positional_embedding, (gsize) model->n_positions * d);
  self->ln_post = read_norm (model->ln_post_weight, model->ln_post_bias, d);

  self->blocks = g_new0 (Block, self->n_layers);
  for (gsize i = 0; i < self->n_layers; i++) {
    const NpuModelBlock *from = &model->blocks[i];
    Block *to = &self->blocks[i];

    to->attn_ln = read_norm (from->attn_ln_weight, from->attn_ln_bias, d);
    to->query = read_linear (from->query_weight, from->query_bias, d, d);
    to->key = read_linear (from->key_weight, NULL, d, d);
    to->value = read_linear (from->value_weight, from->value_bias, d, d);
    to->out = read_linear (from->out_weight, from->out_bias, d, d);
    to->mlp_ln = read_norm (from->mlp_ln_weight, from->mlp_ln_bias, d);
    to->fc1 = read_linear (from->fc1_weight, from->fc1_bias, d, 4 * d);
    to->fc2 = read_linear (from->fc2_weight, from->fc2_bias, 4 * d, d);
  }
  return self;
}

static void
clear_linear (Linear *linear)
{
  g_free (linear->weight);
  g_free (linear->bias);
}

static void
clear_norm (Norm *norm)
{
  g_free (norm->gamma);
  g_free (norm->beta);
}

void
ref_encoder_free (RefEncoder *self)
{
  for (gsize i = 0; i < self->n_layers; i++) {
    Block *block = &self->blocks[i];

    clear_norm (&block->attn_ln);
    clear_linear (&block->query);
    clear_linear (&block->key);
    clear_linear (&block->value);
    clear_linear (&block->out);
    clear_norm (&block->mlp_ln);
    clear_linear (&block->fc1);
    clear_linear (&block->fc2);
  }
  g_free (self->blocks);
  clear_norm (&self->ln_post);
  g_free (self->positions);
  g_free (self->conv1.weight);
  g_free (self->conv1.bias);
  g_free (self->conv2.weight);
  g_free (self->conv2.bias);
  g_free (self);
}

/* --- arithmetic --------------------------------------------------------- */

/* y[rows][n] += x[rows][k] w[k][n] */
static void
add_product (
    double *y, const double *x, const double *w, gsize rows, gsize k, gsize n)
{
  for (gsize r = 0; r < rows; r++) {
    for (gsize i = 0; i < k; i++) {
      double a = x[r * k + i];

      for (gsize j = 0; j < n; j++)
        y[r * n + j] += a * w[i * n + j];
    }
  }
}

/* Returns x[rows][in] times the weights, plus the bias: [rows][out]. */
static double *
apply_linear (const Linear *linear, const double *x, gsize rows)
{
  double *y = g_new (double, rows * linear->out);

  for (gsize r = 0; r < rows; r++)
    memcpy (y + r * linear->out, linear->bias, linear->out * sizeof (double));
  add_product (y, x, linear->weight, rows, linear->in, linear->out);
  return y;
}

/* Returns [rows_in / stride][out] of x[rows_in][in]: output row t sees the
 * input rows stride * t - 1, stride * t and stride * t + 1; those outside are
 * zeros. */
static double *
apply_conv (const Conv *conv, const double *x, gsize rows_in, gsize stride)
{
  gsize rows = rows_in / stride;
  double *y = g_new (double, rows * conv->out);

  for (gsize t = 0; t < rows; t++) {
    double *row = y + t * conv->out;

    memcpy (row, conv->bias, conv->out * sizeof (double));
    for (gsize tap = 0; tap < N_TAPS; tap++) {
      gssize from = (gssize) (stride * t + tap) - 1;

      if (from < 0 || from >= (gssize) rows_in)
        continue;
      add_product (row, x + from * conv->in,
          conv->weight + tap * conv->in * conv->out, 1, conv->in, conv->out);
    }
  }
  return y;
}

static void
apply_gelu (double *x, gsize n)
{
  for (gsize i = 0; i < n; i++)
    x[i] = 0.5 * x[i] * (1 + erf (x[i] / sqrt (2)));
}

/* Returns the normalised rows of x[rows][d]. */
static double *
apply_norm (const Norm *norm, const double *x, gsize rows, gsize d)
{
  double *y = g_new (double, rows *d);

  for (gsize r = 0; r < rows; r++) {
    const double *row = x + r * d;
    double mean = 0, variance = 0;

    for (gsize j = 0; j < d; j++)
      mean += row[j] / d;
    for (gsize j = 0; j < d; j++)
      variance += (row[j] - mean) * (row[j] - mean) / d;
    for (gsize j = 0; j < d; j++)
      y[r * d + j] = (row[j] - mean) / sqrt (variance + 1e-5) * norm->gamma[j] +
                     norm->beta[j];
  }
  return y;
}

static void
softmax (double *x, gsize n)
{
  double max = x[0], sum = 0;

  for (gsize i = 1; i < n; i++)
    max = MAX (max, x[i]);
  for (gsize i = 0; i < n; i++) {
    x[i] = exp (x[i] - max);
    sum += x[i];
  }
  for (gsize i = 0; i < n; i++)
    x[i] /= sum;
}

/* Returns softmax (q k^T / 8) v by head: [rows][d], as q, k and v are. */
static double *
attention (const double *q, const double *k, const double *v, gsize rows,
    gsize n_heads)
{
  gsize d = n_heads * HEAD_DIM;
  double *out = g_new (double, rows *d);
  g_autofree double *k_transposed = g_new (double, HEAD_DIM *rows);
  g_autofree double *v_head = g_new (double, rows *HEAD_DIM);
  g_autofree double *scores = g_new (double, rows);

  for (gsize head = 0; head < n_heads; head++) {
    for (gsize t = 0; t < rows; t++) {
      for (gsize j = 0; j < HEAD_DIM; j++) {
        k_transposed[j * rows + t] = k[t * d + head * HEAD_DIM + j];
        v_head[t * HEAD_DIM + j] = v[t * d + head * HEAD_DIM + j];
      }
    }

    for (gsize t = 0; t < rows; t++) {
      double *o = out + t * d + head * HEAD_DIM;

      memset (scores, 0, rows * sizeof (double));
      add_product (
          scores, q + t * d + head * HEAD_DIM, k_transposed, 1, HEAD_DIM, rows);
      for (gsize i = 0; i < rows; i++)
        scores[i] /= 8; /* sqrt (HEAD_DIM) */
      softmax (scores, rows);

      memset (o, 0, HEAD_DIM * sizeof (double));
      add_product (o, scores, v_head, 1, rows, HEAD_DIM);
    }
  }
  return out;
}

/* --- the encoder -------------------------------------------------------- */

static void
add (double *x, const double *y, gsize n)
{
  for (gsize i = 0; i < n; i++)
    x[i] += y[i];
}

/* x += out (attention (norm (x))) */
static void
apply_attention (const Block *block, double *x, gsize rows, gsize n_heads)
{
  gsize d = n_heads * HEAD_DIM;
  g_autofree double *normed = apply_norm (&block->attn_ln, x, rows, d);
  g_autofree double *q = apply_linear (&block->query, normed, rows);
  g_autofree double *k = apply_linear (&block->key, normed, rows);
  g_autofree double *v = apply_linear (&block->value, normed, rows);
  g_autofree double *mixed = attention (q, k, v, rows, n_heads);
  g_autofree double *out = apply_linear (&block->out, mixed, rows);

  add (x, out, rows * d);
}

/* x += fc2 (gelu (fc1 (norm (x)))) */
static void
apply_mlp (const Block *block, double *x, gsize rows, gsize d)
{
  g_autofree double *normed = apply_norm (&block->mlp_ln, x, rows, d);
  g_autofree double *hidden = apply_linear (&block->fc1, normed, rows);
  g_autofree double *out = NULL;

  apply_gelu (hidden, rows * block->fc1.out);
  out = apply_linear (&block->fc2, hidden, rows);
  add (x, out, rows * d);
}

float *
ref_encoder_encode (RefEncoder *self, const float *mel, guint n_frames)
{
  gsize rows = n_frames / 2, d = self->d;
  g_autofree double *frames = g_new (double, n_frames * self->n_mels);
  g_autofree double *hidden = NULL;
  g_autofree double *x = NULL;
  g_autofree double *y = NULL;
  float *states = g_new (float, rows *d);

  for (gsize t = 0; t < n_frames; t++)
    for (gsize m = 0; m < self->n_mels; m++)
      frames[t * self->n_mels + m] = mel[m * n_frames + t];

  hidden = apply_conv (&self->conv1, frames, n_frames, 1);
  apply_gelu (hidden, n_frames * d);
  x = apply_conv (&self->conv2, hidden, n_frames, 2);
  apply_gelu (x, rows * d);
  add (x, self->positions, rows * d);

  for (gsize i = 0; i < self->n_layers; i++) {
    apply_attention (&self->blocks[i], x, rows, self->n_heads);
    apply_mlp (&self->blocks[i], x, rows, d);
  }

  y = apply_norm (&self->ln_post, x, rows, d);
  for (gsize i = 0; i < rows * d; i++)
    states[i] = (float) y[i];
  return states;
}
