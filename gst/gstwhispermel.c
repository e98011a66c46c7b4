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
 * silence (see #GstWhisperMel:tail); its duration is that of its audio.
 * Timestamps are those of the window's first sample. Latency is one window.
 *
 * In #GstWhisperMel:mode `follow` the next window begins where the decoder says
 * that the last one was used up, by a custom upstream event `whisper/advance`
 * with `until` (guint64, ns), `sentence` (guint64, ns, optional) and `seqnum`
 * (uint, of the segment event); without it, a hop after the last one.
 *
 * In #GstWhisperMel:mode `growing`, for live captions, there is a window every
 * #GstWhisperMel:step while somebody speaks, of all audio since the last word
 * that is final by `whisper/advance`, with #GstWhisperMel:padding of silence
 * behind it. The last one of an utterance is flagged MARKER: all of it is
 * final. Between utterances there are GAP events. Latency is one step.
 *
 * Small holes between buffers, as lost packets leave them, become silence;
 * outliers and jitter of timestamps change nothing. A pause that lasts beyond
 * the window ends it. #GstWhisperMel:alignment-threshold and
 * #GstWhisperMel:discont-wait are those of audio sinks.
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
 * of large-v3. Times are in nanoseconds.
 * |[
 * gst-launch-1.0 autoaudiosrc ! queue ! audioconvert ! audioresample !
 * whispermel mode=growing ! fakesink silent=false -v
 * ]| What live captions are made of.
 *
 * Since: 1.0
 */

#include "gstwhispermel.h"

#include "gstwhispermelsettings.h"
#include "common/gstnpulive.h"
#include "melcaps.h"
#include "melstream.h"
#include "npu-error.h"
#include "windowevent.h"

GST_DEBUG_CATEGORY (whisper_mel_debug);
#define GST_CAT_DEFAULT whisper_mel_debug

struct _GstWhisperMel {
  GstElement parent;
  GstPad *sinkpad, *srcpad;

  /* Under the object lock. */
  GstWhisperMelSettings settings; /* fixed while there is a stream */
  MelStream *stream;              /* NULL in NULL and READY */
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS,
    GST_STATIC_CAPS (
        "audio/x-raw, format=(string)F32LE, rate=(int)16000, channels=(int)1, layout=(string)interleaved"));

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE (
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (MEL_CAPS));

#define gst_whisper_mel_parent_class parent_class
G_DEFINE_TYPE (GstWhisperMel, gst_whisper_mel, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE (
    whispermel, "whispermel", GST_RANK_NONE, GST_TYPE_WHISPER_MEL)

/* What there is while the element runs, for as long as the caller needs it:
 * @self may start or stop meanwhile. NULL where it does not run. */
static MelStream *
get_stream (GstWhisperMel *self)
{
  MelStream *stream;

  GST_OBJECT_LOCK (self);
  stream = self->stream ? mel_stream_ref (self->stream) : NULL;
  GST_OBJECT_UNLOCK (self);
  return stream;
}

static void
take_stream (GstWhisperMel *self, MelStream *stream)
{
  MelStream *old;

  GST_OBJECT_LOCK (self);
  old = self->stream;
  self->stream = stream;
  GST_OBJECT_UNLOCK (self);
  g_clear_pointer (&old, mel_stream_unref);
}

/* --- audio and events --- */

static GstFlowReturn
gst_whisper_mel_chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  g_autoptr (MelStream) stream = get_stream (GST_WHISPER_MEL (parent));

  if (!stream) {
    gst_buffer_unref (buffer);
    return GST_FLOW_FLUSHING;
  }
  return mel_stream_add (stream, buffer);
}

/* No more audio comes, so nothing but this can tell of a failed push. */
static void
end (GstWhisperMel *self, MelStream *stream)
{
  GstFlowReturn flow = mel_stream_drain (stream);

  if (flow == GST_FLOW_NOT_LINKED || flow == GST_FLOW_NOT_NEGOTIATED)
    GST_ELEMENT_FLOW_ERROR (self, flow);
}

static gboolean
gst_whisper_mel_sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstWhisperMel *self = GST_WHISPER_MEL (parent);
  g_autoptr (MelStream) stream = get_stream (self);

  if (!stream)
    return gst_pad_event_default (pad, parent, event);

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_START:
      mel_stream_set_flushing (stream, TRUE);
      break;
    case GST_EVENT_FLUSH_STOP:
      mel_stream_set_flushing (stream, FALSE);
      mel_stream_reset (stream);
      break;
    case GST_EVENT_STREAM_START:
      mel_stream_drain (stream);
      mel_stream_reset (stream);
      break;
    case GST_EVENT_CAPS:
      gst_event_unref (event);
      return mel_stream_negotiate (stream);
    case GST_EVENT_SEGMENT:
      return mel_stream_segment (stream, event);
    case GST_EVENT_GAP:
      return mel_stream_gap (stream, event);
    case GST_EVENT_EOS:
    case GST_EVENT_SEGMENT_DONE:
      end (self, stream);
      break;
    default:
      /* At once: an event belongs before the audio that follows it, and that
       * may share a window with the audio that is held. STREAM_GROUP_DONE is
       * one of them: audioresample has its last samples come after it. */
      break;
  }
  return gst_pad_event_default (pad, parent, event);
}

