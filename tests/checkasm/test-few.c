/* Few rows: products with weights of 8 and 16 bits and floats, and attention
 * of one query over a cache.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "checkasm.h"

#include <math.h>
#include <string.h>

#define DIM NPU_HEAD_DIM
#define GAP 3 /* elements between rows */

static const int depths[] = {64, 128, 384, 512, 1280, 2048};
static const int columns[] = {1, 3, 4, 7, 64, 130};
static const int row_counts[] = {1, 2, 3, 4, 5, 7, 8, 16};

/* --- products ----------------------------------------------------------- */

typedef struct {
  int rows, n, k;
  GuardSide side;
  gboolean extreme; /* integers as large as rows may have them */
} Case;

static void
fill_s16_row (gint16 *x, int k, gboolean extreme)
{
  const int limit = (int) ((double) NPU_S16_NORM / sqrt (k));

  for (int j = 0; j < k; j++)
    x[j] = extreme ? (j % 2 ? -limit : limit)
                   : g_test_rand_int_range (-limit, limit + 1);
}

static void
fill_s8 (gint8 *x, gsize n, gboolean extreme)
{
  for (gsize i = 0; i < n; i++)
    x[i] = extreme ? (i % 2 ? -127 : 127) : g_test_rand_int_range (-127, 128);
}

typedef enum { OF_S8, OF_S16, OF_GROUPS } Weights;

/* Groups of one number where that is as large as can be, and of many. */
static void
fill_groups (gint8 *x, gint16 *factors, const Case *c)
{
  const gsize n_groups = c->k / NPU_FEW_GROUP;
  const int limit = (int) (NPU_GROUPED_NORM / sqrt (c->k));

  fill_s8 (x, (gsize) c->n * c->k, c->extreme);
  for (gsize i = 0; i < c->n * n_groups; i++)
    factors[i] = c->extreme ? limit : g_test_rand_int_range (0, limit + 1);
  if (!c->extreme)
    return;
  memset (x, 0, c->k);
  x[c->k - 2] = 127;
  factors[n_groups - 1] = G_MAXINT16;
}

static void
dot_ints (const Level *level, Weights weights, gint32 *y, gsize y_stride,
    const gint16 *x, gsize stride, const void *w, const gint16 *factors,
    int rows, int n, int k)
{
  switch (weights) {
    case OF_S8:
      level->few.dot_s8 (y, y_stride, x, stride, w, rows, n, k);
      return;
    case OF_S16:
      level->few.dot_s16 (y, y_stride, x, stride, w, rows, n, k);
      return;
    case OF_GROUPS:
      level->few.dot_grouped (y, y_stride, x, stride, w, factors, rows, n, k);
      return;
  }
}

static gint64
weight_at (Weights weights, const void *w, const gint16 *factors, gsize i)
{
  switch (weights) {
    case OF_S8:
      return ((const gint8 *) w)[i];
    case OF_S16:
      return ((const gint16 *) w)[i];
    case OF_GROUPS:
      return (gint64) floor (
          ((const gint8 *) w)[i] * factors[i / NPU_FEW_GROUP] / 128.0 + 0.5);
  }
  g_assert_not_reached ();
}

static void
check_ints (const Level *level, const Case *c, Weights weights)
{
  const gsize stride = c->k + GAP, c_stride = c->n + GAP;
  const gsize size = (gsize) c->n * c->k;
  g_autoptr (Guarded) a =
      guarded_new (((c->rows - 1) * stride + c->k) * sizeof (gint16), c->side);
  g_autoptr (Guarded) w =
      guarded_new (size * (weights == OF_S16 ? sizeof (gint16) : 1), c->side);
  g_autoptr (Guarded) f =
      guarded_new (size / NPU_FEW_GROUP * sizeof (gint16), c->side);
  g_autoptr (Guarded) out = guarded_new (
      ((c->rows - 1) * c_stride + c->n) * sizeof (gint32), c->side);
  const gint16 *x = guarded_data (a), *factors = guarded_data (f);
  const gint32 *y = guarded_data (out);

  for (int i = 0; i < c->rows; i++)
    fill_s16_row ((gint16 *) guarded_data (a) + i * stride, c->k, c->extreme);
  for (int j = 0; weights == OF_S16 && j < c->n; j++)
    fill_s16_row (
        (gint16 *) guarded_data (w) + (gsize) j * c->k, c->k, c->extreme);
  if (weights == OF_S8)
    fill_s8 (guarded_data (w), size, c->extreme);
  if (weights == OF_GROUPS)
    fill_groups (guarded_data (w), guarded_data (f), c);
  dot_ints (level, weights, guarded_data (out), c_stride, x, stride,
      guarded_data (w), factors, c->rows, c->n, c->k);
  guarded_check_gaps (out, c_stride * sizeof (gint32), c->n * sizeof (gint32));
  for (int i = 0; i < c->rows; i++)
    for (int j = 0; j < c->n; j++) {
      gint64 sum = 0;

      for (int l = 0; l < c->k; l++)
        sum += x[i * stride + l] * weight_at (weights, guarded_data (w),
                                       factors, (gsize) j * c->k + l);
      g_assert_cmpint (y[i * c_stride + j], ==, sum);
    }
}

