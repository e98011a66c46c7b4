/* Synthetic models: the right shapes, the same values everywhere, and
 * statistics that keep activations alive.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model/npu-model.h"

#include <math.h>
#include <string.h>

#include "npu-error.h"
#include "quantise.h"

static const struct {
  const char *location;
  guint d, n_layers, n_mels;
  guint32 hash; /* of some of its values */
} sizes[] = {
    {"synthetic:tiny", 384, 4, 80, 0x23e5d487},
    {"synthetic:base", 512, 6, 80, 0x00dd72ba},
    {"synthetic:small", 768, 12, 80, 0x371879b3},
    {"synthetic:medium", 1024, 24, 80, 0xf991b7a7},
    {"synthetic:large-v3", 1280, 32, 128, 0x25e868b2},
};

static float *
read_first (const NpuTensor *tensor, gsize n)
{
  g_autoptr (GError) error = NULL;
  float *values = g_new (float, n);

  npu_tensor_read (tensor, 0, n, values, &error);
  g_assert_no_error (error);
  return values;
}

static float *
read_all (const NpuTensor *tensor)
{
  return read_first (tensor, npu_tensor_n_elements (tensor));
}

static NpuModel *
open_model (const char *location)
{
  g_autoptr (GError) error = NULL;
  NpuModel *model = npu_model_open (location, &error);

  g_assert_no_error (error);
  return model;
}

/* FNV-1a over the bits of the tensor's first values. */
static guint32
hash_tensor (guint32 hash, const NpuTensor *tensor)
{
  const gsize n = MIN (npu_tensor_n_elements (tensor), 100000);
  g_autofree float *values = read_first (tensor, n);

  for (gsize i = 0; i < n; i++) {
    guint32 bits;

    memcpy (&bits, &values[i], sizeof bits);
    for (guint k = 0; k < 32; k += 8)
      hash = (hash ^ (bits >> k & 255)) * 16777619u;
  }
  return hash;
}

/* The numbers below were printed by one machine; every other must agree. */
static void
test_sizes_and_values (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autoptr (NpuModel) model = open_model (sizes[i].location);
    const NpuModelBlock *last = &model->blocks[sizes[i].n_layers - 1];
    guint32 hash = 2166136261u;

    g_assert_cmpstr (model->name, ==, sizes[i].location);
    g_assert_true (model->synthetic);
    g_assert_cmpuint (model->d, ==, sizes[i].d);
    g_assert_cmpuint (model->n_heads, ==, sizes[i].d / 64);
    g_assert_cmpuint (model->n_layers, ==, sizes[i].n_layers);
    g_assert_cmpuint (model->n_mels, ==, sizes[i].n_mels);
    g_assert_cmpuint (model->n_positions, ==, 1500);
    hash = hash_tensor (hash, model->conv1_weight);
    hash = hash_tensor (hash, model->conv2_bias);
    hash = hash_tensor (hash, model->positional_embedding);
    hash = hash_tensor (hash, last->attn_ln_weight);
    hash = hash_tensor (hash, last->key_weight);
    hash = hash_tensor (hash, last->fc2_weight);
    g_test_message ("%s: 0x%08x", sizes[i].location, hash);
    g_assert_cmphex (hash, ==, sizes[i].hash);
  }
}

/* The sinusoids are so coarsely rounded that a mathematical library that is
 * wrong by ten thousand ulp still gives the same ones: no exact value lies
 * within 1e-11 of a point where rounding turns. */
static void
test_positions_do_not_depend_on_libm (void)
{
  double nearest = 1;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    const guint d = sizes[i].d, half = d / 2;
    g_autoptr (NpuModel) model = open_model (sizes[i].location);
    g_autofree float *values = read_all (model->positional_embedding);

    for (guint c = 0; c < d; c++) {
      const long double rate =
          powl (10000.0L, -(long double) (c % half) / (half - 1));

      for (guint t = 0; t < 1500; t++) {
        const long double exact = c < half ? sinl (t * rate) : cosl (t * rate);
        const long double grid = exact * 1024, below = floorl (grid);

        g_assert_cmpfloat (values[t * d + c], ==, rintl (grid) / 1024);
        nearest = MIN (nearest, (double) fabsl (grid - below - 0.5L) / 1024);
      }
    }
  }
  g_test_message ("nearest to a turning point: %.3g", nearest);
  g_assert_cmpfloat (nearest, >, 1e-11);
}

