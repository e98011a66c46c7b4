/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "melsender.h"

#include "windowpauses.h"

GST_DEBUG_CATEGORY_EXTERN (whisper_mel_debug);
#define GST_CAT_DEFAULT whisper_mel_debug

/* Jumps that upstream did not flag, before the user is told. */
#define MAX_JUMPS 3

void
mel_sender_init (MelSender *self, GstElement *element, GstPad *sinkpad,
    GstPad *srcpad, const GstWhisperMelSettings *settings)
{
  *self = (MelSender){
      .element = element,
      .sinkpad = sinkpad,
      .srcpad = srcpad,
      .n_mels = settings->n_mels,
  };
  mel_output_init (&self->output, element, srcpad,
      gst_whisper_mel_settings_get_n_frames (settings),
      settings->tail == GST_WHISPER_MEL_TAIL_ZERO &&
          settings->mode != GST_WHISPER_MEL_MODE_GROWING);
  mel_sender_reset (self);
}

void
mel_sender_clear (MelSender *self)
{
  mel_output_clear (&self->output);
}

void
mel_sender_reset (MelSender *self)
{
  gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
  self->discont = TRUE;
  self->n_jumps = 0;
}

/* --- windows ------------------------------------------------------------ */

gboolean
mel_sender_negotiate (MelSender *self)
{
  /* Set again where it fails: the next window then asks again. */
  gst_pad_check_reconfigure (self->srcpad);
  if (mel_output_negotiate (&self->output, self->n_mels))
    return TRUE;
  gst_pad_mark_reconfigure (self->srcpad);
  return FALSE;
}

gboolean
mel_sender_set_n_frames (MelSender *self, guint n_frames)
{
  if (self->output.n_frames == n_frames)
    return TRUE;
  mel_output_set_n_frames (&self->output, n_frames);
  return mel_sender_negotiate (self);
}

static GstFlowReturn
get_flow_of_refusal (const MelSender *self)
{
  return GST_PAD_IS_FLUSHING (self->srcpad) ? GST_FLOW_FLUSHING
                                            : GST_FLOW_NOT_NEGOTIATED;
}

GstFlowReturn
mel_sender_push_window (MelSender *self, const MelWindow *window)
{
  GstBuffer *buffer = NULL;
  GstFlowReturn flow;

  /* Of a stream whose first caps came while the pad was flushing, nothing has
   * been agreed on, whatever the pad says since. */
  if ((!self->output.is_negotiated ||
          gst_pad_needs_reconfigure (self->srcpad)) &&
      !mel_sender_negotiate (self))
    return get_flow_of_refusal (self);

  flow = mel_output_make (&self->output, window, &buffer);
  if (flow != GST_FLOW_OK)
    return flow;

  if (self->discont)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  self->discont = FALSE;
  window_pauses_add (buffer, window->samples, window->n_samples, window->start);
  if (window->marker)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_MARKER);
  GST_LOG_OBJECT (self->element, "window %" GST_PTR_FORMAT, buffer);
  return gst_pad_push (self->srcpad, buffer);
}

void
mel_sender_push_gap (MelSender *self, GstClockTime start, GstClockTime duration)
{
  GST_LOG_OBJECT (self->element,
      "nothing for %" GST_TIME_FORMAT " from %" GST_TIME_FORMAT,
      GST_TIME_ARGS (duration), GST_TIME_ARGS (start));
  gst_pad_push_event (self->srcpad, gst_event_new_gap (start, duration));
}

/* --- segments ----------------------------------------------------------- */

/* Bytes of a file, say: windows are timed from 0 by counting samples. */
static GstEvent *
new_segment (const GstSegment *segment, guint32 seqnum)
{
  GstSegment time_segment;
  GstEvent *event;

  if (segment->format != GST_FORMAT_TIME) {
    gst_segment_init (&time_segment, GST_FORMAT_TIME);
    segment = &time_segment;
  }
  event = gst_event_new_segment (segment);
  gst_event_set_seqnum (event, seqnum);
  return event;
}

gboolean
mel_sender_push_segment (MelSender *self, GstEvent *event)
{
  self->seqnum = gst_event_get_seqnum (event);
  if (self->segment.format != GST_FORMAT_TIME) {
    gst_event_unref (event);
    event = new_segment (&self->segment, self->seqnum);
  }
  return gst_pad_push_event (self->srcpad, event);
}

void
mel_sender_renew_segment (MelSender *self)
{
  if (self->segment.format == GST_FORMAT_UNDEFINED)
    return;
  self->seqnum = gst_util_seqnum_next ();
  gst_pad_push_event (self->srcpad, new_segment (&self->segment, self->seqnum));
}

/* --- jumps -------------------------------------------------------------- */

void
mel_sender_count_jump (MelSender *self, GstClockTime from, GstClockTime to)
{
  if (++self->n_jumps != MAX_JUMPS)
    return;
  GST_ELEMENT_WARNING (self->element, STREAM, FORMAT,
      ("The audio's timestamps have jumped %u times, and each jump ends a window. If the audio is whole, they are wrong: another parser or decoder upstream may make better ones, or set alignment-threshold beyond the jumps, so that samples count.",
          MAX_JUMPS),
      ("the last from %" GST_TIME_FORMAT " to %" GST_TIME_FORMAT,
          GST_TIME_ARGS (from), GST_TIME_ARGS (to)));
}
