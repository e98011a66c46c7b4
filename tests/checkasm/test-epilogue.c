/* GELU and what follows a matrix product, against float64.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "checkasm.h"

#include <math.h>
#include <string.h>

#define SHORT_ERROR 3e-5 /* of NPU_GELU_SHORT */

static double
ref_gelu (double x)
{
  return 0.5 * x * erfc (-x * M_SQRT1_2);
}

/* --- GELU --------------------------------------------------------------- */

/* Half a bit of the result, and 2e-7 of error for the polynomials. */
static void
check_gelu (const float *y, const float *x, gsize n, double *worst)
{
  for (gsize i = 0; i < n; i++) {
    const double expected = ref_gelu (x[i]);
    const double error = fabs (y[i] - expected);

    if (!(error <= 2e-7 + 1e-7 * fabs (expected))) {
      g_test_message ("gelu (%.9g) = %.9g, not %.9g", x[i], y[i], expected);
      g_test_fail ();
      return;
    }
    *worst = MAX (*worst, error - 6e-8 * fabs (expected));
  }
}

static void
test_gelu_is_exact (gconstpointer data)
{
  enum { N = 100003 };
  const Level *level = data;
  g_autofree float *x = g_new (float, N), *y = g_new (float, N);
  double worst = 0;

  for (double limit = 1e-30; limit < 1e30; limit *= 10) {
    fill_uniform (x, N, -limit, limit);
    level->kernels.gelu_f32 (y, x, N);
    check_gelu (y, x, N, &worst);
  }
  for (gsize i = 0; i < N; i++)
    x[i] = -14 + 28.0 * i / N;
  level->kernels.gelu_f32 (y, x, N);
  check_gelu (y, x, N, &worst);
  g_test_message ("max error beyond half a bit %.2g", worst);
}

static void
test_gelu_lengths (gconstpointer data)
{
  const Level *level = data;

  for (gsize n = 0; n < 80; n++)
    for (guint side = 0; side < N_GUARD_SIDES; side++) {
      g_autoptr (Guarded) in = guarded_new (n * sizeof (float), side);
      g_autoptr (Guarded) out = guarded_new (n * sizeof (float), side);
      float *x = guarded_data (in);
      double worst = 0;

      fill_normal (x, n, 2);
      level->kernels.gelu_f32 (guarded_data (out), x, n);
      check_gelu (guarded_data (out), x, n, &worst);
      level->kernels.gelu_f32 (x, x, n);
      g_assert_cmpmem (
          x, n * sizeof (float), guarded_data (out), n * sizeof (float));
    }
}

static void
test_gelu_specials (gconstpointer data)
{
  const Level *level = data;
  const float x[] = {INFINITY, -INFINITY, NAN, 0, -0.0f, 1e-45f, 3e38f, -3e38f};
  float y[G_N_ELEMENTS (x)];

  level->kernels.gelu_f32 (y, x, G_N_ELEMENTS (x));
  g_assert_true (isinf (y[0]) && y[0] > 0);
  g_assert_cmpfloat_with_epsilon (y[1], 0, 1e-7);
  g_assert_true (isnan (y[2]));
  g_assert_cmpfloat (y[3], ==, 0);
  g_assert_cmpfloat (y[4], ==, 0);
  g_assert_cmpfloat_with_epsilon (y[5], 0, 2e-45);
  g_assert_cmpfloat (y[6], ==, 3e38f);
  g_assert_cmpfloat_with_epsilon (y[7], 0, 1e-7);
}

/* What is short of exact, everywhere. */
static void
test_gelu_short (gconstpointer data)
{
  enum { N = 100003 };
  const Level *level = data;
  const NpuEpilogue epilogue = {.gelu = NPU_GELU_SHORT};
  g_autofree float *x = g_new (float, N), *y = g_new (float, N);
  double worst = 0;

  for (gsize i = 0; i < N; i++)
    x[i] = (float) (-7 + 14.0 * i / N);
  level->kernels.epilogue_f32 (y, N, x, N, &epilogue, 1, N);
  for (gsize i = 0; i < N; i++) {
    const double error = fabs (y[i] - ref_gelu (x[i]));

    g_assert_cmpfloat (error, <=, SHORT_ERROR);
    worst = MAX (worst, error);
  }
  g_test_message ("max error %.2g", worst);
}

