/* The encoder's numbers: its states against those of a float64 encoder in
 * plain loops, at every precision and at lengths around the edges of tiles.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "compare.h"
#include "encoder-fixture.h"
#include "ref-encoder.h"
#include "small-model.h"
#include "test-data.h"

/* What a precision must hold. The largest error is relative to the states'
 * root mean square. */
typedef struct {
  NpuPrecision precision;
  double min_cosine, min_row_cosine, max_relative_error;
} Bounds;

static const Bounds f32_bounds = {NPU_PRECISION_F32, 0.99999, 0.9999, 5e-5};
static const Bounds int8_bounds = {NPU_PRECISION_INT8, 0.999, 0.98, 0.4};
/* Eight bits of mantissa: by value far from float, by direction close. */
static const Bounds bf16_bounds = {NPU_PRECISION_BF16, 0.9999, 0.999, 0.1};

/* Float's to five digits. */
static const Bounds int16_bounds = {
    NPU_PRECISION_INT16, 0.999999, 0.9999, 0.01};

static void
check_precision (const NpuModel *model, const float *mel, guint n_frames,
    const float *expected, const Bounds *bounds)
{
  const EncoderSetup setup = {.precision = bounds->precision};
  g_autofree float *states =
      encoder_fixture_encode_once (model, &setup, mel, n_frames);
  g_autofree char *what = g_strdup_printf ("%s, %u frames, %s", model->name,
      n_frames, encoder_fixture_precision_name (bounds->precision));
  Comparison comparison;

  compare_check (what, states, expected, n_frames / 2, model->d,
      bounds->min_cosine, bounds->min_row_cosine, &comparison);
  g_assert_cmpfloat (
      comparison.max_error, <=, bounds->max_relative_error * comparison.rms);
}

/* Whether the CPU has 16-bit products; where it has not, the precision is
 * refused with a remedy. */
static gboolean
has_int16 (void)
{
  const NpuDeviceOptions device_options = {.threads = 1};
  const NpuEncoderOptions options = {
      .depth = 1, .precision = NPU_PRECISION_INT16, .timeout = G_MAXUINT64};
  g_autoptr (NpuModel) model = encoder_fixture_open_model ("synthetic:tiny");
  NpuDevice *device = npu_device_open ("cpu", &device_options, NULL);
  const gboolean has = npu_device_has_product (device, NPU_PRODUCT_S16);
  g_autoptr (GError) error = NULL;
  NpuEncoder *encoder = npu_encoder_new (model, device, &options, &error);

  if (has) {
    g_assert_no_error (error);
    g_assert_cmpstr (npu_encoder_get_precision (encoder), ==, "int16");
  } else {
    g_assert_error (error, NPU_ERROR, NPU_ERROR_UNSUPPORTED);
    g_assert_nonnull (strstr (error->message, "use f32"));
  }
  npu_encoder_free (encoder);
  npu_device_unref (device);
  return has;
}

static void
check_model (const NpuModel *model, guint n_frames)
{
  g_autoptr (RefEncoder) reference = ref_encoder_new (model);
  g_autofree float *mel = test_data_new_mel (model->n_mels, n_frames, n_frames);
  g_autofree float *expected = ref_encoder_encode (reference, mel, n_frames);

  check_precision (model, mel, n_frames, expected, &f32_bounds);
  check_precision (model, mel, n_frames, expected, &int8_bounds);
  check_precision (model, mel, n_frames, expected, &bf16_bounds);
  if (has_int16 ())
    check_precision (model, mel, n_frames, expected, &int16_bounds);
}

static void
test_tiny (gconstpointer n_frames)
{
  g_autoptr (NpuModel) model = encoder_fixture_open_model ("synthetic:tiny");

  check_model (model, GPOINTER_TO_UINT (n_frames));
}

static void
test_base (gconstpointer n_frames)
{
  g_autoptr (NpuModel) model = encoder_fixture_open_model ("synthetic:base");

  check_model (model, GPOINTER_TO_UINT (n_frames));
}

static void
test_128_mels (void)
{
  NpuModel *model = small_model_new (128, 192, 2, 0);

  check_model (model, 194);
  small_model_free (model);
}

