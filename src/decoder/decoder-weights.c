/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decoder-weights.h"

#include <string.h>

#define UNIT_ELEMENTS 131072 /* read and packed at once */

/* Rows of one tensor on their way into a linear map or, as they are, into
 * floats. */
typedef struct {
  const NpuTensor *tensor;
  gsize first, n_rows, k;
  gint8 *s8; /* one of these three, where the first row goes */
  gint16 *s16;
  float *floats;
  gint16 *factors; /* likewise, of groups */
  float *scale;    /* likewise, of integers */
} WeightsUnit;

typedef struct {
  DecoderWeights *weights;
  const NpuHost *host;
  GArray *units; /* of WeightsUnit */
  gboolean no_memory;
  GMutex lock; /* of the error: the first */
  GError *error;
} WeightsReader;

/* --- what there is to read ---------------------------------------------- */

static gpointer
new_array (WeightsReader *reader, gsize n, gsize size)
{
  gpointer data = decoder_arena_new (&reader->weights->arena, n, size);

  if (!data)
    reader->no_memory = TRUE;
  return data;
}

/* Cuts @whole into units. */
static void
add_units (WeightsReader *reader, const WeightsUnit *whole)
{
  const gsize at_once = MAX (UNIT_ELEMENTS / whole->k, 1);

  if (reader->no_memory)
    return;
  for (gsize row = 0; row < whole->n_rows; row += at_once) {
    const gsize offset = row * whole->k;
    WeightsUnit unit = *whole;

    unit.first = row;
    unit.n_rows = MIN (at_once, whole->n_rows - row);
    if (unit.s8)
      unit.s8 += offset;
    if (unit.s16)
      unit.s16 += offset;
    if (unit.floats)
      unit.floats += offset;
    if (unit.factors)
      unit.factors += offset / NPU_FEW_GROUP;
    if (unit.scale)
      unit.scale += row;
    g_array_append_val (reader->units, unit);
  }
}

static float *
add_floats (WeightsReader *reader, const NpuTensor *tensor)
{
  const gsize n = npu_tensor_n_elements (tensor);
  float *floats = new_array (reader, n, sizeof *floats);
  const gsize k = tensor->shape[tensor->n_dims - 1];

  add_units (
      reader, &(WeightsUnit){
                  .tensor = tensor, .n_rows = n / k, .k = k, .floats = floats});
  return floats;
}

static DecoderNorm
add_norm (WeightsReader *reader, const NpuTensor *weight, const NpuTensor *bias)
{
  return (DecoderNorm){add_floats (reader, weight), add_floats (reader, bias)};
}

gsize
decoder_product_size (DecoderProduct product)
{
  return product == DECODER_F32   ? sizeof (float)
         : product == DECODER_S16 ? sizeof (gint16)
                                  : sizeof (gint8);
}

/* Of a layer's map. Weights of 8 bits, rounded anew, change one choice in 250
 * with a scale for each row, and one in 1000 with a factor for each group,
 * which nothing behind them can put right; those of Q8_0 are not rounded again.
 */
static DecoderProduct
product_of_layer (const WeightsReader *reader, const NpuTensor *const weight[],
    guint n_tensors)
{
  const DecoderProduct product = reader->weights->product;

  if (product != DECODER_S8)
    return product;
  for (guint i = 0; i < n_tensors; i++)
    if (weight[i]->dtype != NPU_DTYPE_Q8_0)
      return DECODER_S16;
  return DECODER_GROUPED;
}

