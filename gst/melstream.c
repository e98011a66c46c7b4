/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "melstream.h"

#include "audioclip.h"
#include "audiowindow.h"
#include "logmel.h"
#include "meladvance.h"
#include "meloutput.h"
#include "meltimeline.h"

GST_DEBUG_CATEGORY_EXTERN (whisper_mel_debug);
#define GST_CAT_DEFAULT whisper_mel_debug

#define MAX_GAP (G_MAXINT64 / 2) /* sums with it do not overflow */
#define MAX_TIME ((GstClockTime) G_MAXINT64)

/* Audio is not further from its time than this: silence fills up. */
#define MAX_SKEW (20 * (gint64) GST_MSECOND)

/* Less that is left at the end is no window of mode=follow. */
#define MIN_REST (AUDIO_WINDOW_RATE / 10)

#define FRAME_TIME (LOG_MEL_HOP * AUDIO_WINDOW_SAMPLE_TIME)

/* Jumps that upstream did not flag, before the user is told. */
#define MAX_JUMPS 3

struct _MelStream {
  gint refs; /* atomic */
  GstElement *element;
  GstPad *srcpad;
  GstWhisperMelSettings settings;

  MelAdvance advance; /* from any thread */

  MelTimeline timeline;
  AudioWindow audio;
  MelOutput output;
  GstSegment segment; /* as it came */
  gboolean hole;      /* upstream flagged one before the audio to come */
  gboolean discont;   /* the next window does not follow the one before */
  gboolean warned;    /* of invalid samples */
  guint n_jumps;      /* that were not flagged */
};

/* --- life --- */

MelStream *
mel_stream_new (
    GstElement *element, GstPad *srcpad, const GstWhisperMelSettings *settings)
{
  MelStream *self = g_new0 (MelStream, 1);

  self->refs = 1;
  self->element = element;
  self->srcpad = srcpad;
  self->settings = *settings;
  mel_advance_init (&self->advance);
  mel_timeline_init (&self->timeline, settings->alignment_threshold,
      gst_whisper_mel_settings_get_wait (settings));
  audio_window_init (&self->audio, gst_whisper_mel_settings_get_size (settings),
      gst_whisper_mel_settings_get_hop (settings));
  mel_output_init (&self->output, element, srcpad,
      gst_whisper_mel_settings_get_n_frames (settings),
      settings->tail == GST_WHISPER_MEL_TAIL_ZERO);
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
  mel_output_clear (&self->output);
  audio_window_clear (&self->audio);
  mel_timeline_clear (&self->timeline, unref_buffer);
  mel_advance_clear (&self->advance);
  g_free (self);
}

void
mel_stream_set_flushing (MelStream *self, gboolean flushing)
{
  mel_output_set_flushing (&self->output, flushing);
}

void
mel_stream_stop (MelStream *self)
{
  mel_output_stop (&self->output);
}

gboolean
mel_stream_answer (MelStream *self, GstEvent *event)
{
  return self->settings.mode == GST_WHISPER_MEL_MODE_FOLLOW &&
         mel_advance_answer (&self->advance, event);
}

void
mel_stream_reset (MelStream *self)
{
  GstClockTime until;

  gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
  mel_advance_close (&self->advance, &until);
  mel_timeline_restart (&self->timeline, 0, unref_buffer);
  audio_window_restart (&self->audio, 0);
  self->hole = FALSE;
  self->discont = TRUE;
  self->warned = FALSE;
  self->n_jumps = 0;
}

/* --- output --- */

gboolean
mel_stream_negotiate (MelStream *self)
{
  /* Set again where it fails: the next window then asks again. */
  gst_pad_check_reconfigure (self->srcpad);
  if (mel_output_negotiate (&self->output, self->settings.n_mels))
    return TRUE;
  gst_pad_mark_reconfigure (self->srcpad);
  return FALSE;
}

