/* whisper/advance: what a decoder tells the element that cuts the windows, and
 * whisper/follow: whether it listens.
 *
 * A custom upstream event, not serialised. Its structure is named
 * `whisper/advance` and has the fields
 * - `until` (guint64, ns): PTS up to which the newest window is used up; the
 *   next one begins there
 * - `sentence` (guint64, ns; optional): PTS where the last complete sentence
 *   before it ends
 * - `seqnum` (uint): of the segment event that the window came after; an answer
 *   about another segment is ignored
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/**
 * window_event_new_advance:
 * @until: a valid time
 * @sentence: a time, or %GST_CLOCK_TIME_NONE
 * @seqnum: gst_event_get_seqnum() of the segment event
 *
 * Returns: (transfer full): the event, to be pushed upstream before the chain
 *   function that was given the window returns. gst_pad_push_event() answers
 *   whether the next window will begin there: not if the windows are at fixed
 *   hops, or the next one has begun already.
 */
GstEvent *window_event_new_advance (
    GstClockTime until, GstClockTime sentence, guint32 seqnum);

/* Whether it has the name; not whether it has all that it must have. */
gboolean window_event_is_advance (GstEvent *event);

/**
 * window_event_parse_advance:
 * @until: (out) (optional)
 * @sentence: (out) (optional): %GST_CLOCK_TIME_NONE where there is none
 * @seqnum: (out) (optional)
 *
 * Returns: whether @event is a whisper/advance with all that it must have;
 *   the results are set in that case only
 */
gboolean window_event_parse_advance (GstEvent *event, GstClockTime *until,
    GstClockTime *sentence, guint32 *seqnum);

/* A custom query upstream named `whisper/follow`: how windows come after one
 * another. Nobody answers where nobody cuts windows; then they neither follow
 * nor overlap, and one that is shorter than 30 s is the last. (transfer full)
 */
GstQuery *window_event_new_follow_query (void);
gboolean window_event_is_follow_query (GstQuery *query);

/* How windows come. */
typedef struct {
  gboolean follows; /* the next one begins where whisper/advance says */
  gboolean varies;  /* one that is shorter than 30 s need not be the last */
  guint64 overlap;  /* it begins so long before the one before ends, ns */
} WindowFollow;

void window_event_set_follow (GstQuery *query, const WindowFollow *follow);
WindowFollow window_event_parse_follow (GstQuery *query);

G_END_DECLS
