/* What the encoder answers besides states: errors for wrong arguments, what it
 * was made of, and the statistics of a window.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "encoder-fixture.h"
#include "encoder/encoder-exact.h"
#include "small-model.h"
#include "test-data.h"

#include <string.h>

#define N_MELS 80
#define TIMEOUT (600 * (guint64) 1000000000)

/* --- wrong arguments ---------------------------------------------------- */

static void
test_wrong_options (void)
{
  static const NpuEncoderOptions wrong[] = {
      {.depth = 0, .precision = NPU_PRECISION_F32, .timeout = TIMEOUT},
      {.depth = 17, .precision = NPU_PRECISION_F32, .timeout = TIMEOUT},
      {.depth = G_MAXUINT, .precision = NPU_PRECISION_F32, .timeout = TIMEOUT},
      {.depth = 3,
          .batch_size = 25,
          .precision = NPU_PRECISION_F32,
          .timeout = TIMEOUT},
      {.depth = 3,
          .batch_size = G_MAXUINT,
          .precision = NPU_PRECISION_F32,
          .timeout = TIMEOUT},
      {.depth = 3, .precision = NPU_PRECISION_F32, .timeout = 0},
      {.depth = 3, .precision = (NpuPrecision) 99, .timeout = TIMEOUT},
  };
  const NpuDeviceOptions device_options = {0};
  g_autoptr (NpuDevice) device = npu_device_open ("cpu", &device_options, NULL);
  NpuModel *model = small_model_new (N_MELS, 64, 1, 0);

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GError) error = NULL;
    NpuEncoder *encoder = npu_encoder_new (model, device, &wrong[i], &error);

    g_assert_null (encoder);
    g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
    g_test_message ("%s", error->message);
  }
  small_model_free (model);
}

