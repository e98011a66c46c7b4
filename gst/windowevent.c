/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "windowevent.h"

#define ADVANCE "whisper/advance"
#define FOLLOW "whisper/follow"

GstEvent *
window_event_new_advance (
    GstClockTime until, GstClockTime sentence, guint32 seqnum)
{
  g_return_val_if_fail (GST_CLOCK_TIME_IS_VALID (until), NULL);

  return gst_event_new_custom (GST_EVENT_CUSTOM_UPSTREAM,
      gst_structure_new (ADVANCE, "until", G_TYPE_UINT64, until, "sentence",
          G_TYPE_UINT64, sentence, "seqnum", G_TYPE_UINT, seqnum, NULL));
}

gboolean
window_event_is_advance (GstEvent *event)
{
  return GST_EVENT_TYPE (event) == GST_EVENT_CUSTOM_UPSTREAM &&
         gst_event_has_name (event, ADVANCE);
}

gboolean
window_event_parse_advance (GstEvent *event, GstClockTime *until,
    GstClockTime *sentence, guint32 *seqnum)
{
  const GstStructure *s;
  guint64 time, end = GST_CLOCK_TIME_NONE;
  guint number;

  if (!window_event_is_advance (event))
    return FALSE;

  s = gst_event_get_structure (event);
  if (!gst_structure_get_uint64 (s, "until", &time) ||
      !GST_CLOCK_TIME_IS_VALID (time) ||
      !gst_structure_get_uint (s, "seqnum", &number))
    return FALSE;
  gst_structure_get_uint64 (s, "sentence", &end);

  if (until)
    *until = time;
  if (sentence)
    *sentence = end;
  if (seqnum)
    *seqnum = number;
  return TRUE;
}

GstQuery *
window_event_new_follow_query (void)
{
  return gst_query_new_custom (
      GST_QUERY_CUSTOM, gst_structure_new_empty (FOLLOW));
}

gboolean
window_event_is_follow_query (GstQuery *query)
{
  const GstStructure *structure = gst_query_get_structure (query);

  return GST_QUERY_TYPE (query) == GST_QUERY_CUSTOM && structure &&
         gst_structure_has_name (structure, FOLLOW);
}

void
window_event_set_follow (GstQuery *query, const WindowFollow *follow)
{
  gst_structure_set (gst_query_writable_structure (query), "follows",
      G_TYPE_BOOLEAN, follow->follows, "overlaps", G_TYPE_BOOLEAN,
      follow->overlap > 0, "overlap", G_TYPE_UINT64, follow->overlap, "varies",
      G_TYPE_BOOLEAN, follow->varies, NULL);
}

WindowFollow
window_event_parse_follow (GstQuery *query)
{
  const GstStructure *structure = gst_query_get_structure (query);
  WindowFollow follow = {0};

  gst_structure_get_boolean (structure, "follows", &follow.follows);
  gst_structure_get_uint64 (structure, "overlap", &follow.overlap);
  gst_structure_get_boolean (structure, "varies", &follow.varies);
  return follow;
}
