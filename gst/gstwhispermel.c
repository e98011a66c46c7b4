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
 * gst-launch-1.0 audiotestsrc is-live=true num-buffers=200 !
 * audio/x-raw,rate=16000 ! audioconvert ! whispermel window=2000000000
 * hop=1000000000 n-mels=128 ! fakesink silent=false -v
 * ]| Windows of 2 s that begin every second, with the 128 bands of large-v3.
 *
 * Since: 1.0
 */

#include "gstwhispermel.h"

#include <gst/audio/audio.h>

#include "audiowindow.h"
#include "logmel.h"
#include "melcaps.h"
#include "tensorallocation.h"

GST_DEBUG_CATEGORY_STATIC (whisper_mel_debug);
#define GST_CAT_DEFAULT whisper_mel_debug

#define DEFAULT_N_MELS GST_WHISPER_MEL_BANDS_AUTO
#define DEFAULT_WINDOW (30 * GST_SECOND)
#define DEFAULT_HOP 0
#define MIN_WINDOW GST_SECOND
#define MAX_WINDOW (30 * GST_SECOND)
#define FRAME_TIME (LOG_MEL_HOP * AUDIO_WINDOW_SAMPLE_TIME)
#define MIN_HOP FRAME_TIME
#define WINDOW_STEP (2 * FRAME_TIME) /* the encoder halves the frames */
#define FALLBACK_N_MELS 80

/* Timestamps that are off by no more are jitter, not a jump; the same as the
 * alignment-threshold of audio sinks. */
#define JITTER (40 * GST_MSECOND)

enum {
  PROP_0,
  PROP_N_MELS,
  PROP_WINDOW,
  PROP_HOP,
};

struct _GstWhisperMel {
  GstElement parent;
  GstPad *sinkpad, *srcpad;

  /* Under the object lock; fixed while running. */
  gboolean running;
  guint n_mels_wanted;
  GstClockTime window, hop;
  GstBufferPool *pool;