/* Maps of one input, one under the other. */
static DecoderLinear
add_linear (WeightsReader *reader, DecoderProduct product,
    const NpuTensor *const weight[], const NpuTensor *const bias[],
    guint n_tensors)
{
  DecoderLinear linear = {.k = weight[0]->shape[1], .product = product};
  guint row = 0;

  for (guint i = 0; i < n_tensors; i++)
    linear.n += weight[i]->shape[0];
  linear.weight = new_array (
      reader, (gsize) linear.n * linear.k, decoder_product_size (product));
  linear.bias = new_array (reader, linear.n, sizeof (float));
  if (product != DECODER_F32)
    linear.scale = new_array (reader, linear.n, sizeof (float));
  if (product == DECODER_GROUPED)
    linear.factors = new_array (
        reader, (gsize) linear.n * (linear.k / NPU_FEW_GROUP), sizeof (gint16));
  if (reader->no_memory)
    return linear;

  for (guint i = 0; i < n_tensors; row += weight[i++]->shape[0]) {
    const gsize offset = (gsize) row * linear.k;
    WeightsUnit unit = {
        .tensor = weight[i], .n_rows = weight[i]->shape[0], .k = linear.k};

    if (product == DECODER_F32)
      unit.floats = (float *) linear.weight + offset;
    else if (product == DECODER_S16)
      unit.s16 = (gint16 *) linear.weight + offset;
    else
      unit.s8 = (gint8 *) linear.weight + offset;
    if (linear.factors)
      unit.factors = linear.factors + offset / NPU_FEW_GROUP;
    if (linear.scale)
      unit.scale = linear.scale + row;
    add_units (reader, &unit);

    for (guint j = 0; j < unit.n_rows; j++)
      linear.bias[row + j] = 0;
    if (bias && bias[i])
      add_units (reader, &(WeightsUnit){.tensor = bias[i],
                             .n_rows = 1,
                             .k = unit.n_rows,
                             .floats = linear.bias + row});
  }
  return linear;
}

static DecoderLinear
add_of_layer (
    WeightsReader *reader, const NpuTensor *weight, const NpuTensor *bias)
{
  return add_linear (
      reader, product_of_layer (reader, &weight, 1), &weight, &bias, 1);
}

static void
add_layer (
    WeightsReader *reader, DecoderLayer *layer, const NpuDecoderBlock *block)
{
  const NpuAttentionWeights *self = &block->self, *cross = &block->cross;
  const NpuMlpWeights *mlp = &block->mlp;
  const NpuTensor *weights[] = {
      self->query_weight, self->key_weight, self->value_weight};
  const NpuTensor *biases[] = {self->query_bias, NULL, self->value_bias};

  layer->self_ln = add_norm (reader, self->ln_weight, self->ln_bias);
  layer->qkv = add_linear (reader,
      product_of_layer (reader, weights, G_N_ELEMENTS (weights)), weights,
      biases, G_N_ELEMENTS (weights));
  layer->self_out = add_of_layer (reader, self->out_weight, self->out_bias);
  layer->cross_ln = add_norm (reader, cross->ln_weight, cross->ln_bias);
  layer->cross_query =
      add_of_layer (reader, cross->query_weight, cross->query_bias);
  layer->cross_out = add_of_layer (reader, cross->out_weight, cross->out_bias);
  layer->mlp_ln = add_norm (reader, mlp->ln_weight, mlp->ln_bias);
  layer->fc1 = add_of_layer (reader, mlp->fc1_weight, mlp->fc1_bias);
  layer->fc2 = add_of_layer (reader, mlp->fc2_weight, mlp->fc2_bias);
}

static void
add_all (WeightsReader *reader, const NpuDecoderWeights *from)
{
  DecoderWeights *weights = reader->weights;

  for (guint i = 0; i < weights->n_layers; i++)
    add_layer (reader, &weights->layers[i], &from->blocks[i]);
  weights->ln = add_norm (reader, from->ln_weight, from->ln_bias);
  weights->positions = add_floats (reader, from->positional_embedding);
  weights->vocabulary =
      add_linear (reader, weights->product, &from->token_embedding, NULL, 1);
}

/* --- reading ------------------------------------------------------------- */

static void
keep_first_error (WeightsReader *reader, GError *error)
{
  g_mutex_lock (&reader->lock);
  if (!reader->error)
    reader->error = g_steal_pointer (&error);
  g_mutex_unlock (&reader->lock);
  g_clear_error (&error);
}

/* Returns the scale. */
static float
quantise_row (const NpuFewKernels *few, const WeightsUnit *unit, gsize row,
    const float *x)
{
  gint8 *y = unit->s8 + row * unit->k;

  return unit->factors
             ? npu_few_quantize_grouped (y,
                   unit->factors + row * (unit->k / NPU_FEW_GROUP), x, unit->k)
             : few->quantize_s8 (y, x, unit->k);
}