/* Computes and pushes the window as it is, full or not. */
static GstFlowReturn
push_window (MelStream *self)
{
  GstBuffer *buffer = NULL;
  GstFlowReturn flow;

  if (gst_pad_needs_reconfigure (self->srcpad) && !mel_stream_negotiate (self))
    return GST_PAD_IS_FLUSHING (self->srcpad) ? GST_FLOW_FLUSHING
                                              : GST_FLOW_NOT_NEGOTIATED;

  flow = mel_output_make (&self->output, &self->audio, &buffer);
  if (flow != GST_FLOW_OK)
    return flow;

  if (self->discont)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  self->discont = FALSE;
  GST_LOG_OBJECT (self->element, "window %" GST_PTR_FORMAT, buffer);
  mel_advance_ask (&self->advance, GST_BUFFER_PTS (buffer),
      GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer));
  flow = gst_pad_push (self->srcpad, buffer);
  mel_advance_pushed (&self->advance);
  return flow;
}

static void
push_gap (MelStream *self, GstClockTime start, GstClockTime duration)
{
  GST_LOG_OBJECT (self->element,
      "nothing for %" GST_TIME_FORMAT " from %" GST_TIME_FORMAT,
      GST_TIME_ARGS (duration), GST_TIME_ARGS (start));
  gst_pad_push_event (self->srcpad, gst_event_new_gap (start, duration));
}

/* --- windows --- */

/* The window is used up until then: whole frames, at least one. */
static void
advance_to (MelStream *self, GstClockTime until)
{
  AudioWindow *audio = &self->audio;
  gsize length = audio_window_get_length (audio);
  GstClockTime used = until - MIN (until, audio->start);
  guint64 n = (used + FRAME_TIME / 2) / FRAME_TIME * LOG_MEL_HOP;

  if (used >= length * AUDIO_WINDOW_SAMPLE_TIME)
    n = length;
  GST_LOG_OBJECT (
      self->element, "used up to %" GST_TIME_FORMAT, GST_TIME_ARGS (until));
  audio_window_advance_by (audio, MAX (n, LOG_MEL_HOP));
}

/* Moves on from the window that was given away: by its answer, or by a hop
 * where there is none and @decide, or no room to wait for one. */
static gboolean
move_on (MelStream *self, gboolean decide)
{
  AudioWindow *audio = &self->audio;
  GstClockTime until;

  if (self->settings.mode == GST_WHISPER_MEL_MODE_FOLLOW) {
    decide |= audio_window_must_advance (audio);
    if (decide ? mel_advance_close (&self->advance, &until)
               : mel_advance_take (&self->advance, &until)) {
      advance_to (self, until);
      return TRUE;
    }
    if (!decide)
      return FALSE;
  }
  audio_window_advance (audio);
  return TRUE;
}

/* Pushes what is full. After it there is room for more audio. */
static GstFlowReturn
push_full (MelStream *self)
{
  AudioWindow *audio = &self->audio;
  GstFlowReturn flow = GST_FLOW_OK;

  while (flow == GST_FLOW_OK) {
    if (audio_window_is_given (audio)) {
      if (!move_on (self, FALSE))
        break;
    } else if (audio_window_is_full (audio)) {
      flow = push_window (self);
      audio_window_give (audio);
    } else {
      break;
    }
  }
  if (flow != GST_FLOW_OK)
    move_on (self, TRUE);
  return flow;
}

static gboolean
is_worth_a_window (MelStream *self)
{
  const AudioWindow *audio = &self->audio;

  if (!audio_window_has_news (audio))
    return FALSE;
  return self->settings.mode == GST_WHISPER_MEL_MODE_FIXED ||
         audio->n_samples >= MIN_REST;
}

