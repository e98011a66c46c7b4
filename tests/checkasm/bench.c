/* Throughput of every kernel of every instruction set, beside plain loops.
 *
 * All levels are measured in turn, round after round, so that what else the
 * machine does hits them alike; medians are printed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "checkasm.h"
#include "peak.h"
#include "plain.h"

#include <string.h>

#define MAX_LEVELS 8
#define ROUNDS 31
#define ROWS NPU_TILE_ROWS
#define DIM NPU_HEAD_DIM
#define KV_ROWS 1500
#define KV_TILES ((KV_ROWS + ROWS - 1) / ROWS)
#define WIDTH 512 /* base */
#define HIDDEN 2048
#define FEW 5 /* rows: beams */

typedef struct {
  const Level *level;
  float *x, *y, *o, *columns, *products;
  guint8 *bytes;
  gint32 *acc, *sums;
  guint8 *q[3], *k[3], *v[3], *scratch; /* f32, int8 and bf16 tiles */
  float *plain_q, *plain_k, *plain_v;
  float *weights; /* WIDTH x WIDTH */
  const float *keys[NPU_FEW_KEYS];
  NpuAttended attended;
} Fixture;

typedef struct {
  const char *name;
  void (*run) (Fixture *fixture);
  void (*plain) (Fixture *fixture); /* int8's: what f32 does in its place */
  double work;                      /* of one run, in units */
  const char *unit;                 /* G of it a second are printed */
  gboolean is_int8;                 /* what its peak is */
} Kernel;

static void
run_attention (Fixture *f, const NpuAttentionKernel *kernel, guint i)
{
  kernel->run (
      f->o, DIM, f->q[i], f->k[i], f->v[i], ROWS, KV_ROWS, 0.125f, f->scratch);
}

static void
run_attention_f32 (Fixture *f)
{
  run_attention (f, &f->level->kernels.attention_f32, 0);
}

static void
run_attention_s8 (Fixture *f)
{
  run_attention (f, &f->level->kernels.attention_s8, 1);
}

static void
run_attention_bf16 (Fixture *f)
{
  run_attention (f, &f->level->kernels.attention_bf16, 2);
}

static void
run_pack (Fixture *f, const NpuAttentionKernel *kernel, guint i)
{
  kernel->pack_q (f->q[i], f->x, WIDTH, ROWS);
  kernel->pack_k (f->k[i], f->x + DIM, WIDTH, ROWS);
  kernel->pack_v (f->v[i], f->x + 2 * DIM, WIDTH, ROWS);
}

static void
run_pack_f32 (Fixture *f)
{
  run_pack (f, &f->level->kernels.attention_f32, 0);
}

static void
run_pack_s8 (Fixture *f)
{
  run_pack (f, &f->level->kernels.attention_s8, 1);
}

static void
run_layernorm_f32 (Fixture *f)
{
  f->level->kernels.layernorm_f32 (
      f->y, WIDTH, f->x, WIDTH, f->columns, f->columns, 1e-5f, ROWS, WIDTH);
}

static void
run_layernorm_q8 (Fixture *f)
{
  f->level->kernels.layernorm_q8 (
      f->bytes, f->y, f->x, WIDTH, f->columns, f->columns, 1e-5f, ROWS, WIDTH);
}

static void
run_quantize_q8 (Fixture *f)
{
  f->level->kernels.quantize_q8 (
      f->bytes, f->y, f->x, HIDDEN, f->columns, ROWS, HIDDEN);
}

static void
run_convert_bf16 (Fixture *f)
{
  f->level->kernels.convert_bf16 ((guint16 *) f->bytes, f->x, ROWS * HIDDEN);
}

static void
run_gelu_f32 (Fixture *f)
{
  f->level->kernels.gelu_f32 (f->y, f->x, ROWS * HIDDEN);
}

static void
run_epilogue_f32 (Fixture *f)
{
  const NpuEpilogue epilogue = {f->columns, 0, f->x, WIDTH};

  f->level->kernels.epilogue_f32 (
      f->y, WIDTH, f->products, WIDTH, &epilogue, ROWS, WIDTH);
}

