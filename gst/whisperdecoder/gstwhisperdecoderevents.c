/* Events of whisperdecoder.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "gstwhisperdecoderprivate.h"
#include "unsyncedpad.h"

#define GST_CAT_DEFAULT gst_whisper_decoder_debug

#define MODEL_EVENT "npuencoder/model"

/* The base class of the class that is made here. */
#define PARENT_CLASS                                                           \
  GST_BASE_TRANSFORM_CLASS (g_type_class_peek (GST_TYPE_BASE_TRANSFORM))

/* Returns %FALSE after an error message. */
static gboolean
gst_whisper_decoder_check_caps (GstWhisperDecoder *self, const GstCaps *caps)
{
  g_autoptr (GError) error = NULL;
  StatesFormat format;

  if (!gst_caps_is_fixed (caps))
    return FALSE;
  /* Without a session, its width is looked at when there is a window. */
  if (states_caps_parse (caps, &format, &error) &&
      (!self->session || !gst_whisper_decoder_has_model (self) ||
          states_format_check_width (&format,
              npu_decoder_get_d (self->session->decoder),
              self->session->model->name, &error)))
    return TRUE;
  gst_whisper_decoder_post_error (GST_ELEMENT (self), error, NULL);
  return FALSE;
}

/* (transfer full): @event, or where its time is not time, one of time that
 * begins at 0. */
static GstEvent *
gst_whisper_decoder_take_segment (GstWhisperDecoder *self, GstEvent *event)
{
  const GstSegment *segment;
  GstSegment time;
  GstEvent *ours;

  self->segment_seqnum = gst_event_get_seqnum (event);
  gst_event_parse_segment (event, &segment);
  if (segment->format == GST_FORMAT_TIME)
    return event;
  gst_segment_init (&time, GST_FORMAT_TIME);
  ours = gst_event_new_segment (&time);
  gst_event_set_seqnum (ours, self->segment_seqnum);
  gst_event_unref (event);
  return ours;
}

/* Time without windows. Takes @event. */
void
gst_whisper_decoder_take_gap (GstWhisperDecoder *self, GstEvent *event)
{
  GstPad *srcpad = GST_BASE_TRANSFORM_SRC_PAD (self);
  GstClockTime start, duration;

  gst_event_parse_gap (event, &start, &duration);
  if (!GST_CLOCK_TIME_IS_VALID (duration) || duration == 0) {
    gst_pad_push_event (srcpad, event);
    return;
  }
  gst_event_unref (event);
  text_output_drop_unsent (&self->output);
  if (!GST_CLOCK_TIME_IS_VALID (self->output.position))
    self->output.position = start;
  duration = MIN (duration, G_MAXINT64 - MIN (start, G_MAXINT64));
  text_output_begin_window (&self->output, start + duration, FALSE);
  text_output_pop (&self->output, srcpad); /* there is the gap alone */
}

static GstFlowReturn
drain (GstWhisperDecoder *self, gboolean ends)
{
  GstPad *srcpad = GST_BASE_TRANSFORM_SRC_PAD (self);
  GstFlowReturn flow;
  GstBuffer *buffer;

  text_output_drop_unsent (&self->output);
  flow = gst_whisper_decoder_finish_windows (self);
  if (ends && flow == GST_FLOW_OK)
    gst_whisper_decoder_finish_text (self);
  gst_whisper_decoder_live_finish (self);
  while (
      flow == GST_FLOW_OK && (buffer = text_output_pop (&self->output, srcpad)))
    flow = gst_pad_push (srcpad, buffer);
  return flow;
}

GstFlowReturn
gst_whisper_decoder_drain (GstWhisperDecoder *self)
{
  return drain (self, TRUE);
}

/* Before an event. At an end nothing but this can tell of a failed push, as no
 * window comes whose flow would. */
static void
drain_before (GstWhisperDecoder *self, GstEvent *event, gboolean ends)
{
  const GstFlowReturn flow = drain (self, ends);

  if ((GST_EVENT_TYPE (event) == GST_EVENT_EOS ||
          GST_EVENT_TYPE (event) == GST_EVENT_SEGMENT_DONE) &&
      (flow == GST_FLOW_NOT_LINKED || flow == GST_FLOW_NOT_NEGOTIATED))
    GST_ELEMENT_FLOW_ERROR (self, flow);
}

/* None behind @event overlaps with one before it. */
static gboolean
ends_windows (GstEvent *event)
{
  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_STREAM_START:
    case GST_EVENT_SEGMENT:
    case GST_EVENT_SEGMENT_DONE:
    case GST_EVENT_GAP:
    case GST_EVENT_EOS:
      return TRUE;
    default:
      return FALSE;
  }
}

/* Text that is open comes before what follows its windows. Of an event that is
 * not serialized, as flush-start, another thread decodes meanwhile: nothing of
 * that thread is looked at. */
static gboolean
has_open_text (const GstWhisperDecoder *self, GstEvent *event)
{
  if (!GST_EVENT_IS_SERIALIZED (event) ||
      GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_STOP)
    return FALSE;
  if (gst_whisper_decoder_live_is_ended_by (self, event))
    return TRUE;
  if (self->overlaps && ends_windows (event))
    return TRUE;
  return self->windows.windows.length > 0;
}

gboolean
gst_whisper_decoder_sink_event (GstBaseTransform *base, GstEvent *event)
{
  GstWhisperDecoder *self = GST_WHISPER_DECODER (base);
  GstCaps *caps;

  if (has_open_text (self, event))
    drain_before (self, event, ends_windows (event));
  unsynced_pad_forward (GST_ELEMENT (self), event);
  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_START:
      gst_whisper_decoder_cancel (self);
      break;
    case GST_EVENT_FLUSH_STOP:
      gst_whisper_decoder_flush (self);
      gst_whisper_decoder_resume (self);
      break;
    case GST_EVENT_STREAM_START:
      gst_whisper_decoder_reset (self);
      gst_clear_tag_list (&self->upstream_tags);
      break;
    case GST_EVENT_CAPS:
      gst_event_parse_caps (event, &caps);
      if (!gst_whisper_decoder_check_caps (self, caps)) {
        gst_event_unref (event);
        return FALSE;
      }
      break;
    case GST_EVENT_SEGMENT:
      event = gst_whisper_decoder_take_segment (self, event);
      event = gst_whisper_decoder_live_take_segment (self, event);
      break;
    case GST_EVENT_TAG:
      event = gst_whisper_decoder_keep_tags (self, event);
      break;
    case GST_EVENT_GAP:
      if (!gst_pad_has_current_caps (GST_BASE_TRANSFORM_SRC_PAD (base)))
        break;
      gst_whisper_decoder_take_gap (self, event);
      return TRUE;
    case GST_EVENT_CUSTOM_DOWNSTREAM_STICKY:
      if (!gst_event_has_name (event, MODEL_EVENT))
        break;
      gst_whisper_decoder_take_model (self, event);
      gst_event_unref (event);
      return TRUE;
    default:
      break;
  }
  return PARENT_CLASS->sink_event (base, event);
}
