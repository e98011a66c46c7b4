/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unsyncedpad.h"

#include <string.h>

/* The events that a pad has before its first buffer; they go when it is
 * deactivated, and a new stream has its own. */
static void
push_start (GstElement *element, GstPad *pad)
{
  g_autofree char *id =
      gst_pad_create_stream_id (pad, element, UNSYNCED_PAD_NAME);
  g_autoptr (GstCaps) caps = gst_caps_new_empty_simple (UNSYNCED_PAD_CAPS);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_pad_push_event (pad, gst_event_new_stream_start (id));
  gst_pad_push_event (pad, gst_event_new_caps (caps));
  gst_pad_push_event (pad, gst_event_new_segment (&segment));
  gst_pad_push_event (
      pad, gst_event_new_tag (gst_tag_list_new (GST_TAG_CODEC, "JSON", NULL)));
  /* A pipeline waits until each of its sinks has something, and there may be
   * nothing to say for long. */
  gst_pad_push_event (pad, gst_event_new_gap (0, GST_CLOCK_TIME_NONE));
}

GstPad *
unsynced_pad_request (
    GstElement *element, GstPadTemplate *pad_template, const char *name)
{
  g_autoptr (GstPad) there =
      gst_element_get_static_pad (element, UNSYNCED_PAD_NAME);
  GstPad *pad;

  if (there)
    return NULL;
  pad = gst_pad_new_from_template (pad_template, UNSYNCED_PAD_NAME);
  gst_pad_set_active (pad, TRUE);
  push_start (element, pad);
  if (gst_element_add_pad (element, pad))
    return pad;
  return NULL;
}

gboolean
unsynced_pad_is_linked (GstElement *element)
{
  g_autoptr (GstPad) pad =
      gst_element_get_static_pad (element, UNSYNCED_PAD_NAME);

  return pad && gst_pad_is_linked (pad);
}

void
unsynced_pad_forward (GstElement *element, GstEvent *event)
{
  g_autoptr (GstPad) pad =
      gst_element_get_static_pad (element, UNSYNCED_PAD_NAME);

  if (!pad)
    return;
  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_STREAM_START:
      push_start (element, pad);
      break;
    case GST_EVENT_FLUSH_START:
    case GST_EVENT_EOS:
      gst_pad_push_event (pad, gst_event_ref (event));
      break;
    case GST_EVENT_FLUSH_STOP:
      gst_pad_push_event (pad, gst_event_ref (event));
      push_start (element, pad);
      break;
    default:
      break;
  }
}

void
unsynced_pad_push (GstElement *element, char *json, GstClockTime now)
{
  GstBuffer *buffer = gst_buffer_new_wrapped (json, strlen (json));
  g_autoptr (GstPad) pad =
      gst_element_get_static_pad (element, UNSYNCED_PAD_NAME);
  g_autoptr (GstEvent) start = NULL;

  if (!pad) {
    gst_buffer_unref (buffer);
    return;
  }
  start = gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);
  if (!start)
    push_start (element, pad);
  GST_BUFFER_PTS (buffer) = now;
  gst_pad_push (pad, buffer);
}