static void
run_epilogue_s32 (Fixture *f)
{
  const NpuEpilogue epilogue = {f->columns, 0, f->x, WIDTH};

  f->level->kernels.epilogue_s32 (f->y, WIDTH, f->acc, WIDTH, f->columns,
      f->columns, f->sums, &epilogue, ROWS, WIDTH);
}

static void
run_epilogue_s32_gelu (Fixture *f)
{
  const NpuEpilogue epilogue = {f->columns, 1, NULL, 0};

  f->level->kernels.epilogue_s32 (f->y, HIDDEN, f->acc, HIDDEN, f->columns,
      f->columns, f->sums, &epilogue, ROWS, HIDDEN);
}

/* --- few rows: one of WIDTH, times weights [WIDTH][WIDTH] ----------------- */

#define MATRIX (WIDTH * WIDTH)
#define LOGITS 51866

static void
run_dot_s8 (Fixture *f)
{
  f->level->few.dot_s8 (f->acc, WIDTH, (const gint16 *) f->bytes, WIDTH,
      (const gint8 *) f->weights, 1, WIDTH, WIDTH);
}

static void
run_dot_s16 (Fixture *f)
{
  f->level->few.dot_s16 (f->acc, WIDTH, (const gint16 *) f->bytes, WIDTH,
      (const gint16 *) f->weights, 1, WIDTH, WIDTH);
}

static void
run_dot_grouped (Fixture *f)
{
  const gint8 *weights = (const gint8 *) f->weights;

  f->level->few.dot_grouped (f->y, WIDTH, (const gint16 *) f->bytes, WIDTH,
      weights, (const guint16 *) (weights + MATRIX), 1, WIDTH, WIDTH);
}

static void
run_dot_s8_rows (Fixture *f)
{
  f->level->few.dot_s8 (f->acc, WIDTH, (const gint16 *) f->bytes, WIDTH,
      (const gint8 *) f->weights, FEW, WIDTH, WIDTH);
}

static void
run_dot_f32 (Fixture *f)
{
  f->level->few.dot_f32 (f->y, WIDTH, f->x, WIDTH, f->weights, 1, WIDTH, WIDTH);
}

static void
run_attend_f32 (Fixture *f)
{
  f->level->few.attend_f32 (
      &f->attended, f->x, f->keys, 0, DIM, NPU_FEW_KEYS, 0.125f);
}

static void
run_attend_s8 (Fixture *f)
{
  const gint8 *k = (const gint8 *) f->weights;

  f->level->few.attend_s8 (&f->attended, (const gint16 *) f->bytes, k,
      f->columns, k + NPU_FEW_KEYS * DIM, f->columns, NPU_FEW_KEYS, 1e-3f);
}

static void
run_log_sum_exp (Fixture *f)
{
  f->y[0] = f->level->logits.log_sum_exp (f->x, LOGITS);
}

static void
run_argmax (Fixture *f)
{
  f->acc[0] = f->level->logits.argmax (f->x, LOGITS);
}

static void
run_best (Fixture *f)
{
  f->acc[0] = f->level->logits.best (f->x, LOGITS, f->sums, 16);
}

/* --- the same in plain loops -------------------------------------------- */

static void
run_plain_attention (Fixture *f)
{
  plain_attention (
      f->o, f->plain_q, f->plain_k, f->plain_v, ROWS, KV_ROWS, 0.125f, f->y);
}

static void
run_plain_pack (Fixture *f)
{
  plain_pack (f->plain_q, f->x, WIDTH, ROWS);
  plain_pack_transposed (f->plain_k, f->x + DIM, WIDTH, ROWS);
  plain_pack (f->plain_v, f->x + 2 * DIM, WIDTH, ROWS);
}

static void
run_plain_pack_s8 (Fixture *f)
{
  plain_pack_q_s8 (f->plain_q, f->y, f->x, WIDTH, ROWS);
  plain_pack_k_s8 (f->plain_k, f->y, f->y + 1, f->x + DIM, WIDTH, ROWS);
  plain_pack_v_s8 (f->plain_v, f->x + 2 * DIM, WIDTH, ROWS);
}