static void
read_unit (gpointer data, guint i)
{
  WeightsReader *reader = data;
  const WeightsUnit *unit = &g_array_index (reader->units, WeightsUnit, i);
  const gsize n = unit->n_rows * unit->k;
  g_autofree float *read = unit->floats ? NULL : g_new (float, n);
  float *x = unit->floats ? unit->floats : read;
  GError *error = NULL;

  if (!npu_tensor_read (unit->tensor, unit->first * unit->k, n, x, &error)) {
    keep_first_error (reader, error);
    return;
  }
  if (unit->s16)
    reader->host->kernels.quantize_s16 (
        unit->s16, unit->scale, x, unit->k, unit->n_rows, unit->k);
  for (gsize row = 0; unit->s8 && row < unit->n_rows; row++)
    unit->scale[row] =
        quantise_row (&reader->host->few, unit, row, x + row * unit->k);
}

static gboolean
read_all (WeightsReader *reader, GError **error)
{
  const NpuCommand command = {read_unit, reader, reader->units->len};

  if (reader->no_memory) {
    g_set_error_literal (error, NPU_ERROR, NPU_ERROR_FAILED,
        "no memory for the decoder's weights");
    return FALSE;
  }
  if (!npu_device_run_list (
          reader->host->device, &command, 1, G_MAXUINT64, NULL, error))
    return FALSE;
  if (!reader->error)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&reader->error));
  return FALSE;
}

static void
weights_free (DecoderWeights *weights)
{
  decoder_arena_clear (&weights->arena);
  g_free (weights->layers);
  g_free (weights);
}

static DecoderWeights *
load (NpuModel *model, const NpuHost *host, DecoderProduct product,
    GError **error)
{
  const NpuModelConfig *config = npu_model_get_config (model);
  const NpuDecoderWeights *from = npu_model_get_decoder (model, error);
  WeightsReader reader = {.host = host};
  DecoderWeights *weights;

  if (!from)
    return NULL;
  weights = g_new0 (DecoderWeights, 1);
  weights->d = config->decoder.d;
  weights->n_heads = config->decoder.n_heads;
  weights->n_layers = config->decoder.n_layers;
  weights->n_positions = config->decoder.n_positions;
  weights->n_vocab = config->n_vocab;
  weights->product = product;
  weights->layers = g_new0 (DecoderLayer, weights->n_layers);
  decoder_arena_init (&weights->arena);

  reader.weights = weights;
  reader.units = g_array_new (FALSE, FALSE, sizeof (WeightsUnit));
  g_mutex_init (&reader.lock);
  add_all (&reader, from);
  if (!read_all (&reader, error))
    g_clear_pointer (&weights, weights_free);
  g_mutex_clear (&reader.lock);
  g_array_unref (reader.units);
  return weights;
}

/* --- sharing ------------------------------------------------------------- */

static NpuCache shared;

/* What weights are the same by: the model's address too, whose users keep it.
 */
typedef struct {
  NpuModel *model;
  const NpuHost *host;
  DecoderProduct product;
} Wish;

static gpointer
make_weights (gpointer data, NpuCacheEntry *entry, GError **error)
{
  const Wish *wish = data;
  DecoderWeights *weights =
      load (wish->model, wish->host, wish->product, error);

  if (weights)
    weights->entry = entry;
  return weights;
}

static void
free_weights (gpointer weights)
{
  weights_free (weights);
}

DecoderWeights *
decoder_weights_new (NpuModel *model, const NpuHost *host,
    DecoderProduct product, GError **error)
{
  static const NpuCacheFuncs funcs = {make_weights, free_weights};
  Wish wish = {model, host, product};
  char *key = g_strdup_printf (
      "%p %d %s", (gpointer) model, (int) product, host->kernels.name);
  g_autoptr (GBytes) bytes = g_bytes_new_take (key, strlen (key));
  NpuCacheEntry *entry = npu_cache_get (&shared, bytes, &funcs, &wish, error);

  return entry ? npu_cache_entry_get_thing (entry) : NULL;
}

void
decoder_weights_unref (DecoderWeights *weights)
{
  if (weights)
    npu_cache_entry_unref (weights->entry);
}
