/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "melstream.h"

#include <gst/audio/audio.h>

#include "audioclip.h"
#include "audiowindow.h"
#include "mel/logmel.h"
#include "melcutter.h"

GST_DEBUG_CATEGORY_EXTERN (whisper_mel_debug);
#define GST_CAT_DEFAULT whisper_mel_debug

#define MAX_GAP (G_MAXINT64 / 2) /* sums with it do not overflow */
#define MAX_TIME ((GstClockTime) G_MAXINT64)

struct _MelStream {
  gint refs; /* atomic */
  GstElement *element;
  MelSender sender;
  MelCutter *cutter;
  MelTimeline timeline;
  gboolean hole;           /* upstream flagged one before the audio to come */
  gboolean warned;         /* of invalid samples */
  gboolean warned_of_back; /* of stamps that go back */
  guint32 refused;         /* seqnum of a segment that nothing can come in */
};

/* --- life --- */

MelStream *
mel_stream_new (GstElement *element, GstPad *sinkpad, GstPad *srcpad,
    const GstWhisperMelSettings *settings, GError **error)
{
  MelStream *self = g_new0 (MelStream, 1);

  self->refs = 1;
  self->element = element;
  mel_timeline_init (&self->timeline, settings->alignment_threshold,
      gst_whisper_mel_settings_get_wait (settings));
  mel_sender_init (&self->sender, element, sinkpad, srcpad, settings);
  if (settings->mode == GST_WHISPER_MEL_MODE_GROWING)
    self->cutter = mel_growing_new (&self->sender, settings, error);
  else
    self->cutter = mel_hops_new (&self->sender, settings);
  if (!self->cutter) {
    mel_stream_unref (self);
    return NULL;
  }
  mel_stream_reset (self);
  return self;
}

MelStream *
mel_stream_ref (MelStream *self)
{
  g_atomic_int_inc (&self->refs);
  return self;
}

static void
unref_buffer (gpointer buffer)
{
  gst_buffer_unref (buffer);
}

void
mel_stream_unref (MelStream *self)
{
  if (!g_atomic_int_dec_and_test (&self->refs))
    return;
  if (self->cutter)
    self->cutter->klass->free (self->cutter);
  mel_sender_clear (&self->sender);
  mel_timeline_clear (&self->timeline, unref_buffer);
  g_free (self);
}

void
mel_stream_set_flushing (MelStream *self, gboolean flushing)
{
  mel_output_set_flushing (&self->sender.output, flushing);
}

void
mel_stream_stop (MelStream *self)
{
  mel_output_stop (&self->sender.output);
}

gboolean
mel_stream_answer (MelStream *self, GstEvent *event)
{
  return self->cutter->klass->answer (self->cutter, event);
}

void
mel_stream_reset (MelStream *self)
{
  mel_sender_reset (&self->sender);
  mel_timeline_restart (&self->timeline, 0, unref_buffer);
  self->cutter->klass->restart (self->cutter, 0);
  self->hole = FALSE;
  self->warned = FALSE;
  self->warned_of_back = FALSE;
  self->refused = GST_SEQNUM_INVALID;
}

gboolean
mel_stream_negotiate (MelStream *self)
{
  return mel_sender_negotiate (&self->sender);
}

static GstClockTime
get_head (const MelStream *self)
{
  return self->cutter->klass->get_head (self->cutter);
}

/* --- audio --- */

static void
warn_of_invalid (MelStream *self, guint64 n_invalid)
{
  GST_WARNING_OBJECT (
      self->element, "%" G_GUINT64_FORMAT " invalid samples", n_invalid);
  if (self->warned)
    return;
  self->warned = TRUE;
  GST_ELEMENT_WARNING (self->element, STREAM, FORMAT,
      ("The audio has samples that are not numbers, infinite or beyond %g times full scale. They are taken as silence; look for the element upstream that makes them.",
          (double) LOG_MEL_MAX_SAMPLE),
      ("%" G_GUINT64_FORMAT " of them in the buffer before %" GST_TIME_FORMAT,
          n_invalid, GST_TIME_ARGS (get_head (self))));
}