static void
run_plain_layernorm (Fixture *f)
{
  plain_layernorm_f32 (
      f->y, WIDTH, f->x, WIDTH, f->columns, f->columns, 1e-5f, ROWS, WIDTH);
}

static void
run_plain_quantize (Fixture *f)
{
  plain_quantize_q8 (f->bytes, f->y, f->x, HIDDEN, f->columns, ROWS, HIDDEN);
}

static void
run_plain_convert_bf16 (Fixture *f)
{
  plain_convert_bf16 ((guint16 *) f->bytes, f->x, ROWS * HIDDEN);
}

static void
run_plain_gelu (Fixture *f)
{
  plain_gelu_f32 (f->y, f->x, ROWS * HIDDEN);
}

static void
run_plain_epilogue (Fixture *f)
{
  plain_epilogue_f32 (f->y, f->products, f->columns, f->x, ROWS, WIDTH);
}

static void
run_plain_epilogue_s32 (Fixture *f)
{
  plain_epilogue_s32 (f->y, f->acc, f->columns, f->columns, f->sums, f->columns,
      f->x, ROWS, WIDTH);
}

static void
run_plain_epilogue_gelu (Fixture *f)
{
  plain_epilogue_gelu (f->y, f->products, f->columns, ROWS, HIDDEN);
}

static void
run_plain_product (Fixture *f)
{
  plain_product (f->y, f->x, f->weights, WIDTH, WIDTH);
}

static void
run_plain_products (Fixture *f)
{
  for (guint i = 0; i < FEW; i++)
    plain_product (
        f->y + i * WIDTH, f->x + i * WIDTH, f->weights, WIDTH, WIDTH);
}

static void
run_plain_attend (Fixture *f)
{
  plain_attention (
      f->o, f->plain_q, f->plain_k, f->plain_v, 1, NPU_FEW_KEYS, 0.125f, f->y);
}

static void
run_plain_log_sum_exp (Fixture *f)
{
  f->y[0] = plain_log_sum_exp (f->x, LOGITS);
}

static void
run_plain_argmax (Fixture *f)
{
  f->acc[0] = plain_argmax (f->x, LOGITS);
}

/* --- measuring ---------------------------------------------------------- */

#define ATTENTION_OPS (4.0 * DIM * ROWS * KV_ROWS)

static const Kernel kernels[] = {
    {"attention_f32", run_attention_f32, run_plain_attention, ATTENTION_OPS,
        "FLOP", FALSE},
    {"attention_s8", run_attention_s8, run_plain_attention, ATTENTION_OPS, "OP",
        TRUE},
    {"attention_bf16", run_attention_bf16, run_plain_attention, ATTENTION_OPS,
        "FLOP", FALSE},
    {"pack q, k, v f32", run_pack_f32, run_plain_pack, 3.0 * ROWS *DIM,
        "element", FALSE},
    {"pack q, k, v s8", run_pack_s8, run_plain_pack_s8, 3.0 * ROWS *DIM,
        "element", FALSE},
    {"layernorm_f32", run_layernorm_f32, run_plain_layernorm, ROWS *WIDTH,
        "element", FALSE},
    {"layernorm_q8", run_layernorm_q8, run_plain_layernorm, ROWS *WIDTH,
        "element", FALSE},
    {"convert_bf16", run_convert_bf16, run_plain_convert_bf16, ROWS *HIDDEN,
        "element", FALSE},
    {"quantize_q8", run_quantize_q8, run_plain_quantize, ROWS *HIDDEN,
        "element", FALSE},
    {"gelu_f32", run_gelu_f32, run_plain_gelu, ROWS *HIDDEN, "element", FALSE},
    {"epilogue_f32 residual", run_epilogue_f32, run_plain_epilogue, ROWS *WIDTH,
        "element", FALSE},
    {"epilogue_s32 residual", run_epilogue_s32, run_plain_epilogue_s32,
        ROWS *WIDTH, "element", FALSE},
    {"epilogue_s32 gelu", run_epilogue_s32_gelu, run_plain_epilogue_gelu,
        ROWS *HIDDEN, "element", FALSE},
    {"dot_s8 1 row", run_dot_s8, run_plain_product, 2.0 * MATRIX, "OP", TRUE},
    {"dot_s8 5 rows", run_dot_s8_rows, run_plain_products, 2.0 * FEW *MATRIX,
        "OP", TRUE},
    {"dot_s16 1 row", run_dot_s16, run_plain_product, 2.0 * MATRIX, "OP", TRUE},
    {"dot_grouped 1 row", run_dot_grouped, run_plain_product, 2.0 * MATRIX,
        "OP", TRUE},
    {"dot_f32 1 row", run_dot_f32, run_plain_product, 2.0 * MATRIX, "FLOP",
        FALSE},
    {"attend_f32", run_attend_f32, run_plain_attend, 4.0 * DIM *NPU_FEW_KEYS,
        "FLOP", FALSE},
    {"attend_s8", run_attend_s8, run_plain_attend, 4.0 * DIM *NPU_FEW_KEYS,
        "OP", TRUE},
    {"log_sum_exp", run_log_sum_exp, run_plain_log_sum_exp, LOGITS, "element",
        FALSE},
    {"argmax", run_argmax, run_plain_argmax, LOGITS, "element", FALSE},
    {"best 16", run_best, run_plain_argmax, LOGITS, "element", FALSE},
};

