/* Loose tiles and blocks of them: what they compute, against plain float64,
 * and that depth, batch and the order of the list change no bit.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "compare.h"
#include "fake-npu.h"
#include "tiles-fixture.h"

static void
attention_f64 (const NpuAttentionTile *tile, float *out)
{
  const guint n_keys = tile->n_kv * 64;
  g_autofree double *p = g_new (double, n_keys);

  for (guint i = 0; i < 64; i++) {
    double largest = -INFINITY, sum = 0, o[64] = {0};

    for (guint j = 0; j < n_keys; j++) {
      const NpuTile *k = &tile->k[j / 64];
      double dot = 0;

      for (guint d = 0; d < 64; d++)
        dot += (double) tile->q.data[i * 64 + d] * k->data[j % 64 * 64 + d];
      p[j] = dot * tile->q.scale * k->scale / 8.0;
      largest = MAX (largest, p[j]);
    }
    for (guint j = 0; j < n_keys; j++) {
      const NpuTile *v = &tile->v[j / 64];

      p[j] = exp (p[j] - largest);
      sum += p[j];
      for (guint d = 0; d < 64; d++)
        o[d] += p[j] * v->data[j % 64 * 64 + d] * v->scale;
    }
    for (guint d = 0; d < 64; d++)
      out[i * 64 + d] = (float) (o[d] / sum);
  }
}

/* The later parts of a block, each from the part before as it came out of the
 * block, so that each is judged alone. */
static void
block_f64 (const NpuTilesBlock *block, const Results *from, Results *to)
{
  for (guint row = 0; row < from->n_tiles * 64; row++) {
    const float *x = from->attention + row * 64,
                *y = from->layernorm + row * 64;
    double mean = 0, variance = 0;

    for (guint d = 0; d < 64; d++)
      mean += x[d] / 64.0;
    for (guint d = 0; d < 64; d++)
      variance += (x[d] - mean) * (x[d] - mean) / 64.0;
    for (guint d = 0; d < 64; d++)
      to->layernorm[row * 64 + d] =
          (float) ((x[d] - mean) / sqrt (variance + 1e-5) * block->gamma[d] +
                   block->beta[d]);
    for (guint j = 0; j < block->n; j++) {
      const double z = from->matmul[row * block->n + j];
      double sum = block->bias ? block->bias[j] : 0;

      for (guint d = 0; d < 64; d++)
        sum += (double) y[d] * block->weight[j * 64 + d];
      to->matmul[row * block->n + j] = (float) sum;
      to->gelu[row * block->n + j] =
          (float) (z * 0.5 * (1.0 + erf (z / sqrt (2.0))));
    }
  }
}

/* --- accuracy ---------------------------------------------------------- */

typedef struct {
  NpuProduct product;
  guint n_kv; /* 0: from 1 to 5 */
} Case;

static void
test_attention (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (NpuDevice) device = tiles_device (2);
  g_autoptr (List) list = list_new (9, c->n_kv);
  g_autoptr (NpuTiles) tiles = tiles_new (device, 3, 2, c->product, NULL);
  g_autofree float *out = g_new (float, 9 * 64 * 64);
  g_autofree float *expected = g_new (float, 9 * 64 * 64);
  GError *error = NULL;

  for (guint i = 0; i < 9; i++)
    attention_f64 (&list->tiles[i], expected + i * 64 * 64);
  npu_tiles_attention (tiles, list->tiles, 9, out, &error);
  g_assert_no_error (error);
  if (c->product == NPU_PRODUCT_F32)
    compare_check ("attention, f32", out, expected, 9 * 64, 64, 0.9999999,
        0.9999999, NULL);
  else
    compare_check (
        "attention, int8", out, expected, 9 * 64, 64, 0.9998, 0.999, NULL);
}

static void
test_block (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (NpuDevice) device = tiles_device (2);
  g_autoptr (List) list = list_new (9, c->n_kv);
  g_autoptr (Weights) weights = weights_new (128);
  g_autoptr (NpuTiles) tiles =
      tiles_new (device, 3, 2, c->product, &weights->block);
  g_autoptr (Results) actual = results_new (9, 128);
  g_autoptr (Results) expected = results_new (9, 128);
  const gboolean exact = c->product == NPU_PRODUCT_F32;
  GError *error = NULL;

  results_run (actual, tiles, list, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < 9; i++)
    attention_f64 (&list->tiles[i], expected->attention + i * 64 * 64);
  block_f64 (&weights->block, actual, expected);
  compare_check ("attention", actual->attention, expected->attention, 9 * 64,
      64, exact ? 0.9999999 : 0.9998, exact ? 0.9999999 : 0.999, NULL);
  compare_check ("layer norm", actual->layernorm, expected->layernorm, 9 * 64,
      64, 0.9999999, 0.9999999, NULL);
  compare_check ("matmul", actual->matmul, expected->matmul, 9 * 64, 128,
      exact ? 0.9999999 : 0.9998, exact ? 0.9999999 : 0.999, NULL);
  compare_check ("GELU", actual->gelu, expected->gelu, 9 * 64, 128, 0.9999999,
      0.9999999, NULL);
}

