/* Products of bytes with int8 weights, against plain sums.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "checkasm.h"

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
fill_operands (const Case *c, int max_weight, guint8 *a, gint8 *b)
{
  const int a_size = (c->rows - 1) * c->a_stride + c->k;

  for (int i = 0; i < a_size; i++)
    a[i] = c->extreme ? 255 : (guint8) g_test_rand_int_range (0, 256);
  for (int i = 0; i < c->n * c->k; i++)
    b[i] = (gint8) (c->extreme
                        ? (i / c->k % 2 ? -max_weight : max_weight)
                        : g_test_rand_int_range (-max_weight, max_weight + 1));
}

static void
run_case (const NpuGemmKernel *kernel, const Case *c)
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

  fill_operands (
      c, kernel->max_weight, guarded_data (a), guarded_data (weight));
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

/* Rows of every remainder, and inputs beyond one block of them. */
static void
test_gemm (gconstpointer data)
{
  static const int depths[] = {4, 64, 384, 1024, 1028, 2048, 5120};
  const Level *level = data;
  const NpuGemmKernel *kernel = &level->kernels.gemm_s8;

  for (guint i = 0; i < G_N_ELEMENTS (depths); i++)
    for (int rows = 1; rows <= NPU_TILE_ROWS; rows += rows < 14 ? 1 : 25)
      for (guint side = 0; side < N_GUARD_SIDES; side++) {
        Case c = {.rows = rows, .n = 48, .k = depths[i], .side = side};

        c.a_stride = c.k;
        c.c_stride = c.n;
        run_case (kernel, &c);
        c.extreme = TRUE;
        run_case (kernel, &c);
        c.n = NPU_GEMM_COLUMNS;
        c.c_stride = c.n + 5;
        c.a_stride = c.k + 3;
        run_case (kernel, &c);
      }
}

void
add_gemm_tests (const Level *level)
{
  if (level->kernels.gemm_s8.run)
    add_level_test (level, "gemm_s8", test_gemm);
}