static guint8 *
new_tiles (gsize size)
{
  return g_aligned_alloc0 (1, size, 64);
}

static void
fixture_init (Fixture *f, const Level *level)
{
  const NpuAttentionKernel *attention[] = {&level->kernels.attention_f32,
      &level->kernels.attention_s8, &level->kernels.attention_bf16};

  f->level = level;
  f->x = (float *) new_tiles (ROWS * HIDDEN * sizeof (float));
  f->y = (float *) new_tiles (ROWS * HIDDEN * sizeof (float));
  f->o = (float *) new_tiles (ROWS * DIM * sizeof (float));
  f->products = (float *) new_tiles (ROWS * HIDDEN * sizeof (float));
  f->columns = (float *) new_tiles (HIDDEN * sizeof (float));
  f->bytes = new_tiles (ROWS * HIDDEN * sizeof (guint16));
  f->acc = (gint32 *) new_tiles (ROWS * HIDDEN * sizeof (gint32));
  f->sums = (gint32 *) new_tiles (HIDDEN * sizeof (gint32));
  fill_normal (f->x, ROWS * HIDDEN, 1.5);
  fill_normal (f->products, ROWS * HIDDEN, 1.5);
  fill_normal (f->columns, HIDDEN, 1);
  f->plain_q = (float *) new_tiles (ROWS * DIM * sizeof (float));
  f->plain_k = (float *) new_tiles (KV_ROWS * DIM * sizeof (float));
  f->plain_v = (float *) new_tiles (KV_ROWS * DIM * sizeof (float));
  fill_normal (f->plain_q, ROWS * DIM, 1.5);
  fill_normal (f->plain_k, KV_ROWS * DIM, 1.5);
  fill_normal (f->plain_v, KV_ROWS * DIM, 1.5);
  f->weights = (float *) new_tiles (MATRIX * sizeof (float));
  fill_normal (f->weights, MATRIX, 1);
  for (guint i = 0; i < NPU_FEW_KEYS; i++)
    f->keys[i] = f->x + i * 2 * DIM;
  f->scratch = new_tiles (MAX (attention[2]->scratch_size,
      MAX (attention[0]->scratch_size, attention[1]->scratch_size)));
  for (guint i = 0; i < G_N_ELEMENTS (attention); i++) {
    f->q[i] = new_tiles (attention[i]->q_tile_size);
    f->k[i] = new_tiles (KV_TILES * attention[i]->k_tile_size);
    f->v[i] = new_tiles (KV_TILES * attention[i]->v_tile_size);
    attention[i]->pack_q (f->q[i], f->x, WIDTH, ROWS);
    for (guint tile = 0; tile < KV_TILES; tile++) {
      const int rows = MIN (KV_ROWS - (int) tile * ROWS, ROWS);
      g_autofree float *kv = new_normal (2 * ROWS * DIM, 1.5);

      attention[i]->pack_k (
          f->k[i] + tile * attention[i]->k_tile_size, kv, DIM, rows);
      attention[i]->pack_v (f->v[i] + tile * attention[i]->v_tile_size,
          kv + ROWS * DIM, DIM, rows);
    }
  }
}