/* Pushes what is left as short windows and empties it. */
static GstFlowReturn
drain_windows (MelStream *self)
{
  AudioWindow *audio = &self->audio;
  GstFlowReturn flow = GST_FLOW_OK;

  if (audio_window_is_given (audio))
    move_on (self, TRUE);
  while (flow == GST_FLOW_OK && is_worth_a_window (self)) {
    if (audio_window_get_content (audio) == AUDIO_WINDOW_NOTHING) {
      push_gap (self, audio->start, audio->head - audio->start);
      break;
    }
    if (self->output.n_mels == 0)
      break;
    flow = push_window (self);
    if (self->settings.mode == GST_WHISPER_MEL_MODE_FIXED)
      break;
    move_on (self, TRUE);
  }
  audio_window_restart (audio, audio->head);
  return flow;
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
      ("The audio has samples that are not numbers, infinite or beyond "
       "%g times full scale. They are taken as silence; look for the "
       "element upstream that makes them.",
          (double) LOG_MEL_MAX_SAMPLE),
      ("%" G_GUINT64_FORMAT " of them in the buffer before %" GST_TIME_FORMAT,
          n_invalid, GST_TIME_ARGS (self->audio.head)));
}

/* @data may be NULL for silence. */
static GstFlowReturn
add_samples (MelStream *self, const guint8 *data, gsize n)
{
  GstFlowReturn flow = push_full (self);
  guint64 n_invalid = 0;

  while (n > 0 && flow == GST_FLOW_OK) {
    gsize taken = audio_window_add (&self->audio, data, n, &n_invalid);

    n -= taken;
    if (data)
      data += taken * sizeof (float);
    flow = push_full (self);
  }
  if (n_invalid > 0)
    warn_of_invalid (self, n_invalid);
  return flow;
}

/* Time passes without audio: silence in windows that hold audio, GAP events in
 * place of those that hold none. */
static GstFlowReturn
add_nothing (MelStream *self, guint64 n)
{
  AudioWindow *audio = &self->audio;
  GstFlowReturn flow = push_full (self);

  while (n > 0 && flow == GST_FLOW_OK) {
    GstClockTime start = audio->start;
    guint64 n_windows;

    n -= audio_window_add_nothing (audio, n, &n_windows);
    if (n_windows > 0)
      push_gap (self, start, n_windows * audio->hop * AUDIO_WINDOW_SAMPLE_TIME);
    flow = push_full (self);
  }
  return flow;
}

static GstFlowReturn
add_buffer (MelStream *self, GstBuffer *buffer)
{
  gsize n = gst_buffer_get_size (buffer) / sizeof (float);
  GstFlowReturn flow;
  GstMapInfo map;

  if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP))
    return add_samples (self, NULL, n);

  if (!gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    GST_ELEMENT_ERROR (self->element, RESOURCE, READ,
        ("Cannot read a buffer of audio."), ("%" GST_PTR_FORMAT, buffer));
    return GST_FLOW_ERROR;
  }
  flow = add_samples (self, map.data, n);
  gst_buffer_unmap (buffer, &map);
  return flow;
}

/* --- time --- */

static void
count_jump (MelStream *self, GstClockTime from, GstClockTime to)
{
  if (++self->n_jumps != MAX_JUMPS)
    return;
  GST_ELEMENT_WARNING (self->element, STREAM, FORMAT,
      ("The audio's timestamps have jumped %u times, and each jump ends a "
       "window. If the audio is whole, they are wrong: another parser or "
       "decoder upstream may make better ones, or set alignment-threshold "
       "beyond the jumps, so that samples count.",
          MAX_JUMPS),
      ("the last from %" GST_TIME_FORMAT " to %" GST_TIME_FORMAT,
          GST_TIME_ARGS (from), GST_TIME_ARGS (to)));
}

static GstFlowReturn
jump (MelStream *self, GstClockTime time)
{
  GstFlowReturn flow;

  GST_DEBUG_OBJECT (self->element,
      "jump from %" GST_TIME_FORMAT " to %" GST_TIME_FORMAT,
      GST_TIME_ARGS (self->audio.head), GST_TIME_ARGS (time));
  flow = drain_windows (self);
  audio_window_restart (&self->audio, time);
  self->discont = TRUE;
  return flow;
}

