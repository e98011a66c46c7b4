/* The union of the intervals in which launches computed.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-busy-time.h"

static void
remove_span (NpuBusyTime *busy, guint i)
{
  busy->span[i] = busy->span[--busy->n_spans];
}

guint64
npu_busy_time_add (
    NpuBusyTime *busy, guint64 submitted, guint64 start, guint64 end)
{
  guint64 grown = end - start;
  guint64 merged_start = start, merged_end = end;
  guint i = 0;

  while (i < busy->n_spans) {
    guint64 other_start = busy->span[i].start;
    guint64 other_end = busy->span[i].end;

    if (other_end <= submitted) {
      remove_span (busy, i);
    } else if (other_start <= end && other_end >= start) {
      grown -= MIN (end, other_end) - MAX (start, other_start);
      merged_start = MIN (merged_start, other_start);
      merged_end = MAX (merged_end, other_end);
      remove_span (busy, i);
    } else {
      i++;
    }
  }

  /* Spans left are of launches that were in flight together with this one. */
  g_assert (busy->n_spans < NPU_BUSY_TIME_MAX);
  busy->span[busy->n_spans].start = merged_start;
  busy->span[busy->n_spans].end = merged_end;
  busy->n_spans++;
  return grown;
}