static void
fixture_clear (Fixture *f)
{
  g_aligned_free (f->x);
  g_aligned_free (f->y);
  g_aligned_free (f->o);
  g_aligned_free (f->columns);
  g_aligned_free (f->products);
  g_aligned_free (f->bytes);
  g_aligned_free (f->acc);
  g_aligned_free (f->sums);
  g_aligned_free (f->plain_q);
  g_aligned_free (f->plain_k);
  g_aligned_free (f->plain_v);
  g_aligned_free (f->weights);
  g_aligned_free (f->scratch);
  for (guint i = 0; i < G_N_ELEMENTS (f->q); i++) {
    g_aligned_free (f->q[i]);
    g_aligned_free (f->k[i]);
    g_aligned_free (f->v[i]);
  }
}

static int
compare_doubles (const void *a, const void *b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static double
median (double *x, guint n)
{
  qsort (x, n, sizeof *x, compare_doubles);
  return x[n / 2];
}

/* Microseconds of one run, from as many as take 2 ms. */
static double
time_run (void (*run) (Fixture *fixture), Fixture *fixture)
{
  const gint64 start = cpu_time ();
  gint64 now;
  guint n = 0;

  do {
    run (fixture);
    n++;
    now = cpu_time ();
  } while (now - start < 2000000);
  return (now - start) / 1e3 / n;
}

/* One kernel of every level, and C's beside plain loops. */
static void
bench_kernel (const Kernel *kernel, Fixture *fixtures, guint n_levels)
{
  double us[MAX_LEVELS][ROUNDS], plain[ROUNDS], ratio[ROUNDS];
  double peak[2][ROUNDS];

  for (guint round = 0; round < ROUNDS; round++) {
    plain[round] = time_run (kernel->plain, &fixtures[0]);
    for (guint i = 0; i < n_levels; i++)
      us[i][round] = time_run (kernel->run, &fixtures[i]);
    ratio[round] = us[0][round] / plain[round];
    peak[0][round] = peak_f32_gflops ();
    peak[1][round] = peak_int8_gops ();
  }
  g_print ("%-22s %-11s %10.2f\n", kernel->name, "plain loops",
      median (plain, ROUNDS));
  for (guint i = 0; i < n_levels; i++) {
    const double time = median (us[i], ROUNDS);
    const double rate = kernel->work / time / 1e3;
    const double limit = median (peak[kernel->is_int8], ROUNDS);

    g_print ("%-22s %-11s %10.2f %8.2f G%s/s", kernel->name,
        fixtures[i].level->name, time, rate, kernel->unit);
    if (i == 0)
      g_print (", %.2f of the plain loops' time", median (ratio, ROUNDS));
    if (kernel->run == run_attention_f32 || kernel->is_int8)
      g_print (", %.0f %% of %.0f", 100 * rate / limit, limit);
    g_print ("\n");
  }
}

void
bench_run (const Level *levels, guint n_levels, const char *part)
{
  Fixture fixtures[MAX_LEVELS];

  g_assert_cmpuint (n_levels, <=, MAX_LEVELS);
  for (guint i = 0; i < n_levels; i++)
    fixture_init (&fixtures[i], &levels[i]);
  g_print ("%-22s %-11s %10s\n", "kernel", "level", "us");
  for (guint n = 0; n < G_N_ELEMENTS (kernels); n++)
    if (strstr (kernels[n].name, part))
      bench_kernel (&kernels[n], fixtures, n_levels);
  for (guint i = 0; i < n_levels; i++)
    fixture_clear (&fixtures[i]);
}