static gint64
get_difference (GstClockTime a, GstClockTime b)
{
  return (gint64) MIN (a, MAX_TIME) - (gint64) MIN (b, MAX_TIME);
}

/* Whether a hole of so long ends the window: it is silence in it where audio
 * comes again before the window's end. */
static gboolean
is_end_of_window (MelStream *self, gint64 hole)
{
  const AudioWindow *audio = &self->audio;
  GstClockTime shortest =
      MAX (gst_whisper_mel_settings_get_wait (&self->settings),
          self->settings.alignment_threshold);

  if (hole < 0)
    return (GstClockTime) -hole > self->settings.alignment_threshold;
  if ((GstClockTime) hole < shortest)
    return FALSE;
  return audio->n_samples == 0 ||
         audio->n_samples + hole / AUDIO_WINDOW_SAMPLE_TIME >= audio->size;
}

/* Brings the window to the time of what comes next, by silence where that is
 * later. Returns what pushing windows returned. */
static GstFlowReturn
go_to (MelStream *self, const MelTimelinePiece *piece)
{
  AudioWindow *audio = &self->audio;
  GstFlowReturn flow = GST_FLOW_OK;
  gint64 gap = get_difference (piece->time, audio_window_get_end (audio));
  gboolean hole = piece->hole > 0 || (audio->n_samples > 0 && gap > MAX_SKEW);

  if (piece->cut)
    return jump (self, piece->time);

  if (hole && gap > 0 && audio_window_is_given (audio) &&
      (GstClockTime) gap >= gst_whisper_mel_settings_get_wait (&self->settings))
    move_on (self, TRUE);
  if (is_end_of_window (self, hole && gap > 0 ? gap : MIN (piece->hole, 0))) {
    if (!piece->discont)
      count_jump (self, audio->head, piece->time);
    return jump (self, piece->time);
  }
  if (hole && gap > 0) {
    GST_DEBUG_OBJECT (self->element,
        "silence of %" GST_TIME_FORMAT " before %" GST_TIME_FORMAT,
        GST_TIME_ARGS (gap), GST_TIME_ARGS (piece->time));
    audio->head = audio_window_get_end (audio);
    flow = add_nothing (
        self, gst_util_uint64_scale_round (gap, AUDIO_WINDOW_RATE, GST_SECOND));
  }
  audio->head = piece->time;
  return flow;
}

/* Adds all that the timeline gives a time. */
static GstFlowReturn
add_pieces (MelStream *self)
{
  GstFlowReturn flow = GST_FLOW_OK;
  MelTimelinePiece piece;

  while (mel_timeline_pop (&self->timeline, &piece)) {
    g_autoptr (GstBuffer) buffer = piece.data;

    if (flow == GST_FLOW_OK)
      flow = go_to (self, &piece);
    self->discont |= piece.discont;
    if (flow == GST_FLOW_OK)
      flow = add_buffer (self, buffer);
  }
  return flow;
}

/* --- interface --- */

GstFlowReturn
mel_stream_add (MelStream *self, GstBuffer *buffer)
{
  gsize size = gst_buffer_get_size (buffer);

  if (self->output.n_mels == 0) {
    GST_ELEMENT_ERROR (self->element, CORE, NEGOTIATION,
        ("Audio came without caps. whispermel takes 16 kHz mono F32LE: put "
         "audioconvert ! audioresample before it."),
        (NULL));
    gst_buffer_unref (buffer);
    return GST_FLOW_NOT_NEGOTIATED;
  }
  if (size % sizeof (float) != 0) {
    GST_ELEMENT_ERROR (self->element, STREAM, FORMAT,
        ("An audio buffer of %" G_GSIZE_FORMAT " bytes is not a whole number "
         "of 4-byte samples.",
            size),
        ("%" GST_PTR_FORMAT, buffer));
    gst_buffer_unref (buffer);
    return GST_FLOW_ERROR;
  }

  self->hole |= GST_BUFFER_IS_DISCONT (buffer);
  buffer = audio_clip (buffer, &self->segment);
  if (!buffer)
    return GST_FLOW_OK;
  mel_timeline_push (&self->timeline, buffer, GST_BUFFER_PTS (buffer),
      gst_buffer_get_size (buffer) / sizeof (float), self->hole);
  self->hole = FALSE;
  return add_pieces (self);
}