static void
check_f32 (const Level *level, const Case *c)
{
  const gsize stride = c->k + GAP, c_stride = c->n + GAP;
  g_autoptr (Guarded) a =
      guarded_new (((c->rows - 1) * stride + c->k) * sizeof (float), c->side);
  g_autoptr (Guarded) w =
      guarded_new ((gsize) c->n * c->k * sizeof (float), c->side);
  g_autoptr (Guarded) out =
      guarded_new (((c->rows - 1) * c_stride + c->n) * sizeof (float), c->side);
  g_autofree float *one = g_new (float, c->n);
  const float *x = guarded_data (a), *weight = guarded_data (w);
  const float *y = guarded_data (out);

  for (int i = 0; i < c->rows; i++)
    fill_normal ((float *) guarded_data (a) + i * stride, c->k, 2);
  fill_normal (guarded_data (w), (gsize) c->n * c->k, 1);
  level->few.dot_f32 (
      guarded_data (out), c_stride, x, stride, weight, c->rows, c->n, c->k);
  guarded_check_gaps (out, c_stride * sizeof (float), c->n * sizeof (float));
  for (int i = 0; i < c->rows; i++) {
    const float *row = x + i * stride;

    for (int j = 0; j < c->n; j++) {
      double sum = 0, size = 0;

      for (int l = 0; l < c->k; l++) {
        const double t = (double) row[l] * weight[(gsize) j * c->k + l];

        sum += t;
        size += t * t;
      }
      g_assert_cmpfloat_with_epsilon (
          y[i * c_stride + j], sum, 1e-5 * sqrt (size));
    }
    /* The same bits alone, and whatever columns are beside them. */
    level->few.dot_f32 (one, c->n, row, stride, weight, 1, c->n, c->k);
    g_assert_cmpmem (
        one, c->n * sizeof (float), y + i * c_stride, c->n * sizeof (float));
    level->few.dot_f32 (
        one, 1, row, stride, weight + (gsize) (c->n - 1) * c->k, 1, 1, c->k);
    g_assert_cmpmem (
        one, sizeof (float), y + i * c_stride + c->n - 1, sizeof (float));
  }
}

static void
test_dot (gconstpointer data)
{
  const Level *level = data;

  for (guint d = 0; d < G_N_ELEMENTS (depths); d++)
    for (guint n = 0; n < G_N_ELEMENTS (columns); n++)
      for (guint r = 0; r < G_N_ELEMENTS (row_counts); r++) {
        Case c = {row_counts[r], columns[n], depths[d], (r + n) % 2, FALSE};

        /* Large ones with all, small ones with each. */
        if ((n + r + d) % 3 && columns[n] == 130)
          continue;
        check_f32 (level, &c);
        for (Weights weights = OF_S8; weights <= OF_GROUPS; weights++)
          check_ints (level, &c, weights);
        c.extreme = TRUE;
        for (Weights weights = OF_S8; weights <= OF_GROUPS; weights++)
          check_ints (level, &c, weights);
      }
}

/* --- attention ---------------------------------------------------------- */

static const int key_counts[] = {
    1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 100, 447, 511, 512};

/* o[64] = softmax (scale * q k^T) v in float64. */
static void
ref_attend (double *o, const double *q, const double *k, const double *v,
    int n_keys, double scale)
{
  g_autofree double *score = g_new (double, n_keys);
  double max = -INFINITY, sum = 0;

  for (int i = 0; i < n_keys; i++) {
    score[i] = 0;
    for (int j = 0; j < DIM; j++)
      score[i] += q[j] * k[i * DIM + j] * scale;
    max = MAX (max, score[i]);
  }
  memset (o, 0, DIM * sizeof *o);
  for (int i = 0; i < n_keys; i++) {
    const double weight = exp (score[i] - max);

    sum += weight;
    for (int j = 0; j < DIM; j++)
      o[j] += weight * v[i * DIM + j];
  }
  for (int j = 0; j < DIM; j++)
    o[j] /= sum;
}

