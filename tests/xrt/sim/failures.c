/* Failures on demand.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  bool on;
  uint64_t first, last; /* occasions that fail, from 1 */
  uint64_t every;       /* of those from first on; 1: each */
  double probability;   /* 1: each */
  uint64_t seed, seen;
} Plan;

static const char *const names[SIM_N_FAILURES] = {
    [SIM_FAIL_NODE] = "node",
    [SIM_FAIL_ACCESS] = "access",
    [SIM_FAIL_BUSY_OPEN] = "busy-open",
    [SIM_FAIL_IOMMU] = "iommu",
    [SIM_FAIL_SVA] = "sva",
    [SIM_FAIL_MEMLOCK] = "memlock",
    [SIM_FAIL_MEMORY] = "memory",
    [SIM_FAIL_CONTEXT] = "context",
    [SIM_FAIL_BUSY] = "busy",
    [SIM_FAIL_CONFIG] = "config",
    [SIM_FAIL_OLD] = "old",
    [SIM_FAIL_SUBMIT] = "submit",
    [SIM_FAIL_HANG] = "hang",
    [SIM_FAIL_ERROR] = "error",
    [SIM_FAIL_ABORT] = "abort",
    [SIM_FAIL_LOST] = "lost",
    [SIM_FAIL_COMMAND] = "command",
    [SIM_FAIL_CORRUPT] = "corrupt",
};

static Plan plans[SIM_N_FAILURES];

static int
parse_option (Plan *plan, const char *option)
{
  const char *value = strchr (option, '=');
  char *end;
  double x;

  if (!value)
    return -1;
  x = strtod (value + 1, &end);
  if (end == value + 1 || *end || x < 0)
    return -1;
  if (!strncmp (option, "n=", 2))
    plan->first = plan->last = (uint64_t) x;
  else if (!strncmp (option, "from=", 5))
    plan->first = (uint64_t) x;
  else if (!strncmp (option, "to=", 3))
    plan->last = (uint64_t) x;
  else if (!strncmp (option, "every=", 6) && x >= 1)
    plan->every = (uint64_t) x;
  else if (!strncmp (option, "p=", 2) && x <= 1)
    plan->probability = x;
  else if (!strncmp (option, "seed=", 5))
    plan->seed = (uint64_t) x;
  else
    return -1;
  return 0;
}

static int
parse_one (Plan *all, char *text)
{
  char *rest = NULL, *kind = strtok_r (text, ":", &rest), *option;
  Plan plan = {true, 1, UINT64_MAX, 1, 1.0, 1, 0};

  if (!kind)
    return 0;
  while ((option = strtok_r (NULL, ":", &rest)))
    if (parse_option (&plan, option))
      return -1;
  for (int i = 0; i < SIM_N_FAILURES; i++)
    if (!strcmp (kind, names[i])) {
      all[i] = plan;
      return 0;
    }
  return -1;
}

int
sim_failures_parse (const char *text)
{
  Plan all[SIM_N_FAILURES] = {0};
  char copy[512], *rest = NULL;

  snprintf (copy, sizeof copy, "%s", text);
  for (char *one = strtok_r (copy, ",", &rest); one;
       one = strtok_r (NULL, ",", &rest))
    if (parse_one (all, one))
      return -1;
  memcpy (plans, all, sizeof plans);
  sim.lost = false;
  return 0;
}

/* splitmix64 of the occasion's number, so that it does not depend on what
 * else happens. */
static double
chance (const Plan *plan)
{
  uint64_t x = (plan->seed << 32) + plan->seen * 0x9e3779b97f4a7c15u;

  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return (double) ((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

bool
sim_may_fail (SimFailure failure)
{
  return plans[failure].on;
}

bool
sim_fails (SimFailure failure)
{
  Plan *plan = &plans[failure];

  if (!plan->on)
    return false;
  plan->seen++;
  if (plan->seen < plan->first || plan->seen > plan->last ||
      (plan->seen - plan->first) % plan->every ||
      (plan->probability < 1 && chance (plan) >= plan->probability))
    return false;
  sim.counters.failures++;
  sim_debug ("failing on demand: %s", names[failure]);
  return true;
}
