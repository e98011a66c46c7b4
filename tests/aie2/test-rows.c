/* The NPU's layer normalisation and GELU programs against float64, and
 * against the CPU's C kernels.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-aie-programs.h"
#include "compare.h"

#include <glib.h>
#include <math.h>
#include <string.h>

#include "npu-kernels.h"
#include "npu-math.h"

#define EPSILON 1e-5
#define ROWS 4

static double
widen (NpuBf16 x)
{
  return npu_float_of_bits ((uint32_t) x << 16);
}

/* A unit in the last place of a bfloat16 near @x. */
static double
ulp (double x)
{
  int exponent;

  frexp (x, &exponent);
  return ldexp (1, exponent - 8);
}

static double
normal (void)
{
  const double u = 1 - g_test_rand_double (), w = g_test_rand_double ();
  return sqrt (-2 * log (u)) * cos (2 * G_PI * w);
}

/* --- layer normalisation ------------------------------------------------ */

typedef struct {
  int n;
  float *x; /* [ROWS][n] */
  float *g; /* gamma[n], beta[n] */
  NpuBf16 *y;
} Norm;

static Norm *
norm_new (int n)
{
  Norm *norm = g_new (Norm, 1);

  norm->n = n;
  norm->x = g_new (float, ROWS *n);
  norm->g = g_new (float, 2 * n);
  norm->y = g_new (NpuBf16, ROWS * n);
  for (int i = 0; i < n; i++) {
    norm->g[i] = 1 + 0.3 * normal ();
    norm->g[n + i] = 0.3 * normal ();
  }
  for (int i = 0; i < ROWS * n; i++)
    norm->x[i] = normal ();
  return norm;
}

static void
norm_free (Norm *norm)
{
  g_free (norm->x);
  g_free (norm->g);
  g_free (norm->y);
  g_free (norm);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Norm, norm_free)

/* Each result is the right one rounded, or its neighbour where the right one
 * lies between, by f32's error: some 1e-6 of the largest |x - mean| times the
 * scale, and of beta. */
static void
check_norm (const char *what, Norm *norm, double tolerance)
{
  const int n = norm->n;
  double worst = 0;

  memset (norm->y, 0xff, ROWS * n * sizeof *norm->y);
  npu_layernorm_rows (norm->x, norm->g, norm->y, ROWS, n);
  for (int row = 0; row < ROWS; row++) {
    const float *x = norm->x + row * n;
    double mean = 0, variance = 0;

    for (int i = 0; i < n; i++)
      mean += (double) x[i] / n;
    for (int i = 0; i < n; i++)
      variance += (x[i] - mean) * (x[i] - mean) / n;
    for (int i = 0; i < n; i++) {
      const double expected =
          (x[i] - mean) / sqrt (variance + EPSILON) * norm->g[i] +
          norm->g[n + i];
      const double error = fabs (widen (norm->y[row * n + i]) - expected);

      g_assert_cmpfloat (error, <=, ulp (expected) / 2 + tolerance);
      worst = MAX (worst, error / ulp (expected));
    }
  }
  g_test_message (
      "%s, n %d: worst error %.4f units in the last place", what, n, worst);
}

static const int widths[] = {16, 64, 384, 512, 768, 1280};

static void
test_layernorm (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (widths); i++) {
    g_autoptr (Norm) norm = norm_new (widths[i]);
    check_norm ("normal", norm, 1e-5);
  }
}

/* Whisper's residual stream: one channel of hundreds. */
static void
test_layernorm_outliers (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (widths); i++) {
    g_autoptr (Norm) norm = norm_new (widths[i]);

    for (int row = 0; row < ROWS; row++)
      norm->x[row * norm->n + 7] = 530;
    check_norm ("an outlier", norm, 1e-4);
  }
}

/* A mean a thousand times the deviation: what one pass over sums of squares
 * would lose. */
static void
test_layernorm_offset (void)
{
  g_autoptr (Norm) norm = norm_new (512);

  for (int i = 0; i < ROWS * 512; i++)
    norm->x[i] += 1000;
  check_norm ("offset", norm, 2e-3);
}

