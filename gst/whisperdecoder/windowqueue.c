/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "windowqueue.h"

void
window_queue_init (WindowQueue *queue)
{
  *queue = (WindowQueue){0};
  g_queue_init (&queue->windows);
}

void
window_queue_clear (WindowQueue *queue)
{
  g_queue_clear_full (&queue->windows, g_free);
  queue->last_end = 0;
}

void
window_queue_push (WindowQueue *queue, const QueuedWindow *queued)
{
  g_queue_push_tail (&queue->windows, g_memdup2 (queued, sizeof *queued));
}

static void
tell (
    WindowQueue *queue, GstWhisperDecoderSession *session, QueuedWindow *queued)
{
  NpuDecodedWindow decoded = {0};
  guint64 used_until = queued->window.start + queued->window.duration;

  /* Else it hears nothing of what waits to be heard again. */
  queued->goes_on =
      !queued->is_silence && queued->window.start < queue->last_end;
  if (!queued->goes_on)
    npu_transcript_finish (
        session->transcript, queue->segment, queue->user_data);
  queue->last_end = used_until;
  queue->begin (queued, queue->user_data);
  if (!queued->is_silence)
    npu_transcript_take_window (session->transcript, queue->segment,
        queue->user_data, &decoded, &used_until);
  queue->end (queued, queued->is_silence ? NULL : &decoded, used_until,
      queue->user_data);
  npu_decoded_window_clear (&decoded);
}

/* Those at the front that are whole. */
static void
tell_whole (WindowQueue *queue, GstWhisperDecoderSession *session)
{
  QueuedWindow *queued;

  while (
      (queued = g_queue_peek_head (&queue->windows)) &&
      (queued->is_silence || npu_transcript_has_whole (session->transcript))) {
    g_queue_pop_head (&queue->windows);
    tell (queue, session, queued);
    g_free (queued);
  }
}

gboolean
window_queue_run (WindowQueue *queue, GstWhisperDecoderSession *session,
    gboolean all, GError **error)
{
  while (TRUE) {
    tell_whole (queue, session);
    if (all ? queue->windows.length == 0
            : npu_transcript_find_free (session->transcript) >= 0)
      return TRUE;
    if (!npu_transcript_step (session->transcript, error)) {
      window_queue_clear (queue);
      return FALSE;
    }
  }
}
