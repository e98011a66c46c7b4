/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-nputranscriber
 * @title: nputranscriber
 * @short_description: Speech to text by Whisper, in one element
 *
 * A bin of audioconvert, audioresample, whispermel, npuencoder and
 * whisperdecoder: audio of any kind goes in, and text comes out, as
 * whisperdecoder gives it. Of recordings, whispermel is in mode `follow` with
 * `tail` `zero`, and there is no queue before it, so the windows are those of
 * Whisper's own long form. Of a live source, windows grow, text comes a word at
 * a time about a second after it was said, and a queue keeps the source from
 * waiting; what is said now is on the pad `unsynced_src`.
 *
 * Where the machine is too slow for a live source, an element message
 * `nputranscriber-overload` has #gboolean `overloaded`, #gdouble `load` and
 * #GstClockTime `step`, 0 until there are windows to tell them by,
 * #GstClockTime `lag`, and #guint64 `dropped`, in samples.
 *
 * It has the properties of the three elements under their names; those that
 * several have, `model`, `device`, `threads`, `precision` and such, are set in
 * all of them, and read from the last. `stats` are whisperdecoder's. The
 * messages of the elements inside come through.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! decodebin !
 * nputranscriber model=ggml-base.bin ! webvttenc ! filesink location=speech.vtt
 * ]| Subtitles of a recording.
 * |[
 * gst-launch-1.0 -q filesrc location=speech.wav ! decodebin !
 * nputranscriber model=ggml-base.bin task=translate ! fdsink
 * ]| Its text in English, on the terminal.
 *
 * Since: 1.0
 */

#include "gstnputranscriber.h"

#include "common/gstnpuerror.h"
#include "common/gstnpurange.h"
#include "gstnpuencoder.h"
#include "gstwhispermel.h"
#include "parentproperties.h"
#include "transcriberlive.h"
#include "whisperdecoder/gstwhisperdecoder.h"

GST_DEBUG_CATEGORY (gst_npu_transcriber_debug);
#define GST_CAT_DEFAULT gst_npu_transcriber_debug

#define UNSYNCED "unsynced_src"

enum { CONVERT, RESAMPLE, MEL, ENCODER, DECODER, N_CHILDREN };

static const char *const factories[N_CHILDREN] = {"audioconvert",
    "audioresample", "whispermel", "npuencoder", "whisperdecoder"};

/* Of the elements that are ours. */
#define OWN_CHILDREN(self) (&(self)->children[MEL])
#define N_OWN_CHILDREN (N_CHILDREN - MEL)

enum {
  PROP_0,
  PROP_LATENCY,
  PROP_MAX_LAG,
  PROP_LOAD,
  N_OWN_PROPERTIES,
};

enum {
  SIGNAL_RESET_STATS,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

struct _GstNpuTranscriber {
  GstBin parent;

