/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "transcriberlive.h"

#include <string.h>

#include "common/gstnpulive.h"

#define RATE 16000 /* behind the resampler */

GST_DEBUG_CATEGORY_EXTERN (gst_npu_transcriber_debug);
#define GST_CAT_DEFAULT gst_npu_transcriber_debug

/* --- the mode ----------------------------------------------------------- */

static gboolean
is_growing (TranscriberLive *self)
{
  int mode;
  const GParamSpec *spec =
      g_object_class_find_property (G_OBJECT_GET_CLASS (self->mel), "mode");
  const GEnumClass *values = G_PARAM_SPEC_ENUM (spec)->enum_class;

  g_object_get (self->mel, "mode", &mode, NULL);
  return g_enum_get_value_by_nick ((GEnumClass *) values, "growing")->value ==
         mode;
}

/* The decoder's part of the time: without what whispermel's steps take. */
static void
set_decoder_latency (TranscriberLive *self)
{
  GstClockTime step;
  guint latency;

  g_object_get (self->mel, "step", &step, NULL);
  GST_OBJECT_LOCK (self->bin);
  latency = self->latency;
  GST_OBJECT_UNLOCK (self->bin);
  latency -= MIN (latency, (guint) MIN (step / GST_MSECOND, G_MAXUINT));
  g_object_set (self->decoder, "latency", latency, NULL);
}

/* whispermel takes a mode in READY only. Before the first event nothing is
 * lost by that. */
static void
set_mode (TranscriberLive *self, const char *mode)
{
  gboolean is_started;

  GST_OBJECT_LOCK (self->mel);
  is_started = GST_STATE (self->mel) > GST_STATE_READY ||
               GST_STATE_NEXT (self->mel) > GST_STATE_READY;
  GST_OBJECT_UNLOCK (self->mel);
  if (!is_started) {
    gst_util_set_object_arg (G_OBJECT (self->mel), "mode", mode);
    return;
  }
  gst_element_set_locked_state (self->mel, TRUE);
  gst_element_set_state (self->mel, GST_STATE_READY);
  gst_util_set_object_arg (G_OBJECT (self->mel), "mode", mode);
  gst_element_set_locked_state (self->mel, FALSE);
  gst_element_sync_state_with_parent (self->mel);
}

/* --- the queue ---------------------------------------------------------- */

static void
put_queue (TranscriberLive *self)
{
  GstBin *bin = GST_BIN (self->bin);

  gst_element_unlink (self->resample, self->mel);
  gst_bin_add (bin, self->queue);
  gst_element_link_many (self->resample, self->queue, self->mel, NULL);
  gst_element_sync_state_with_parent (self->queue);
}

static void
take_queue (TranscriberLive *self)
{
  gst_element_set_state (self->queue, GST_STATE_NULL);
  gst_bin_remove (GST_BIN (self->bin), self->queue);
  gst_element_link (self->resample, self->mel);
}

/* Nothing flows yet. */
static void
apply (TranscriberLive *self, gboolean is_live)
{
  gboolean has_mode, has_commit;

  GST_OBJECT_LOCK (self->bin);
  has_mode = self->has_mode;
  has_commit = self->has_commit;
  GST_OBJECT_UNLOCK (self->bin);
  GST_INFO_OBJECT (self->bin, "the source is %slive", is_live ? "" : "not ");
  if (is_live != self->is_live) {
    self->is_live = is_live;
    if (is_live)
      put_queue (self);
    else
      take_queue (self);
    if (!has_mode)
      set_mode (self, is_live ? "growing" : "follow");
  }
  if (!has_commit)
    gst_util_set_object_arg (G_OBJECT (self->decoder), "commit",
        is_growing (self) ? "alignatt" : "all");
  set_decoder_latency (self);
}

/* --- too slow ----------------------------------------------------------- */

static void
warn_of_overload (TranscriberLive *self)
{
  g_autofree char *load =
      self->meter.is_known ? g_strdup_printf ("load %.2f, ", self->meter.load)
                           : g_strdup ("");

  GST_ELEMENT_WARNING (self->bin, RESOURCE, BUSY,
      ("The machine is too slow for live text: %s%.1f s late. Take a smaller model, more threads, or a longer step.",
          load, (double) self->meter.lag / GST_SECOND),
      (NULL));
}

static void
post_overload (TranscriberLive *self, gboolean is_over)
{
  gst_element_post_message (self->bin,
      gst_message_new_element (GST_OBJECT (self->bin),
          gst_structure_new ("nputranscriber-overload", "overloaded",
              G_TYPE_BOOLEAN, is_over, "load", G_TYPE_DOUBLE, self->meter.load,
              "step", GST_TYPE_CLOCK_TIME, self->meter.step, "lag",
              GST_TYPE_CLOCK_TIME, self->meter.lag, "dropped", G_TYPE_UINT64,
              self->dropped, NULL)));
  if (!is_over || self->has_warned)
    return;
  self->has_warned = TRUE;
  warn_of_overload (self);
}

