/* Encoders of any width and depth made in memory.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "small-model.h"

#include <math.h>
#include <string.h>

#include "model/model-private.h"

#define N_POSITIONS 1500
#define OUTLIER_EVERY 192 /* channels */

typedef struct {
  GRand *rand;
  GPtrArray *memory; /* everything that the model points to */
} Maker;

static gpointer
keep (Maker *maker, gpointer memory)
{
  g_ptr_array_add (maker->memory, memory);
  return memory;
}

/* A bell of the variance of uniform numbers from -1 to 1: real weights crowd
 * around 0, which is harder on eight bits than uniform ones. */
static double
random_bell (GRand *rand)
{
  double sum = 0;

  for (guint i = 0; i < 3; i++)
    sum += g_rand_double_range (rand, -1, 1);
  return sum / sqrt (3);
}

/* Values around @centre; trailing dimensions of 0 are none. @outliers, or NULL,
 * are added in turn to every 192nd column. */
static NpuTensor *
make_tensor (Maker *maker, gsize n0, gsize n1, gsize n2, double centre,
    double spread, const double outliers[2])
{
  const gsize shape[3] = {n0, n1, n2};
  NpuTensor *tensor = keep (maker, g_new0 (NpuTensor, 1));
  gsize n = 1, last = 1;
  guint32 *bits;

  for (guint i = 0; i < 3 && shape[i]; i++) {
    tensor->shape[tensor->n_dims++] = shape[i];
    n *= shape[i];
    last = shape[i];
  }
  bits = keep (maker, g_new (guint32, n));
  for (gsize i = 0; i < n; i++) {
    const gsize column = i % last;
    double x = centre + spread * random_bell (maker->rand);
    float value;

    if (outliers && column % OUTLIER_EVERY == OUTLIER_EVERY / 2)
      x += outliers[column / OUTLIER_EVERY % 2];
    value = (float) x;
    memcpy (&bits[i], &value, sizeof value);
    bits[i] = GUINT32_TO_LE (bits[i]); /* as files have it */
  }

  tensor->name = "made";
  tensor->dtype = NPU_DTYPE_F32;
  tensor->data = (const guint8 *) bits;
  tensor->size = n * sizeof (float);
  return tensor;
}

/* Weights that keep the variance of a sum over @in inputs, times gain
 * squared. */
static NpuTensor *
make_weight (Maker *maker, gsize out, gsize in, double gain)
{
  return make_tensor (maker, out, in, 0, 0, gain * sqrt (3.0 / in), NULL);
}

static NpuTensor *
make_conv_weight (Maker *maker, gsize out, gsize in)
{
  return make_tensor (maker, out, in, 3, 0, sqrt (3.0 / (3 * in)), NULL);
}

static NpuTensor *
make_bias (Maker *maker, gsize n, double outlier)
{
  const double outliers[2] = {outlier, outlier};

  return make_tensor (maker, n, 0, 0, 0, 0.1, outliers);
}

/* Outliers in the residual set the variance there: the gains of a norm bring
 * the other channels back to the usual scale. */
static NpuTensor *
make_gamma (Maker *maker, gsize n, double outlier)
{
  const double gain = sqrt (1 + outlier * outlier / OUTLIER_EVERY);
  const double outliers[2] = {1 - gain, 1 - gain};

  return make_tensor (maker, n, 0, 0, gain, 0.3, outliers);
}

static void
make_attention (Maker *maker, NpuAttentionWeights *weights, guint d)
{
  weights->ln_weight = make_gamma (maker, d, 0);
  weights->ln_bias = make_bias (maker, d, 0);
  weights->query_weight = make_weight (maker, d, d, 1.5);
  weights->query_bias = make_bias (maker, d, 0);
  weights->key_weight = make_weight (maker, d, d, 1.5);
  weights->value_weight = make_weight (maker, d, d, 1);
  weights->value_bias = make_bias (maker, d, 0);
  weights->out_weight = make_weight (maker, d, d, 1);
  weights->out_bias = make_bias (maker, d, 0);
}

static void
make_mlp (Maker *maker, NpuMlpWeights *weights, guint d)
{
  weights->ln_weight = make_gamma (maker, d, 0);
  weights->ln_bias = make_bias (maker, d, 0);
  weights->fc1_weight = make_weight (maker, 4 * d, d, 1.5);
  weights->fc1_bias = make_bias (maker, 4 * d, 0);
  weights->fc2_weight = make_weight (maker, d, 4 * d, 1);
  weights->fc2_bias = make_bias (maker, d, 0);
}