  /* Under the stream lock. */
  GstSegment segment; /* as it came */
  AudioWindow audio;
  gboolean discont; /* the next window is not next to the one before */
  gboolean warned;  /* of invalid samples */
  LogMel *log_mel;  /* for n_mels; NULL before caps */
  guint n_mels;
  guint n_frames;
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

GType
gst_whisper_mel_bands_get_type (void)
{
  static const GEnumValue values[] = {
      {GST_WHISPER_MEL_BANDS_AUTO, "As downstream asks, else 80", "auto"},
      {GST_WHISPER_MEL_BANDS_80, "Models before large-v3", "80"},
      {GST_WHISPER_MEL_BANDS_128, "large-v3 and its descendants", "128"},
      {0, NULL, NULL},
  };
  static gsize type;

  if (g_once_init_enter (&type))
    g_once_init_leave (
        &type, g_enum_register_static ("GstWhisperMelBands", values));
  return type;
}

/* --- output --- */

/* Queries may come at any time, hence the lock. */
static GstCaps *
get_possible_caps (GstWhisperMel *self, guint first)
{
  guint n_mels, n_frames;

  GST_OBJECT_LOCK (self);
  n_mels = self->n_mels_wanted;
  n_frames = self->window / WINDOW_STEP * 2;
  GST_OBJECT_UNLOCK (self);
  return mel_caps_new (n_mels, first, n_frames);
}

static void
set_pool (GstWhisperMel *self, GstBufferPool *pool /* transfer full */)
{
  GST_OBJECT_LOCK (self);
  GstBufferPool *old = self->pool;
  self->pool = pool;
  GST_OBJECT_UNLOCK (self);

  if (old) {
    gst_buffer_pool_set_active (old, FALSE);
    gst_object_unref (old);
  }
}

/* Makes acquiring a buffer from a pool that has a maximum return at once. */
static void
set_pool_flushing (GstWhisperMel *self, gboolean flushing)
{
  GstBufferPool *pool;

  GST_OBJECT_LOCK (self);
  pool = self->pool ? gst_object_ref (self->pool) : NULL;
  GST_OBJECT_UNLOCK (self);

  if (pool) {
    gst_buffer_pool_set_flushing (pool, flushing);
    gst_object_unref (pool);
  }
}

static gsize
get_tensor_size (GstWhisperMel *self)
{
  return (gsize) self->n_mels * self->n_frames * sizeof (float);
}

static gboolean
configure_pool (GstBufferPool *pool, GstCaps *caps, guint size, guint min,
    guint max, GstAllocator *allocator, const GstAllocationParams *params)
{
  GstStructure *config = gst_buffer_pool_get_config (pool);

  gst_buffer_pool_config_set_params (config, caps, size, min, max);
  gst_buffer_pool_config_set_allocator (config, allocator, params);
  if (gst_buffer_pool_set_config (pool, config))
    return TRUE;

  /* The pool has changed something; it may still do. */
  config = gst_buffer_pool_get_config (pool);
  if (gst_buffer_pool_config_validate_params (config, caps, size, min, max))
    return gst_buffer_pool_set_config (pool, config);
  gst_structure_free (config);
  return FALSE;
}

static gboolean
allocate (GstWhisperMel *self, GstCaps *caps)
{
  g_autoptr (GstQuery) query = gst_query_new_allocation (caps, TRUE);
  g_autoptr (GstAllocator) allocator = NULL;
  g_autoptr (GstBufferPool) pool = NULL;
  GstAllocationParams params;
  guint size = get_tensor_size (self), min, max;

  if (!gst_pad_peer_query (self->srcpad, query))
    GST_DEBUG_OBJECT (self, "downstream offers no allocation");
  tensor_allocation_decide (query, size);
  gst_query_parse_nth_allocation_param (query, 0, &allocator, &params);
  gst_query_parse_nth_allocation_pool (query, 0, &pool, NULL, &min, &max);

  if (pool &&
      !configure_pool (pool, caps, size, min, max, allocator, &params)) {
    GST_DEBUG_OBJECT (self, "downstream's pool does not fit");
    g_clear_object (&pool);
  }
  if (!pool) {
    pool = gst_buffer_pool_new ();
    if (!configure_pool (pool, caps, size, min, 0, allocator, &params))
      goto fail;
  }
  if (!gst_buffer_pool_set_active (pool, TRUE))
    goto fail;
  set_pool (self, g_steal_pointer (&pool));
  return TRUE;

fail:
  GST_ELEMENT_ERROR (self, RESOURCE, NO_SPACE_LEFT,
      ("Cannot allocate buffers of %u bytes for mel windows.", size), (NULL));
  return FALSE;
}

static void
post_no_common_caps (GstWhisperMel *self, GstCaps *ours, GstCaps *theirs)
{
  GST_ELEMENT_ERROR (self, STREAM, FORMAT,
      ("The element after whispermel takes none of the mel windows that it can "
       "make. Set property n-mels to the bands the model takes, property "
       "window "
       "to the length it takes; windows are bands by frames, time-major "
       "tensors are not made."),
      ("ours: %" GST_PTR_FORMAT ", downstream: %" GST_PTR_FORMAT, ours,
          theirs));
}

/* Agrees with downstream on the number of bands. Posts an error unless
 * flushing is why it fails. */
static gboolean
negotiate (GstWhisperMel *self)
{
  g_autoptr (GstCaps) theirs = gst_pad_peer_query_caps (self->srcpad, NULL);
  guint wish = gst_caps_is_any (theirs) ? 0 : mel_caps_get_wish (theirs);
  g_autoptr (GstCaps) ours =
      get_possible_caps (self, wish ? wish : FALLBACK_N_MELS);
  g_autoptr (GstCaps) caps =
      gst_caps_intersect_full (ours, theirs, GST_CAPS_INTERSECT_FIRST);
  g_autoptr (GstCaps) current = gst_pad_get_current_caps (self->srcpad);
  guint n_mels;

  if (gst_caps_is_empty (caps)) {
    if (!GST_PAD_IS_FLUSHING (self->srcpad))
      post_no_common_caps (self, ours, theirs);
    return FALSE;
  }
  caps = gst_caps_fixate (caps);
  n_mels = mel_caps_get_n_mels (caps);
  GST_INFO_OBJECT (self, "windows are %" GST_PTR_FORMAT, caps);

  if (self->n_mels != n_mels) {
    g_clear_pointer (&self->log_mel, log_mel_free);
    self->log_mel = log_mel_new (n_mels);
    self->n_mels = n_mels;
  }
  if ((!current || !gst_caps_is_equal (current, caps)) &&
      !gst_pad_push_event (self->srcpad, gst_event_new_caps (caps)))
    return FALSE;
  return allocate (self, caps);
}

static GstFlowReturn
new_buffer (GstWhisperMel *self, GstBuffer **buffer)
{
  GstFlowReturn flow;

  /* Only the streaming thread replaces the pool. */
  flow = gst_buffer_pool_acquire_buffer (self->pool, buffer, NULL);
  if (flow == GST_FLOW_OK)
    gst_buffer_set_size (*buffer, get_tensor_size (self));
  return flow;
}

static void
set_timing (GstWhisperMel *self, GstBuffer *buffer)
{
  const AudioWindow *audio = &self->audio;

  GST_BUFFER_PTS (buffer) = audio->start;
  GST_BUFFER_DTS (buffer) = GST_CLOCK_TIME_NONE;
  GST_BUFFER_DURATION (buffer) = audio->n_samples * AUDIO_WINDOW_SAMPLE_TIME;
  GST_BUFFER_OFFSET (buffer) = audio->start / AUDIO_WINDOW_SAMPLE_TIME;
  GST_BUFFER_OFFSET_END (buffer) =
      GST_BUFFER_OFFSET (buffer) + audio->n_samples;

  if (self->discont)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  if (audio_window_get_content (audio) == AUDIO_WINDOW_SILENCE)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_GAP);
  self->discont = FALSE;
}

