/* Products with constant weights, against plain sums.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "checkasm.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  int rows, n, k, c_stride, a_stride;
  gboolean extreme; /* every value the largest there is */
  GuardSide side;
} Case;

static gint32
ref_product (const guint8 *a, const gint8 *b, int k)
{
  gint32 sum = 0;

  for (int i = 0; i < k; i++)
    sum += (gint32) a[i] * b[i];
  return sum;
}

static void
fill_operands (const Case *c, guint8 *a, gint8 *b)
{
  const int levels = NPU_Q8_LEVELS_16_BITS, zero = NPU_Q8_ZERO (levels);
  const int a_size = (c->rows - 1) * c->a_stride + c->k;

  for (int i = 0; i < a_size; i++)
    a[i] = (guint8) (zero + (c->extreme ? levels
                                        : g_test_rand_int_range (
                                              -levels, levels + 1)));
  for (int i = 0; i < c->n * c->k; i++)
    b[i] = (gint8) (c->extreme ? (i / c->k % 2 ? -levels : levels)
                               : g_test_rand_int_range (-levels, levels + 1));
}

static void
run_case_s8 (const NpuGemmKernel *kernel, const Case *c)
{
  g_autoptr (Guarded) a =
      guarded_new ((gsize) (c->rows - 1) * c->a_stride + c->k, c->side);
  g_autoptr (Guarded) weight = guarded_new ((gsize) c->n * c->k, c->side);
  g_autoptr (Guarded) packed = guarded_new ((gsize) c->n * c->k, c->side);
  g_autoptr (Guarded) out = guarded_new (
      ((gsize) (c->rows - 1) * c->c_stride + c->n) * sizeof (gint32), c->side);
  const guint8 *x = guarded_data (a);
  const gint8 *w = guarded_data (weight);
  const gint32 *y = guarded_data (out);

  fill_operands (c, guarded_data (a), guarded_data (weight));
  kernel->pack (guarded_data (packed), w, c->n, c->k);
  kernel->run (guarded_data (out), c->c_stride, x, c->a_stride,
      guarded_data (packed), c->rows, c->n, c->k);

  for (int i = 0; i < c->rows; i++)
    for (int j = 0; j < c->n; j++)
      g_assert_cmpint (y[i * c->c_stride + j], ==,
          ref_product (x + i * c->a_stride, w + j * c->k, c->k));
  guarded_check_gaps (
      out, c->c_stride * sizeof (gint32), c->n * sizeof (gint32));
}

typedef void (*RunCase) (const NpuGemmKernel *kernel, const Case *c);

/* Rows of every remainder, and inputs beyond one block of them. */
static void
run_cases (const NpuGemmKernel *kernel, RunCase run_case, int k)
{
  for (int rows = 1; rows <= NPU_TILE_ROWS; rows += rows < 14 ? 1 : 25)
    for (guint side = 0; side < N_GUARD_SIDES; side++) {
      Case c = {.rows = rows, .n = 48, .k = k, .side = side};

      c.a_stride = c.k;
      c.c_stride = c.n;
      run_case (kernel, &c);
      c.extreme = TRUE;
      run_case (kernel, &c);
      c.n = NPU_GEMM_COLUMNS;
      c.c_stride = c.n + 5;
      c.a_stride = c.k + 3;
      run_case (kernel, &c);
      c.extreme = FALSE;
      c.a_stride = c.k / 3 + 1; /* rows overlap, as a convolution's do */
      run_case (kernel, &c);
    }
}

static void
test_gemm_s8 (gconstpointer data)
{
  static const int depths[] = {4, 64, 384, 1024, 1028, 2048, 5120};
  const Level *level = data;

  for (guint i = 0; i < G_N_ELEMENTS (depths); i++)
    run_cases (&level->kernels.gemm_s8, run_case_s8, depths[i]);
}

/* --- floats ------------------------------------------------------------- */

