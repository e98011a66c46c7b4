/* Layer normalisation, rotation and quantisation against float64 and C.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "checkasm.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EPSILON 1e-5f

static const int widths[] = {1, 5, 15, 16, 17, 63, 64, 80, 100, 384, 513, 1280};
/* Of rows that are quantised: one block of a power of two, several, and the
 * largest row that any model has. */
static const int q8_widths[] = {64, 128, 192, 320, 384, 512, 640, 768, 1024,
    1280, 1536, 2048, 3072, 5120, NPU_Q8_COLUMNS};
static const int row_counts[] = {1, 3, 64};

/* y[rows][d] in float64. */
static void
ref_layernorm (double *y, const float *x, int x_stride, const float *gamma,
    const float *beta, int rows, int d)
{
  for (int i = 0; i < rows; i++, x += x_stride, y += d) {
    double mean = 0, variance = 0;

    for (int j = 0; j < d; j++)
      mean += (double) x[j] / d;
    for (int j = 0; j < d; j++)
      variance += (x[j] - mean) * (x[j] - mean) / d;
    for (int j = 0; j < d; j++)
      y[j] = (x[j] - mean) / sqrt (variance + (double) EPSILON) * gamma[j] +
             beta[j];
  }
}

/* What npu-rotate.h describes, but for the signs, written as sums: column c
 * of n is lane c % 16 of line c / 16, and lines are added with the signs of a
 * Hadamard matrix inside each block. */
static void
ref_rotate (double *x, int n)
{
  const int block = n & -n, lines = block / 16, n_blocks = n / block;
  g_autofree double *y = g_new0 (double, n);

  for (int b = 0; b < n; b += block)
    for (int i = 0; i < lines; i++)
      for (int j = 0; j < lines; j++) {
        const double sign = __builtin_parity (i & j) ? -1 : 1;
        for (int lane = 0; lane < 16; lane++)
          y[b + i * 16 + lane] += sign * x[b + j * 16 + lane];
      }
  for (int c = 0; c < block; c++) {
    double sum = 0;

    for (int b = 0; b < n && n_blocks > 1; b += block)
      sum += y[b + c];
    for (int b = 0; b < n; b += block)
      x[b + c] = y[b + c] - 2 * sum / n_blocks;
  }
}

/* Bytes and scale are what quantising expected[n] gives, within half a step
 * and float's error. */
static void
check_q8_row (const guint8 *y, float scale, const double *expected, int n)
{
  double largest = 0, step;

  for (int j = 0; j < n; j++)
    largest = MAX (largest, fabs (expected[j]));
  step = largest / NPU_Q8_LEVELS;
  g_assert_cmpfloat_with_epsilon (scale, step, 1e-5 * step);
  for (int j = 0; j < n; j++)
    g_assert_cmpfloat_with_epsilon (
        (y[j] - NPU_Q8_ZERO) * (double) scale, expected[j], 0.505 * scale);
}

/* A matrix of @rows rows between guard pages, with garbage-free contents. */
static Guarded *
guarded_copy (const float *x, gsize n, GuardSide side)
{
  Guarded *copy = guarded_new (n * sizeof (float), side);

  memcpy (guarded_data (copy), x, n * sizeof (float));
  return copy;
}

typedef struct {
  int rows, d, x_stride;
  Guarded *x, *gamma, *beta;
  double *expected;
} Norm;

static void
norm_init (Norm *norm, int rows, int d, double deviation, double offset,
    GuardSide side)
{
  g_autofree float *x = NULL, *gamma = NULL, *beta = NULL;
  gsize n_floats;

  norm->rows = rows;
  norm->d = d;
  norm->x_stride = d + g_test_rand_int_range (0, 9);
  n_floats = (gsize) (rows - 1) * norm->x_stride + d;
  x = new_normal (n_floats, deviation);
  for (gsize i = 0; i < n_floats; i++)
    x[i] += offset;
  gamma = new_normal (d, 1);
  beta = new_normal (d, 1);
  norm->x = guarded_copy (x, n_floats, side);
  norm->gamma = guarded_copy (gamma, d, side);
  norm->beta = guarded_copy (beta, d, side);
  norm->expected = g_new (double, rows *d);
  ref_layernorm (norm->expected, x, norm->x_stride, gamma, beta, rows, d);
}