/* Caps that the pad does not accept never reach its event function, and the
 * element upstream knows no more than that they were refused. */
static GstPadProbeReturn
look_at_caps (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  g_autoptr (GstElement) element = gst_pad_get_parent_element (pad);
  g_autoptr (GstCaps) accepted = NULL;
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);
  GstCaps *caps;

  if (!element || GST_EVENT_TYPE (event) != GST_EVENT_CAPS)
    return GST_PAD_PROBE_OK;

  gst_event_parse_caps (event, &caps);
  accepted = gst_pad_get_pad_template_caps (pad);
  if (!gst_caps_is_subset (caps, accepted)) {
    g_autofree char *text = gst_caps_to_string (caps);

    GST_ELEMENT_ERROR (element, CORE, NEGOTIATION,
        ("whispermel takes 16 kHz mono F32LE, not what it is given: put audioconvert ! audioresample before it. It is given %s.",
            text),
        (NULL));
  }
  return GST_PAD_PROBE_OK;
}

static gboolean
answer (GstWhisperMel *self, GstEvent *event)
{
  g_autoptr (MelStream) stream = get_stream (self);
  gboolean taken = stream && mel_stream_answer (stream, event);

  GST_LOG_OBJECT (
      self, "%s %" GST_PTR_FORMAT, taken ? "takes" : "ignores", event);
  gst_event_unref (event);
  return taken;
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
  if (window_event_is_advance (event))
    return answer (GST_WHISPER_MEL (parent), event);
  return gst_pad_event_default (pad, parent, event);
}

/* --- queries --- */

static gboolean
query_latency (GstWhisperMel *self, GstQuery *query)
{
  GstClockTime own;

  GST_OBJECT_LOCK (self);
  own = gst_whisper_mel_settings_get_latency (&self->settings);
  GST_OBJECT_UNLOCK (self);
  return gst_npu_answer_latency (self->sinkpad, query, own);
}

static gboolean
query_caps (GstWhisperMel *self, GstQuery *query)
{
  g_autoptr (GstCaps) caps = NULL;
  GstCaps *filter;

  GST_OBJECT_LOCK (self);
  caps = gst_whisper_mel_settings_get_caps (&self->settings);
  GST_OBJECT_UNLOCK (self);

  gst_query_parse_caps (query, &filter);
  if (filter)
    gst_caps_take (&caps,
        gst_caps_intersect_full (filter, caps, GST_CAPS_INTERSECT_FIRST));
  gst_query_set_caps_result (query, caps);
  return TRUE;
}

static gboolean
query_follow (GstWhisperMel *self, GstQuery *query)
{
  const GstWhisperMelSettings *settings = &self->settings;
  WindowFollow follow;

  GST_OBJECT_LOCK (self);
  follow = (WindowFollow){
      .follows = settings->mode == GST_WHISPER_MEL_MODE_FOLLOW ||
                 settings->mode == GST_WHISPER_MEL_MODE_GROWING,
      .overlap = settings->mode == GST_WHISPER_MEL_MODE_FIXED &&
                         settings->hop > 0 && settings->hop < settings->window
                     ? settings->window - settings->hop
                     : 0,
      .varies = settings->mode == GST_WHISPER_MEL_MODE_PAUSES ||
                settings->mode == GST_WHISPER_MEL_MODE_GROWING ||
                settings->window < 30 * GST_SECOND,
  };
  GST_OBJECT_UNLOCK (self);
  window_event_set_follow (query, &follow);
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
    case GST_QUERY_CUSTOM:
      if (window_event_is_follow_query (query))
        return query_follow (self, query);
      /* fall through */
    default:
      return gst_pad_query_default (pad, parent, query);
  }
}