GstFlowReturn
mel_stream_drain (MelStream *self)
{
  GstFlowReturn flow, drained;

  mel_timeline_settle (&self->timeline);
  flow = add_pieces (self);
  drained = drain_windows (self);
  return flow != GST_FLOW_OK ? flow : drained;
}

gboolean
mel_stream_segment (MelStream *self, GstEvent *event)
{
  const GstSegment *segment;
  GstSegment time_segment;

  gst_event_parse_segment (event, &segment);
  if (segment->rate < 0) {
    GST_ELEMENT_ERROR (self->element, CORE, SEEK,
        ("Speech cannot be encoded backwards: seek with a positive rate."),
        ("rate %g", segment->rate));
    gst_event_unref (event);
    return FALSE;
  }
  if (!gst_segment_is_equal (segment, &self->segment)) {
    GstClockTime start =
        segment->format == GST_FORMAT_TIME ? segment->start : 0;

    mel_stream_drain (self);
    self->segment = *segment;
    self->discont = TRUE;
    mel_timeline_restart (&self->timeline, start, unref_buffer);
    audio_window_restart (&self->audio, start);
  }
  mel_advance_set_segment (&self->advance, gst_event_get_seqnum (event));
  if (segment->format == GST_FORMAT_TIME)
    return gst_pad_push_event (self->srcpad, event);

  /* Bytes of a file, say: windows are timed from 0 by counting samples. */
  gst_segment_init (&time_segment, GST_FORMAT_TIME);
  GstEvent *time_event = gst_event_new_segment (&time_segment);
  gst_event_set_seqnum (time_event, gst_event_get_seqnum (event));
  gst_event_unref (event);
  return gst_pad_push_event (self->srcpad, time_event);
}

/* The part of a gap that counts. Returns FALSE where that is none. */
static gboolean
clip_gap (MelStream *self, GstClockTime *time, GstClockTime *duration)
{
  guint64 stop;

  if (*time > MAX_TIME)
    return FALSE;
  *duration = MIN (*duration, MIN (MAX_GAP, MAX_TIME - *time));
  if (self->segment.format != GST_FORMAT_TIME)
    return TRUE;
  if (!gst_segment_clip (&self->segment, GST_FORMAT_TIME, *time,
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
  if (self->output.n_mels == 0 || (!GST_CLOCK_TIME_IS_VALID (duration) &&
                                      !audio_window_has_news (&self->audio)))
    return gst_pad_push_event (self->srcpad, event);
  gst_event_unref (event);
  if (!GST_CLOCK_TIME_IS_VALID (duration) || !clip_gap (self, &time, &duration))
    return TRUE;

  mel_timeline_settle (&self->timeline);
  flow = add_pieces (self);
  hole = get_difference (time, self->audio.head);
  piece.time = time;
  piece.hole = ABS (hole) > MAX_SKEW ? hole : 0;
  piece.discont = TRUE; /* upstream knows of it */
  piece.cut = mel_timeline_is_fresh (&self->timeline);
  if (flow == GST_FLOW_OK)
    flow = go_to (self, &piece);
  if (flow == GST_FLOW_OK)
    flow = add_nothing (self,
        gst_util_uint64_scale_round (duration, AUDIO_WINDOW_RATE, GST_SECOND));
  mel_timeline_pass (&self->timeline, self->audio.head);
  return flow == GST_FLOW_OK;
}