static void
norm_clear (Norm *norm)
{
  guarded_free (norm->x);
  guarded_free (norm->gamma);
  guarded_free (norm->beta);
  g_free (norm->expected);
}

static void
check_layernorm_f32 (
    const NpuKernels *kernels, Norm *norm, double tolerance, GuardSide side)
{
  const int d = norm->d, y_stride = d + 3;
  g_autoptr (Guarded) out = guarded_new (
      ((gsize) (norm->rows - 1) * y_stride + d) * sizeof (float), side);
  const float *y = guarded_data (out);

  kernels->layernorm_f32 (guarded_data (out), y_stride, guarded_data (norm->x),
      norm->x_stride, guarded_data (norm->gamma), guarded_data (norm->beta),
      EPSILON, norm->rows, d);
  guarded_check_gaps (out, y_stride * sizeof (float), d * sizeof (float));
  for (int i = 0; i < norm->rows; i++)
    for (int j = 0; j < d; j++)
      g_assert_cmpfloat_with_epsilon (
          y[i * y_stride + j], norm->expected[i * d + j], tolerance);
}

/* Changes norm->expected to what it is after rotation. */
static void
check_layernorm_q8 (const NpuKernels *kernels, Norm *norm, GuardSide side)
{
  const int d = norm->d;
  g_autoptr (Guarded) out = guarded_new ((gsize) norm->rows * d, side);
  g_autoptr (Guarded) scales = guarded_new (norm->rows * sizeof (float), side);
  const guint8 *y = guarded_data (out);
  const float *scale = guarded_data (scales);

  kernels->layernorm_q8 (guarded_data (out), guarded_data (scales),
      guarded_data (norm->x), norm->x_stride, guarded_data (norm->gamma),
      guarded_data (norm->beta), EPSILON, norm->rows, d);
  for (int i = 0; i < norm->rows; i++) {
    ref_rotate (norm->expected + i * d, d);
    check_q8_row (y + i * d, scale[i], norm->expected + i * d, d);
  }
}

static void
test_layernorm_q8 (gconstpointer data)
{
  const Level *level = data;

  for (guint i = 0; i < G_N_ELEMENTS (q8_widths); i++)
    for (guint side = 0; side < N_GUARD_SIDES; side++) {
      Norm norm;

      norm_init (&norm, row_counts[i % 2], q8_widths[i], 3, 0.5, side);
      check_layernorm_q8 (&level->kernels, &norm, side);
      norm_clear (&norm);
    }
}

static void
test_layernorm (gconstpointer data)
{
  const Level *level = data;

  for (guint i = 0; i < G_N_ELEMENTS (widths); i++)
    for (guint r = 0; r < G_N_ELEMENTS (row_counts); r++)
      for (guint side = 0; side < N_GUARD_SIDES; side++) {
        Norm norm;

        norm_init (&norm, row_counts[r], widths[i], 3, 0.5, side);
        check_layernorm_f32 (&level->kernels, &norm, 1e-5, side);
        norm_clear (&norm);
      }
}

/* Whisper's residual: a mean of little weight, a few huge columns. */
static void
test_layernorm_outliers (gconstpointer data)
{
  const Level *level = data;
  Norm norm;
  float *x;

  norm_init (&norm, 64, 512, 1, 0, GUARD_AFTER);
  x = guarded_data (norm.x);
  for (int i = 0; i < norm.rows; i++) {
    x[i * norm.x_stride + 7] = 530;
    x[i * norm.x_stride + 300] = -410;
  }
  ref_layernorm (norm.expected, x, norm.x_stride, guarded_data (norm.gamma),
      guarded_data (norm.beta), norm.rows, norm.d);
  check_layernorm_f32 (&level->kernels, &norm, 2e-5, GUARD_AFTER);
  check_layernorm_q8 (&level->kernels, &norm, GUARD_AFTER);
  norm_clear (&norm);
}

/* Rows without variance, of denormals, and huge ones: the mean and what eps
 * leaves of it. */