static void
check_attended (
    const NpuAttended *runs, int n_runs, const double *expected, double epsilon)
{
  float o[DIM];

  npu_attended_join (o, runs, n_runs);
  for (int j = 0; j < DIM; j++)
    g_assert_cmpfloat_with_epsilon (o[j], expected[j], epsilon);
}

static void
check_attend_f32 (const Level *level, int n_keys, double deviation)
{
  g_autofree float *q = new_normal (DIM, deviation);
  g_autofree double *q64 = g_new (double, DIM);
  g_autofree double *kv64 = g_new (double, 2 * DIM * n_keys);
  g_autofree const float **keys = g_new (const float *, n_keys);
  g_autoptr (GPtrArray) rows =
      g_ptr_array_new_with_free_func ((GDestroyNotify) guarded_free);
  double expected[DIM];
  NpuAttended to;

  for (int j = 0; j < DIM; j++)
    q64[j] = q[j];
  /* Each has pages of its own: values, then the key. */
  for (int i = 0; i < n_keys; i++) {
    Guarded *row = guarded_new (2 * DIM * sizeof (float), i % 2);
    float *x = guarded_data (row);

    g_ptr_array_add (rows, row);
    fill_normal (x, 2 * DIM, 1);
    keys[i] = x;
    for (int j = 0; j < DIM; j++) {
      kv64[i * DIM + j] = x[DIM + j];
      kv64[(n_keys + i) * DIM + j] = x[j];
    }
  }
  level->few.attend_f32 (&to, q, keys, DIM, 0, n_keys, 0.125f);
  ref_attend (expected, q64, kv64, kv64 + n_keys * DIM, n_keys, 0.125);
  check_attended (&to, 1, expected, 2e-5);
}

static void
test_attend_f32 (gconstpointer data)
{
  for (guint i = 0; i < G_N_ELEMENTS (key_counts); i++) {
    check_attend_f32 (data, key_counts[i], 1);
    check_attend_f32 (data, key_counts[i], 30);
  }
}

typedef struct {
  Guarded *k, *k_scale, *v, *v_scale;
  gint16 q[DIM];
  double q64[DIM], *k64, *v64;
} Cache;

static void
cache_init (Cache *cache, int n_keys, GuardSide side)
{
  const int even = n_keys + n_keys % 2;
  gint8 *k, *v;
  float *k_scale, *v_scale;

  cache->k = guarded_new ((gsize) n_keys * DIM, side);
  cache->v = guarded_new ((gsize) even * DIM, side);
  cache->k_scale = guarded_new (n_keys * sizeof (float), side);
  cache->v_scale = guarded_new (n_keys * sizeof (float), side);
  cache->k64 = g_new (double, n_keys *DIM);
  cache->v64 = g_new (double, n_keys *DIM);
  k = guarded_data (cache->k);
  v = guarded_data (cache->v);
  k_scale = guarded_data (cache->k_scale);
  v_scale = guarded_data (cache->v_scale);
  memset (v, 0, (gsize) even * DIM);
  fill_uniform (k_scale, n_keys, 0.001, 0.03);
  fill_uniform (v_scale, n_keys, 0.001, 0.03);
  fill_s16_row (cache->q, DIM, FALSE);
  for (int j = 0; j < DIM; j++)
    cache->q64[j] = cache->q[j];
  for (int i = 0; i < n_keys; i++) {
    gint8 row[2 * DIM];

    fill_s8 (row, sizeof row, FALSE);
    for (int j = 0; j < DIM; j++) {
      k[i * DIM + j] = row[j];
      v[(i & ~1) * DIM + 2 * j + i % 2] = row[DIM + j];
      cache->k64[i * DIM + j] = row[j] * (double) k_scale[i];
      cache->v64[i * DIM + j] = row[DIM + j] * (double) v_scale[i];
    }
  }
}

static void
cache_clear (Cache *cache)
{
  guarded_free (cache->k);
  guarded_free (cache->v);
  guarded_free (cache->k_scale);
  guarded_free (cache->v_scale);
  g_free (cache->k64);
  g_free (cache->v64);
}

/* By a scale that makes scores of about this deviation. */
static void
check_attend_s8 (
    const Level *level, int n_keys, GuardSide side, double deviation)
{
  const double scale = deviation / (2000.0 * 40 * 0.015 * 8);
  Cache cache;
  NpuAttended to;
  double expected[DIM];

  cache_init (&cache, n_keys, side);
  level->few.attend_s8 (&to, cache.q, guarded_data (cache.k),
      guarded_data (cache.k_scale), guarded_data (cache.v),
      guarded_data (cache.v_scale), n_keys, (float) scale);
  ref_attend (expected, cache.q64, cache.k64, cache.v64, n_keys, scale);
  check_attended (&to, 1, expected, 1e-3);
  cache_clear (&cache);
}

