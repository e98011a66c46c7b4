/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "windowevent.h"

#define ADVANCE "whisper/advance"

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