/* --- element --- */

static void
post_error (GstWhisperMel *self, const GError *error)
{
  const gboolean is_ours = error->domain == GST_RESOURCE_ERROR;
  const gboolean is_missing =
      g_error_matches (error, NPU_ERROR, NPU_ERROR_NOT_FOUND);
  const gboolean is_unreadable =
      g_error_matches (error, NPU_ERROR, NPU_ERROR_OPEN) ||
      g_error_matches (error, NPU_ERROR, NPU_ERROR_READ);

  if (is_ours)
    gst_element_message_full (GST_ELEMENT (self), GST_MESSAGE_ERROR,
        error->domain, error->code, g_strdup (error->message), NULL, __FILE__,
        GST_FUNCTION, __LINE__);
  else if (is_missing)
    GST_ELEMENT_ERROR (self, RESOURCE, NOT_FOUND,
        ("%s (property vad-model)", error->message), (NULL));
  else if (is_unreadable)
    GST_ELEMENT_ERROR (self, RESOURCE, OPEN_READ,
        ("%s (property vad-model)", error->message), (NULL));
  else
    GST_ELEMENT_ERROR (self, STREAM, WRONG_TYPE,
        ("%s (property vad-model)", error->message), (NULL));
}

static gboolean
start (GstWhisperMel *self)
{
  g_autoptr (GError) error = NULL;
  GstWhisperMelSettings settings;
  MelStream *stream = NULL;

  GST_OBJECT_LOCK (self);
  settings = self->settings;
  GST_OBJECT_UNLOCK (self);

  if (gst_whisper_mel_settings_check (&settings, &error))
    stream = mel_stream_new (
        GST_ELEMENT (self), self->sinkpad, self->srcpad, &settings, &error);
  if (!stream) {
    post_error (self, error);
    return FALSE;
  }
  take_stream (self, stream);
  return TRUE;
}

static GstStateChangeReturn
gst_whisper_mel_change_state (GstElement *element, GstStateChange transition)
{
  GstWhisperMel *self = GST_WHISPER_MEL (element);
  GstStateChangeReturn ret;

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED && !start (self))
    return GST_STATE_CHANGE_FAILURE;
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
    g_autoptr (MelStream) stream = get_stream (self);

    if (stream)
      mel_stream_stop (stream);
  }

  ret = GST_ELEMENT_CLASS (parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY ||
      (transition == GST_STATE_CHANGE_READY_TO_PAUSED &&
          ret == GST_STATE_CHANGE_FAILURE))
    take_stream (self, NULL);
  return ret;
}

static void
gst_whisper_mel_set_property (
    GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstWhisperMel *self = GST_WHISPER_MEL (object);
  gboolean running;

  GST_OBJECT_LOCK (self);
  running = self->stream != NULL;
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
      "Turns 16 kHz mono speech into the log-mel windows that a Whisper encoder takes, C float[1][bands][frames], a frame every 10 ms; times are in ns, e.g. whispermel window=5000000000 hop=2500000000",
      "gst-npuencoder maintainers");
}

static void
gst_whisper_mel_init (GstWhisperMel *self)
{
  self->sinkpad = gst_pad_new_from_static_template (&sink_template, "sink");
  gst_pad_set_chain_function (self->sinkpad, gst_whisper_mel_chain);
  gst_pad_set_event_function (self->sinkpad, gst_whisper_mel_sink_event);
  gst_pad_add_probe (self->sinkpad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
      look_at_caps, NULL, NULL);
  gst_element_add_pad (GST_ELEMENT (self), self->sinkpad);

  self->srcpad = gst_pad_new_from_static_template (&src_template, "src");
  gst_pad_set_event_function (self->srcpad, gst_whisper_mel_src_event);
  gst_pad_set_query_function (self->srcpad, gst_whisper_mel_src_query);
  gst_element_add_pad (GST_ELEMENT (self), self->srcpad);
}