static void
test_layernorm_extremes (gconstpointer data)
{
  static const struct {
    double deviation, offset, tolerance;
  } cases[] = {
      {0, 0, 1e-6},
      {0, 1, 1e-6},
      {1e-41, 0, 1e-6},
      {1e-20, 0, 1e-6},
      {1e10, 0, 1e-4},
      {1e18, 0, 1e-4},
      {1, 1000, 2e-3},
  };
  const Level *level = data;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    Norm norm;

    norm_init (&norm, 5, 100, cases[i].deviation, cases[i].offset, GUARD_AFTER);
    check_layernorm_f32 (
        &level->kernels, &norm, cases[i].tolerance, GUARD_AFTER);
    norm_clear (&norm);
  }
}

/* --- quantisation ------------------------------------------------------- */

/* Every kernel gives C's bytes and scales. */
static void
check_quantize (const Level *level, const float *x, int x_stride,
    const float *column_scale, int rows, int k, GuardSide side)
{
  g_autoptr (Guarded) in =
      guarded_copy (x, (gsize) (rows - 1) * x_stride + k, side);
  g_autoptr (Guarded) columns = guarded_copy (column_scale, k, side);
  g_autoptr (Guarded) out = guarded_new ((gsize) rows * k, side);
  g_autoptr (Guarded) scales = guarded_new (rows * sizeof (float), side);
  g_autofree guint8 *expected = g_malloc ((gsize) rows * k);
  g_autofree float *expected_scale = g_new (float, rows);
  NpuKernels c;

  npu_kernels_init (&c, 0);
  c.quantize_q8 (expected, expected_scale, x, x_stride, column_scale, rows, k);
  level->kernels.quantize_q8 (guarded_data (out), guarded_data (scales),
      guarded_data (in), x_stride, guarded_data (columns), rows, k);
  g_assert_cmpmem (
      guarded_data (out), (gsize) rows * k, expected, (gsize) rows * k);
  g_assert_cmpmem (guarded_data (scales), rows * sizeof (float), expected_scale,
      rows * sizeof (float));
}

static void
test_quantize (gconstpointer data)
{
  const Level *level = data;

  for (guint i = 0; i < G_N_ELEMENTS (q8_widths); i++) {
    const int k = q8_widths[i], rows = row_counts[i % 3];
    const int stride = k + g_test_rand_int_range (0, 9);
    g_autofree float *x = new_normal ((gsize) rows * stride, 3);
    g_autofree float *column_scale = g_new (float, k);

    fill_uniform (column_scale, k, -20, 20);
    for (guint side = 0; side < N_GUARD_SIDES; side++)
      check_quantize (level, x, stride, column_scale, rows, k, side);
  }
}

/* What the bytes mean, for rows of any scale, with the outliers that the
 * rotation is for. */
static void
test_quantize_is_exact (gconstpointer data)
{
  const Level *level = data;

  for (int n = 0; n < 60; n++) {
    const int k = q8_widths[n % 9];
    g_autofree float *x = new_normal (k, pow (10, n - 30));
    g_autofree float *signs = g_new (float, k);
    g_autofree double *expected = g_new (double, k);
    g_autofree guint8 *y = g_malloc (k);
    float scale;
    int largest = 0;

    x[n % k] *= 500;
    npu_rotation_signs (signs, k);
    for (int j = 0; j < k; j++)
      expected[j] = (double) x[j] * signs[j];
    ref_rotate (expected, k);
    level->kernels.quantize_q8 (y, &scale, x, k, signs, 1, k);
    check_q8_row (y, scale, expected, k);
    for (int j = 0; j < k; j++)
      largest = MAX (largest, ABS (y[j] - NPU_Q8_ZERO));
    g_assert_cmpint (largest, ==, NPU_Q8_LEVELS);
  }
}