static void
test_wrong_n_frames (void)
{
  static const guint wrong[] = {
      0, 1, 3, 127, 2999, 3001, 3002, 6000, G_MAXUINT - 1, G_MAXUINT};
  NpuModel *model = small_model_new (N_MELS, 64, 1, 0);
  const EncoderSetup setup = {0};
  g_autoptr (EncoderFixture) fixture = encoder_fixture_new (model, &setup);
  const gsize n = NPU_MAX_FRAMES / 2 * model->d;
  g_autofree float *mel = test_data_new_mel (N_MELS, NPU_MAX_FRAMES, 1);
  g_autofree float *states = g_new0 (float, n);
  g_autofree float *untouched = g_new0 (float, n);
  g_autofree float *after = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_false (npu_encoder_encode (
        fixture->encoder, mel, wrong[i], states, NULL, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
    g_test_message ("%s", error->message);
    g_assert_cmpmem (states, n * sizeof (float), untouched, n * sizeof (float));
  }
  after = encoder_fixture_encode (fixture, mel, 2);
  g_assert_nonnull (after);
  small_model_free (model);
}

/* A model with fewer positions encodes what is not longer than they are, to
 * the same bytes, and refuses the rest in words. */
static void
test_fewer_positions (void)
{
  const guint n_positions = 50, n_frames = 2 * n_positions;
  const EncoderSetup setup = {0};
  g_autofree float *mel = test_data_new_mel (N_MELS, n_frames + 2, 1);
  NpuModel *model = small_model_new (N_MELS, 64, 1, 0);
  g_autofree float *whole =
      encoder_fixture_encode_once (model, &setup, mel, n_frames);
  g_autofree float *states = NULL;
  g_autoptr (EncoderFixture) fixture = NULL;
  g_autoptr (GError) error = NULL;

  model->n_positions = n_positions;
  ((NpuTensor *) model->positional_embedding)->shape[0] = n_positions;
  fixture = encoder_fixture_new (model, &setup);
  states = encoder_fixture_encode (fixture, mel, n_frames);
  g_assert_cmpmem (states, n_positions * 64 * sizeof *states, whole,
      n_positions * 64 * sizeof *whole);
  g_assert_false (npu_encoder_encode (
      fixture->encoder, mel, n_frames + 2, states, NULL, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
  g_assert_nonnull (strstr (error->message, "50 positions"));
  g_assert_nonnull (strstr (error->message, "1.00 s"));
  small_model_free (model);
}

/* --- what it is made of ------------------------------------------------- */

static void
test_properties (void)
{
  NpuModel *model = small_model_new (128, 192, 1, 0);
  const EncoderSetup setup = {
      .depth = 5, .batch_size = 6, .precision = NPU_PRECISION_INT8};
  g_autoptr (EncoderFixture) fixture = encoder_fixture_new (model, &setup);
  NpuEncoder *encoder = fixture->encoder;

  small_model_free (model);
  g_assert_cmpuint (npu_encoder_get_n_mels (encoder), ==, 128);
  g_assert_cmpuint (npu_encoder_get_d (encoder), ==, 192);
  g_assert_cmpuint (npu_encoder_get_depth (encoder), ==, 5);
  g_assert_cmpuint (npu_encoder_get_batch_size (encoder), ==, 6);
  g_assert_cmpstr (npu_encoder_get_precision (encoder), ==, "int8");
  g_assert_nonnull (npu_encoder_get_executor (encoder));
}

static void
test_automatic_choices (void)
{
  const NpuDeviceOptions device_options = {0};
  const NpuEncoderOptions options = {
      .depth = 3, .precision = NPU_PRECISION_AUTO, .timeout = TIMEOUT};
  NpuModel *model = small_model_new (N_MELS, 64, 1, 0);
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuDevice) device =
      npu_device_open ("cpu", &device_options, &error);
  g_autoptr (NpuEncoder) encoder =
      npu_encoder_new (model, device, &options, &error);
  const char *precision;

  g_assert_no_error (error);
  precision = npu_encoder_get_precision (encoder);
  g_assert_true (g_str_equal (precision, "int8") ||
                 g_str_equal (precision, "int16") ||
                 g_str_equal (precision, "f32"));
  g_assert_cmpuint (npu_encoder_get_batch_size (encoder), >=, 1);
  g_assert_cmpuint (
      npu_encoder_get_batch_size (encoder), <=, NPU_EXECUTOR_MAX_BATCH);
  small_model_free (model);
}

/* Where int8 is no faster than float there is no reason for it. */
static void
test_automatic_without_fast_int8 (void)
{
  const NpuEncoderOptions options = {
      .depth = 3, .precision = NPU_PRECISION_AUTO, .timeout = TIMEOUT};
  NpuModel *model = small_model_new (N_MELS, 64, 1, 0);
  g_autoptr (GError) error = NULL;
  g_autofree char *level = g_strdup (g_getenv ("NPUENC_CPU"));
  g_autoptr (NpuDevice) device = NULL;
  g_autoptr (NpuEncoder) encoder = NULL;

  g_setenv ("NPUENC_CPU", "c", TRUE);
  device = npu_device_open ("cpu", NULL, &error);
  if (level)
    g_setenv ("NPUENC_CPU", level, TRUE);
  else
    g_unsetenv ("NPUENC_CPU");
  g_assert_no_error (error);
  g_assert_false (npu_device_has_product (device, NPU_PRODUCT_S8));
  g_assert_false (npu_device_has_product (device, NPU_PRODUCT_S16));
  encoder = npu_encoder_new (model, device, &options, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (npu_encoder_get_precision (encoder), ==, "f32");
  small_model_free (model);
}

/* Makes attention a choice of one key, which 8 bits of query and key make
 * otherwise now and then. */
static void
sharpen_attention (NpuModel *model)
{
  for (guint i = 0; i < model->n_layers; i++) {
    const NpuModelBlock *block = &model->blocks[i];
    const NpuTensor *tensors[] = {
        block->query_weight, block->query_bias, block->key_weight};

    for (guint j = 0; j < G_N_ELEMENTS (tensors); j++)
      for (gsize k = 0; k < npu_tensor_n_elements (tensors[j]); k++)
        ((float *) tensors[j]->data)[k] *= 16.0f;
  }
}

/* Where int8 does not keep the states, 16 bits are next, and then float. */
static void
test_automatic_next_best (void)
{
  const NpuEncoderOptions options = {
      .depth = 3, .precision = NPU_PRECISION_AUTO, .timeout = TIMEOUT};
  NpuModel *model = small_model_new (N_MELS, 128, 2, 0);
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuDevice) device = npu_device_open ("cpu", NULL, &error);
  g_autoptr (NpuEncoder) encoder = NULL;

  g_assert_no_error (error);
  sharpen_attention (model);
  encoder = npu_encoder_new (model, device, &options, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (npu_encoder_get_precision (encoder), ==,
      npu_device_has_product (device, NPU_PRODUCT_S16) ? "int16" : "f32");
  small_model_free (model);
}

/* What auto compares int8 with is what an encoder in float computes. */
static void
test_float_in_parts (void)
{
  enum { N_FRAMES = 150, D = 64 };
  static const guint parts[] = {1, 2 * 12 * D * D, G_MAXUINT};
  const EncoderSetup setup = {.precision = NPU_PRECISION_F32, .threads = 3};
  const gsize size = N_FRAMES / 2 * D * sizeof (float);
  NpuModel *model = small_model_new (N_MELS, D, 3, 0);
  g_autoptr (EncoderFixture) fixture = encoder_fixture_new (model, &setup);
  g_autofree float *mel = test_data_new_mel (N_MELS, N_FRAMES, 1);
  g_autofree float *whole = encoder_fixture_encode (fixture, mel, N_FRAMES);

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++) {
    g_autofree float *states = g_malloc (size);
    EncoderPlan *plan = NULL;
    g_autoptr (GError) error = NULL;

    encoder_exact_encode (model, fixture->device,
        npu_encoder_get_executor (fixture->encoder), parts[i], &plan, mel,
        N_FRAMES, states, &error);
    g_assert_no_error (error);
    g_assert_cmpmem (states, size, whole, size);
    encoder_plan_free (plan);
  }
  small_model_free (model);
}

/* However many threads read, of several bad tensors the model's first one is
 * named. */
static void
test_first_bad_tensor (void)
{
  const NpuEncoderOptions options = {
      .depth = 3, .precision = NPU_PRECISION_INT8, .timeout = TIMEOUT};
  NpuModel *model = small_model_new (N_MELS, 64, 8, 0);
  const guint32 nan = 0x7fc00000;

  for (guint i = 2; i < 8; i++)
    memcpy ((guint8 *) model->blocks[i].fc1_weight->data + i * sizeof nan, &nan,
        sizeof nan);
  for (guint threads = 1; threads <= 4; threads++) {
    const NpuDeviceOptions device_options = {.threads = threads};
    g_autoptr (GError) error = NULL;
    g_autoptr (NpuDevice) device =
        npu_device_open ("cpu", &device_options, NULL);

    g_assert_null (npu_encoder_new (model, device, &options, &error));
    g_assert_error (error, NPU_ERROR, NPU_ERROR_FORMAT);
    g_assert_nonnull (strstr (error->message, "at byte 8:"));
  }
  small_model_free (model);
}

/* --- statistics --------------------------------------------------------- */

static void
encode (EncoderFixture *fixture, guint n_frames, NpuStats *stats)
{
  g_autofree float *mel = test_data_new_mel (N_MELS, n_frames, 1);
  g_autofree float *states =
      g_new (float, n_frames / 2 * npu_encoder_get_d (fixture->encoder));
  g_autoptr (GError) error = NULL;

  memset (stats, 0xff, sizeof *stats);
  npu_encoder_encode (fixture->encoder, mel, n_frames, states, stats, &error);
  g_assert_no_error (error);
}

static void
test_window_stats (void)
{
  NpuModel *model = small_model_new (N_MELS, 64, 2, 0);
  guint64 tiles = 0, launches = G_MAXUINT64;
  static const guint batches[] = {1, 2, 8, 24};

  for (guint i = 0; i < G_N_ELEMENTS (batches); i++) {
    const EncoderSetup setup = {.batch_size = batches[i]};
    g_autoptr (EncoderFixture) fixture = encoder_fixture_new (model, &setup);
    gint64 start = g_get_monotonic_time (), wall;
    NpuStats stats;

    encode (fixture, 1100, &stats);
    wall = (g_get_monotonic_time () - start + 1) * 1000;
    g_test_message ("batch %u: %" G_GUINT64_FORMAT " tiles, %" G_GUINT64_FORMAT
                    " launches, %" G_GUINT64_FORMAT " stalls",
        batches[i], stats.tiles, stats.launches, stats.stalls);

    if (i == 0) {
      tiles = stats.tiles;
      g_assert_cmpuint (stats.launches, ==, tiles);
    }
    g_assert_cmpuint (stats.tiles, ==, tiles);
    g_assert_cmpuint (stats.launches, <, launches);
    g_assert_cmpuint (stats.launches * batches[i], >=, tiles);
    g_assert_cmpuint (stats.stalls, <, stats.launches);
    g_assert_cmpuint (stats.total_time, <=, wall);
    g_assert_cmpuint (stats.compute_time, >, 0);
    g_assert_cmpuint (stats.compute_time, <=, stats.total_time);
    g_assert_cmpuint (
        stats.dma_write_time + stats.dma_read_time, <=, stats.total_time);
    launches = stats.launches;
  }
  small_model_free (model);
}

static void
test_sequential_never_overlaps (void)
{
  NpuModel *model = small_model_new (N_MELS, 64, 1, 0);
  const EncoderSetup setup = {.depth = 1, .batch_size = 1};
  g_autoptr (EncoderFixture) fixture = encoder_fixture_new (model, &setup);
  NpuStats stats;

  /* Depth 1 finds its only launch completed each time: every submission but a
   * stage's first stalls. */
  encode (fixture, 258, &stats);
  g_assert_cmpuint (stats.stalls, >, 0);
  g_assert_cmpuint (stats.stalls, <, stats.launches);
  small_model_free (model);
}

static void
test_windows_add_up (void)
{
  NpuModel *model = small_model_new (N_MELS, 64, 1, 0);
  const EncoderSetup setup = {0};
  g_autoptr (EncoderFixture) fixture = encoder_fixture_new (model, &setup);
  NpuExecutor *executor = npu_encoder_get_executor (fixture->encoder);
  NpuStats sum = {0}, total;

  for (guint n = 2; n < 600; n += 126) {
    NpuStats stats;

    encode (fixture, n, &stats);
    npu_stats_add (&sum, &stats);
  }
  npu_executor_get_stats (executor, &total);
  g_assert_cmpuint (sum.tiles, ==, total.tiles);
  g_assert_cmpuint (sum.launches, ==, total.launches);
  g_assert_cmpuint (sum.stalls, ==, total.stalls);
  g_assert_cmpuint (sum.compute_time, ==, total.compute_time);

  npu_executor_reset_stats (executor);
  npu_executor_get_stats (executor, &total);
  g_assert_cmpuint (total.tiles, ==, 0);
  g_assert_cmpuint (total.launches, ==, 0);
  small_model_free (model);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func (
      "/encoder-interface/refuses-wrong-options", test_wrong_options);
  g_test_add_func (
      "/encoder-interface/refuses-wrong-frame-counts", test_wrong_n_frames);
  g_test_add_func ("/encoder-interface/fewer-positions", test_fewer_positions);
  g_test_add_func (
      "/encoder-interface/tells-what-it-was-made-of", test_properties);
  g_test_add_func (
      "/encoder-interface/chooses-batch-and-precision", test_automatic_choices);
  g_test_add_func ("/encoder-interface/float-where-int8-is-slow",
      test_automatic_without_fast_int8);
  g_test_add_func ("/encoder-interface/chooses-int16-where-int8-does-not-do",
      test_automatic_next_best);
  g_test_add_func (
      "/encoder-interface/float-in-parts-is-the-whole", test_float_in_parts);
  g_test_add_func (
      "/encoder-interface/names-the-first-bad-tensor", test_first_bad_tensor);
  g_test_add_func (
      "/encoder-interface/window-stats-are-consistent", test_window_stats);
  g_test_add_func (
      "/encoder-interface/depth-1-stalls", test_sequential_never_overlaps);
  g_test_add_func (
      "/encoder-interface/windows-add-up-to-totals", test_windows_add_up);
  return g_test_run ();
}