static void
test_one_head (void)
{
  NpuModel *model = small_model_new (80, 64, 1, 0);

  check_model (model, 258);
  small_model_free (model);
}

/* Real models have a few channels much larger than the others: those must not
 * be lost beside them. */
static void
test_outliers (void)
{
  NpuModel *model = small_model_new (80, 384, 3, 30);

  check_model (model, 258);
  small_model_free (model);
}

/* Silence is where a row may have no variance at all. */
static void
test_constant_mel (void)
{
  const guint n_frames = 130;
  g_autoptr (NpuModel) model = encoder_fixture_open_model ("synthetic:tiny");
  g_autoptr (RefEncoder) reference = ref_encoder_new (model);
  const float levels[] = {0, -1.5, 2};

  for (guint i = 0; i < G_N_ELEMENTS (levels); i++) {
    g_autofree float *mel = g_new (float, model->n_mels *n_frames);
    g_autofree float *expected = NULL;

    for (guint j = 0; j < model->n_mels * n_frames; j++)
      mel[j] = levels[i];
    expected = ref_encoder_encode (reference, mel, n_frames);
    check_precision (model, mel, n_frames, expected, &f32_bounds);
    check_precision (model, mel, n_frames, expected, &int8_bounds);
    check_precision (model, mel, n_frames, expected, &bf16_bounds);
    if (has_int16 ())
      check_precision (model, mel, n_frames, expected, &int16_bounds);
  }
}

/* Whatever this CPU has, the C kernels have no 16-bit products. */
static void
test_int16_is_refused_where_it_is_not (void)
{
  const char *limit = g_getenv ("NPUENC_CPU");
  g_autofree char *before = g_strdup (limit);

  g_setenv ("NPUENC_CPU", "c", TRUE);
  g_assert_false (has_int16 ());
  if (before)
    g_setenv ("NPUENC_CPU", before, TRUE);
  else
    g_unsetenv ("NPUENC_CPU");
}

static void
test_names_of_precisions (void)
{
  for (int i = NPU_PRECISION_AUTO; i <= NPU_PRECISION_INT16; i++) {
    NpuPrecision found = NPU_PRECISION_AUTO;

    g_assert_true (
        npu_precision_from_string (npu_precision_to_string (i), &found));
    g_assert_cmpint (found, ==, i);
  }
  g_assert_cmpstr (npu_precision_to_string (NPU_PRECISION_INT16), ==, "int16");
  g_assert_false (npu_precision_from_string ("int4", &(NpuPrecision){0}));
}

int
main (int argc, char **argv)
{
  /* A tile is 64 positions, that is 128 frames. */
  static const guint tiny_frames[] = {2, 4, 126, 128, 130, 256, 500};
  static const guint base_frames[] = {2, 130};
  guint n_tiny = G_N_ELEMENTS (tiny_frames);
  guint n_base = G_N_ELEMENTS (base_frames);

  g_test_init (&argc, &argv, NULL);
  if (!g_test_slow ()) {
    n_tiny = 5;
    n_base = 0;
  }
  for (guint i = 0; i < n_tiny; i++) {
    g_autofree char *path = g_strdup_printf (
        "/encoder/matches-float64/tiny/%u-frames", tiny_frames[i]);

    g_test_add_data_func (path, GUINT_TO_POINTER (tiny_frames[i]), test_tiny);
  }
  for (guint i = 0; i < n_base; i++) {
    g_autofree char *path = g_strdup_printf (
        "/encoder/matches-float64/base/%u-frames", base_frames[i]);

    g_test_add_data_func (path, GUINT_TO_POINTER (base_frames[i]), test_base);
  }
  g_test_add_func ("/encoder/matches-float64/128-mels", test_128_mels);
  g_test_add_func ("/encoder/matches-float64/one-head", test_one_head);
  g_test_add_func ("/encoder/matches-float64/outlier-channels", test_outliers);
  g_test_add_func ("/encoder/matches-float64/constant-mel", test_constant_mel);
  g_test_add_func ("/encoder/precision/int16-is-refused-where-it-is-not",
      test_int16_is_refused_where_it_is_not);
  g_test_add_func ("/encoder/precision/names", test_names_of_precisions);
  return g_test_run ();
}
