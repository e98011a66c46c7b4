/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "textoutput.h"

#include <string.h>

#include "segmentjson.h"

/* Of text whose time another window has already given away. */
#define SHORTEST GST_MSECOND

void
text_output_init (TextOutput *output)
{
  *output = (TextOutput){.position = GST_CLOCK_TIME_NONE};
  g_queue_init (&output->items);
}

void
text_output_reset (TextOutput *output)
{
  g_queue_clear_full (&output->items, (GDestroyNotify) gst_mini_object_unref);
  output->position = GST_CLOCK_TIME_NONE;
}

void
text_output_drop_unsent (TextOutput *output)
{
  for (guint n = output->items.length; n > 0; n--) {
    GstMiniObject *item = g_queue_pop_head (&output->items);

    if (GST_IS_EVENT (item) && GST_EVENT_IS_STICKY (item))
      g_queue_push_tail (&output->items, item);
    else
      gst_mini_object_unref (item);
  }
}

void
text_output_flush (TextOutput *output)
{
  text_output_drop_unsent (output);
  output->position = GST_CLOCK_TIME_NONE;
}

void
text_output_begin_window (
    TextOutput *output, GstClockTime start, gboolean is_before)
{
  if (is_before || !GST_CLOCK_TIME_IS_VALID (output->position))
    output->position = start;
  text_output_advance (output, start);
}

void
text_output_advance (TextOutput *output, GstClockTime until)
{
  if (!GST_CLOCK_TIME_IS_VALID (output->position) || until <= output->position)
    return;
  text_output_add_event (
      output, gst_event_new_gap (output->position, until - output->position));
  output->position = until;
}

void
text_output_add_event (TextOutput *output, GstEvent *event)
{
  g_queue_push_tail (&output->items, event);
}

static GstBuffer *
new_buffer (const TextOutput *output, const NpuSegment *segment,
    GstClockTime start, GstClockTime end, const GstSegment *time,
    const char *language)
{
  guint64 stream_start, stream_end;
  GstBuffer *buffer;
  char *text;

  if (output->json) {
    stream_start = gst_segment_to_stream_time (time, GST_FORMAT_TIME, start);
    stream_end = gst_segment_to_stream_time (time, GST_FORMAT_TIME, end);
    if (!GST_CLOCK_TIME_IS_VALID (stream_start) ||
        !GST_CLOCK_TIME_IS_VALID (stream_end)) {
      stream_start = start;
      stream_end = end;
    }
    text = segment_to_json (segment, stream_start, stream_end, language);
  } else {
    text = g_strdup (segment->text);
  }
  buffer = gst_buffer_new_wrapped (text, strlen (text));
  GST_BUFFER_PTS (buffer) = start;
  GST_BUFFER_DURATION (buffer) = end - start;
  return buffer;
}

void
text_output_add (TextOutput *output, const NpuSegment *segment,
    const GstSegment *time, const char *language)
{
  guint64 start = segment->start, end = segment->end;

  if (*segment->text == '\0' ||
      !gst_segment_clip (time, GST_FORMAT_TIME, start, end, &start, &end))
    return;
  /* Where windows overlap, the one before may have had more time than text. */
  start = MAX (start, output->position);
  end = MAX (end, start + SHORTEST);

  text_output_advance (output, start);
  g_queue_push_tail (
      &output->items, new_buffer (output, segment, start, end, time, language));
  output->position = end;
}

GstBuffer *
text_output_pop (TextOutput *output, GstPad *pad)
{
  GstMiniObject *item;

  while ((item = g_queue_pop_head (&output->items))) {
    if (GST_IS_BUFFER (item))
      return GST_BUFFER_CAST (item);
    gst_pad_push_event (pad, GST_EVENT_CAST (item));
  }
  return NULL;
}

void
text_output_add_text (TextOutput *output, GstClockTime start, GstClockTime end,
    const GstSegment *time, char *text)
{
  GstBuffer *buffer;
  guint64 from = start, to = MAX (end, start + SHORTEST);

  if (*text == '\0' ||
      !gst_segment_clip (time, GST_FORMAT_TIME, from, to, &from, &to)) {
    g_free (text);
    return;
  }
  if (GST_CLOCK_TIME_IS_VALID (output->position))
    from = MAX (from, output->position);
  to = MAX (to, from + SHORTEST);
  text_output_advance (output, from);
  buffer = gst_buffer_new_wrapped (text, strlen (text));
  GST_BUFFER_PTS (buffer) = from;
  GST_BUFFER_DURATION (buffer) = to - from;
  g_queue_push_tail (&output->items, buffer);
  output->position = to;
}
