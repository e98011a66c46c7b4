/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-count.h"

#include <stdlib.h>
#include <string.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

/* CPUs that `cpu.max` ("QUOTA PERIOD", in us, or "max PERIOD") is worth. */
static guint
cpus_of_quota (const char *directory, guint limit)
{
  g_autofree char *path = g_build_filename (directory, "cpu.max", NULL);
  g_autofree char *text = NULL;
  guint64 quota, period, cpus;
  char *end;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return limit;
  quota = g_ascii_strtoull (text, &end, 10);
  if (end == text)
    return limit;
  period = g_ascii_strtoull (end, NULL, 10);
  if (quota == 0 || period == 0)
    return limit;
  cpus = quota / period + (quota % period != 0);
  return MIN (cpus, limit);
}

guint
cpu_count (void)
{
  guint n = MAX (g_get_num_processors (), 1);
  g_autofree char *text = NULL;
  g_autofree char *directory = NULL;
  char *group;

  if (!g_file_get_contents ("/proc/self/cgroup", &text, NULL, NULL))
    return n;
  group = g_str_has_prefix (text, "0::/") ? text : strstr (text, "\n0::/");
  if (!group)
    return n;
  group = strchr (group, '/');
  group[strcspn (group, "\n")] = '\0';

  /* A limit anywhere up the tree holds for everything below it. */
  directory = g_strconcat (CGROUP_ROOT, group, NULL);
  while (strlen (directory) >= strlen (CGROUP_ROOT)) {
    n = cpus_of_quota (directory, n);
    *strrchr (directory, '/') = '\0';
  }
  return n;
}