/* --- the same at every depth and batch --------------------------------- */

static const guint batches[] = {1, 2, 3, 8, 24};

static void
test_attention_same (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (NpuDevice) device = tiles_device (2);
  g_autoptr (List) list = list_new (30, c->n_kv);
  g_autofree float *sequential = g_new (float, 30 * 64 * 64);
  g_autofree float *out = g_new (float, 30 * 64 * 64);

  for (guint depth = 1; depth <= 16; depth += depth < 4 ? 1 : 6)
    for (guint i = 0; i < G_N_ELEMENTS (batches); i++) {
      g_autoptr (NpuTiles) tiles =
          tiles_new (device, depth, batches[i], c->product, NULL);
      const gboolean first = depth == 1 && i == 0;
      float *to = first ? sequential : out;

      memset (to, 0xff, 30 * 64 * 64 * sizeof (float));
      g_assert_true (npu_tiles_attention (tiles, list->tiles, 30, to, NULL));
      compare_check_same ("attention", to, sequential, 30 * 64, 64);
    }
}

static void
test_block_same (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (NpuDevice) device = tiles_device (2);
  g_autoptr (List) list = list_new (60, c->n_kv); /* more than a chunk */
  g_autoptr (Weights) weights = weights_new (64);
  g_autoptr (Results) sequential = results_new (60, 64);
  g_autoptr (Results) out = results_new (60, 64);

  for (guint depth = 1; depth <= 16; depth += depth < 4 ? 1 : 6)
    for (guint i = 0; i < G_N_ELEMENTS (batches); i++) {
      g_autoptr (NpuTiles) tiles =
          tiles_new (device, depth, batches[i], c->product, &weights->block);
      Results *to = depth == 1 && i == 0 ? sequential : out;

      results_poison (to);
      g_assert_true (results_run (to, tiles, list, NULL));
      compare_check_same (
          "attention", to->attention, sequential->attention, 60 * 64, 64);
      compare_check_same (
          "layer norm", to->layernorm, sequential->layernorm, 60 * 64, 64);
      compare_check_same (
          "matmul", to->matmul, sequential->matmul, 60 * 64, 64);
      compare_check_same ("GELU", to->gelu, sequential->gelu, 60 * 64, 64);
    }
}

static void
test_whole_head (void)
{
  g_autoptr (NpuDevice) device = tiles_device (2);
  g_autoptr (List) list = list_new (4, 24);
  const NpuTilesOptions options = {.depth = 2, .batch = 3, .max_kv = 24};
  g_autoptr (NpuTiles) tiles = npu_tiles_new (device, &options, NULL, NULL);
  g_autofree float *out = g_new (float, 4 * 64 * 64);
  g_autofree float *expected = g_new (float, 4 * 64 * 64);

  /* All query tiles of a head share its keys and values. */
  for (guint i = 0; i < 4; i++) {
    list->tiles[i].k = list->tiles[0].k;
    list->tiles[i].v = list->tiles[0].v;
    attention_f64 (&list->tiles[i], expected + i * 64 * 64);
  }
  g_assert_true (npu_tiles_attention (tiles, list->tiles, 4, out, NULL));
  compare_check (
      "a head", out, expected, 4 * 64, 64, 0.9999999, 0.9999999, NULL);
}

/* --- lists ------------------------------------------------------------- */

static void
test_parts_left_out (void)
{
  g_autoptr (NpuDevice) device = tiles_device (2);
  g_autoptr (List) list = list_new (7, 2);
  g_autoptr (Weights) weights = weights_new (64);
  g_autoptr (NpuTiles) tiles =
      tiles_new (device, 3, 2, NPU_PRODUCT_F32, &weights->block);
  g_autoptr (Results) all = results_new (7, 64);
  g_autoptr (Results) gelu = results_new (7, 64);
  const NpuTilesResults wanted = {.gelu = gelu->gelu};

  g_assert_true (results_run (all, tiles, list, NULL));
  g_assert_true (npu_tiles_block (tiles, list->tiles, 7, &wanted, NULL));
  compare_check_same ("GELU alone", gelu->gelu, all->gelu, 7 * 64, 64);
}

static void
test_block_pipeline_does_attention (void)
{
  g_autoptr (NpuDevice) device = tiles_device (2);
  g_autoptr (List) list = list_new (7, 2);
  g_autoptr (Weights) weights = weights_new (64);
  g_autoptr (NpuTiles) block =
      tiles_new (device, 3, 2, NPU_PRODUCT_F32, &weights->block);
  g_autoptr (NpuTiles) plain = tiles_new (device, 3, 2, NPU_PRODUCT_F32, NULL);
  g_autofree float *a = g_new (float, 7 * 64 * 64);
  g_autofree float *b = g_new (float, 7 * 64 * 64);
  NpuStats stats;

  g_assert_true (npu_tiles_attention (block, list->tiles, 7, a, NULL));
  g_assert_true (npu_tiles_attention (plain, list->tiles, 7, b, NULL));
  compare_check_same ("attention", a, b, 7 * 64, 64);
  npu_tiles_get_last_stats (block, &stats);
  g_assert_cmpuint (stats.tiles, ==, 7);
}