static void
test_attend_s8 (gconstpointer data)
{
  for (guint i = 0; i < G_N_ELEMENTS (key_counts); i++)
    for (guint side = 0; side < N_GUARD_SIDES; side++) {
      check_attend_s8 (data, key_counts[i], side, 0.01);
      check_attend_s8 (data, key_counts[i], side, 1);
      check_attend_s8 (data, key_counts[i], side, 20);
    }
}

/* Sums as large as they can be: every weight and value at its most. */
static void
test_attend_s8_extreme (gconstpointer data)
{
  const Level *level = data;
  enum { N = NPU_FEW_KEYS };
  g_autofree gint8 *k = g_new0 (gint8, N * DIM);
  g_autofree gint8 *v = g_new (gint8, N * DIM);
  g_autofree float *scale = g_new (float, N);
  gint16 q[DIM] = {0};
  NpuAttended to;
  float o[DIM];

  memset (v, -127, N * DIM);
  for (int i = 0; i < N; i++)
    scale[i] = 1;
  level->few.attend_s8 (&to, q, k, scale, v, scale, N, 1);
  npu_attended_join (o, &to, 1);
  for (int j = 0; j < DIM; j++)
    g_assert_cmpfloat_with_epsilon (o[j], -127, 1e-3);
}

/* Runs joined are what one is. */
static void
test_join (gconstpointer data)
{
  const Level *level = data;
  enum { N = 300 };
  Cache cache;
  double expected[DIM];
  NpuAttended runs[3];

  cache_init (&cache, N, GUARD_AFTER);
  for (int i = 0; i < 3; i++)
    level->few.attend_s8 (&runs[i], cache.q,
        (gint8 *) guarded_data (cache.k) + i * 100 * DIM,
        (float *) guarded_data (cache.k_scale) + i * 100,
        (gint8 *) guarded_data (cache.v) + i * 100 * DIM,
        (float *) guarded_data (cache.v_scale) + i * 100, 100, 1e-3f);
  ref_attend (expected, cache.q64, cache.k64, cache.v64, N, 1e-3);
  check_attended (runs, 3, expected, 1e-3);
  cache_clear (&cache);
}

/* The same bytes as of the table without flags, and right ones. */
static void
check_quantize (const Level *level, int k, double deviation, GuardSide side)
{
  g_autoptr (Guarded) in = guarded_new (k * sizeof (float), side);
  g_autoptr (Guarded) out = guarded_new (k, side);
  g_autofree gint8 *plain = g_new (gint8, k);
  const float *x = guarded_data (in);
  const gint8 *y = guarded_data (out);
  NpuFewKernels few;
  float scale;

  npu_few_init (&few, 0);
  fill_normal (guarded_data (in), k, deviation);
  scale = level->few.quantize_s8 (guarded_data (out), x, k);
  g_assert_cmpfloat (scale, >, 0);
  for (int j = 0; j < k; j++)
    g_assert_cmpfloat_with_epsilon (
        y[j] * (double) scale, x[j], 0.501 * (double) scale);
  g_assert_cmpfloat (few.quantize_s8 (plain, x, k), ==, scale);
  g_assert_cmpmem (plain, k, y, k);
}

static void
test_few_quantize (gconstpointer data)
{
  enum { K = 192 };
  static const float none[] = {INFINITY, -INFINITY, NAN};
  const Level *level = data;
  float x[K] = {0};
  gint8 y[K];

  for (int exponent = -30; exponent <= 37; exponent++)
    check_quantize (
        level, exponent % 2 ? 64 : K, pow (10, exponent - 1), exponent & 1);
  g_assert_cmpfloat (level->few.quantize_s8 (y, x, K), ==, 0);
  for (int j = 0; j < K; j++)
    g_assert_cmpint (y[j], ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (none); i++)
    for (int j = 0; j < K; j += 37) {
      fill_normal (x, K, 1);
      x[j] = none[i];
      g_assert_true (isnan (level->few.quantize_s8 (y, x, K)));
    }
}

