/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-whispermel
 * @title: whispermel
 * @short_description: Whisper's log-mel spectrogram
 *
 * Turns 16 kHz mono speech into the log-mel windows that a Whisper encoder
 * takes: 25 ms periodic Hann window, a frame every 10 ms, 80 or 128 mel bands,
 * as OpenAI's implementation computes them. One output buffer is one window,
 * C float[1][bands][frames], in caps `dimensions=3000:80:1` for 30 s.
 *
 * A window begins every #GstWhisperMel:hop and lasts #GstWhisperMel:window.
 * The last one before EOS, a new segment or a jump in time is padded with
 * silence; its duration is that of its audio. Timestamps are those of the
 * window's first sample. Latency is one window.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! wavparse ! audioconvert !
 * audioresample ! whispermel ! filesink location=mel.f32
 * ]| Write raw floats, [80][3000] a window of 30 s.
 * |[
 * gst-launch-1.0 autoaudiosrc ! audioconvert ! audioresample ! whispermel
 * window=2000000000 hop=1000000000 n-mels=128 ! fakesink silent=false -v
 * ]| Windows of 2 s of a microphone that begin every second, with the 128 bands
 * of large-v3.
 *
 * Since: 1.0
 */

#include "gstwhispermel.h"

#include <gst/audio/audio.h>

#include "audiowindow.h"
#include "gstwhispermelsettings.h"
#include "logmel.h"
#include "melcaps.h"
#include "meloutput.h"

GST_DEBUG_CATEGORY_STATIC (whisper_mel_debug);
#define GST_CAT_DEFAULT whisper_mel_debug

/* Timestamps that are off by no more are jitter, not a jump; the same as the
 * alignment-threshold of audio sinks. */
#define JITTER (40 * GST_MSECOND)

#define MAX_GAP (G_MAXINT64 / 2) /* sums with it do not overflow */

struct _GstWhisperMel {
  GstElement parent;
  GstPad *sinkpad, *srcpad;

  /* Under the object lock, and fixed while running. */
  GstWhisperMelSettings settings;
  gboolean running;

  /* Under the stream lock. */
  AudioWindow audio;
  MelOutput output;
  GstSegment segment; /* as it came */
  gboolean discont;   /* the next window does not follow the one before */
  gboolean warned;    /* of invalid samples */
};

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE ("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
        GST_STATIC_CAPS ("audio/x-raw, format=(string)F32LE, rate=(int)16000, "
                         "channels=(int)1, layout=(string)interleaved"));

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE (
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (MEL_CAPS));

