/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xrt-cost.h"

#include <math.h>

/* What is left of a use after another of any context. */
#define FADING 0.999

/* Costs within this factor are about the same: load times are noisy, and in a
 * cycle some contexts have had one turn more than others. */
#define ABOUT_THE_SAME 1.5

void
xrt_cost_use (XrtCost *cost, guint64 now)
{
  cost->n_uses =
      cost->n_uses * pow (FADING, (double) (now - cost->last_use)) + 1.0;
  cost->last_use = now;
}

static double
cost_of (const XrtCost *cost, guint64 now)
{
  return (double) MAX (cost->load_time, 1) * cost->n_uses *
         pow (FADING, (double) (now - cost->last_use));
}

int
xrt_cost_choose (const XrtCost *const *costs, guint n)
{
  guint64 now = 0;
  double least = INFINITY;
  int chosen = -1;

  for (guint i = 0; i < n; i++)
    now = MAX (now, costs[i]->last_use);
  for (guint i = 0; i < n; i++)
    if (costs[i]->may_go)
      least = MIN (least, cost_of (costs[i], now));
  for (guint i = 0; i < n; i++)
    if (costs[i]->may_go && cost_of (costs[i], now) <= ABOUT_THE_SAME * least &&
        (chosen < 0 || costs[i]->last_use > costs[chosen]->last_use))
      chosen = (int) i;
  return chosen;
}