/* Sums over a row keep their variance; queries and keys have twice it. */
static void
check_statistics (const NpuTensor *tensor, gsize fan_in, double gain)
{
  const gsize n = npu_tensor_n_elements (tensor);
  g_autofree float *values = read_all (tensor);
  double sum = 0, squares = 0, neighbours = 0;
  double expected = gain * gain / fan_in;

  for (gsize i = 0; i < n; i++) {
    sum += values[i];
    squares += (double) values[i] * values[i];
    neighbours += (double) values[i] * values[(i + fan_in) % n];
  }
  g_test_message ("%s: mean %.2e, variance times inputs %.3f, correlation of "
                  "neighbouring rows %.2e",
      tensor->name, sum / n, squares / n * fan_in, neighbours / squares);
  g_assert_cmpfloat (fabs (sum / n), <, 5 * sqrt (expected / n));
  g_assert_cmpfloat_with_epsilon (squares / n / expected, 1, 0.01);
  g_assert_cmpfloat (fabs (neighbours / squares), <, 5 / sqrt (n));
}

static void
test_weights_keep_variance (void)
{
  g_autoptr (NpuModel) model = open_model ("synthetic:base");
  const NpuModelBlock *block = &model->blocks[2];

  check_statistics (model->conv1_weight, 3 * 80, 1);
  check_statistics (model->conv2_weight, 3 * 512, 1);
  check_statistics (block->query_weight, 512, sqrt (2));
  check_statistics (block->key_weight, 512, sqrt (2));
  check_statistics (block->value_weight, 512, 1);
  check_statistics (block->fc1_weight, 512, 1);
  check_statistics (block->fc2_weight, 2048, 1);
}

/* No tensor is another's copy, shifted or not. */
static void
test_tensors_differ (void)
{
  g_autoptr (NpuModel) model = open_model ("synthetic:tiny");
  g_autofree float *a = read_all (model->blocks[0].query_weight);
  g_autofree float *b = read_all (model->blocks[1].query_weight);
  const gsize n = npu_tensor_n_elements (model->blocks[0].query_weight);

  for (gsize shift = 0; shift < 200; shift++) {
    double product = 0, squares = 0;

    for (gsize i = 0; i + shift < n; i++) {
      product += (double) a[i] * b[i + shift];
      squares += (double) a[i] * a[i];
    }
    g_assert_cmpfloat (fabs (product / squares), <, 6 / sqrt (n));
  }
}

/* So a synthetic model written as F16 is the same model. */
static void
test_values_are_exact_halves (void)
{
  g_autoptr (NpuModel) model = open_model ("synthetic:tiny");
  const NpuModelBlock *block = &model->blocks[1];
  const NpuTensor *const tensors[] = {model->conv1_weight, model->conv2_weight,
      model->positional_embedding, block->attn_ln_weight, block->attn_ln_bias,
      block->query_weight, block->out_weight, block->fc1_weight,
      block->fc2_weight};

  for (guint t = 0; t < G_N_ELEMENTS (tensors); t++) {
    g_autofree float *values = read_all (tensors[t]);

    for (gsize i = 0; i < npu_tensor_n_elements (tensors[t]); i++) {
      const guint16 half = quantise_half (values[i]);
      guint8 data[2] = {half & 255, half >> 8};
      const NpuTensor as_half = {.name = "t",
          .n_dims = 1,
          .shape = {1},
          .dtype = NPU_DTYPE_F16,
          .data = data};
      float back;

      npu_tensor_read (&as_half, 0, 1, &back, NULL);
      if (back != values[i])
        g_error ("%s [%" G_GSIZE_FORMAT "] = %.9g is no half", tensors[t]->name,
            i, values[i]);
    }
  }
}

static void
test_unknown_size_names_the_sizes (void)
{
  static const char *const locations[] = {"synthetic:", "synthetic:huge",
      "synthetic:tiny.en", "synthetic:TINY", "synthetic:\xff"};

  for (guint i = 0; i < G_N_ELEMENTS (locations); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (npu_model_open (locations[i], &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_NOT_FOUND);
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
    for (guint k = 0; k < G_N_ELEMENTS (sizes); k++)
      g_assert_nonnull (
          strstr (error->message, sizes[k].location + strlen ("synthetic:")));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/model/synthetic/sizes-and-values", test_sizes_and_values);
  g_test_add_func ("/model/synthetic/positions-do-not-depend-on-libm",
      test_positions_do_not_depend_on_libm);
  g_test_add_func (
      "/model/synthetic/weights-keep-variance", test_weights_keep_variance);
  g_test_add_func ("/model/synthetic/tensors-differ", test_tensors_differ);
  g_test_add_func (
      "/model/synthetic/values-are-exact-halves", test_values_are_exact_halves);
  g_test_add_func ("/model/synthetic/unknown-size-names-the-sizes",
      test_unknown_size_names_the_sizes);
  return g_test_run ();
}