#define gst_whisper_mel_parent_class parent_class
G_DEFINE_TYPE (GstWhisperMel, gst_whisper_mel, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE (
    whispermel, "whispermel", GST_RANK_NONE, GST_TYPE_WHISPER_MEL)

/* --- output --- */

static gboolean
negotiate (GstWhisperMel *self)
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
push_window (GstWhisperMel *self)
{
  GstBuffer *buffer = NULL;
  GstFlowReturn flow;

  if (gst_pad_needs_reconfigure (self->srcpad) && !negotiate (self))
    return GST_PAD_IS_FLUSHING (self->srcpad) ? GST_FLOW_FLUSHING
                                              : GST_FLOW_NOT_NEGOTIATED;

  flow = mel_output_make (&self->output, &self->audio, &buffer);
  if (flow != GST_FLOW_OK)
    return flow;

  if (self->discont)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  self->discont = FALSE;
  GST_LOG_OBJECT (self, "window %" GST_PTR_FORMAT, buffer);
  return gst_pad_push (self->srcpad, buffer);
}

static void
push_gap (GstWhisperMel *self, GstClockTime start, GstClockTime duration)
{
  GST_LOG_OBJECT (self,
      "nothing for %" GST_TIME_FORMAT " from %" GST_TIME_FORMAT,
      GST_TIME_ARGS (duration), GST_TIME_ARGS (start));
  gst_pad_push_event (self->srcpad, gst_event_new_gap (start, duration));
}

/* --- timeline --- */

/* Pushes what is left as a short window and empties it. */
static GstFlowReturn
drain (GstWhisperMel *self)
{
  AudioWindow *audio = &self->audio;
  GstFlowReturn flow = GST_FLOW_OK;

  if (audio_window_has_news (audio)) {
    if (audio_window_get_content (audio) == AUDIO_WINDOW_NOTHING)
      push_gap (self, audio->start, audio->head - audio->start);
    else if (self->output.n_mels != 0)
      flow = push_window (self);
  }
  audio_window_restart (audio, audio->head);
  return flow;
}

/* Brings the window to the time of what comes next. Returns what draining it
 * returned, where that is a jump. */
static GstFlowReturn
go_to (GstWhisperMel *self, GstClockTime time, gboolean discont)
{
  AudioWindow *audio = &self->audio;
  GstFlowReturn flow = GST_FLOW_OK;
  gboolean jump = discont;

  if (!GST_CLOCK_TIME_IS_VALID (time))
    time = audio->head;
  else
    jump = MAX (time, audio->head) - MIN (time, audio->head) > JITTER;

  if (jump) {
    GST_DEBUG_OBJECT (self,
        "jump from %" GST_TIME_FORMAT " to %" GST_TIME_FORMAT,
        GST_TIME_ARGS (audio->head), GST_TIME_ARGS (time));
    flow = drain (self);
    audio_window_restart (audio, time);
  }
  audio->head = time;
  self->discont |= jump || discont;
  return flow;
}

static void
reset (GstWhisperMel *self)
{
  gst_segment_init (&self->segment, GST_FORMAT_UNDEFINED);
  audio_window_restart (&self->audio, 0);
  self->discont = TRUE;
  self->warned = FALSE;
}

/* --- audio --- */

static void
warn_of_invalid (GstWhisperMel *self, guint64 n_invalid)
{
  GST_WARNING_OBJECT (self, "%" G_GUINT64_FORMAT " invalid samples", n_invalid);
  if (self->warned)
    return;
  self->warned = TRUE;
  GST_ELEMENT_WARNING (self, STREAM, FORMAT,
      ("The audio has samples that are not numbers, infinite or beyond "
       "%g times full scale. They are taken as silence; look for the "
       "element upstream that makes them.",
          (double) LOG_MEL_MAX_SAMPLE),
      ("%" G_GUINT64_FORMAT " of them in the buffer before %" GST_TIME_FORMAT,
          n_invalid, GST_TIME_ARGS (self->audio.head)));
}

/* @data may be NULL for silence. */
static GstFlowReturn
add_samples (GstWhisperMel *self, const guint8 *data, gsize n)
{
  AudioWindow *audio = &self->audio;
  AudioWindowContent content =
      data ? AUDIO_WINDOW_SPEECH : AUDIO_WINDOW_SILENCE;
  GstFlowReturn flow = GST_FLOW_OK;
  guint64 n_invalid = 0;

  while (n > 0 && flow == GST_FLOW_OK) {
    gsize taken = audio_window_add (audio, data, n, content, &n_invalid);

    n -= taken;
    if (data)
      data += taken * sizeof (float);
    if (audio_window_is_full (audio)) {
      flow = push_window (self);
      audio_window_advance (audio);
    }
  }
  if (n_invalid > 0)
    warn_of_invalid (self, n_invalid);
  return flow;
}

static GstFlowReturn
add_buffer (GstWhisperMel *self, GstBuffer *buffer)
{
  gsize n = gst_buffer_get_size (buffer) / sizeof (float);
  GstFlowReturn flow;
  GstMapInfo map;

  if (GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP))
    return add_samples (self, NULL, n);

  if (!gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    GST_ELEMENT_ERROR (self, RESOURCE, READ, ("Cannot read a buffer of audio."),
        ("%" GST_PTR_FORMAT, buffer));
    return GST_FLOW_ERROR;
  }
  flow = add_samples (self, map.data, n);
  gst_buffer_unmap (buffer, &map);
  return flow;
}

