/* How many workers this process may keep busy.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* CPUs of this process's affinity mask, less where a cgroup (v2) limits its
 * CPU time to fewer; at least 1. */
guint cpu_count (void);

G_END_DECLS
