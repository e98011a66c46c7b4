/* The clock of all times here: CLOCK_MONOTONIC, as g_get_monotonic_time(),
 * but in ns.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <time.h>

#include <glib.h>

G_BEGIN_DECLS

static inline guint64
npu_clock_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (guint64) now.tv_sec * 1000000000u + (guint64) now.tv_nsec;
}

G_END_DECLS