static GstFlowReturn
gst_whisper_mel_chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  GstWhisperMel *self = GST_WHISPER_MEL (parent);
  gsize size = gst_buffer_get_size (buffer);
  GstFlowReturn flow;

  if (self->output.n_mels == 0) {
    GST_ELEMENT_ERROR (self, CORE, NEGOTIATION,
        ("Audio came without caps. whispermel takes 16 kHz mono F32LE: put "
         "audioconvert ! audioresample before it."),
        (NULL));
    gst_buffer_unref (buffer);
    return GST_FLOW_NOT_NEGOTIATED;
  }
  if (size % sizeof (float) != 0) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT,
        ("An audio buffer of %" G_GSIZE_FORMAT " bytes is not a whole number "
         "of 4-byte samples.",
            size),
        ("%" GST_PTR_FORMAT, buffer));
    gst_buffer_unref (buffer);
    return GST_FLOW_ERROR;
  }

  if (size > 0 && self->segment.format == GST_FORMAT_TIME) {
    buffer = gst_audio_buffer_clip (
        buffer, &self->segment, AUDIO_WINDOW_RATE, sizeof (float));
    if (!buffer)
      return GST_FLOW_OK;
  }
  flow = go_to (self, GST_BUFFER_PTS (buffer), GST_BUFFER_IS_DISCONT (buffer));
  if (flow == GST_FLOW_OK)
    flow = add_buffer (self, buffer);
  gst_buffer_unref (buffer);
  return flow;
}

/* --- events and queries --- */

static gboolean
handle_segment (GstWhisperMel *self, GstEvent *event /* transfer full */)
{
  const GstSegment *segment;
  GstSegment time_segment;

  gst_event_parse_segment (event, &segment);
  if (segment->rate < 0) {
    GST_ELEMENT_ERROR (self, CORE, SEEK,
        ("Speech cannot be encoded backwards: seek with a positive rate."),
        ("rate %g", segment->rate));
    gst_event_unref (event);
    return FALSE;
  }
  if (gst_segment_is_equal (segment, &self->segment))
    return gst_pad_push_event (self->srcpad, event);

  drain (self);
  self->segment = *segment;
  self->discont = TRUE;
  if (segment->format == GST_FORMAT_TIME) {
    audio_window_restart (&self->audio, segment->start);
    return gst_pad_push_event (self->srcpad, event);
  }

  /* Bytes of a file, say: windows are timed from 0 by counting samples. */
  audio_window_restart (&self->audio, 0);
  gst_segment_init (&time_segment, GST_FORMAT_TIME);
  GstEvent *time_event = gst_event_new_segment (&time_segment);
  gst_event_set_seqnum (time_event, gst_event_get_seqnum (event));
  gst_event_unref (event);
  return gst_pad_push_event (self->srcpad, time_event);
}

/* Nothing comes for a while: it counts as silence in windows that hold audio,
 * and becomes a GAP event where they hold none. */
static gboolean
handle_gap (GstWhisperMel *self, GstEvent *event /* transfer full */)
{
  AudioWindow *audio = &self->audio;
  GstFlowReturn flow;
  GstClockTime time, duration;
  guint64 n;

  gst_event_parse_gap (event, &time, &duration);
  if (self->output.n_mels == 0 ||
      (!GST_CLOCK_TIME_IS_VALID (duration) && !audio_window_has_news (audio)))
    return gst_pad_push_event (self->srcpad, event);
  gst_event_unref (event);
  if (!GST_CLOCK_TIME_IS_VALID (duration))
    return TRUE;

  duration = MIN (duration, MAX_GAP);
  if (self->segment.format == GST_FORMAT_TIME) {
    guint64 stop;

    if (!gst_segment_clip (&self->segment, GST_FORMAT_TIME, time,
            time + duration, &time, &stop))
      return TRUE;
    duration = stop - time;
  }
  flow = go_to (self, time, FALSE);
  n = gst_util_uint64_scale_round (duration, AUDIO_WINDOW_RATE, GST_SECOND);
  while (n > 0 && flow == GST_FLOW_OK) {
    GstClockTime start = audio->start;
    guint64 n_windows;

    n -= audio_window_add_nothing (audio, n, &n_windows);
    if (n_windows > 0) {
      push_gap (self, start, n_windows * audio->hop * AUDIO_WINDOW_SAMPLE_TIME);
    } else if (audio_window_is_full (audio)) {
      flow = push_window (self);
      audio_window_advance (audio);
    }
  }
  return flow == GST_FLOW_OK;
}