void
small_model_add_decoder (
    NpuModel *model, guint n_layers, guint n_vocab, guint n_positions)
{
  const guint d = model->d;
  NpuModelPrivate *priv = model->priv;
  NpuDecoderWeights *decoder = &priv->decoder;
  Maker maker = {g_rand_new_with_seed (d * 100 + n_layers + 1), priv->memory};

  priv->config.decoder = (NpuTransformerConfig){
      .d = d,
      .n_heads = d / 64,
      .n_layers = n_layers,
      .n_positions = n_positions,
  };
  priv->config.n_vocab = n_vocab;
  priv->config.is_multilingual = n_vocab >= 51865;
  /* Logits that spread by 4: there is a best one. */
  decoder->token_embedding = make_weight (&maker, n_vocab, d, 4);
  decoder->positional_embedding = make_weight (&maker, n_positions, d, 1);
  decoder->ln_weight = make_gamma (&maker, d, 0);
  decoder->ln_bias = make_bias (&maker, d, 0);
  decoder->blocks = g_new0 (NpuDecoderBlock, n_layers);
  for (guint i = 0; i < n_layers; i++) {
    make_attention (&maker, &decoder->blocks[i].self, d);
    make_attention (&maker, &decoder->blocks[i].cross, d);
    make_mlp (&maker, &decoder->blocks[i].mlp, d);
  }
  g_clear_error (&priv->decoder_error);
  g_rand_free (maker.rand);
}

NpuModel *
small_model_new (guint n_mels, guint d, guint n_layers, float outlier)
{
  NpuModel *model = npu_model_new ("made in memory", "made in memory");
  const double outliers[2] = {outlier, -outlier}; /* the mean stays 0 */
  Maker maker = {g_rand_new_with_seed (d * 100 + n_layers),
      g_ptr_array_new_with_free_func (g_free)};

  g_assert_cmpuint (d % 64, ==, 0);
  model->n_mels = n_mels;
  model->d = d;
  model->n_heads = d / 64;
  model->n_layers = n_layers;
  model->n_positions = N_POSITIONS;
  model->conv1_weight = make_conv_weight (&maker, d, n_mels);
  model->conv1_bias = make_bias (&maker, d, 0);
  model->conv2_weight = make_conv_weight (&maker, d, d);
  model->conv2_bias = make_bias (&maker, d, 0);
  model->positional_embedding =
      make_tensor (&maker, N_POSITIONS, d, 0, 0, 1, outliers);
  model->ln_post_weight = make_gamma (&maker, d, outlier);
  model->ln_post_bias = make_bias (&maker, d, 0);

  model->blocks = g_new0 (NpuModelBlock, n_layers);
  for (guint i = 0; i < n_layers; i++) {
    NpuModelBlock *block = &model->blocks[i];

    block->attn_ln_weight = make_gamma (&maker, d, outlier);
    block->attn_ln_bias = make_bias (&maker, d, 0);
    /* Scores that spread by more than 1 make attention choose. */
    block->query_weight = make_weight (&maker, d, d, 1.5);
    block->query_bias = make_bias (&maker, d, 0);
    block->key_weight = make_weight (&maker, d, d, 1.5);
    block->value_weight = make_weight (&maker, d, d, 1);
    block->value_bias = make_bias (&maker, d, 0);
    block->out_weight = make_weight (&maker, d, d, 1);
    block->out_bias = make_bias (&maker, d, 0);
    block->mlp_ln_weight = make_gamma (&maker, d, outlier);
    block->mlp_ln_bias = make_bias (&maker, d, 0);
    block->fc1_weight = make_weight (&maker, 4 * d, d, 1.5);
    block->fc1_bias = make_bias (&maker, 4 * d, outlier / 10);
    block->fc2_weight = make_weight (&maker, d, 4 * d, 1);
    block->fc2_bias = make_bias (&maker, d, 0);
  }

  g_rand_free (maker.rand);
  model->priv->memory = maker.memory;
  model->priv->config = (NpuModelConfig){
      .n_mels = n_mels,
      .encoder = {d, d / 64, n_layers, N_POSITIONS},
  };
  g_set_error_literal (&model->priv->decoder_error, NPU_ERROR,
      NPU_ERROR_NOT_FOUND, "made in memory: this model has an encoder only");
  return model;
}

void
small_model_free (NpuModel *model)
{
  npu_model_unref (model);
}