static void
test_empty_list (void)
{
  g_autoptr (NpuDevice) device = tiles_device (1);
  g_autoptr (NpuTiles) tiles = tiles_new (device, 3, 2, NPU_PRODUCT_F32, NULL);
  GError *error = NULL;
  NpuStats stats;

  g_assert_true (npu_tiles_attention (tiles, NULL, 0, NULL, &error));
  g_assert_no_error (error);
  npu_tiles_get_stats (tiles, &stats);
  g_assert_cmpuint (stats.launches, ==, 0);
}

/* Without a batch the device chooses one, for as many tiles as it likes. */
static void
test_device_chooses_batch (void)
{
  g_autoptr (NpuDevice) device = tiles_device (2);
  g_autoptr (NpuTiles) tiles = tiles_new (device, 3, 0, NPU_PRODUCT_F32, NULL);
  g_autoptr (NpuTiles) deeper = tiles_new (device, 4, 1, NPU_PRODUCT_F32, NULL);
  g_autoptr (NpuTiles) flat = tiles_new (device, 1, 1, NPU_PRODUCT_F32, NULL);

  g_assert_cmpuint (npu_tiles_get_batch (tiles), >=, 1);
  g_assert_cmpuint (npu_tiles_get_batch (tiles), <=, 24);
  g_assert_cmpuint (npu_tiles_get_depth (deeper), ==, 4);
  g_assert_cmpuint (npu_tiles_get_memory_size (deeper), ==,
      4 * npu_tiles_get_memory_size (flat));
}

/* An NPU that has no program for loose tiles leaves them to the CPU beside it:
 * the same bytes, and no launch of its own. */
static void
test_npu_without_a_program (void)
{
  const FakeNpuOptions npu_options = {.threads = 2};
  const NpuDeviceOptions options = {.overlays = "."};
  g_autoptr (NpuDevice) cpu = tiles_device (2);
  g_autoptr (List) list = list_new (7, 2);
  g_autoptr (Weights) weights = weights_new (64);
  g_autoptr (Results) expected = results_new (7, 64);
  g_autoptr (Results) got = results_new (7, 64);
  NpuDevice *npu;

  fake_npu_install (&npu_options);
  npu = npu_device_open ("xrt", &options, NULL);
  g_assert_nonnull (npu);
  {
    g_autoptr (NpuTiles) there =
        tiles_new (npu, 3, 2, NPU_PRODUCT_S8, &weights->block);
    g_autoptr (NpuTiles) here =
        tiles_new (cpu, 3, 2, NPU_PRODUCT_S8, &weights->block);

    g_assert_true (results_run (got, there, list, NULL));
    g_assert_true (results_run (expected, here, list, NULL));
    compare_check_same ("GELU", got->gelu, expected->gelu, 7 * 64, 64);
  }
  npu_device_unref (npu);
  g_assert_cmpuint (fake_npu_get_counts ().n_launches, ==, 0);
  g_assert_cmpint (fake_npu_get_counts ().n_alive, ==, 0);
  fake_npu_install (NULL);
}

int
main (int argc, char **argv)
{
  static const Case cases[] = {{NPU_PRODUCT_F32, 1}, {NPU_PRODUCT_F32, 0},
      {NPU_PRODUCT_S8, 1}, {NPU_PRODUCT_S8, 0}};
  static const char *const names[] = {
      "f32", "f32-mixed-keys", "int8", "int8-mixed-keys"};

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *attention =
        g_strdup_printf ("/tiles/attention-is-right/%s", names[i]);
    g_autofree char *block =
        g_strdup_printf ("/tiles/four-parts-are-right/%s", names[i]);
    g_autofree char *same =
        g_strdup_printf ("/tiles/attention-same-at-every-depth/%s", names[i]);
    g_autofree char *block_same =
        g_strdup_printf ("/tiles/block-same-at-every-depth/%s", names[i]);

    g_test_add_data_func (attention, &cases[i], test_attention);
    g_test_add_data_func (block, &cases[i], test_block);
    g_test_add_data_func (same, &cases[i], test_attention_same);
    g_test_add_data_func (block_same, &cases[i], test_block_same);
  }
  g_test_add_func ("/tiles/a-head-is-many-key-tiles", test_whole_head);
  g_test_add_func ("/tiles/parts-may-be-left-out", test_parts_left_out);
  g_test_add_func ("/tiles/a-block-pipeline-does-attention-alone",
      test_block_pipeline_does_attention);
  g_test_add_func ("/tiles/an-empty-list-is-no-launch", test_empty_list);
  g_test_add_func (
      "/tiles/memory-grows-by-the-slot", test_device_chooses_batch);
  g_test_add_func (
      "/tiles/an-npu-leaves-them-to-its-cpu", test_npu_without_a_program);
  return g_test_run ();
}
