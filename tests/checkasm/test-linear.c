/* Linear maps of bytes, against plain sums and the epilogue of their table,
 * which test-epilogue.c compares with float64: the same bits.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "checkasm.h"

#include <string.h>

typedef struct {
  int rows, n, k, y_stride;
  gboolean extreme; /* the largest sums */
  gboolean bias, residual;
  NpuGelu gelu;
  gboolean residual_is_y;
  GuardSide side;
} Case;

typedef struct {
  Guarded *a, *weight, *packed, *y;
  Guarded *bias, *residual, *row_scale, *weight_scale, *zero_sum;
  NpuLinearS8 linear;
  float *expected; /* [rows][y_stride] */
} Run;

static void
fill_operands (Run *run, const Case *c)
{
  guint8 *a = guarded_data (run->a);
  gint8 *weight = guarded_data (run->weight);
  gint32 *zero_sum = guarded_data (run->zero_sum);

  for (int i = 0; i < c->rows * c->k; i++)
    a[i] = (guint8) (c->extreme ? 255 : g_test_rand_int_range (0, 256));
  for (int i = 0; i < c->n * c->k; i++)
    weight[i] = (gint8) (!c->extreme         ? g_test_rand_int_range (-128, 128)
                         : i / c->k % 2 == 0 ? 127
                                             : -128);
  for (int i = 0; i < c->n; i++) {
    zero_sum[i] = 0;
    for (int j = 0; j < c->k; j++)
      zero_sum[i] += NPU_Q8_ZERO * weight[i * c->k + j];
  }
}

static void
run_init (Run *run, const Case *c)
{
  const gsize floats = (gsize) (c->rows - 1) * c->y_stride + c->n;
  const gsize weights = (gsize) c->n * c->k;

  *run = (Run){
      .a = guarded_new ((gsize) c->rows * c->k, c->side),
      .weight = guarded_new (weights, c->side),
      .packed = guarded_new (weights, c->side),
      .y = guarded_new (floats * sizeof (float), c->side),
      .bias = guarded_normal (c->n, 2, c->side),
      .residual = guarded_normal (floats, 2, c->side),
      .row_scale = guarded_normal (c->rows, 1e-3, c->side),
      .weight_scale = guarded_normal (c->n, 1e-2, c->side),
      .zero_sum = guarded_new (c->n * sizeof (gint32), c->side),
      .expected = g_new0 (float, floats),
  };
  fill_operands (run, c);
  run->linear.row_scale = guarded_data (run->row_scale);
  run->linear.weight_scale = guarded_data (run->weight_scale);
  run->linear.zero_sum = guarded_data (run->zero_sum);
  run->linear.epilogue.gelu = c->gelu;
  if (c->bias)
    run->linear.epilogue.bias = guarded_data (run->bias);
  for (int i = 0; c->residual_is_y && i < c->rows; i++)
    fill_normal ((float *) guarded_data (run->y) + i * c->y_stride, c->n, 2);
  if (c->residual) {
    run->linear.epilogue.residual =
        guarded_data (c->residual_is_y ? run->y : run->residual);
    run->linear.epilogue.residual_stride = c->y_stride;
  }
}

static void
run_clear (Run *run)
{
  Guarded *all[] = {run->a, run->weight, run->packed, run->y, run->bias,
      run->residual, run->row_scale, run->weight_scale, run->zero_sum};

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    guarded_free (all[i]);
  g_free (run->expected);
}

/* Exact sums, and the table's own epilogue. */
static void
expect (const Level *level, const Run *run, const Case *c)
{
  g_autofree gint32 *sums = g_new (gint32, c->rows * c->n);
  const guint8 *a = guarded_data (run->a);
  const gint8 *weight = guarded_data (run->weight);

  for (int i = 0; i < c->rows; i++)
    for (int j = 0; j < c->n; j++) {
      gint32 sum = 0;

      for (int d = 0; d < c->k; d++)
        sum += a[i * c->k + d] * weight[j * c->k + d];
      sums[i * c->n + j] = sum;
    }
  level->kernels.epilogue_s32 (run->expected, c->y_stride, sums, c->n,
      run->linear.row_scale, run->linear.weight_scale, run->linear.zero_sum,
      &run->linear.epilogue, c->rows, c->n);
}

static void
run_case (const Level *level, const Case *c)
{
  const NpuLinearKernel *kernel = &level->kernels.linear_s8;
  Run run;
  float *y;

  run_init (&run, c);
  expect (level, &run, c);
  kernel->pack (
      guarded_data (run.packed), guarded_data (run.weight), c->n, c->k);
  y = guarded_data (run.y);
  kernel->run (y, c->y_stride, guarded_data (run.a), guarded_data (run.packed),
      &run.linear, c->rows, c->n, c->k);
  for (int i = 0; i < c->rows; i++)
    g_assert_cmpmem (y + i * c->y_stride, c->n * sizeof (float),
        run.expected + i * c->y_stride, c->n * sizeof (float));
  guarded_check_gaps (
      run.y, c->y_stride * sizeof (float), c->n * sizeof (float));
  run_clear (&run);
}

/* Rows of every remainder, with each of what may follow. */
static void
test_linear_s8 (gconstpointer data)
{
  static const int depths[] = {16, 64, 384, 2048};
  const Level *level = data;

  for (guint i = 0; i < G_N_ELEMENTS (depths); i++)
    for (int rows = 1; rows <= NPU_TILE_ROWS; rows += rows < 18 ? 1 : 23)
      for (guint side = 0; side < N_GUARD_SIDES; side++) {
        Case c = {.rows = rows, .n = 96, .k = depths[i], .side = side};

        if (!g_test_slow () && depths[i] > 64 && rows % 8)
          continue;
        c.y_stride = c.n;
        c.extreme = rows % 4 == 3;
        c.bias = rows % 2;
        c.gelu = rows % 3;
        c.residual = rows % 5 < 2;
        c.residual_is_y = rows % 5 == 1;
        run_case (level, &c);
        c.n = NPU_LINEAR_COLUMNS;
        c.y_stride = c.n + 5;
        c.gelu = (rows + 1) % 3;
        c.bias = !c.bias;
        run_case (level, &c);
      }
}

void
add_linear_tests (const Level *level)
{
  if (level->kernels.linear_s8.run)
    add_level_test (level, "linear_s8", test_linear_s8);
}