/* Products of rotated rows are those of the rows themselves. */
static void
test_rotation_is_orthogonal (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (q8_widths); i++) {
    const int n = q8_widths[i];
    g_autofree float *a = new_normal (n, 1), *b = new_normal (n, 1);
    g_autofree float *signs = g_new (float, n);
    double before = 0, after = 0;

    npu_rotation_signs (signs, n);
    for (int j = 0; j < n; j++)
      before += (double) a[j] * b[j];
    for (int j = 0; j < n; j++) {
      a[j] *= signs[j];
      b[j] *= signs[j];
    }
    npu_rotation_apply (a, n);
    npu_rotation_apply (b, n);
    for (int j = 0; j < n; j++)
      after += (double) a[j] * b[j];
    g_assert_cmpfloat_with_epsilon (after, before, 1e-4 * sqrt (n));
  }
}

static void
test_quantize_hostile (gconstpointer data)
{
  static const float values[] = {0, -0.0f, 1e-45f, 1e-40f, FLT_MIN, 1e-36f,
      1e-30f, 1, 1e30f, 1e36f, -1e36f};
  const Level *level = data;
  enum { K = 192 };
  float signs[K];

  npu_rotation_signs (signs, K);
  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    for (guint j = 0; j < G_N_ELEMENTS (values); j++) {
      float x[K];

      for (int n = 0; n < K; n++)
        x[n] = values[n % 3 ? i : j];
      check_quantize (level, x, K, signs, 1, K, GUARD_AFTER);
    }
}

/* Zeros have a scale of 0 and the bytes of zero. */
static void
test_quantize_zeros (gconstpointer data)
{
  const Level *level = data;
  float x[64] = {0}, signs[64], scale = 1;
  guint8 y[64];

  npu_rotation_signs (signs, 64);
  level->kernels.quantize_q8 (y, &scale, x, 64, signs, 1, 64);
  g_assert_cmpfloat (scale, ==, 0);
  for (guint j = 0; j < G_N_ELEMENTS (y); j++)
    g_assert_cmpuint (y[j], ==, NPU_Q8_ZERO);
}

/* --- 16 bits ------------------------------------------------------------ */

/* @y is what quantising x[k] gives, within half a step and float's error, and
 * no longer than what products of two such rows rely on. */
static void
check_s16_row (const gint16 *y, float scale, const float *x, int k)
{
  double squares = 0, steps = 0, step;

  for (int j = 0; j < k; j++) {
    squares += (double) x[j] * x[j];
    steps += (double) y[j] * y[j];
  }
  step = sqrt (squares) / (double) NPU_S16_NORM;
  g_assert_cmpfloat_with_epsilon (scale, step, 1e-5 * step);
  g_assert_cmpfloat (steps, <, INT32_MAX / 2);
  for (int j = 0; j < k; j++)
    g_assert_cmpfloat_with_epsilon (
        y[j] * (double) scale, x[j], (0.5 + 1e-5 * abs (y[j])) * scale);
}

static void
check_s16 (const Level *level, const float *x, int x_stride, int rows, int k,
    GuardSide side)
{
  g_autoptr (Guarded) in =
      guarded_copy (x, (gsize) (rows - 1) * x_stride + k, side);
  g_autoptr (Guarded) out =
      guarded_new ((gsize) rows * k * sizeof (gint16), side);
  g_autoptr (Guarded) scales = guarded_new (rows * sizeof (float), side);
  const gint16 *y = guarded_data (out);
  const float *scale = guarded_data (scales);

  level->kernels.quantize_s16 (guarded_data (out), guarded_data (scales),
      guarded_data (in), x_stride, rows, k);
  for (int i = 0; i < rows; i++)
    check_s16_row (y + (gsize) i * k, scale[i], x + (gsize) i * x_stride, k);
}

static void
test_quantize_s16 (gconstpointer data)
{
  const Level *level = data;

  for (guint i = 0; i < G_N_ELEMENTS (widths); i++)
    for (int exponent = -30; exponent <= 35; exponent += 13) {
      const int k = widths[i], rows = row_counts[i % 3];
      /* Rows overlap, as a convolution's do, or have gaps. */
      const int stride = i % 2 ? k + 3 : (k + 1) / 2;
      const gsize n = (gsize) (rows - 1) * stride + k;
      g_autofree float *x = new_normal (n, pow (10, exponent));

      x[n / 2] *= 500;
      for (guint side = 0; side < N_GUARD_SIDES; side++)
        check_s16 (level, x, stride, rows, k, side);
    }
}

