/* Throughput of every kernel of every instruction set, beside plain loops.
 *
 * All levels are measured in turn, round after round, so that what else the
 * machine does hits them alike; medians are printed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "peak.h"

#define MAX_LEVELS 8
#define ROUNDS 31

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
  for (guint i = 0; i < G_N_ELEMENTS (f->packed); i++)
    f->packed[i] = new_tiles (MATRIX * sizeof (float));
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
  for (guint i = 0; i < G_N_ELEMENTS (f->packed); i++)
    g_aligned_free (f->packed[i]);
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

/* One kernel of every level that has it, and C's beside plain loops. */
static void
bench_kernel (const Kernel *kernel, Fixture *fixtures, guint n_levels)
{
  double us[MAX_LEVELS][ROUNDS], plain[ROUNDS], ratio[ROUNDS];
  double peak[2][ROUNDS];

  for (guint round = 0; round < ROUNDS; round++) {
    plain[round] = time_run (kernel->plain, &fixtures[0]);
    for (guint i = 0; i < n_levels; i++)
      us[i][round] = kernel_is_there (kernel, fixtures[i].level)
                         ? time_run (kernel->run, &fixtures[i])
                         : NAN;
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

    if (!kernel_is_there (kernel, fixtures[i].level))
      continue;
    g_print ("%-22s %-11s %10.2f %8.2f G%s/s", kernel->name,
        fixtures[i].level->name, time, rate, kernel->unit);
    if (i == 0)
      g_print (", %.2f of the plain loops' time", median (ratio, ROUNDS));
    if (strcmp (kernel->unit, "element") != 0)
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
  for (guint n = 0; n < n_kernels; n++)
    if (strstr (all_kernels[n].name, part))
      bench_kernel (&all_kernels[n], fixtures, n_levels);
  for (guint i = 0; i < n_levels; i++)
    fixture_clear (&fixtures[i]);
}
