/* nputranscriber on a live source: which mode its elements are in, a queue in
 * front of them that does not hold the source up, and what is told when the
 * machine is too slow.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "transcriberload.h"

G_BEGIN_DECLS

#define TRANSCRIBER_LATENCY 3000 /* ms */
#define TRANSCRIBER_MAX_LAG (10 * GST_SECOND)

typedef struct {
  GstElement *bin;      /* not owned, like the others but the queue */
  GstPad *sink;         /* of the bin */
  GstElement *resample; /* what the queue stands behind */
  GstElement *mel, *encoder, *decoder;
  GstElement *queue;         /* in the bin where the source is live */
  GstPadQueryFunction query; /* of the bin's source pad */

  /* Object lock of the bin. */
  guint latency; /* ms */
  guint64 max_lag;
  gboolean has_mode, has_commit; /* the user has set them */
  double load;
  GstClockTime first; /* that came to the queue, or NONE */

  /* States change, or the stream's first event: one at a time. */
  gboolean is_decided; /* in this run, by the stream itself */
  gboolean is_live;

  gint has_overrun; /* atomic: the queue has dropped, nothing was told yet */

  /* The queue's streaming thread. */
  GstClockTime next;          /* expected of its next buffer, or NONE */
  guint64 processed, dropped; /* samples */
  TranscriberLoad meter;
  gboolean has_warned;
} TranscriberLive;

/* Takes the elements, which are linked, and the bin's pads. */
void transcriber_live_init (TranscriberLive *self, GstElement *bin,
    GstPad *sink, GstPad *src, GstElement *resample, GstElement *mel,
    GstElement *encoder, GstElement *decoder);
void transcriber_live_clear (TranscriberLive *self);

/* From READY to PAUSED, before the elements; and back, after them. */
void transcriber_live_start (TranscriberLive *self);
void transcriber_live_stop (TranscriberLive *self);

void transcriber_live_set_latency (TranscriberLive *self, guint ms);
void transcriber_live_set_max_lag (TranscriberLive *self, guint64 max_lag);
/* The user has set property @name of the elements. */
void transcriber_live_note_set (TranscriberLive *self, const char *name);

G_END_DECLS
