/* How long a device is waited for: time in which it could work, and not that in
 * which the process was stopped (a debugger, a paused container), or the
 * machine asleep.
 *
 * It is waited in slices. One that took far longer than was asked for means
 * that nothing ran meanwhile, and counts little.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  gint64 left; /* us */
} NpuDeadline;

/* @timeout: ns; G_MAXUINT64 never ends. */
NpuDeadline npu_deadline_in (guint64 timeout);

/* Waits for @cond, of which @lock is held, for a slice at most: the caller
 * looks at what it waits for and calls again. Returns %FALSE once no time is
 * left. */
gboolean npu_deadline_wait (NpuDeadline *deadline, GCond *cond, GMutex *lock);

/* The caller worked from @begin to @end, in us, instead of waiting. Returns
 * %FALSE once no time is left. */
gboolean npu_deadline_spend (NpuDeadline *deadline, gint64 begin, gint64 end);

G_END_DECLS