static void
test_gelu_short_specials (gconstpointer data)
{
  const Level *level = data;
  const NpuEpilogue epilogue = {.gelu = NPU_GELU_SHORT};
  const float x[] = {INFINITY, -INFINITY, NAN, 0, -0.0f, 1e-45f, 3e38f, -3e38f};
  float y[G_N_ELEMENTS (x)];

  level->kernels.epilogue_f32 (
      y, G_N_ELEMENTS (x), x, G_N_ELEMENTS (x), &epilogue, 1, G_N_ELEMENTS (x));
  g_assert_true (isinf (y[0]) && y[0] > 0);
  g_assert_cmpfloat_with_epsilon (y[1], 0, SHORT_ERROR);
  g_assert_true (isnan (y[2]));
  g_assert_cmpfloat (y[3], ==, 0);
  g_assert_cmpfloat (y[4], ==, 0);
  g_assert_cmpfloat_with_epsilon (y[5], 0, 2e-45);
  g_assert_cmpfloat (y[6], ==, 3e38f);
  g_assert_cmpfloat_with_epsilon (y[7], 0, SHORT_ERROR);
}

/* --- epilogues ---------------------------------------------------------- */

/* Everything that may follow a product, between guard pages. */
typedef struct {
  int rows, n, y_stride, acc_stride;
  gboolean bias, residual;
  NpuGelu gelu;
  gboolean in_place;      /* y is the product, f32 only */
  gboolean residual_is_y; /* the residual is overwritten */
  GuardSide side;
} Case;

typedef struct {
  Guarded *y, *acc, *bias, *residual, *row_scale, *weight_scale, *weight_sum;
  NpuEpilogue epilogue;
  double *expected; /* [rows][n] */
} Run;

static Guarded *
guarded_ints (gsize n, gint32 limit, GuardSide side)
{
  Guarded *x = guarded_new (n * sizeof (gint32), side);

  for (gsize i = 0; i < n; i++)
    ((gint32 *) guarded_data (x))[i] = g_test_rand_int_range (-limit, limit);
  return x;
}

static void
run_init (Run *run, const Case *c, gboolean is_s32)
{
  const gsize y_floats = (gsize) (c->rows - 1) * c->y_stride + c->n;
  const gsize acc_floats = (gsize) (c->rows - 1) * c->acc_stride + c->n;

  *run = (Run){
      .y = guarded_new (y_floats * sizeof (float), c->side),
      .acc = is_s32 ? guarded_ints (acc_floats, 1 << 24, c->side)
                    : guarded_normal (acc_floats, 2, c->side),
      .bias = guarded_normal (c->n, 2, c->side),
      .residual = guarded_normal (y_floats, 2, c->side),
      .row_scale = guarded_normal (c->rows, 1e-3, c->side),
      .weight_scale = guarded_normal (c->n, 1e-3, c->side),
      .weight_sum = guarded_ints (c->n, 1 << 24, c->side),
      .expected = g_new (double, c->rows * c->n),
  };
  run->epilogue.gelu = c->gelu;
  if (c->bias)
    run->epilogue.bias = guarded_data (run->bias);
  if (c->residual) {
    run->epilogue.residual = guarded_data (run->residual);
    run->epilogue.residual_stride = c->y_stride;
  }

  for (int i = 0; i < c->rows; i++)
    for (int j = 0; j < c->n; j++) {
      const gsize at = (gsize) i * c->acc_stride + j;
      double x;

      if (is_s32)
        x = ((double) ((gint32 *) guarded_data (run->acc))[at] -
                ((gint32 *) guarded_data (run->weight_sum))[j]) *
            ((float *) guarded_data (run->row_scale))[i] *
            ((float *) guarded_data (run->weight_scale))[j];
      else
        x = ((float *) guarded_data (run->acc))[at];
      if (c->bias)
        x += ((float *) guarded_data (run->bias))[j];
      if (c->gelu)
        x = ref_gelu (x);
      if (c->residual)
        x += ((float *) guarded_data (run->residual))[i * c->y_stride + j];
      run->expected[i * c->n + j] = x;
    }
}

static void
run_clear (Run *run)
{
  guarded_free (run->y);
  guarded_free (run->acc);
  guarded_free (run->bias);
  guarded_free (run->residual);
  guarded_free (run->row_scale);
  guarded_free (run->weight_scale);
  guarded_free (run->weight_sum);
  g_free (run->expected);
}

