/* Windows of whisperdecoder that are being decoded, in the stream's order.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "gstwhisperdecodersession.h"

G_BEGIN_DECLS

/* A window that has come and whose text has not been told. */
typedef struct {
  GstWhisperDecoderWindow window; /* its states have been taken */
  gboolean is_before;             /* it begins another stream */
  gboolean is_silence;            /* it is not decoded */
  gboolean goes_on;               /* it begins before the one before ends */
  guint64 opening_time;           /* ns */
} QueuedWindow;

/* A window whose turn it is. @decoded: %NULL for silence */
typedef void (*WindowQueueFunc) (const QueuedWindow *queued,
    const NpuDecodedWindow *decoded, guint64 used_until, gpointer user_data);

typedef struct {
  GQueue windows;        /* of QueuedWindow */
  GstClockTime last_end; /* of the last one that was told */
  /* Of windows, before their segments; of their segments; and after them. */
  void (*begin) (const QueuedWindow *queued, gpointer user_data);
  NpuSegmentFunc segment;
  WindowQueueFunc end;
  gpointer user_data;
} WindowQueue;

void window_queue_init (WindowQueue *queue);
/* Forgets what waits. */
void window_queue_clear (WindowQueue *queue);

/* Appends @queued, whose states @session has begun to decode unless it is
 * silence. */
void window_queue_push (WindowQueue *queue, const QueuedWindow *queued);

/* Decodes until another window can be taken, or where @all is %TRUE, until none
 * is left; those that are whole are told. Returns %FALSE with @error set; then
 * all have been forgotten. */
gboolean window_queue_run (WindowQueue *queue,
    GstWhisperDecoderSession *session, gboolean all, GError **error);

G_END_DECLS
