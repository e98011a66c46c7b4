/* Models of any Whisper size with weights made from a hash, for trying things
 * without a file. A weight is computed when it is read, so that the largest
 * model takes no memory, and is the same on every machine.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-private.h"

#include <math.h>
#include <string.h>

#define SIZES "tiny, base, small, medium, large-v3"

static const struct {
  const char *name;
  guint d, n_layers, n_mels;
} sizes[] = {
    {"tiny", 384, 4, 80},
    {"base", 512, 6, 80},
    {"small", 768, 12, 80},
    {"medium", 1024, 24, 80},
    {"large-v3", 1280, 32, 128},
};

/* The 32-bit finaliser of MurmurHash3 (Austin Appleby): a bijection that
 * flips half of the bits for every input bit. */
static inline guint32
mix (guint32 x)
{
  x ^= x >> 16;
  x *= 0x85ebca6b;
  x ^= x >> 13;
  x *= 0xc2b2ae35;
  return x ^ x >> 16;
}

/* FNV-1a, so that every tensor has its own values. */
static guint32
hash_name (const char *name)
{
  guint32 hash = 2166136261u;

  for (; *name; name++)
    hash = (hash ^ (guint8) *name) * 16777619u;
  return hash;
}

/* Whisper's sinusoids (openai/whisper, model.py), rounded to a grid of 1/1024:
 * coarse enough that no two libraries' sine, exponential or logarithm round
 * differently. */
static float
sinusoid (guint d, gsize position, guint column)
{
  const guint half = d / 2;
  const double rate = exp (-log (10000.0) / (half - 1) * (column % half));
  const double angle = (double) position * rate;
  const double value = column < half ? sin (angle) : cos (angle);

  return (float) (rint (value * 1024) / 1024);
}

/* Two rounds, with the seed between them: else tensors would hold shifted
 * copies of each other. */
static inline float
weight (const NpuGenerator *generator, guint32 index)
{
  const guint32 span = 2 * (guint32) generator->limit + 1;
  const guint32 hash = mix (mix (index) ^ generator->seed);
  const gint32 k = (gint32) ((hash >> 16) * span >> 16) - generator->limit;

  return generator->centre + (float) k * generator->step;
}

/* A constant trip count lets compilers vectorise it. */
static void
read_block (const NpuGenerator *generator, guint32 first, float *out)
{
  const NpuGenerator local = *generator;

  for (guint32 i = 0; i < NPU_BLOCK; i++)
    out[i] = weight (&local, first + i);
}

void
npu_generator_read (
    const NpuGenerator *generator, gsize first, gsize n, float *out)
{
  const guint d = generator->sinusoid_d;
  gsize i;

  if (d) {
    for (i = 0; i < n; i++)
      out[i] = sinusoid (d, (first + i) / d, (first + i) % d);
    return;
  }
  for (i = 0; i + NPU_BLOCK <= n; i += NPU_BLOCK)
    read_block (generator, (guint32) (first + i), out + i);
  for (; i < n; i++)
    out[i] = weight (generator, (guint32) (first + i));
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

/* Queries and keys are doubled together: scores then spread by 2 about their
 * mean and a row of attention has tens of keys that matter, not all of them
 * and not one. */
static void
choose_values (
    NpuGenerator *generator, const char *name, const NpuTensor *tensor)
{
  generator->seed = hash_name (name);
  if (strstr (name, "positional_embedding"))
    generator->sinusoid_d = tensor->shape[1];
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

static gboolean
add_tensor (NpuTensorTable *table, GArray *generators, const NpuModel *model,
    const NpuTensorSpec *spec, const char *prefix, GError **error)
{
  g_autofree char *name = g_strconcat (prefix, spec->openai, NULL);
  NpuGenerator *generator;
  NpuTableEntry *entry;

  entry = npu_tensor_table_add (table, name, strlen (name), 0, error);
  if (!entry)
    return FALSE;
  entry->tensor.dtype = NPU_DTYPE_F32;
  entry->tensor.n_dims =
      npu_tensor_spec_shape (spec, model, entry->tensor.shape);

  g_array_set_size (generators, generators->len + 1);
  generator = &g_array_index (generators, NpuGenerator, generators->len - 1);
  choose_values (generator, name, &entry->tensor);
  entry->tensor.generator = generator;
  return TRUE;
}

gboolean
npu_synthetic_read (NpuTensorTable *table, const char *size,
    GArray **generators, GError **error)
{
  NpuModel model = {.n_positions = NPU_MODEL_POSITIONS};

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    if (g_str_equal (size, sizes[i].name)) {
      model.d = sizes[i].d;
      model.n_layers = sizes[i].n_layers;
      model.n_mels = sizes[i].n_mels;
    }
  }
  if (model.d == 0)
    return npu_model_fail (error, NPU_ERROR_NOT_FOUND, table->file, NULL,
        NPU_NO_OFFSET,
        "there is no synthetic model of size '%s'; use one "
        "of %s",
        size, SIZES);

  /* Tensors keep pointers into the array: it must not move. */
  *generators = g_array_sized_new (FALSE, TRUE, sizeof (NpuGenerator),
      NPU_N_MODEL_SPECS + model.n_layers * NPU_N_BLOCK_SPECS);
  for (guint i = 0; i < NPU_N_MODEL_SPECS; i++) {
    if (!add_tensor (
            table, *generators, &model, &npu_model_specs[i], "encoder.", error))
      return FALSE;
  }
  for (guint layer = 0; layer < model.n_layers; layer++) {
    g_autofree char *prefix = g_strdup_printf ("encoder.blocks.%u.", layer);

    for (guint i = 0; i < NPU_N_BLOCK_SPECS; i++) {
      if (!add_tensor (
              table, *generators, &model, &npu_block_specs[i], prefix, error))
        return FALSE;
    }
  }
  return TRUE;
}
