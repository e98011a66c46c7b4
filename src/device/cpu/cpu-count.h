/* How many workers this process may keep busy.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* CPUs of this process's affinity mask, which taskset and cpusets narrow, less
 * where a cgroup (v1 or v2) limits its CPU time to fewer; at least 1. */
guint cpu_count (void);

/* The same of @n_allowed CPUs, with /proc and /sys below the folder @root. */
guint cpu_count_with_quotas (guint n_allowed, const char *root);

/* This thread's affinity mask, which threads that it starts have too:
 * "0-3,6-6"; (transfer full). */
char *cpu_affinity_to_string (void);

G_END_DECLS
