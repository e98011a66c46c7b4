/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstnpulive.h"

GstClockTime
gst_npu_get_running_time (GstElement *element)
{
  gboolean is_playing;

  GST_OBJECT_LOCK (element);
  is_playing = GST_STATE (element) == GST_STATE_PLAYING;
  GST_OBJECT_UNLOCK (element);
  return is_playing ? gst_element_get_current_running_time (element)
                    : GST_CLOCK_TIME_NONE;
}

gboolean
gst_npu_query_latency (GstPad *sink, gboolean *is_live, GstClockTime *min)
{
  g_autoptr (GstQuery) query = gst_query_new_latency ();

  *is_live = FALSE;
  *min = 0;
  if (!gst_pad_peer_query (sink, query))
    return FALSE;
  gst_query_parse_latency (query, is_live, min, NULL);
  return TRUE;
}

/* Saturates: what upstream says may be all that there is, or nearly. */
static GstClockTime
add (GstClockTime time, GstClockTime own)
{
  return time < GST_CLOCK_TIME_NONE - own ? time + own
                                          : GST_CLOCK_TIME_NONE - 1;
}

gboolean
gst_npu_answer_latency (GstPad *sink, GstQuery *query, GstClockTime own)
{
  GstClockTime min, max;
  gboolean is_live;

  if (!gst_pad_peer_query (sink, query))
    return FALSE;
  gst_query_parse_latency (query, &is_live, &min, &max);
  if (is_live)
    gst_query_set_latency (query, TRUE, add (min, own),
        GST_CLOCK_TIME_IS_VALID (max) ? add (max, own) : max);
  return TRUE;
}
