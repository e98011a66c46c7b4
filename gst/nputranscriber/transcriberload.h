/* Whether the machine keeps up: time spent by time of the stream, and how late
 * the newest audio is. Knows no clock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define TRANSCRIBER_LOAD_WINDOWS 64

typedef enum {
  TRANSCRIBER_LOAD_SAME,
  TRANSCRIBER_LOAD_OVER, /* from now on the machine is too slow */
  TRANSCRIBER_LOAD_WELL, /* from now on it is not */
} TranscriberLoadChange;

typedef struct {
  /*< private >*/
  struct {
    GstClockTime end; /* of the window, in the stream */
    guint64 busy;     /* ns in all until then */
  } windows[TRANSCRIBER_LOAD_WINDOWS];
  guint first, n;
  gboolean is_over;
  /*< public >*/
  gboolean is_known; /* load: there is 2 s of the stream to tell it by */
  double load;       /* over the last 10 s of the stream; 0: not known yet */
  GstClockTime step; /* from the window before to the last; 0: there is none */
  GstClockTime lag;  /* of its newest audio */
} TranscriberLoad;

void transcriber_load_reset (TranscriberLoad *self);

/* A window that ends at @end of the stream has been encoded; @busy: ns spent
 * since the start. Time that jumps, and a total that falls, begin anew. */
TranscriberLoadChange transcriber_load_add (
    TranscriberLoad *self, GstClockTime end, guint64 busy, GstClockTime lag);

/* Audio was dropped, which is too slow whatever the load; what follows it is
 * late by @lag. */
void transcriber_load_note_dropped (TranscriberLoad *self, GstClockTime lag);

G_END_DECLS