static void
check_epilogue (const NpuKernels *kernels, const Case *c, gboolean is_s32)
{
  Guarded *out;
  Run run;
  int stride = c->y_stride;

  run_init (&run, c, is_s32);
  out = run.y;
  if (c->residual_is_y)
    out = run.residual;
  if (c->in_place) {
    out = run.acc;
    stride = c->acc_stride;
  }

  if (is_s32)
    kernels->epilogue_s32 (guarded_data (out), stride, guarded_data (run.acc),
        c->acc_stride, guarded_data (run.row_scale),
        guarded_data (run.weight_scale), guarded_data (run.weight_sum),
        &run.epilogue, c->rows, c->n);
  else
    kernels->epilogue_f32 (guarded_data (out), stride, guarded_data (run.acc),
        c->acc_stride, &run.epilogue, c->rows, c->n);

  for (int i = 0; i < c->rows; i++)
    for (int j = 0; j < c->n; j++)
      g_assert_cmpfloat_with_epsilon (
          ((float *) guarded_data (out))[i * stride + j],
          run.expected[i * c->n + j],
          5e-7 + 4e-7 * fabs (run.expected[i * c->n + j]) +
              (is_s32 ? 2e-5 : 1e-6) +
              (c->gelu == NPU_GELU_SHORT ? SHORT_ERROR : 0));
  if (out == run.y)
    guarded_check_gaps (out, stride * sizeof (float), c->n * sizeof (float));
  run_clear (&run);
}

static void
check_epilogues (gconstpointer data, gboolean is_s32)
{
  static const int widths[] = {1, 15, 16, 48, 64, 65, 100, 384};
  static const int row_counts[] = {1, 2, 28, 64};
  const Level *level = data;

  for (guint i = 0; i < G_N_ELEMENTS (widths); i++)
    for (guint options = 0; options < 1 << 5; options++)
      for (guint side = 0; side < N_GUARD_SIDES; side++) {
        const Case c = {
            .n = widths[i],
            .rows = row_counts[(i + options) % G_N_ELEMENTS (row_counts)],
            .y_stride = widths[i] + g_test_rand_int_range (0, 5),
            .acc_stride = widths[i] + g_test_rand_int_range (0, 5),
            .bias = (options & 1) != 0,
            .gelu = !(options & 2)          ? NPU_GELU_NONE
                    : (i + options / 4) % 2 ? NPU_GELU_SHORT
                                            : NPU_GELU_EXACT,
            .residual = (options & 4) != 0,
            .residual_is_y = (options & 12) == 12,
            .in_place = (options & 24) == 16 && !is_s32,
            .side = side,
        };

        check_epilogue (&level->kernels, &c, is_s32);
      }
}

static void
test_epilogue_f32 (gconstpointer data)
{
  check_epilogues (data, FALSE);
}

static void
test_epilogue_s32 (gconstpointer data)
{
  check_epilogues (data, TRUE);
}

/* A row of zeros has scale 0: what its bytes gave does not matter. */
static void
test_epilogue_zero_scale (gconstpointer data)
{
  const Level *level = data;
  const gint32 acc[20] = {1 << 30, -(1 << 30), 7}, weight_sum[20] = {5};
  float row_scale = 0, weight_scale[20], bias[20], y[20];
  const NpuEpilogue epilogue = {.bias = bias};

  fill_normal (weight_scale, 20, 1);
  fill_normal (bias, 20, 1);
  level->kernels.epilogue_s32 (
      y, 20, acc, 20, &row_scale, weight_scale, weight_sum, &epilogue, 1, 20);
  g_assert_cmpmem (y, sizeof y, bias, sizeof bias);
}

void
add_epilogue_tests (const Level *level)
{
  add_level_test (level, "gelu/is-exact", test_gelu_is_exact);
  add_level_test (level, "gelu/all-lengths-and-in-place", test_gelu_lengths);
  add_level_test (level, "gelu/special-values", test_gelu_specials);
  add_level_test (level, "gelu/short", test_gelu_short);
  add_level_test (level, "gelu/short-special-values", test_gelu_short_specials);
  add_level_test (level, "epilogue/f32-is-float64", test_epilogue_f32);
  add_level_test (level, "epilogue/s32-is-float64", test_epilogue_s32);
  add_level_test (level, "epilogue/zero-scale", test_epilogue_zero_scale);
}