static GstFlowReturn
add_audio (MelStream *self, const MelAudio *audio)
{
  guint64 n_invalid = 0;
  GstFlowReturn flow =
      self->cutter->klass->add (self->cutter, audio, &n_invalid);

  if (n_invalid > 0)
    warn_of_invalid (self, n_invalid);
  return flow;
}

static GstFlowReturn
add_buffer (MelStream *self, GstBuffer *buffer)
{
  const GstAudioLevelMeta *level = gst_buffer_get_audio_level_meta (buffer);
  MelAudio audio = {
      .n = gst_buffer_get_size (buffer) / sizeof (float),
      .has_level = level != NULL,
      .is_voice = level && level->voice_activity,
  };
  GstFlowReturn flow;
  GstMapInfo map;

  if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP))
    return add_audio (self, &audio);

  if (!gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    GST_ELEMENT_ERROR (self->element, RESOURCE, READ,
        ("Cannot read a buffer of audio."), ("%" GST_PTR_FORMAT, buffer));
    return GST_FLOW_ERROR;
  }
  audio.data = map.data;
  flow = add_audio (self, &audio);
  gst_buffer_unmap (buffer, &map);
  return flow;
}

/* --- time --- */

/* Adds all that the timeline gives a time. */
static GstFlowReturn
add_pieces (MelStream *self)
{
  GstFlowReturn flow = GST_FLOW_OK;
  MelTimelinePiece piece;

  while (mel_timeline_pop (&self->timeline, &piece)) {
    g_autoptr (GstBuffer) buffer = piece.data;

    if (flow == GST_FLOW_OK)
      flow = self->cutter->klass->go_to (self->cutter, &piece);
    self->sender.discont |= piece.discont;
    if (flow == GST_FLOW_OK)
      flow = add_buffer (self, buffer);
  }
  return flow;
}

static void
warn_of_back (MelStream *self, GstClockTime time)
{
  self->warned_of_back = TRUE;
  GST_ELEMENT_WARNING (self->element, STREAM, FORMAT,
      ("The audio's timestamps go back again and again: they are wrong, and samples are counted instead from now on. Another parser or decoder upstream may make better ones; an alignment-threshold beyond the jumps counts samples from the start."),
      ("the last: %" GST_TIME_FORMAT " after %" GST_TIME_FORMAT,
          GST_TIME_ARGS (time), GST_TIME_ARGS (get_head (self))));
}

/* --- interface --- */

GstFlowReturn
mel_stream_add (MelStream *self, GstBuffer *buffer)
{
  gsize size = gst_buffer_get_size (buffer);
  GstClockTime time;

  if (self->sender.output.n_mels == 0) {
    GST_ELEMENT_ERROR (self->element, CORE, NEGOTIATION,
        ("Audio came without caps. whispermel takes 16 kHz mono F32LE: put audioconvert ! audioresample before it."),
        (NULL));
    gst_buffer_unref (buffer);
    return GST_FLOW_NOT_NEGOTIATED;
  }
  if (size % sizeof (float) != 0) {
    GST_ELEMENT_ERROR (self->element, STREAM, FORMAT,
        ("An audio buffer of %" G_GSIZE_FORMAT
         " bytes is not a whole number of 4-byte samples.",
            size),
        ("%" GST_PTR_FORMAT, buffer));
    gst_buffer_unref (buffer);
    return GST_FLOW_ERROR;
  }

  self->hole |= GST_BUFFER_IS_DISCONT (buffer);
  buffer = audio_clip (buffer, &self->sender.segment);
  if (!buffer)
    return GST_FLOW_OK;
  time = GST_BUFFER_PTS (buffer);
  mel_timeline_push (&self->timeline, buffer, time,
      gst_buffer_get_size (buffer) / sizeof (float), self->hole);
  self->hole = FALSE;
  if (mel_timeline_is_doubted (&self->timeline) && !self->warned_of_back)
    warn_of_back (self, time);
  return add_pieces (self);
}

