/* Which hardware context is evicted. Needs no XRT.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib.h>

#include "device/xrt/xrt-cost.h"

#define N 8
#define MS ((guint64) 1000000)

/* Uses contexts of these load times in turn, with room for @room; returns how
 * often one had to be loaded. */
static guint
count_loads (const guint64 *load_time, const guint *order, guint n_order,
    guint n_times, guint room)
{
  XrtCost costs[N] = {0};
  const XrtCost *list[N];
  guint n_resident = 0, n_loads = 0;
  guint64 now = 0;

  for (guint i = 0; i < N; i++) {
    costs[i].load_time = load_time[i];
    list[i] = &costs[i];
  }
  for (guint i = 0; i < n_times * n_order; i++) {
    XrtCost *wanted = &costs[order[i % n_order]];

    if (!wanted->may_go) {
      if (n_resident == room) {
        const int chosen = xrt_cost_choose (list, N);

        g_assert_cmpint (chosen, >=, 0);
        costs[chosen].may_go = FALSE;
        n_resident--;
      }
      wanted->may_go = TRUE;
      n_resident++;
      n_loads++;
    }
    xrt_cost_use (wanted, ++now);
  }
  return n_loads;
}

/* Round and round: least recently used would load at every turn. */
static void
test_round (void)
{
  const guint64 load_time[N] = {MS, MS, MS, MS, MS, MS, MS, MS};
  const guint order[N] = {0, 1, 2, 3, 4, 5, 6, 7};
  const guint n_loads = count_loads (load_time, order, N, 100, 6);

  g_test_message ("%u loads in 800 turns", n_loads);
  /* At best N - room + 1 of N turns find nothing: three of eight. */
  g_assert_cmpuint (n_loads, <, 400);
}

/* One that takes long to load stays, those that do not give way. */
static void
test_expensive (void)
{
  XrtCost cheap = {.load_time = MS, .may_go = TRUE};
  XrtCost dear = {.load_time = 100 * MS, .may_go = TRUE};
  const XrtCost *list[] = {&dear, &cheap};

  xrt_cost_use (&dear, 1);
  for (guint64 i = 2; i < 10; i++)
    xrt_cost_use (&cheap, i);
  g_assert_cmpint (xrt_cost_choose (list, 2), ==, 1);
}

/* Of equal load times the one that is used often stays. */
static void
test_often (void)
{
  XrtCost often = {.load_time = MS, .may_go = TRUE};
  XrtCost once = {.load_time = MS, .may_go = TRUE};
  const XrtCost *list[] = {&often, &once};

  for (guint64 i = 1; i < 10; i++)
    xrt_cost_use (&often, i);
  xrt_cost_use (&once, 10);
  g_assert_cmpint (xrt_cost_choose (list, 2), ==, 1);
}

/* What was used often long ago does not stay for ever. */
static void
test_fading (void)
{
  XrtCost once = {.load_time = MS, .may_go = TRUE};
  XrtCost now = {.load_time = MS, .may_go = TRUE};
  const XrtCost *list[] = {&once, &now};
  guint64 time = 0;

  for (guint i = 0; i < 100; i++)
    xrt_cost_use (&once, ++time);
  time += 10000;
  for (guint i = 0; i < 10; i++)
    xrt_cost_use (&now, ++time);
  g_assert_cmpint (xrt_cost_choose (list, 2), ==, 0);
}

static void
test_in_use (void)
{
  XrtCost a = {.load_time = MS}, b = {.load_time = 100 * MS};
  const XrtCost *list[] = {&a, &b};

  xrt_cost_use (&a, 1);
  xrt_cost_use (&b, 2);
  g_assert_cmpint (xrt_cost_choose (list, 2), ==, -1);
  b.may_go = TRUE;
  g_assert_cmpint (xrt_cost_choose (list, 2), ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/xrt/cost/round", test_round);
  g_test_add_func ("/xrt/cost/expensive", test_expensive);
  g_test_add_func ("/xrt/cost/often", test_often);
  g_test_add_func ("/xrt/cost/fading", test_fading);
  g_test_add_func ("/xrt/cost/in-use", test_in_use);
  return g_test_run ();
}