/* No more audio comes, so nothing but this can tell of a failed push. */
static void
end (GstWhisperMel *self)
{
  GstFlowReturn flow = drain (self);

  if (flow == GST_FLOW_NOT_LINKED || flow == GST_FLOW_NOT_NEGOTIATED)
    GST_ELEMENT_FLOW_ERROR (self, flow);
}

static gboolean
gst_whisper_mel_sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstWhisperMel *self = GST_WHISPER_MEL (parent);

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_START:
      mel_output_set_flushing (&self->output, TRUE);
      break;
    case GST_EVENT_FLUSH_STOP:
      mel_output_set_flushing (&self->output, FALSE);
      reset (self);
      break;
    case GST_EVENT_STREAM_START:
      drain (self);
      reset (self);
      break;
    case GST_EVENT_CAPS:
      gst_event_unref (event);
      return negotiate (self);
    case GST_EVENT_SEGMENT:
      return handle_segment (self, event);
    case GST_EVENT_GAP:
      return handle_gap (self, event);
    case GST_EVENT_EOS:
    case GST_EVENT_SEGMENT_DONE:
      end (self);
      break;
    default:
      /* At once: an event belongs before the audio that follows it, and that
       * may share a window with the audio that is held. STREAM_GROUP_DONE is
       * one of them: audioresample has its last samples come after it. */
      break;
  }
  return gst_pad_event_default (pad, parent, event);
}

static gboolean
gst_whisper_mel_src_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  gdouble rate;

  if (GST_EVENT_TYPE (event) == GST_EVENT_SEEK) {
    gst_event_parse_seek (event, &rate, NULL, NULL, NULL, NULL, NULL, NULL);
    if (rate < 0) {
      GST_WARNING_OBJECT (parent, "no seeks with a negative rate");
      gst_event_unref (event);
      return FALSE;
    }
  }
  return gst_pad_event_default (pad, parent, event);
}

static gboolean
query_latency (GstWhisperMel *self, GstQuery *query)
{
  GstClockTime min, max, window;
  gboolean live;

  if (!gst_pad_peer_query (self->sinkpad, query))
    return FALSE;

  GST_OBJECT_LOCK (self);
  window = self->settings.window;
  GST_OBJECT_UNLOCK (self);

  gst_query_parse_latency (query, &live, &min, &max);
  min += window;
  if (GST_CLOCK_TIME_IS_VALID (max))
    max += window;
  gst_query_set_latency (query, live, min, max);
  return TRUE;
}

static gboolean
query_caps (GstWhisperMel *self, GstQuery *query)
{
  g_autoptr (GstCaps) caps = NULL;
  GstCaps *filter;

  GST_OBJECT_LOCK (self);
  caps = mel_caps_new (self->settings.n_mels,
      gst_whisper_mel_settings_get_n_frames (&self->settings));
  GST_OBJECT_UNLOCK (self);

  gst_query_parse_caps (query, &filter);
  if (filter)
    gst_caps_take (&caps,
        gst_caps_intersect_full (filter, caps, GST_CAPS_INTERSECT_FIRST));
  gst_query_set_caps_result (query, caps);
  return TRUE;
}

static gboolean
gst_whisper_mel_src_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  GstWhisperMel *self = GST_WHISPER_MEL (parent);

  switch (GST_QUERY_TYPE (query)) {
    case GST_QUERY_LATENCY:
      return query_latency (self, query);
    case GST_QUERY_CAPS:
      return query_caps (self, query);
    default:
      return gst_pad_query_default (pad, parent, query);
  }
}