GstFlowReturn
mel_stream_drain (MelStream *self)
{
  GstFlowReturn flow, drained;

  mel_timeline_settle (&self->timeline);
  flow = add_pieces (self);
  drained = self->cutter->klass->drain (self->cutter);
  return flow != GST_FLOW_OK ? flow : drained;
}

gboolean
mel_stream_segment (MelStream *self, GstEvent *event)
{
  const GstSegment *segment;

  gst_event_parse_segment (event, &segment);
  if (segment->rate < 0) {
    /* A pad sends what was refused again with each buffer. */
    if (gst_event_get_seqnum (event) != self->refused)
      GST_ELEMENT_ERROR (self->element, CORE, SEEK,
          ("Speech cannot be encoded backwards: seek with a positive rate."),
          ("rate %g", segment->rate));
    self->refused = gst_event_get_seqnum (event);
    gst_event_unref (event);
    return FALSE;
  }
  if (!gst_segment_is_equal (segment, &self->sender.segment)) {
    GstClockTime start =
        segment->format == GST_FORMAT_TIME ? segment->start : 0;

    mel_stream_drain (self);
    self->sender.segment = *segment;
    self->sender.discont = TRUE;
    mel_timeline_restart (&self->timeline, start, unref_buffer);
    self->cutter->klass->restart (self->cutter, start);
  }
  self->cutter->klass->set_segment (self->cutter, gst_event_get_seqnum (event));
  return mel_sender_push_segment (&self->sender, event);
}

/* The part of a gap that counts. Returns FALSE where that is none. */
static gboolean
clip_gap (MelStream *self, GstClockTime *time, GstClockTime *duration)
{
  guint64 stop;

  if (*time > MAX_TIME)
    return FALSE;
  *duration = MIN (*duration, MIN (MAX_GAP, MAX_TIME - *time));
  if (self->sender.segment.format != GST_FORMAT_TIME)
    return TRUE;
  if (!gst_segment_clip (&self->sender.segment, GST_FORMAT_TIME, *time,
          *time + *duration, time, &stop))
    return FALSE;
  *duration = stop - *time;
  return TRUE;
}

gboolean
mel_stream_gap (MelStream *self, GstEvent *event)
{
  MelTimelinePiece piece = {0};
  GstClockTime time, duration;
  GstFlowReturn flow;
  gint64 hole;

  gst_event_parse_gap (event, &time, &duration);
  if (self->sender.output.n_mels == 0 ||
      (!GST_CLOCK_TIME_IS_VALID (duration) &&
          !self->cutter->klass->has_news (self->cutter)))
    return gst_pad_push_event (self->sender.srcpad, event);
  gst_event_unref (event);
  if (!GST_CLOCK_TIME_IS_VALID (duration) || !clip_gap (self, &time, &duration))
    return TRUE;

  mel_timeline_settle (&self->timeline);
  flow = add_pieces (self);
  hole = mel_cutter_get_difference (time, get_head (self));
  piece.time = time;
  piece.hole = ABS (hole) > MEL_CUTTER_MAX_SKEW ? hole : 0;
  piece.discont = TRUE; /* upstream knows of it */
  piece.cut = mel_timeline_is_fresh (&self->timeline);
  if (flow == GST_FLOW_OK)
    flow = self->cutter->klass->go_to (self->cutter, &piece);
  if (flow == GST_FLOW_OK)
    flow = self->cutter->klass->pass (self->cutter,
        gst_util_uint64_scale_round (duration, AUDIO_WINDOW_RATE, GST_SECOND));
  mel_timeline_pass (&self->timeline, get_head (self));
  return flow == GST_FLOW_OK;
}