/* Computes and pushes the window as it is, full or not. */
static GstFlowReturn
push_window (GstWhisperMel *self)
{
  const AudioWindow *audio = &self->audio;
  gboolean speech = audio_window_get_content (audio) == AUDIO_WINDOW_SPEECH;
  GstBuffer *buffer = NULL;
  GstMapInfo map;
  GstFlowReturn flow;

  if (gst_pad_check_reconfigure (self->srcpad) && !negotiate (self)) {
    gst_pad_mark_reconfigure (self->srcpad);
    return GST_PAD_IS_FLUSHING (self->srcpad) ? GST_FLOW_FLUSHING
                                              : GST_FLOW_NOT_NEGOTIATED;
  }

  flow = new_buffer (self, &buffer);
  if (flow != GST_FLOW_OK)
    return flow;
  if (!gst_buffer_map (buffer, &map, GST_MAP_WRITE)) {
    gst_buffer_unref (buffer);
    GST_ELEMENT_ERROR (self, RESOURCE, WRITE,
        ("Cannot write to a buffer of downstream's pool."), (NULL));
    return GST_FLOW_ERROR;
  }
  log_mel_compute (self->log_mel, audio->samples, speech ? audio->n_samples : 0,
      self->n_frames, (float *) map.data);
  gst_buffer_unmap (buffer, &map);

  set_timing (self, buffer);
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
    else if (self->log_mel)
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

  if (GST_CLOCK_TIME_IS_VALID (time))
    jump = ABS (GST_CLOCK_DIFF (audio->head, time)) > (gint64) JITTER;
  else
    time = audio->head;

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

  if (!self->log_mel) {
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
  if (!self->log_mel ||
      (!GST_CLOCK_TIME_IS_VALID (duration) && !audio_window_has_news (audio)))
    return gst_pad_push_event (self->srcpad, event);
  gst_event_unref (event);
  if (!GST_CLOCK_TIME_IS_VALID (duration))
    return TRUE;

  if (GST_CLOCK_TIME_IS_VALID (time) &&
      self->segment.format == GST_FORMAT_TIME) {
    guint64 start, stop;

    if (!gst_segment_clip (&self->segment, GST_FORMAT_TIME, time,
            time + duration, &start, &stop))
      return TRUE;
    time = start;
    duration = stop - start;
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

static gboolean
gst_whisper_mel_sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstWhisperMel *self = GST_WHISPER_MEL (parent);

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_START:
      set_pool_flushing (self, TRUE);
      break;
    case GST_EVENT_FLUSH_STOP:
      set_pool_flushing (self, FALSE);
      reset (self);
      break;
    case GST_EVENT_STREAM_START:
      drain (self);
      reset (self);
      break;
    case GST_EVENT_CAPS:
      gst_event_unref (event);
      /* Clears the flag: the answer would be the same at the first window. */
      gst_pad_check_reconfigure (self->srcpad);
      return negotiate (self);
    case GST_EVENT_SEGMENT:
      return handle_segment (self, event);
    case GST_EVENT_GAP:
      return handle_gap (self, event);
    case GST_EVENT_EOS:
      drain (self);
      break;
    default:
      /* At once: an event belongs before the audio that follows it, and that
       * may share a window with the audio that is held. */
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
  window = self->window;
  GST_OBJECT_UNLOCK (self);

  gst_query_parse_latency (query, &live, &min, &max);
  min += window;
  if (GST_CLOCK_TIME_IS_VALID (max))
    max += window;
  gst_query_set_latency (query, live, min, max);
  return TRUE;
}

static gboolean
gst_whisper_mel_src_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  GstWhisperMel *self = GST_WHISPER_MEL (parent);

  switch (GST_QUERY_TYPE (query)) {
    case GST_QUERY_LATENCY:
      return query_latency (self, query);
    case GST_QUERY_CAPS: {
      g_autoptr (GstCaps) caps = get_possible_caps (self, FALLBACK_N_MELS);
      GstCaps *filter;

      gst_query_parse_caps (query, &filter);
      if (filter)
        gst_caps_take (&caps,
            gst_caps_intersect_full (filter, caps, GST_CAPS_INTERSECT_FIRST));
      gst_query_set_caps_result (query, caps);
      return TRUE;
    }
    default:
      return gst_pad_query_default (pad, parent, query);
  }
}

/* --- element --- */

static gboolean
check_settings (GstWhisperMel *self)
{
  if (self->window % WINDOW_STEP != 0) {
    GST_ELEMENT_ERROR (self, RESOURCE, SETTINGS,
        ("Property window is %" G_GUINT64_FORMAT " ns, which is not a multiple "
         "of 20 ms (two mel frames). The next that is: %" G_GUINT64_FORMAT ".",
            self->window, self->window / WINDOW_STEP * WINDOW_STEP),
        (NULL));
    return FALSE;
  }
  if (self->hop != 0 && self->hop < MIN_HOP) {
    GST_ELEMENT_ERROR (self, RESOURCE, SETTINGS,
        ("Property hop is %" G_GUINT64_FORMAT " ns, less than one mel frame of "
         "10 ms. It is in nanoseconds: 5 s are 5000000000; 0 means as long as "
         "the window.",
            self->hop),
        (NULL));
    return FALSE;
  }
  return TRUE;
}

static gboolean
start (GstWhisperMel *self)
{
  gsize size;
  guint64 hop;

  GST_OBJECT_LOCK (self);
  self->running = TRUE;
  GST_OBJECT_UNLOCK (self);

  if (!check_settings (self))
    return FALSE;

  size = self->window / AUDIO_WINDOW_SAMPLE_TIME;
  hop = gst_util_uint64_scale_round (self->hop, AUDIO_WINDOW_RATE, GST_SECOND);
  audio_window_init (&self->audio, size, hop ? hop : size);
  self->n_frames = size / LOG_MEL_HOP;
  reset (self);
  return TRUE;
}

static void
stop (GstWhisperMel *self)
{
  set_pool (self, NULL);
  audio_window_clear (&self->audio);
  g_clear_pointer (&self->log_mel, log_mel_free);
  self->n_mels = 0;

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
    set_pool_flushing (self, TRUE);

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
  if (!running) {
    switch (id) {
      case PROP_N_MELS:
        self->n_mels_wanted = g_value_get_enum (value);
        break;
      case PROP_WINDOW:
        self->window = g_value_get_uint64 (value);
        break;
      case PROP_HOP:
        self->hop = g_value_get_uint64 (value);
        break;
      default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
        break;
    }
  }
  GST_OBJECT_UNLOCK (self);

  if (running)
    GST_WARNING_OBJECT (
        self, "property %s keeps its value until state READY", pspec->name);
}

static void
gst_whisper_mel_get_property (
    GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstWhisperMel *self = GST_WHISPER_MEL (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_N_MELS:
      g_value_set_enum (value, self->n_mels_wanted);
      break;
    case PROP_WINDOW:
      g_value_set_uint64 (value, self->window);
      break;
    case PROP_HOP:
      g_value_set_uint64 (value, self->hop);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_whisper_mel_class_init (GstWhisperMelClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  const GParamFlags flags =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

  GST_DEBUG_CATEGORY_INIT (
      whisper_mel_debug, "whispermel", 0, "Whisper's log-mel spectrogram");

  object_class->set_property = gst_whisper_mel_set_property;
  object_class->get_property = gst_whisper_mel_get_property;
  element_class->change_state = gst_whisper_mel_change_state;

  /**
   * GstWhisperMel:n-mels:
   *
   * Mel bands: 80, or 128 for large-v3 and its descendants. `auto` takes what
   * downstream caps ask for, or 80 where they do not say.
   *
   * Since: 1.0
   */
  g_object_class_install_property (object_class, PROP_N_MELS,
      g_param_spec_enum ("n-mels", "Mel bands",
          "Mel bands: 80, or 128 for large-v3 and its descendants; auto takes "
          "what downstream asks for, else 80",
          GST_TYPE_WHISPER_MEL_BANDS, DEFAULT_N_MELS, flags));

  /**
   * GstWhisperMel:window:
   *
   * Length of a window in nanoseconds: a multiple of 20 ms. The last window is
   * padded with silence to it.
   *
   * Since: 1.0
   */
  g_object_class_install_property (object_class, PROP_WINDOW,
      g_param_spec_uint64 ("window", "Window",
          "Length of a window in ns, a multiple of 20 ms; the last one is "
          "padded with silence",
          MIN_WINDOW, MAX_WINDOW, DEFAULT_WINDOW, flags));

  /**
   * GstWhisperMel:hop:
   *
   * Time from the start of one window to the start of the next in nanoseconds,
   * 10 ms at least, rounded to whole samples of 62.5 us; 0 means as long as
   * #GstWhisperMel:window. A smaller hop makes windows overlap, a larger one
   * leaves out audio between them.
   *
   * Since: 1.0
   */
  g_object_class_install_property (object_class, PROP_HOP,
      g_param_spec_uint64 ("hop", "Hop",
          "Time from one window's start to the next one's in ns, at least "
          "10 ms; 0 = window; less overlaps, more leaves out audio",
          0, G_MAXINT64, DEFAULT_HOP, flags));

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class,
      "Whisper log-mel spectrogram", "Filter/Converter/Audio",
      "Turns 16 kHz mono speech into the log-mel windows that a Whisper "
      "encoder takes, C float[1][bands][frames], a frame every 10 ms",
      "The gst-npuencoder developers");

  gst_type_mark_as_plugin_api (GST_TYPE_WHISPER_MEL_BANDS, 0);
}

static void
gst_whisper_mel_init (GstWhisperMel *self)
{
  self->n_mels_wanted = DEFAULT_N_MELS;
  self->window = DEFAULT_WINDOW;
  self->hop = DEFAULT_HOP;

  self->sinkpad = gst_pad_new_from_static_template (&sink_template, "sink");
  gst_pad_set_chain_function (self->sinkpad, gst_whisper_mel_chain);
  gst_pad_set_event_function (self->sinkpad, gst_whisper_mel_sink_event);
  gst_element_add_pad (GST_ELEMENT (self), self->sinkpad);

  self->srcpad = gst_pad_new_from_static_template (&src_template, "src");
  gst_pad_set_event_function (self->srcpad, gst_whisper_mel_src_event);
  gst_pad_set_query_function (self->srcpad, gst_whisper_mel_src_query);
  gst_element_add_pad (GST_ELEMENT (self), self->srcpad);
}
