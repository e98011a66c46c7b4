/* Models of any Whisper size with weights made from a hash, for trying things
 * without a file.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-private.h"

#include <math.h>
#include <string.h>

#define SIZES "tiny, base, small, medium, large-v3"

static const struct {
  const char *name;
  guint d, n_layers, n_mels, n_vocab;
} sizes[] = {
    {"tiny", 384, 4, 80, 51865},
    {"base", 512, 6, 80, 51865},
    {"small", 768, 12, 80, 51865},
    {"medium", 1024, 24, 80, 51865},
    {"large-v3", 1280, 32, 128, 51866},
};

/* FNV-1a, so that every tensor has its own values. */
static guint32
hash_name (const char *name)
{
  guint32 hash = 2166136261u;

  for (; *name; name++)
    hash = (hash ^ (guint8) *name) * 16777619u;
  return hash;
}

/* Uniform weights that keep the variance of a sum over @fan_in inputs, times
 * @gain squared. Steps are the power of two that leaves 11 bits, as many as a
 * half has: writing the model as F16 loses nothing. */
static void
set_uniform (NpuGenerator *generator, guint fan_in, double gain)
{
  const double bound = gain * sqrt (3.0 / fan_in); /* sqrt is exact by IEEE */
  double step = 1.0;

  while (bound / step < 1024)
    step /= 2;
  generator->step = (float) step;
  generator->limit = (gint32) (bound / step);
}

static void
set_around (NpuGenerator *generator, float centre, gint32 limit)
{
  generator->centre = centre;
  generator->limit = limit;
  generator->step = 0x1p-10f;
}

/* The token embedding makes logits that spread by 4. Queries and keys are
 * doubled together: scores then spread by 2 about their
 * mean and a row of attention has tens of keys that matter, not all of them
 * and not one. */
static void
choose_values (
    NpuGenerator *generator, const char *name, const NpuTensor *tensor)
{
  generator->seed = hash_name (name);
  if (g_str_equal (name, "encoder.positional_embedding"))
    generator->sinusoid_d = (guint) tensor->shape[1];
  else if (strstr (name, "positional_embedding"))
    set_uniform (generator, (guint) tensor->shape[1], 1);
  else if (strstr (name, "token_embedding"))
    set_uniform (generator, (guint) tensor->shape[1], 4);
  else if (g_str_has_suffix (name, "bias"))
    set_around (generator, 0, 51); /* 0.05 */
  else if (strstr (name, "ln"))
    set_around (generator, 1, 256); /* 0.75 to 1.25 */
  else if (tensor->n_dims == 3)
    set_uniform (generator, tensor->shape[1] * tensor->shape[2], 1);
  else
    set_uniform (generator, tensor->shape[1],
        strstr (name, "query") || strstr (name, "key") ? G_SQRT2 : 1);
}

/* Adds a tensor for every spec of @group, whose names follow @prefix. */
static gboolean
add_group (NpuModel *model, const NpuSpecGroup *group, const char *prefix,
    GError **error)
{
  NpuModelPrivate *priv = model->priv;

  for (guint i = 0; i < group->n_specs; i++) {
    const NpuTensorSpec *spec = &group->specs[i];
    g_autofree char *name =
        g_strconcat (prefix, group->openai, spec->openai, NULL);
    NpuTableEntry *entry =
        npu_tensor_table_add (priv->table, NULL, name, strlen (name), 0, error);
    NpuGenerator *generator;

    if (!entry)
      return FALSE;
    entry->tensor.dtype = NPU_DTYPE_F32;
    entry->tensor.n_dims =
        npu_dims_to_shape (spec->shape, &priv->config, entry->tensor.shape);
    g_array_set_size (priv->generators, priv->generators->len + 1);
    generator = &g_array_index (
        priv->generators, NpuGenerator, priv->generators->len - 1);
    choose_values (generator, name, &entry->tensor);
    entry->tensor.generator = generator;
  }
  return TRUE;
}

static gboolean
add_encoder (NpuModel *model, guint n_layers, GError **error)
{
  if (!add_group (model, &npu_encoder_group, "encoder.", error))
    return FALSE;
  for (guint layer = 0; layer < n_layers; layer++) {
    g_autofree char *prefix = g_strdup_printf ("encoder.blocks.%u.", layer);

    if (!add_group (model, &npu_encoder_block_group, prefix, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
add_decoder (NpuModel *model, guint n_layers, GError **error)
{
  if (!add_group (model, &npu_decoder_group, "decoder.", error))
    return FALSE;
  for (guint layer = 0; layer < n_layers; layer++) {
    g_autofree char *prefix = g_strdup_printf ("decoder.blocks.%u.", layer);

    for (guint i = 0; i < NPU_N_DECODER_BLOCK_GROUPS; i++) {
      if (!add_group (model, &npu_decoder_block_groups[i], prefix, error))
        return FALSE;
    }
  }
  return TRUE;
}

gboolean
npu_synthetic_read (NpuModel *model, const char *size, GError **error)
{
  NpuModelPrivate *priv = model->priv;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    const guint n_layers = sizes[i].n_layers;

    if (!g_str_equal (size, sizes[i].name))
      continue;
    priv->config = (NpuModelConfig){
        .n_mels = sizes[i].n_mels,
        .n_vocab = sizes[i].n_vocab,
        .encoder = {.d = sizes[i].d, .n_positions = NPU_MODEL_POSITIONS},
        .decoder = {.n_positions = NPU_MODEL_TEXT_POSITIONS},
    };
    /* Tensors keep pointers into the array: it must not move. */
    priv->generators =
        g_array_sized_new (FALSE, TRUE, sizeof (NpuGenerator), 64 * n_layers);
    return add_encoder (model, n_layers, error) &&
           add_decoder (model, n_layers, error);
  }
  return npu_file_fail (error, NPU_ERROR_NOT_FOUND, priv->table->name, NULL,
      NPU_NO_OFFSET, "there is no synthetic model of size '%s'; use one of %s",
      size, SIZES);
}
