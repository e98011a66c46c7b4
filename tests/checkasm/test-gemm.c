/* Products with constant weights, against plain sums.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "checkasm.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define QUICK_DEPTH 240 /* sums that take no time under a sanitizer */

typedef struct {
  int rows, n, k, c_stride, a_stride;
  gboolean extreme; /* the largest sums, or values that are no numbers */
  GuardSide side;
} Case;

static gint64
ref_product (const gint16 *a, const gint16 *b, int k)
{
  gint64 sum = 0;

  for (int i = 0; i < k; i++)
    sum += a[i] * b[i];
  return sum;
}

/* Rows of all norms up to the largest, of one value or of many. */
static void
fill_operand (gint16 *x, int n, const Case *c)
{
  const int most = (int) (NPU_S16_NORM / sqrt (c->k));

  for (int i = 0; i < n; i++)
    x[i] = (gint16) (c->extreme ? most : g_test_rand_int_range (-most, most));
  if (!c->extreme) /* one of every second row is as large as it can be */
    for (int i = 0; i + c->k <= n; i += 2 * c->k) {
      memset (x + i, 0, c->k * sizeof *x);
      x[i + g_test_rand_int_range (0, c->k)] = (gint16) NPU_S16_NORM;
    }
}

static void
run_case_s16 (const NpuGemmKernel *kernel, const Case *c)
{
  const int a_size = (c->rows - 1) * c->a_stride + c->k;
  const gsize weight_size = (gsize) c->n * c->k * sizeof (gint16);
  g_autoptr (Guarded) a = guarded_new (a_size * sizeof (gint16), c->side);
  g_autoptr (Guarded) weight = guarded_new (weight_size, c->side);
  g_autoptr (Guarded) packed = guarded_new (weight_size, c->side);
  g_autoptr (Guarded) out = guarded_new (
      ((gsize) (c->rows - 1) * c->c_stride + c->n) * sizeof (gint32), c->side);
  const gint16 *x = guarded_data (a), *w = guarded_data (weight);
  const gint32 *y = guarded_data (out);

  fill_operand (guarded_data (a), a_size, c);
  fill_operand (guarded_data (weight), c->n * c->k, c);
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
      Case c = {.rows = rows, .n = 3 * kernel->columns, .k = k, .side = side};

      c.a_stride = c.k;
      c.c_stride = c.n;
      run_case (kernel, &c);
      c.extreme = TRUE;
      run_case (kernel, &c);
      c.n = kernel->columns;
      c.c_stride = c.n + 5;
      c.a_stride = c.k + 3;
      run_case (kernel, &c);
      c.extreme = FALSE;
      c.a_stride = c.k / 3 + 1; /* rows overlap, as a convolution's do */
      run_case (kernel, &c);
    }
}

static void
test_gemm_s16 (gconstpointer data)
{
  static const int depths[] = {8, 64, 240, 384, 512, 520, 2048, 5120};
  const Level *level = data;

  for (guint i = 0; i < G_N_ELEMENTS (depths); i++)
    if (g_test_slow () || depths[i] <= QUICK_DEPTH)
      run_cases (&level->kernels.gemm_s16, run_case_s16, depths[i]);
}

/* --- floats ------------------------------------------------------------- */

/* An operand of floats, of bfloat16 where `rounded`: then x are its values. */
static void
fill_floats (void *operand, float *x, int n, gboolean rounded)
{
  guint16 *to = operand;

  if (!rounded) {
    memcpy (operand, x, n * sizeof *x);
    return;
  }
  for (int i = 0; i < n; i++) {
    guint32 bits;

    memcpy (&bits, &x[i], sizeof bits);
    to[i] = (guint16) (bits >> 16);
    bits = (guint32) to[i] << 16;
    memcpy (&x[i], &bits, sizeof bits);
  }
}

static void
run_case_float (const NpuGemmKernel *kernel, const Case *c, gboolean rounded)
{
  const gsize element = rounded ? sizeof (guint16) : sizeof (float);
  const int a_size = (c->rows - 1) * c->a_stride + c->k;
  g_autoptr (Guarded) a = guarded_new (a_size * element, c->side);
  g_autoptr (Guarded) weight =
      guarded_new ((gsize) c->n * c->k * element, c->side);
  g_autoptr (Guarded) packed =
      guarded_new ((gsize) c->n * c->k * element, c->side);
  g_autoptr (Guarded) out = guarded_new (
      ((gsize) (c->rows - 1) * c->c_stride + c->n) * sizeof (float), c->side);
  g_autofree float *x = new_normal (a_size, 1.5);
  g_autofree float *w = new_normal (c->n * c->k, 1);
  const float *y = guarded_data (out);

  if (c->extreme) /* in one row and one column */
    x[0] = w[0] = INFINITY;
  fill_floats (guarded_data (a), x, a_size, rounded);
  fill_floats (guarded_data (weight), w, c->n * c->k, rounded);
  kernel->pack (guarded_data (packed), guarded_data (weight), c->n, c->k);
  kernel->run (guarded_data (out), c->c_stride, guarded_data (a), c->a_stride,
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
  guarded_check_gaps (out, c->c_stride * sizeof (float), c->n * sizeof (float));
}

static void
run_case_f32 (const NpuGemmKernel *kernel, const Case *c)
{
  run_case_float (kernel, c, FALSE);
}

static void
run_case_bf16 (const NpuGemmKernel *kernel, const Case *c)
{
  run_case_float (kernel, c, TRUE);
}

static void
test_gemm_bf16 (gconstpointer data)
{
  static const int depths[] = {8, 192, 200, 240, 512, 2048};
  const Level *level = data;

  for (guint i = 0; i < G_N_ELEMENTS (depths); i++)
    if (g_test_slow () || depths[i] <= QUICK_DEPTH)
      run_cases (&level->kernels.gemm_bf16, run_case_bf16, depths[i]);
}

static void
test_gemm_f32 (gconstpointer data)
{
  static const int depths[] = {8, 96, 104, 240, 256, 384, 520, 2048};
  const Level *level = data;

  for (guint i = 0; i < G_N_ELEMENTS (depths); i++)
    if (g_test_slow () || depths[i] <= QUICK_DEPTH)
      run_cases (&level->kernels.gemm_f32, run_case_f32, depths[i]);
}

/* A row's sums are the same bits whatever rows are beside it. */
static void
test_gemm_f32_rows (gconstpointer data)
{
  enum { N = 64, K = 600 };
  const Level *level = data;
  const NpuGemmKernel *kernel = &level->kernels.gemm_f32;
  g_autofree float *x = new_normal (NPU_TILE_ROWS * K, 1.5);
  g_autofree float *w = new_normal (N * K, 1);
  g_autofree float *all = g_new (float, NPU_TILE_ROWS *N);
  g_autofree float *some = g_new (float, NPU_TILE_ROWS *N);
  float *packed = g_aligned_alloc (N * K, sizeof (float), 64);
  const int step = g_test_slow () ? 1 : 7;

  kernel->pack (packed, w, N, K);
  kernel->run (all, N, x, K, packed, NPU_TILE_ROWS, N, K);
  for (int first = 0; first < NPU_TILE_ROWS; first += step)
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
  if (level->kernels.gemm_s16.run)
    add_level_test (level, "gemm_s16", test_gemm_s16);
  if (level->kernels.gemm_bf16.run)
    add_level_test (level, "gemm_bf16", test_gemm_bf16);
}