/* One value is all of its row's norm. */
static void
test_quantize_s16_hostile (gconstpointer data)
{
  static const float values[] = {1e-30f, 1, -1, 1e30f, -3e38f};
  const Level *level = data;
  enum { K = 67 };
  float x[K] = {0}, scale = 1;
  gint16 y[K];

  level->kernels.quantize_s16 (y, &scale, x, K, 1, K);
  g_assert_cmpfloat (scale, ==, 0);
  for (int j = 0; j < K; j++)
    g_assert_cmpint (y[j], ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    for (int j = 0; j < K; j++) {
      memset (x, 0, sizeof x);
      x[j] = values[i];
      level->kernels.quantize_s16 (y, &scale, x, K, 1, K);
      g_assert_cmpint (abs (y[j]), ==, (int) NPU_S16_NORM);
      check_s16_row (y, scale, x, K);
    }
  /* Too small for a scale. */
  for (int j = 0; j < K; j++)
    x[j] = 1e-40f;
  level->kernels.quantize_s16 (y, &scale, x, K, 1, K);
  g_assert_cmpfloat (scale, ==, 0);
  /* What is no number makes its row none, beside others, beside zeros or
   * alone. */
  for (guint i = 0; i < 8; i++) {
    for (int j = 0; j < K; j++)
      x[j] = i < 2 ? 1 : i < 4 ? 0 : i < 6 ? 1e-40f : NAN;
    x[5] = i % 2 ? INFINITY : NAN;
    level->kernels.quantize_s16 (y, &scale, x, K, 1, K);
    g_assert_true (isnan (scale));
    for (int j = 0; j < K; j++)
      g_assert_cmpint (y[j], ==, 0);
  }
}

/* --- bfloat16 ----------------------------------------------------------- */

static void
test_bf16 (gconstpointer data)
{
  const Level *level = data;

  for (gsize n = 0; n < 100; n++)
    for (guint side = 0; side < N_GUARD_SIDES; side++) {
      g_autoptr (Guarded) in = guarded_new (n * sizeof (float), side);
      g_autoptr (Guarded) out = guarded_new (n * sizeof (guint16), side);
      const guint16 *y = guarded_data (out);
      guint32 *x = guarded_data (in);

      /* Every exponent, ties among the rest. */
      for (gsize i = 0; i < n; i++) {
        x[i] = (guint32) g_test_rand_int () & ~(127u << 24);
        x[i] |= (guint32) g_test_rand_int_range (0, 127) << 24;
        if (i % 3 == 0)
          x[i] = (x[i] & 0xffff0000) | 0x8000;
      }
      level->kernels.convert_bf16 (guarded_data (out), guarded_data (in), n);
      for (gsize i = 0; i < n; i++) {
        const guint32 down = x[i] & 0xffff, odd = x[i] >> 16 & 1;

        g_assert_cmpuint (y[i], ==, (x[i] >> 16) + (down + odd > 0x8000));
      }
    }
}

void
add_rotation_tests (void)
{
  g_test_add_func ("/rotation/is-orthogonal", test_rotation_is_orthogonal);
}

void
add_rows_tests (const Level *level)
{
  add_level_test (level, "layernorm/is-float64", test_layernorm);
  add_level_test (level, "layernorm/q8-is-float64", test_layernorm_q8);
  add_level_test (level, "layernorm/outliers", test_layernorm_outliers);
  add_level_test (level, "layernorm/extremes", test_layernorm_extremes);
  add_level_test (level, "quantize/bytes-are-as-c", test_quantize);
  add_level_test (level, "quantize/half-a-step", test_quantize_is_exact);
  add_level_test (level, "quantize/hostile", test_quantize_hostile);
  add_level_test (level, "quantize/zeros", test_quantize_zeros);
  add_level_test (level, "quantize-s16/half-a-step", test_quantize_s16);
  add_level_test (level, "quantize-s16/hostile", test_quantize_s16_hostile);
  add_level_test (level, "convert-bf16/ties-to-even", test_bf16);
}