/* Upstream's segment, as @pad has it. */
static GstClockTime
to_running_time (GstPad *pad, GstClockTime time)
{
  g_autoptr (GstEvent) event =
      gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);
  const GstSegment *segment;

  if (!event)
    return GST_CLOCK_TIME_NONE;
  gst_event_parse_segment (event, &segment);
  return gst_segment_to_running_time (segment, GST_FORMAT_TIME, time);
}

/* How late audio of running time @time is; 0 where no clock says so. */
static GstClockTime
get_lag (TranscriberLive *self, GstClockTime time)
{
  const GstClockTime now = gst_npu_get_running_time (self->bin);
  GstClockTime upstream;
  gboolean is_live;

  if (!GST_CLOCK_TIME_IS_VALID (now) || !GST_CLOCK_TIME_IS_VALID (time))
    return 0;
  gst_npu_query_latency (self->sink, &is_live, &upstream);
  if (!is_live)
    return 0;
  time += upstream;
  return now > time ? now - time : 0;
}

static guint64
get_busy (TranscriberLive *self)
{
  GstElement *elements[] = {self->encoder, self->decoder};
  guint64 busy = 0;

  for (guint i = 0; i < G_N_ELEMENTS (elements); i++) {
    g_autoptr (GstStructure) stats = NULL;
    guint64 time = 0;

    g_object_get (elements[i], "stats", &stats, NULL);
    if (stats && gst_structure_get_uint64 (stats, "total-time", &time))
      busy += time;
  }
  return busy;
}

/* A window comes to the decoder. */
static GstPadProbeReturn
meter_window (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  TranscriberLive *self = user_data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  TranscriberLoadChange change;
  GstClockTime end;

  if (!self->is_live || !GST_BUFFER_PTS_IS_VALID (buffer) ||
      !GST_BUFFER_DURATION_IS_VALID (buffer))
    return GST_PAD_PROBE_OK;
  end = GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer);
  change = transcriber_load_add (&self->meter, end, get_busy (self),
      get_lag (self, to_running_time (pad, end)));
  GST_OBJECT_LOCK (self->bin);
  self->load = self->meter.load;
  GST_OBJECT_UNLOCK (self->bin);
  if (change != TRANSCRIBER_LOAD_SAME)
    post_overload (self, change == TRANSCRIBER_LOAD_OVER);
  return GST_PAD_PROBE_OK;
}

/* --- audio that was dropped --------------------------------------------- */

static void
note_overrun (GstElement *queue, gpointer user_data)
{
  TranscriberLive *self = user_data;

  g_atomic_int_set (&self->has_overrun, TRUE);
}

static void
post_dropped (TranscriberLive *self, GstPad *pad, GstClockTime start,
    GstClockTime duration)
{
  const GstClockTime running = to_running_time (pad, start);
  const GstClockTime next = to_running_time (pad, start + duration);
  GstMessage *message = gst_message_new_qos (GST_OBJECT (self->bin), TRUE,
      running, GST_CLOCK_TIME_NONE, start, duration);

  self->dropped += gst_util_uint64_scale_round (duration, RATE, GST_SECOND);
  gst_message_set_qos_values (
      message, (gint64) get_lag (self, running), 1.0, 1000000);
  gst_message_set_qos_stats (
      message, GST_FORMAT_DEFAULT, self->processed, self->dropped);
  gst_element_post_message (self->bin, message);
  transcriber_load_note_dropped (&self->meter, get_lag (self, next));
  post_overload (self, TRUE);
}

/* Audio comes to the queue: the first may be dropped before any leaves it. */
static GstPadProbeReturn
note_first (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  TranscriberLive *self = user_data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);

  GST_OBJECT_LOCK (self->bin);
  if (!GST_CLOCK_TIME_IS_VALID (self->first))
    self->first = GST_BUFFER_PTS (buffer);
  GST_OBJECT_UNLOCK (self->bin);
  return GST_PAD_PROBE_OK;
}

/* Audio leaves the queue: what is missing before it was dropped there. */
static GstPadProbeReturn
look_for_dropped (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  TranscriberLive *self = user_data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);
  const GstClockTime pts = GST_BUFFER_PTS (buffer);
  GstClockTime next = self->next;
  const gboolean is_valid =
      GST_BUFFER_PTS_IS_VALID (buffer) && GST_BUFFER_DURATION_IS_VALID (buffer);

  if (self->processed == 0) {
    GST_OBJECT_LOCK (self->bin);
    next = self->first;
    GST_OBJECT_UNLOCK (self->bin);
  }
  if (is_valid && GST_CLOCK_TIME_IS_VALID (next) && pts > next &&
      GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_DISCONT) &&
      g_atomic_int_compare_and_exchange (&self->has_overrun, TRUE, FALSE))
    post_dropped (self, pad, next, pts - next);
  self->processed += gst_buffer_get_size (buffer) / sizeof (float);
  self->next =
      is_valid ? pts + GST_BUFFER_DURATION (buffer) : GST_CLOCK_TIME_NONE;
  return GST_PAD_PROBE_OK;
}

