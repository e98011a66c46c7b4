/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench-load.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double
seconds (const struct timeval *time)
{
  return (double) time->tv_sec + (double) time->tv_usec / 1e6;
}

void
bench_load_now (BenchLoad *load)
{
  /* user, nice, system, idle, iowait, irq, softirq, steal */
  unsigned long long ticks[8] = {0};
  const double tick = 1.0 / (double) sysconf (_SC_CLK_TCK);
  FILE *file = fopen ("/proc/stat", "re");
  struct rusage usage;

  *load = (BenchLoad){0};
  if (file == NULL)
    return;
  if (fscanf (file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &ticks[0],
          &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6],
          &ticks[7]) == 8) {
    for (guint i = 0; i < G_N_ELEMENTS (ticks); i++)
      load->all += (double) ticks[i] * tick;
    load->busy = load->all - (double) (ticks[3] + ticks[4]) * tick;
  }
  fclose (file);
  if (getrusage (RUSAGE_SELF, &usage) == 0)
    load->own = seconds (&usage.ru_utime) + seconds (&usage.ru_stime);
}

double
bench_load_others (const BenchLoad *start)
{
  BenchLoad now;

  bench_load_now (&now);
  if (now.all <= start->all)
    return NAN;
  return CLAMP (100 * (now.busy - start->busy - (now.own - start->own)) /
                    (now.all - start->all),
      0, 100);
}

/* Not getrusage()'s, in which the program that started this one counts too. */
gsize
bench_peak_memory (void)
{
  g_autofree char *text = NULL;
  const char *line;

  if (!g_file_get_contents ("/proc/self/status", &text, NULL, NULL))
    return 0;
  line = strstr (text, "VmHWM:");
  return line ? g_ascii_strtoull (line + strlen ("VmHWM:"), NULL, 10) * 1024
              : 0;
}
