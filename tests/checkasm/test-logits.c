/* Rows of logits: maxima, the softmax's logarithm, the best few.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "checkasm.h"

#include <math.h>

static const int sizes[] = {0, 1, 7, 8, 9, 31, 32, 33, 100, 300, 51865, 51866};

/* Between guard pages; a part of it is what filters leave. */
static Guarded *
new_logits (int n, GuardSide side, gboolean filtered)
{
  Guarded *guarded = guarded_new ((gsize) n * sizeof (float), side);
  float *x = guarded_data (guarded);

  fill_normal (x, n, 5);
  /* Equal ones too. */
  for (int i = 0; i < n; i++)
    x[i] = roundf (x[i] * 64) / 64;
  for (int i = 0; filtered && i < n; i++)
    if (g_test_rand_int_range (0, 3) != 0)
      x[i] = -INFINITY;
  return guarded;
}

static int
plain_argmax (const float *x, int n)
{
  int at = -1;

  for (int i = 0; i < n; i++)
    if (x[i] > -INFINITY && (at < 0 || x[i] > x[at]))
      at = i;
  return at;
}

static double
plain_log_sum_exp (const float *x, int n)
{
  const int at = plain_argmax (x, n);
  double sum = 0;

  for (int i = 0; i < n && at >= 0; i++)
    sum += exp ((double) x[i] - (double) x[at]);
  return at < 0 ? -INFINITY : x[at] + log (sum);
}

static void
check_best (const NpuLogitsKernels *kernels, const float *x, int n, int n_best)
{
  int ids[NPU_LOGITS_MAX_BEST];
  const int found = kernels->best (x, n, ids, n_best);
  int n_there = 0;

  for (int i = 0; i < n; i++)
    n_there += x[i] > -INFINITY;
  g_assert_cmpint (found, ==, MIN (n_best, n_there));
  for (int i = 1; i < found; i++)
    g_assert_true (x[ids[i - 1]] > x[ids[i]] ||
                   (x[ids[i - 1]] == x[ids[i]] && ids[i - 1] < ids[i]));
  if (found == 0)
    return;
  /* What is not in the list is behind its last. */
  n_there = 0;
  for (int i = 0; i < n; i++)
    n_there += x[i] > x[ids[found - 1]] ||
               (x[i] == x[ids[found - 1]] && i <= ids[found - 1]);
  g_assert_cmpint (n_there, ==, found);
}

static void
test_logits (gconstpointer data)
{
  const Level *level = data;
  const NpuLogitsKernels *kernels = &level->logits;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (guint side = 0; side < N_GUARD_SIDES; side++)
      for (guint filtered = 0; filtered < 2; filtered++) {
        const int n = sizes[i];
        g_autoptr (Guarded) guarded = new_logits (n, side, filtered);
        const float *x = guarded_data (guarded);
        const double expected = plain_log_sum_exp (x, n);

        g_assert_cmpint (kernels->argmax (x, n), ==, plain_argmax (x, n));
        if (isinf (expected))
          g_assert_cmpfloat (kernels->log_sum_exp (x, n), ==, expected);
        else
          g_assert_cmpfloat_with_epsilon (
              kernels->log_sum_exp (x, n), expected, 1e-5);
        check_best (kernels, x, n, 0);
        check_best (kernels, x, n, 1);
        check_best (kernels, x, n, 16);
        check_best (kernels, x, n, NPU_LOGITS_MAX_BEST);
      }
}

/* Neither a NaN nor a wide range is taken for something else. */
static void
test_logits_hostile (gconstpointer data)
{
  const Level *level = data;
  const NpuLogitsKernels *kernels = &level->logits;
  enum { N = 70 };
  float x[N];
  int ids[4];

  for (int at = 0; at < N; at++) {
    for (int i = 0; i < N; i++)
      x[i] = (float) i;
    x[at] = NAN;
    g_assert_true (isnan (kernels->log_sum_exp (x, N)));
    g_assert_cmpint (kernels->argmax (x, N), ==, at == N - 1 ? N - 2 : N - 1);
    g_assert_cmpint (kernels->best (x, N, ids, 4), ==, 4);
    g_assert_cmpint (ids[0], ==, at == N - 1 ? N - 2 : N - 1);

    for (int i = 0; i < N; i++)
      x[i] = -3e38f;
    x[at] = 3e38f;
    g_assert_cmpfloat (kernels->log_sum_exp (x, N), ==, x[at]);
    g_assert_cmpint (kernels->argmax (x, N), ==, at);

    for (int i = 0; i < N; i++)
      x[i] = NAN;
    g_assert_cmpint (kernels->argmax (x, N), ==, -1);
    g_assert_cmpint (kernels->best (x, N, ids, 4), ==, 0);
    g_assert_true (isnan (kernels->log_sum_exp (x, N)));
    x[at] = -INFINITY;
    g_assert_true (isnan (kernels->log_sum_exp (x, N)));
  }
}

void
add_logits_tests (const Level *level)
{
  add_level_test (level, "logits", test_logits);
  add_level_test (level, "logits/hostile", test_logits_hostile);
}
