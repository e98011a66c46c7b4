/* Which of the resident hardware contexts gives way to another.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What a context's absence would cost. */
typedef struct {
  guint64 load_time; /* ns that it took to make it, the last time */
  double n_uses;     /* times that a launch came to it from another context */
  guint64 last_use;  /* number of that time, counted over all contexts */
  gboolean may_go;   /* resident, with nothing in flight */
} XrtCost;

/* Notes a use, number @now of all. Old uses count less. */
void xrt_cost_use (XrtCost *cost, guint64 now);

/**
 * xrt_cost_choose:
 * @costs: n of them
 *
 * The one that is cheapest to bring back as often as it is used. Among those
 * of about the same cost it is the one used last: an encoder goes round its
 * overlays, and whichever was used longest ago is the next to be needed.
 *
 * Returns: its index, or -1 where none may go.
 */
int xrt_cost_choose (const XrtCost *const *costs, guint n);

G_END_DECLS