static void
test_layernorm_constant (void)
{
  g_autoptr (Norm) norm = norm_new (384);

  for (int i = 0; i < ROWS * 384; i++)
    norm->x[i] = i / 384 == 1 ? 0 : 8;
  check_norm ("constant", norm, 1e-5);
}

/* The CPU device's C kernel, rounded, gives the same to a rounding error. */
static void
test_layernorm_like_cpu (void)
{
  g_autoptr (Norm) norm = norm_new (384);
  g_autofree float *y = g_new (float, ROWS * 384);
  g_autofree float *actual = g_new (float, ROWS * 384);
  NpuKernels kernels;

  npu_kernels_init (&kernels, 0);
  kernels.layernorm_f32 (
      y, 384, norm->x, 384, norm->g, norm->g + 384, EPSILON, ROWS, 384);
  npu_layernorm_rows (norm->x, norm->g, norm->y, ROWS, 384);
  for (int i = 0; i < ROWS * 384; i++) {
    actual[i] = widen (norm->y[i]);
    y[i] = npu_round_bf16 (y[i]);
    g_assert_cmpfloat (fabs (actual[i] - y[i]), <=, ulp (y[i]));
  }
  compare_check ("NPU and CPU", actual, y, ROWS, 384, 0.999999, 0.999999, NULL);
}

/* --- GELU --------------------------------------------------------------- */

/* Every finite bfloat16: the right result rounded, or its neighbour, down to
 * where it is lost in any sum. */
static void
test_gelu (void)
{
  g_autofree NpuBf16 *x = g_new (NpuBf16, 65536);
  g_autofree NpuBf16 *y = g_new (NpuBf16, 65536);
  double worst = 0;
  int exact = 0, finite = 0;

  for (int i = 0; i < 65536; i++)
    x[i] = i;
  memset (y, 0xff, 65536 * sizeof *y);
  npu_gelu_row (x, y, 65536);
  for (int i = 0; i < 65536; i++) {
    if ((i & 0x7f80) == 0x7f80)
      continue;
    const double value = widen (x[i]);
    const double expected = value * 0.5 * erfc (-value / sqrt (2));
    const double error = fabs (widen (y[i]) - expected);

    g_assert_cmpfloat (error, <=, MAX (1e-10, 0.56 * ulp (expected)));
    if (fabs (expected) > 1e-8)
      worst = MAX (worst, error / ulp (expected));
    exact += error <= ulp (expected) / 2;
    finite++;
  }
  g_test_message ("worst error %.4f units in the last place; %d of %d are the "
                  "nearest",
      worst, exact, finite);
}

static void
test_gelu_limits (void)
{
  const float inputs[16] = {0, -0.0f, 3.3e38f, -3.3e38f, -20, -14, -13, 20, 14,
      100, 1e-38f, -1e-38f, 1, -1, 5.5f, -5.5f};
  NpuBf16 x[16] __attribute__ ((aligned (32)));
  NpuBf16 y[16] __attribute__ ((aligned (32)));

  for (int i = 0; i < 16; i++)
    x[i] = npu_bits_of_float (npu_round_bf16 (inputs[i])) >> 16;
  npu_gelu_row (x, y, 16);
  g_assert_cmpfloat (widen (y[0]), ==, 0);
  g_assert_cmpfloat (widen (y[1]), ==, 0);
  g_assert_cmpfloat (widen (y[2]), ==, widen (x[2]));
  for (int i = 3; i < 7; i++)
    g_assert_cmpfloat (fabs (widen (y[i])), <, 1e-30);
  g_assert_cmpfloat (widen (y[7]), ==, 20);
  g_assert_cmpfloat (widen (y[8]), ==, 14);
  g_assert_cmpfloat (widen (y[9]), ==, 100);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/aie2/layernorm/widths", test_layernorm);
  g_test_add_func ("/aie2/layernorm/outliers", test_layernorm_outliers);
  g_test_add_func ("/aie2/layernorm/offset", test_layernorm_offset);
  g_test_add_func ("/aie2/layernorm/constant", test_layernorm_constant);
  g_test_add_func ("/aie2/layernorm/like-cpu", test_layernorm_like_cpu);
  g_test_add_func ("/aie2/gelu/all", test_gelu);
  g_test_add_func ("/aie2/gelu/limits", test_gelu_limits);
  return g_test_run ();
}