  /* Owned by the bin; NULL from the first that could not be made. */
  GstElement *children[N_CHILDREN];
  const char *missing; /* name of that one, or NULL */
  TranscriberLive live;
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE (
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS ("audio/x-raw"));
static GstStaticPadTemplate unsynced_template =
    GST_STATIC_PAD_TEMPLATE (UNSYNCED, GST_PAD_SRC, GST_PAD_ALWAYS,
        GST_STATIC_CAPS ("application/x-json"));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("text/x-raw, format = (string) utf8; application/x-json"));

#define gst_npu_transcriber_parent_class parent_class
G_DEFINE_FINAL_TYPE (GstNpuTranscriber, gst_npu_transcriber, GST_TYPE_BIN)
GST_ELEMENT_REGISTER_DEFINE (
    nputranscriber, "nputranscriber", GST_RANK_NONE, GST_TYPE_NPU_TRANSCRIBER)

/* --- properties --------------------------------------------------------- */

static gboolean
runs (GstNpuTranscriber *self)
{
  gboolean runs;

  GST_OBJECT_LOCK (self);
  runs = GST_STATE (self) > GST_STATE_READY ||
         GST_STATE_NEXT (self) > GST_STATE_READY;
  GST_OBJECT_UNLOCK (self);
  return runs;
}

/* What does not fit is told at the start; while it runs, at once, and what is
 * there stays. */
static gboolean
is_taken (GstNpuTranscriber *self, GParamSpec *pspec, const GValue *value)
{
  g_autoptr (GError) error = NULL;

  if (!runs (self))
    return TRUE;
  if (!(pspec->flags & GST_PARAM_MUTABLE_PLAYING)) {
    GST_WARNING_OBJECT (self,
        "property %s keeps its value: it can be set in states NULL and READY only",
        pspec->name);
    return FALSE;
  }
  if (gst_npu_range_check (pspec, value, &error))
    return TRUE;
  gst_npu_post_warning (GST_ELEMENT (self), error, GST_RESOURCE_ERROR_SETTINGS,
      "It keeps its value");
  return FALSE;
}

static void
gst_npu_transcriber_set_property (
    GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstNpuTranscriber *self = GST_NPU_TRANSCRIBER (object);

  if (!is_taken (self, pspec, value))
    return;
  if (id == PROP_LATENCY) {
    transcriber_live_set_latency (&self->live, g_value_get_uint (value));
  } else if (id == PROP_MAX_LAG) {
    transcriber_live_set_max_lag (&self->live, g_value_get_uint64 (value));
  } else if (!self->missing) {
    transcriber_live_note_set (&self->live, pspec->name);
    parent_properties_set (OWN_CHILDREN (self), N_OWN_CHILDREN, value, pspec);
  }
}

static void
get_own_property (GstNpuTranscriber *self, guint id, GValue *value)
{
  GST_OBJECT_LOCK (self);
  if (id == PROP_LATENCY)
    g_value_set_uint (value, self->live.latency);
  else if (id == PROP_MAX_LAG)
    g_value_set_uint64 (value, self->live.max_lag);
  else
    g_value_set_double (value, self->live.load);
  GST_OBJECT_UNLOCK (self);
}

static void
gst_npu_transcriber_get_property (
    GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstNpuTranscriber *self = GST_NPU_TRANSCRIBER (object);

  if (id < N_OWN_PROPERTIES)
    get_own_property (self, id, value);
  else if (!self->missing)
    parent_properties_get (OWN_CHILDREN (self), N_OWN_CHILDREN, value, pspec);
}

static void
gst_npu_transcriber_reset_stats (GstNpuTranscriber *self)
{
  if (self->missing)
    return;
  g_signal_emit_by_name (self->children[ENCODER], "reset-stats");
  g_signal_emit_by_name (self->children[DECODER], "reset-stats");
}

/* --- states ------------------------------------------------------------- */

static gboolean
check_settings (GstNpuTranscriber *self)
{
  g_autoptr (GError) error = NULL;

  if (gst_npu_range_check_all (G_OBJECT (self), &error))
    return TRUE;
  gst_npu_post_error (
      GST_ELEMENT (self), error, GST_RESOURCE_ERROR_SETTINGS, NULL);
  return FALSE;
}

static GstStateChangeReturn
gst_npu_transcriber_change_state (
    GstElement *element, GstStateChange transition)
{
  GstNpuTranscriber *self = GST_NPU_TRANSCRIBER (element);
  GstStateChangeReturn change;

  if (transition == GST_STATE_CHANGE_NULL_TO_READY && self->missing) {
    GST_ELEMENT_ERROR (self, CORE, MISSING_PLUGIN,
        ("There is no element %s: install gstreamer1.0-plugins-base.",
            self->missing),
        (NULL));
    return GST_STATE_CHANGE_FAILURE;
  }
  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED) {
    if (!check_settings (self))
      return GST_STATE_CHANGE_FAILURE;
    transcriber_live_start (&self->live);
  }
  change = GST_ELEMENT_CLASS (parent_class)->change_state (element, transition);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    transcriber_live_stop (&self->live);
  return change;
}

/* --- the class ---------------------------------------------------------- */

static void
gst_npu_transcriber_finalize (GObject *object)
{
  transcriber_live_clear (&GST_NPU_TRANSCRIBER (object)->live);
  G_OBJECT_CLASS (parent_class)->finalize (object);
}