static void
run_case_f32 (const NpuGemmKernel *kernel, const Case *c)
{
  const gsize element = sizeof (float);
  const int a_size = (c->rows - 1) * c->a_stride + c->k;
  g_autoptr (Guarded) a = guarded_new (a_size * element, c->side);
  g_autoptr (Guarded) weight =
      guarded_new ((gsize) c->n * c->k * element, c->side);
  g_autoptr (Guarded) packed =
      guarded_new ((gsize) c->n * c->k * element, c->side);
  g_autoptr (Guarded) out = guarded_new (
      ((gsize) (c->rows - 1) * c->c_stride + c->n) * element, c->side);
  const float *y = guarded_data (out);
  float *x = guarded_data (a), *w = guarded_data (weight);

  fill_normal (x, a_size, 1.5);
  fill_normal (w, c->n * c->k, 1);
  if (c->extreme) /* in one row and one column */
    x[0] = w[0] = INFINITY;
  kernel->pack (guarded_data (packed), w, c->n, c->k);
  kernel->run (guarded_data (out), c->c_stride, x, c->a_stride,
      guarded_data (packed), c->rows, c->n, c->k);

  for (int i = 0; i < c->rows; i++)
    for (int j = 0; j < c->n; j++) {
      const float *row = x + i * c->a_stride, *column = w + j * c->k;
      double sum = 0, magnitude = 0;

      for (int d = 0; d < c->k; d++) {
        sum += (double) row[d] * column[d];
        magnitude += fabs ((double) row[d] * column[d]);
      }
      if (isfinite (sum))
        /* A rounding error for each term, of a sum that grows like a walk. */
        g_assert_cmpfloat (fabs (y[i * c->c_stride + j] - sum), <=,
            magnitude * FLT_EPSILON * sqrt (c->k));
      else
        g_assert_false (isfinite (y[i * c->c_stride + j]));
    }
  guarded_check_gaps (out, c->c_stride * element, c->n * element);
}

static void
test_gemm_f32 (gconstpointer data)
{
  static const int depths[] = {4, 240, 256, 384, 516, 2048};
  const Level *level = data;

  for (guint i = 0; i < G_N_ELEMENTS (depths); i++)
    run_cases (&level->kernels.gemm_f32, run_case_f32, depths[i]);
}

/* A row's sums are the same bits whatever rows are beside it. */
static void
test_gemm_f32_rows (gconstpointer data)
{
  enum { N = 32, K = 600 };
  const Level *level = data;
  const NpuGemmKernel *kernel = &level->kernels.gemm_f32;
  g_autofree float *x = new_normal (NPU_TILE_ROWS * K, 1.5);
  g_autofree float *w = new_normal (N * K, 1);
  g_autofree float *all = g_new (float, NPU_TILE_ROWS *N);
  g_autofree float *some = g_new (float, NPU_TILE_ROWS *N);
  float *packed = g_aligned_alloc (N * K, sizeof (float), 64);

  kernel->pack (packed, w, N, K);
  kernel->run (all, N, x, K, packed, NPU_TILE_ROWS, N, K);
  for (int first = 0; first < NPU_TILE_ROWS; first++)
    for (int rows = 1; rows <= MIN (NPU_TILE_ROWS - first, 13); rows++) {
      kernel->run (some, N, x + first * K, K, packed, rows, N, K);
      g_assert_cmpmem (some, rows * N * sizeof (float), all + first * N,
          rows * N * sizeof (float));
    }
  g_aligned_free (packed);
}

void
add_gemm_tests (const Level *level)
{
  if (level->kernels.gemm_f32.run) {
    add_level_test (level, "gemm_f32", test_gemm_f32);
    add_level_test (level, "gemm_f32/rows", test_gemm_f32_rows);
  }
  if (level->kernels.gemm_s8.run)
    add_level_test (level, "gemm_s8", test_gemm_s8);
}