static void
make_queue (TranscriberLive *self)
{
  g_autoptr (GstPad) pad = NULL;
  g_autoptr (GstPad) into = NULL;

  self->queue = gst_element_factory_make ("queue", "live-queue");
  gst_object_ref_sink (self->queue);
  g_object_set (self->queue, "max-size-buffers", 0, "max-size-bytes", 0,
      "max-size-time", self->max_lag, NULL);
  gst_util_set_object_arg (G_OBJECT (self->queue), "leaky", "downstream");
  g_signal_connect (self->queue, "overrun", G_CALLBACK (note_overrun), self);
  pad = gst_element_get_static_pad (self->queue, "src");
  gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_BUFFER, look_for_dropped, self, NULL);
  into = gst_element_get_static_pad (self->queue, "sink");
  gst_pad_add_probe (into, GST_PAD_PROBE_TYPE_BUFFER, note_first, self, NULL);
}

/* --- pads --------------------------------------------------------------- */

/* The stream's first events: now upstream is there and knows what it is;
 * sources of sound, when they have caps. What was sent before is sent once
 * more, as the links are new. */
static GstPadProbeReturn
decide (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  TranscriberLive *self = user_data;
  const GstEventType type = GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info));
  gboolean is_live;
  GstClockTime min;

  if (self->is_decided ||
      (type != GST_EVENT_STREAM_START && type != GST_EVENT_CAPS &&
          type != GST_EVENT_SEGMENT))
    return GST_PAD_PROBE_OK;
  self->is_decided = gst_npu_query_latency (self->sink, &is_live, &min);
  if (self->is_decided)
    apply (self, is_live);
  self->is_decided |= type == GST_EVENT_SEGMENT;
  return GST_PAD_PROBE_OK;
}

/* Of a live stream the bin's answer is its property, whatever is inside: it is
 * there before any data. */
static gboolean
answer_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  TranscriberLive *self = g_object_get_data (G_OBJECT (pad), "live");
  GstClockTime latency;
  gboolean has_mode;

  GST_OBJECT_LOCK (self->bin);
  latency = self->latency * GST_MSECOND;
  has_mode = self->has_mode;
  GST_OBJECT_UNLOCK (self->bin);
  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY ||
      (has_mode && !is_growing (self)))
    return self->query (pad, parent, query);
  return gst_npu_answer_latency (self->sink, query, latency);
}

void
transcriber_live_init (TranscriberLive *self, GstElement *bin, GstPad *sink,
    GstPad *src, GstElement *resample, GstElement *mel, GstElement *encoder,
    GstElement *decoder)
{
  g_autoptr (GstPad) windows = gst_element_get_static_pad (decoder, "sink");

  self->bin = bin;
  self->max_lag = TRANSCRIBER_MAX_LAG;
  self->latency = TRANSCRIBER_LATENCY;
  self->sink = sink;
  self->resample = resample;
  self->mel = mel;
  self->encoder = encoder;
  self->decoder = decoder;
  make_queue (self);
  self->next = GST_CLOCK_TIME_NONE;
  gst_pad_add_probe (
      sink, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, decide, self, NULL);
  gst_pad_add_probe (
      windows, GST_PAD_PROBE_TYPE_BUFFER, meter_window, self, NULL);
  self->query = GST_PAD_QUERYFUNC (src);
  g_object_set_data (G_OBJECT (src), "live", self);
  gst_pad_set_query_function (src, answer_query);
}

void
transcriber_live_clear (TranscriberLive *self)
{
  gst_clear_object (&self->queue);
}

/* --- states and properties ---------------------------------------------- */

void
transcriber_live_start (TranscriberLive *self)
{
  gboolean is_live;
  GstClockTime min;

  self->is_decided = FALSE;
  self->has_warned = FALSE;
  self->next = self->first = GST_CLOCK_TIME_NONE;
  self->processed = self->dropped = 0;
  g_atomic_int_set (&self->has_overrun, FALSE);
  transcriber_load_reset (&self->meter);
  gst_npu_query_latency (self->sink, &is_live, &min);
  apply (self, is_live);
}

void
transcriber_live_stop (TranscriberLive *self)
{
  apply (self, FALSE);
  GST_OBJECT_LOCK (self->bin);
  self->load = 0;
  GST_OBJECT_UNLOCK (self->bin);
}

void
transcriber_live_set_latency (TranscriberLive *self, guint ms)
{
  if (!self->bin)
    return;
  GST_OBJECT_LOCK (self->bin);
  self->latency = ms;
  GST_OBJECT_UNLOCK (self->bin);
  set_decoder_latency (self);
}

void
transcriber_live_set_max_lag (TranscriberLive *self, guint64 max_lag)
{
  if (!self->bin)
    return;
  GST_OBJECT_LOCK (self->bin);
  self->max_lag = max_lag;
  GST_OBJECT_UNLOCK (self->bin);
  g_object_set (self->queue, "max-size-time", max_lag, NULL);
}

void
transcriber_live_note_set (TranscriberLive *self, const char *name)
{
  GST_OBJECT_LOCK (self->bin);
  self->has_mode |= strcmp (name, "mode") == 0;
  self->has_commit |= strcmp (name, "commit") == 0;
  GST_OBJECT_UNLOCK (self->bin);
}