static void
install_own_properties (GObjectClass *klass)
{
  const GParamFlags always = G_PARAM_READWRITE | G_PARAM_CONSTRUCT |
                             G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  /**
   * GstNpuTranscriber:latency:
   *
   * Of a live source: the longest time from the start of a word to its text, in
   * ms, all that the elements inside take included.
   *
   * Since: 1.0
   */
  g_object_class_install_property (klass, PROP_LATENCY,
      gst_npu_range_uint ("latency", "Latency",
          "Of a live source, longest time from the start of a word to its text, in ms (Since: 1.0)",
          0, 60000, TRANSCRIBER_LATENCY, always));
  /**
   * GstNpuTranscriber:max-lag:
   *
   * Of a live source on a machine that is too slow: audio that has waited for
   * longer than this is dropped, in ns.
   *
   * Since: 1.0
   */
  g_object_class_install_property (klass, PROP_MAX_LAG,
      gst_npu_range_uint64 ("max-lag", "Max lag",
          "Of a live source, longest time that audio waits before it is dropped, in ns (Since: 1.0)",
          GST_SECOND, G_MAXINT64, TRANSCRIBER_MAX_LAG, always));
  /**
   * GstNpuTranscriber:load:
   *
   * Of a live source: time spent in the encoder and decoder by time of the
   * stream, over its last 10 s.
   *
   * Since: 1.0
   */
  g_object_class_install_property (klass, PROP_LOAD,
      g_param_spec_double ("load", "Load",
          "Of a live source, time spent by time of the stream over the last 10 s (Since: 1.0)",
          0, G_MAXDOUBLE, 0, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
gst_npu_transcriber_class_init (GstNpuTranscriberClass *klass)
{
  /* What links the elements to each other is settled. */
  static const char *const left_out[] = {"output-type", "latency", NULL};
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  guint id = N_OWN_PROPERTIES;

  GST_DEBUG_CATEGORY_INIT (
      gst_npu_transcriber_debug, "nputranscriber", 0, "Speech to text");

  object_class->set_property = gst_npu_transcriber_set_property;
  object_class->get_property = gst_npu_transcriber_get_property;
  object_class->finalize = gst_npu_transcriber_finalize;
  install_own_properties (object_class);
  /* The last child's first: its blurbs are those that a reader wants. */
  id = parent_properties_install (
      object_class, id, GST_TYPE_WHISPER_DECODER, left_out);
  id = parent_properties_install (
      object_class, id, GST_TYPE_NPU_ENCODER, left_out);
  parent_properties_install (object_class, id, GST_TYPE_WHISPER_MEL, left_out);

  /**
   * GstNpuTranscriber::reset-stats:
   *
   * Starts the statistics of npuencoder and whisperdecoder anew.
   *
   * Since: 1.0
   */
  signals[SIGNAL_RESET_STATS] = g_signal_new_class_handler ("reset-stats",
      G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION,
      G_CALLBACK (gst_npu_transcriber_reset_stats), NULL, NULL, NULL,
      G_TYPE_NONE, 0);

  element_class->change_state = gst_npu_transcriber_change_state;
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_add_static_pad_template (element_class, &unsynced_template);
  gst_element_class_set_static_metadata (element_class, "Speech to text",
      "Filter/Converter/Audio/Text",
      "Transcribes audio of any kind by a Whisper model, on an NPU or the CPU",
      "gst-npuencoder maintainers");
}

/* A ghost of @child's pad; without a child, a pad that leads nowhere, so that
 * the bin can be linked until its start says what is missing. */
static GstPad *
add_pad_of (GstNpuTranscriber *self, GstStaticPadTemplate *pad_template,
    GstElement *child, const char *child_name, const char *name)
{
  g_autoptr (GstPadTemplate) made = gst_static_pad_template_get (pad_template);
  GstPad *ghost;

  if (child) {
    g_autoptr (GstPad) target = gst_element_get_static_pad (child, child_name);

    ghost = gst_ghost_pad_new_from_template (name, target, made);
  } else {
    ghost = gst_ghost_pad_new_no_target_from_template (name, made);
  }
  gst_element_add_pad (GST_ELEMENT (self), ghost);
  return ghost;
}

static GstPad *
add_pad (GstNpuTranscriber *self, GstStaticPadTemplate *pad_template,
    GstElement *child, const char *name)
{
  return add_pad_of (self, pad_template, child, name, name);
}

/* Nobody looks: a queue that finds itself without a peer would make an error of
 * it at the end of the stream. */
static GstPadProbeReturn
drop_unseen (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GstPad *ghost = user_data;

  if ((info->type & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) &&
      GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) != GST_EVENT_EOS)
    return GST_PAD_PROBE_OK;
  return gst_pad_is_linked (ghost) ? GST_PAD_PROBE_OK : GST_PAD_PROBE_DROP;
}

/* What is said now, behind a queue, so that whoever is slow to take it does not
 * hold up the text: the newest counts. The pad is active from the start, and
 * whoever shows it to others finds its sticky events. */
static void
add_unsynced_pad (GstNpuTranscriber *self)
{
  GstElement *queue = gst_element_factory_make ("queue", "unsynced-queue");
  g_autoptr (GstPad) pad =
      gst_element_request_pad_simple (self->children[DECODER], UNSYNCED);
  g_autoptr (GstPad) into = gst_element_get_static_pad (queue, "sink");
  GstPad *ghost;
  const GstEventType types[] = {
      GST_EVENT_STREAM_START, GST_EVENT_CAPS, GST_EVENT_SEGMENT, GST_EVENT_TAG};

  g_object_set (queue, "max-size-buffers", 100, "max-size-bytes", 0,
      "max-size-time", (guint64) 0, NULL);
  gst_util_set_object_arg (G_OBJECT (queue), "leaky", "downstream");
  gst_bin_add (GST_BIN (self), queue);
  gst_pad_link (pad, into);
  ghost = add_pad_of (self, &unsynced_template, queue, "src", UNSYNCED);
  gst_pad_add_probe (into,
      GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
      drop_unseen, ghost, NULL);
  gst_pad_set_active (ghost, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_autoptr (GstEvent) event = gst_pad_get_sticky_event (pad, types[i], 0);

    if (event)
      gst_pad_store_sticky_event (ghost, event);
  }
}

/* No sound has more samples a second; audioresample takes memory for them, and
 * the process ends where there is not so much. */
#define MAX_RATE 10000000

/* Of a damaged header. Without caps nothing comes in. */
static GstPadProbeReturn
refuse_rate (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GstElement *self = user_data;
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);
  GstCaps *caps;
  int rate;

  if (GST_EVENT_TYPE (event) != GST_EVENT_CAPS)
    return GST_PAD_PROBE_OK;
  gst_event_parse_caps (event, &caps);
  if (!gst_structure_get_int (
          gst_caps_get_structure (caps, 0), "rate", &rate) ||
      rate <= MAX_RATE)
    return GST_PAD_PROBE_OK;
  GST_ELEMENT_ERROR (self, STREAM, FORMAT,
      ("The audio is said to have %d samples a second; more than %d are no sound. Its header is damaged, or what reads it is wrong.",
          rate, MAX_RATE),
      ("%" GST_PTR_FORMAT, caps));
  return GST_PAD_PROBE_DROP;
}

static void
gst_npu_transcriber_init (GstNpuTranscriber *self)
{
  GstElement **children = self->children;
  GstPad *sink, *src;

  for (guint i = 0; i < N_CHILDREN && !self->missing; i++) {
    children[i] = gst_element_factory_make (factories[i], factories[i]);
    if (children[i])
      gst_bin_add (GST_BIN (self), children[i]);
    else
      self->missing = factories[i];
  }
  if (self->missing) {
    add_pad (self, &sink_template, NULL, "sink");
    add_pad (self, &src_template, NULL, "src");
    add_pad (self, &unsynced_template, NULL, UNSYNCED);
    return;
  }

  gst_element_link_many (children[CONVERT], children[RESAMPLE], children[MEL],
      children[ENCODER], children[DECODER], NULL);
  sink = add_pad (self, &sink_template, children[CONVERT], "sink");
  gst_pad_add_probe (
      sink, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, refuse_rate, self, NULL);
  src = add_pad (self, &src_template, children[DECODER], "src");
  add_unsynced_pad (self);
  transcriber_live_init (&self->live, GST_ELEMENT (self), sink, src,
      children[RESAMPLE], children[MEL], children[ENCODER], children[DECODER]);
  gst_util_set_object_arg (G_OBJECT (children[MEL]), "mode", "follow");
  gst_util_set_object_arg (G_OBJECT (children[MEL]), "tail", "zero");
}
