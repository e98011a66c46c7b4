/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-deadline.h"

#define SLICE 100000 /* us */

/* Beyond what was asked for: a busy machine is as late as that now and then. */
#define LATE 200000

NpuDeadline
npu_deadline_in (guint64 timeout)
{
  const guint64 us = timeout / 1000 + (timeout % 1000 != 0);

  return (NpuDeadline){(gint64) MIN (us, G_MAXINT64)};
}

gboolean
npu_deadline_wait (NpuDeadline *deadline, GCond *cond, GMutex *lock)
{
  const gint64 asked = MIN (deadline->left, SLICE);
  const gint64 begin = g_get_monotonic_time ();
  gint64 took;

  if (deadline->left <= 0)
    return FALSE;
  g_cond_wait_until (cond, lock, begin + asked);
  took = g_get_monotonic_time () - begin;
  /* A little, so that there is an end where every slice is late. */
  if (took > asked + LATE)
    took = asked / 4 + 1;
  deadline->left -= took;
  return TRUE;
}

gboolean
npu_deadline_spend (NpuDeadline *deadline, gint64 begin, gint64 end)
{
  deadline->left -= MIN (end - begin, SLICE + LATE);
  return deadline->left > 0;
}