/* Each number by its group's factor, the bytes of Q8_0 as they are. */
static void
test_few_quantize_grouped (gconstpointer data)
{
  enum { K = 192, N_GROUPS = K / NPU_FEW_GROUP };
  float x[K];
  gint8 y[K], bytes[K];
  gint16 factors[N_GROUPS];

  for (int exponent = -28; exponent <= 36; exponent++) {
    double scale, norm = 0;

    fill_normal (x, K, pow (10, exponent - 1));
    for (int j = 0; j < NPU_FEW_GROUP; j++) {
      x[j] *= 20;
      x[NPU_FEW_GROUP + j] *= 1e-7f;
    }
    scale = npu_few_quantize_grouped (y, factors, x, K);
    g_assert_cmpfloat (scale, >, 0);
    g_assert_cmpint (factors[1], ==, 0);
    for (int j = 0; j < K; j++) {
      const double step = factors[j / NPU_FEW_GROUP] / 128.0;

      g_assert_cmpfloat_with_epsilon (
          y[j] * step, x[j] / scale, 0.501 * (step + 1));
      norm += y[j] * step * y[j] * step;
    }
    g_assert_cmpfloat (sqrt (norm), <, 1.03 * NPU_GROUPED_NORM);
    if (factors[0] < G_MAXINT16 - 1)
      g_assert_cmpfloat (sqrt (norm), >, 0.97 * NPU_GROUPED_NORM);
    for (int j = 0; j < K; j++) {
      /* 11 bits, as a file's, and the most of each group. */
      const float step = ldexpf (1024 + j / NPU_FEW_GROUP * 33, exponent - 10);

      bytes[j] = j % NPU_FEW_GROUP ? g_test_rand_int_range (-127, 128) : -127;
      x[j] = bytes[j] * step;
    }
    scale = npu_few_quantize_grouped (y, factors, x, K);
    g_assert_cmpmem (y, K, bytes, K);
    for (int j = 0; j < K; j++)
      g_assert_cmpfloat_with_epsilon (
          factors[j / NPU_FEW_GROUP] / 128.0 * y[j], x[j] / scale, 0.501);
  }
}

/* A row of one number: its factor has 15 bits. */
static void
test_few_quantize_grouped_peak (gconstpointer data)
{
  enum { K = 128 };
  static const float peaks[] = {1, -3e-30f, 1e30f, -G_MAXFLOAT};
  gint8 y[K];
  gint16 factors[K / NPU_FEW_GROUP];

  for (guint i = 0; i < G_N_ELEMENTS (peaks); i++) {
    float x[K] = {0}, scale;

    x[77] = peaks[i];
    scale = npu_few_quantize_grouped (y, factors, x, K);
    g_assert_cmpint (y[77], ==, peaks[i] > 0 ? 127 : -127);
    g_assert_cmpint (factors[77 / NPU_FEW_GROUP], >=, G_MAXINT16 - 1);
    g_assert_cmpint (factors[0], ==, 0);
    g_assert_cmpfloat_with_epsilon (y[77] / 128.0 *
                                        factors[77 / NPU_FEW_GROUP] *
                                        (double) scale / (double) peaks[i],
        1, 1e-4);
  }
}

static void
test_few_quantize_grouped_none (gconstpointer data)
{
  enum { K = 128 };
  static const float none[] = {INFINITY, -INFINITY, NAN};
  float x[K] = {0};
  gint8 y[K];
  gint16 factors[K / NPU_FEW_GROUP];

  g_assert_cmpfloat (npu_few_quantize_grouped (y, factors, x, K), ==, 0);
  x[70] = 1e-36f; /* the reciprocal of its scale is no float */
  g_assert_cmpfloat (npu_few_quantize_grouped (y, factors, x, K), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (none); i++) {
    x[70] = none[i];
    g_assert_true (isnan (npu_few_quantize_grouped (y, factors, x, K)));
    for (int j = 0; j < K; j++)
      g_assert_cmpint (y[j] * factors[j / NPU_FEW_GROUP], ==, 0);
  }
}

void
add_few_tests (const Level *level)
{
  add_level_test (level, "few/dot", test_dot);
  add_level_test (level, "few/attend-f32", test_attend_f32);
  add_level_test (level, "few/attend-s8", test_attend_s8);
  add_level_test (level, "few/attend-s8-extreme", test_attend_s8_extreme);
  add_level_test (level, "few/join", test_join);
  add_level_test (level, "few/quantize-s8", test_few_quantize);
  if (level->cpu_flags != 0)
    return;
  add_level_test (level, "few/quantize-grouped", test_few_quantize_grouped);
  add_level_test (
      level, "few/quantize-grouped-peak", test_few_quantize_grouped_peak);
  add_level_test (
      level, "few/quantize-grouped-none", test_few_quantize_grouped_none);
}
