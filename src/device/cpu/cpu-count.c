/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-count.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define CGROUPS "sys/fs/cgroup"
#define MAX_CPUS (1 << 16) /* of a mask, more than any kernel has */

/* --- the affinity mask --------------------------------------------------- */

/* The CPUs that this thread may run on; *n: how many numbers the set has room
 * for. NULL where they are not told. Free with CPU_FREE(). */
static cpu_set_t *
allowed_cpus (int *n)
{
  for (*n = CPU_SETSIZE; *n <= MAX_CPUS; *n *= 2) {
    const gsize size = CPU_ALLOC_SIZE (*n);
    cpu_set_t *set = CPU_ALLOC (*n);
    const gboolean known = sched_getaffinity (0, size, set) == 0;
    const gboolean too_small = !known && errno == EINVAL;

    if (known)
      return set;
    CPU_FREE (set);
    if (!too_small)
      break;
  }
  return NULL;
}

/* Not g_get_num_processors(): before GLib 2.76 that is all of the machine's. */
static guint
count_allowed (void)
{
  int n, count = 0;
  cpu_set_t *set = allowed_cpus (&n);

  if (set) {
    count = CPU_COUNT_S (CPU_ALLOC_SIZE (n), set);
    CPU_FREE (set);
  }
  return count > 0 ? (guint) count : MAX (g_get_num_processors (), 1);
}

char *
cpu_affinity_to_string (void)
{
  GString *text = g_string_new (NULL);
  int n;
  cpu_set_t *set = allowed_cpus (&n);
  const gsize size = set ? CPU_ALLOC_SIZE (n) : 0;

  for (int i = 0; set && i < n; i++) {
    const gboolean is_in = CPU_ISSET_S ((gsize) i, size, set) != 0;
    const gboolean was_in = i > 0 && CPU_ISSET_S ((gsize) i - 1, size, set);

    if (is_in && !was_in)
      g_string_append_printf (text, "%s%d-", text->len > 0 ? "," : "", i);
    else if (was_in && !is_in)
      g_string_append_printf (text, "%d", i - 1);
  }
  if (set)
    CPU_FREE (set);
  return g_string_free (text, FALSE);
}

/* --- quotas -------------------------------------------------------------- */

/* A number from a file of a group; FALSE where there is none, or "max", or a
 * negative one. *rest: what follows it. */
static gboolean
parse_us (const char *text, guint64 *value, char **rest)
{
  *value = g_ascii_strtoull (text, rest, 10);
  return *rest != text && text[strspn (text, " ")] != '-' && *value > 0;
}

static guint
cpus_of_quota (guint64 quota, guint64 period, guint limit)
{
  const guint64 cpus = quota / period + (quota % period != 0);

  return (guint) MIN (cpus, limit);
}

/* v2: `cpu.max` is "QUOTA PERIOD", or "max PERIOD". */
static guint
limit_of_max (const char *folder, guint limit)
{
  g_autofree char *path = g_build_filename (folder, "cpu.max", NULL);
  g_autofree char *text = NULL;
  guint64 quota, period;
  char *rest;

  if (!g_file_get_contents (path, &text, NULL, NULL) ||
      !parse_us (text, &quota, &rest) || !parse_us (rest, &period, &rest))
    return limit;
  return cpus_of_quota (quota, period, limit);
}

/* v1: two files, and -1 for no quota. */
static guint
limit_of_cfs (const char *folder, guint limit)
{
  g_autofree char *quota_path =
      g_build_filename (folder, "cpu.cfs_quota_us", NULL);
  g_autofree char *period_path =
      g_build_filename (folder, "cpu.cfs_period_us", NULL);
  g_autofree char *quota_text = NULL;
  g_autofree char *period_text = NULL;
  guint64 quota, period;
  char *rest;

  if (!g_file_get_contents (quota_path, &quota_text, NULL, NULL) ||
      !g_file_get_contents (period_path, &period_text, NULL, NULL) ||
      !parse_us (quota_text, &quota, &rest) ||
      !parse_us (period_text, &period, &rest))
    return limit;
  return cpus_of_quota (quota, period, limit);
}

/* A limit anywhere up the tree holds for everything below it. Where the group
 * is named as another namespace sees it, its folder is not there, but the
 * tree's top is the container's own. */
static guint
limit_of_group (const char *mount, const char *group, guint limit)
{
  g_autofree char *path = g_strdup (strstr (group, "/..") ? "" : group);

  for (;;) {
    g_autofree char *folder = g_strconcat (mount, path, NULL);
    char *last = strrchr (path, '/');

    limit = limit_of_cfs (folder, limit_of_max (folder, limit));
    if (!last)
      return limit;
    *last = '\0';
  }
}

static gboolean
has_controller (const char *controllers, const char *name)
{
  g_auto (GStrv) all = g_strsplit (controllers, ",", -1);

  return g_strv_contains ((const char *const *) all, name);
}

/* @line of /proc/self/cgroup is NUMBER:CONTROLLERS:GROUP, of v2 0::GROUP. */
static guint
limit_of_line (const char *cgroups, const char *line, guint limit)
{
  g_auto (GStrv) parts = g_strsplit (line, ":", 3);
  const char *const v1[] = {parts[0] ? parts[1] : NULL, "cpu"};
  const char *const v2[] = {"", "unified"};
  const char *const *mounts = v1;

  if (g_strv_length (parts) < 3)
    return limit;
  if (*parts[1] == '\0')
    mounts = v2;
  else if (!has_controller (parts[1], "cpu"))
    return limit;
  for (guint i = 0; i < 2; i++) {
    g_autofree char *mount = g_build_filename (cgroups, mounts[i], NULL);

    limit = limit_of_group (mount, parts[2], limit);
  }
  return limit;
}

guint
cpu_count_with_quotas (guint n_allowed, const char *root)
{
  g_autofree char *path = g_build_filename (root, "proc/self/cgroup", NULL);
  g_autofree char *cgroups = g_build_filename (root, CGROUPS, NULL);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  guint n = MAX (n_allowed, 1);

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return n;
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    n = limit_of_line (cgroups, lines[i], n);
  return n;
}

guint
cpu_count (void)
{
  return cpu_count_with_quotas (count_allowed (), "/");
}
