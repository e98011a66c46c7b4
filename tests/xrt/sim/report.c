/* What was done to the device, for tests: counters, violations, the report.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__ ((visibility ("default")))

static const char *const names[SIM_N_VIOLATIONS] = {
    [SIM_STALE_INPUT] = "stale-input",
    [SIM_LOST_WRITE] = "lost-write",
    [SIM_EARLY_READ] = "early-read",
    [SIM_FREED_IN_USE] = "freed-in-use",
    [SIM_WRONG_BUFFER] = "wrong-buffer",
    [SIM_OUT_OF_RANGE] = "out-of-range",
    [SIM_NOT_PINNED] = "not-pinned",
    [SIM_BAD_STREAM] = "bad-stream",
    [SIM_BAD_PACKET] = "bad-packet",
    [SIM_BAD_PROGRAM] = "bad-program",
    [SIM_RESUBMITTED] = "resubmitted",
    [SIM_ARRAY] = "array",
};

void
sim_debug (const char *format, ...)
{
  va_list args;

  if (!sim.settings.debug)
    return;
  va_start (args, format);
  flockfile (stderr);
  fprintf (stderr, "npusim[%d]: ", (int) getpid ());
  vfprintf (stderr, format, args);
  fputc ('\n', stderr);
  funlockfile (stderr);
  va_end (args);
}

/* A program that breaks one rule in a loop would fill the disk: the first few
 * of a kind are told, all are counted. Engines come here without sim.lock. */
void
sim_violation (SimViolation violation, const char *format, ...)
{
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  uint64_t count;
  va_list args;

  pthread_mutex_lock (&lock);
  count = ++sim.violations[violation];
  sim.counters.violations++;
  va_start (args, format);
  vsnprintf (sim.last_violation, sizeof sim.last_violation, format, args);
  va_end (args);
  if (count <= 5)
    fprintf (stderr, "npusim: %s: %s%s\n", names[violation], sim.last_violation,
        count == 5 ? " (more of these are only counted)" : "");
  pthread_mutex_unlock (&lock);
}

static void
count_living (NpusimCounters *counters)
{
  for (SimClient *client = sim.clients; client; client = client->next)
    for (SimBo *bo = client->bos; bo; bo = bo->next) {
      if (bo->closed)
        continue;
      counters->all_bos++;
      if (bo->type == 1 || bo->type == 3) {
        counters->bos++;
        counters->bo_bytes += bo->size;
      }
    }
  for (SimContext *context = sim.contexts; context; context = context->next) {
    counters->contexts++;
    counters->in_flight += context->submitted - context->completed;
  }
}

static void
get_counters (NpusimCounters *counters)
{
  *counters = sim.counters;
  count_living (counters);
}

static void
write_report (FILE *file)
{
  NpusimCounters counters;

  get_counters (&counters);
#define LINE(field)                                                            \
  fprintf (file, #field "=%llu\n", (unsigned long long) counters.field)
  LINE (opens);
  LINE (bos);
  LINE (bo_bytes);
  LINE (all_bos);
  LINE (contexts);
  LINE (in_flight);
  LINE (submissions);
  LINE (commands);
  LINE (chains);
  LINE (blocked);
  LINE (switches);
  LINE (wakes);
  LINE (syncs);
  LINE (synced_bytes);
  LINE (failures);
  LINE (leaked_bos);
  LINE (leaked_contexts);
  LINE (most_in_flight);
  LINE (most_contexts);
  LINE (array_words);
  LINE (array_bds);
  LINE (violations);
#undef LINE
  for (int i = 0; i < SIM_N_VIOLATIONS; i++)
    fprintf (file, "violation-%s=%llu\n", names[i],
        (unsigned long long) sim.violations[i]);
  if (sim.last_violation[0])
    fprintf (file, "last-violation=%s\n", sim.last_violation);
}

/* Once at exit and again with every close that comes later: which libraries
 * are finalised first is not ours to say. */
void
sim_report_write (void)
{
  char path[300], *percent;
  FILE *file;

  if (!sim.settings.report[0] || !sim.touched)
    return;
  percent = strstr (sim.settings.report, "%p");
  if (percent)
    snprintf (path, sizeof path, "%.*s%d%s",
        (int) (percent - sim.settings.report), sim.settings.report,
        (int) getpid (), percent + 2);
  else
    snprintf (path, sizeof path, "%s", sim.settings.report);
  file = fopen (path, "we");
  if (!file) {
    fprintf (stderr, "npusim: the report %s cannot be written\n", path);
    return;
  }
  write_report (file);
  fclose (file);
}

EXPORT int
npusim_set (const char *name, const char *value)
{
  int result;

  sim_init ();
  pthread_mutex_lock (&sim.lock);
  result = sim_settings_set (name, value);
  pthread_mutex_unlock (&sim.lock);
  return result;
}

EXPORT void
npusim_get_counters (NpusimCounters *counters)
{
  NpusimCounters all;
  const uint64_t size = counters->size;

  sim_init ();
  pthread_mutex_lock (&sim.lock);
  get_counters (&all);
  pthread_mutex_unlock (&sim.lock);
  all.size = size < sizeof all ? size : sizeof all;
  memcpy (counters, &all, all.size);
}

EXPORT void
npusim_reset (void)
{
  sim_init ();
  pthread_mutex_lock (&sim.lock);
  sim.counters = (NpusimCounters){.opens = sim.counters.opens};
  memset (sim.violations, 0, sizeof sim.violations);
  sim.last_violation[0] = 0;
  sim_failures_parse ("");
  pthread_mutex_unlock (&sim.lock);
}

EXPORT const char *
npusim_last_violation (void)
{
  static __thread char copy[sizeof sim.last_violation];

  sim_init ();
  pthread_mutex_lock (&sim.lock);
  memcpy (copy, sim.last_violation, sizeof copy);
  pthread_mutex_unlock (&sim.lock);
  return copy;
}
