/* One window after another.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-transcript.h"

gboolean
npu_transcript_add_window (NpuTranscript *transcript, guint window,
    guint64 start, guint64 duration, NpuSegmentFunc func, gpointer user_data,
    NpuDecodedWindow *decoded, guint64 *used_until, GError **error)
{
  g_return_val_if_fail (!npu_transcript_is_open (transcript), FALSE);
  if (!npu_transcript_begin_window (transcript, window, start, duration, error))
    return FALSE;
  while (!npu_transcript_has_whole (transcript)) {
    if (!npu_transcript_step (transcript, error))
      return FALSE;
  }
  npu_transcript_take_window (transcript, func, user_data, decoded, used_until);
  return TRUE;
}