/* --- element --- */

static gboolean
start (GstWhisperMel *self)
{
  const GstWhisperMelSettings *settings = &self->settings;
  GError *error = NULL;

  GST_OBJECT_LOCK (self);
  self->running = TRUE;
  GST_OBJECT_UNLOCK (self);

  if (!gst_whisper_mel_settings_check (settings, &error)) {
    gst_element_message_full (GST_ELEMENT (self), GST_MESSAGE_ERROR,
        error->domain, error->code, g_strdup (error->message), NULL, __FILE__,
        GST_FUNCTION, __LINE__);
    g_error_free (error);
    return FALSE;
  }
  audio_window_init (&self->audio, gst_whisper_mel_settings_get_size (settings),
      gst_whisper_mel_settings_get_hop (settings));
  mel_output_init (&self->output, GST_ELEMENT (self), self->srcpad,
      gst_whisper_mel_settings_get_n_frames (settings));
  reset (self);
  return TRUE;
}

static void
stop (GstWhisperMel *self)
{
  mel_output_clear (&self->output);
  audio_window_clear (&self->audio);

  GST_OBJECT_LOCK (self);
  self->running = FALSE;
  GST_OBJECT_UNLOCK (self);
}

static GstStateChangeReturn
gst_whisper_mel_change_state (GstElement *element, GstStateChange transition)
{
  GstWhisperMel *self = GST_WHISPER_MEL (element);
  GstStateChangeReturn ret;

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED && !start (self)) {
    stop (self);
    return GST_STATE_CHANGE_FAILURE;
  }
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    mel_output_set_flushing (&self->output, TRUE);

  ret = GST_ELEMENT_CLASS (parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY ||
      (transition == GST_STATE_CHANGE_READY_TO_PAUSED &&
          ret == GST_STATE_CHANGE_FAILURE))
    stop (self);
  return ret;
}

static void
gst_whisper_mel_set_property (
    GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstWhisperMel *self = GST_WHISPER_MEL (object);
  gboolean running;

  GST_OBJECT_LOCK (self);
  running = self->running;
  if (!running)
    gst_whisper_mel_settings_set (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);

  if (running)
    GST_WARNING_OBJECT (self,
        "property %s can change in state READY only; ignored", pspec->name);
}

static void
gst_whisper_mel_get_property (
    GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstWhisperMel *self = GST_WHISPER_MEL (object);

  GST_OBJECT_LOCK (self);
  gst_whisper_mel_settings_get (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
}

static void
gst_whisper_mel_class_init (GstWhisperMelClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (
      whisper_mel_debug, "whispermel", 0, "Whisper's log-mel spectrogram");

  object_class->set_property = gst_whisper_mel_set_property;
  object_class->get_property = gst_whisper_mel_get_property;
  element_class->change_state = gst_whisper_mel_change_state;

  gst_whisper_mel_settings_install (object_class);

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class,
      "Whisper log-mel spectrogram", "Filter/Converter/Audio",
      "Turns 16 kHz mono speech into the log-mel windows that a Whisper "
      "encoder takes, C float[1][bands][frames], a frame every 10 ms",
      "The gst-npuencoder developers");
}

static void
gst_whisper_mel_init (GstWhisperMel *self)
{
  self->sinkpad = gst_pad_new_from_static_template (&sink_template, "sink");
  gst_pad_set_chain_function (self->sinkpad, gst_whisper_mel_chain);
  gst_pad_set_event_function (self->sinkpad, gst_whisper_mel_sink_event);
  gst_element_add_pad (GST_ELEMENT (self), self->sinkpad);

  self->srcpad = gst_pad_new_from_static_template (&src_template, "src");
  gst_pad_set_event_function (self->srcpad, gst_whisper_mel_src_event);
  gst_pad_set_query_function (self->srcpad, gst_whisper_mel_src_query);
  gst_element_add_pad (GST_ELEMENT (self), self->srcpad);
}
