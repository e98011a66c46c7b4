/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-npuencoder
 * @title: npuencoder
 * @short_description: Whisper's encoder on an NPU or the CPU
 *
 * Turns windows of log-mel into the hidden states of a Whisper encoder. One
 * input buffer is one window of 2 to 3000 frames of 10 ms, C
 * float[1][n_mels][frames]; one output buffer holds its states, C
 * float[1][frames / 2][d].
 *
 * A window runs as launches of 64-row tiles through a ring of
 * #GstNpuEncoder:depth slots. The ring is empty when a window is done: the
 * element adds no latency in windows.
 *
 * After every window an element message named `npuencoder-stats` is posted, if
 * #GstNpuEncoder:post-messages is %TRUE. Its fields, which are also those of
 * #GstNpuEncoder:stats:
 *
 * * #guint64 `window`: number of the window since the start or the last
 *   #GstNpuEncoder::reset-stats, from 1
 * * #GstClockTime `timestamp`, `stream-time`, `running-time`, `duration`: of
 *   the window; the duration is that of its real audio
 * * #guint64 `tiles`: 64-row output tiles computed, over all stages
 * * #guint64 `launches`: submissions to the device
 * * #guint64 `stalls`: launches before which the device idled for want of work
 * * #guint64 `total-time`: time in the encoder, in ns
 * * #guint64 `tile-time`: `total-time` / `tiles`, in ns
 * * #guint64 `dma-write-time`, `compute-time`, `dma-read-time`: making inputs
 *   visible to the device, computing, making outputs visible to the host, in ns
 * * #gdouble `dma-overhead`: (`dma-write-time` + `dma-read-time`) /
 *   `total-time`, in percent
 * * #gdouble `realtime-factor`: `duration` / `total-time`
 * * #guint `depth`, `batch-size`: as used
 * * #gchararray `device`, `precision`, `model`: as chosen; the device is the
 *   one that encoded the window
 * * #gchararray `placement`: which stages ran where
 *
 * With #GstNpuEncoder:device `auto`, a window that fails on an NPU is encoded
 * again on the CPU, and a warning message says so; after three such windows in
 * a row, or if the NPU has gone, the CPU encodes all that follow.
 *
 * With #GstNpuEncoder:verbosity `stages` or `tiles` there is also a
 * #GstValueArray `stages` of structures, and with `tiles` one of `events`; see
 * docs/npuencoder.md.
 *
 * The sticky custom event `npuencoder/model`, with a #gchararray `location`,
 * tells downstream the #GstNpuEncoder:model that the states are of.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! wavparse ! audioconvert !
 * audioresample ! whispermel ! npuencoder model=whisper-tiny.en.safetensors !
 * filesink location=states.f32
 * ]| Encode a file; the output is raw floats, [1500][384] a window.
 * |[
 * gst-launch-1.0 -m autoaudiosrc ! audioconvert ! audioresample !
 * whispermel window=1000000000 ! npuencoder model=synthetic:tiny ! fakesink
 * ]| Encode a microphone in windows of 1 s, with random weights, and print the
 * statistics.
 *
 * Since: 1.0
 */

#include "common/gstnpuerror.h"
#include "gstnpuencoderfallback.h"
#include "gstnpuencoderprivate.h"
#include "tensorallocation.h"
#include "tensorcaps.h"
#include "tensormeta.h"

GST_DEBUG_CATEGORY (gst_npu_encoder_debug);
#define GST_CAT_DEFAULT gst_npu_encoder_debug

enum {
  PROP_STATS = GST_NPU_ENCODER_N_SETTINGS,
};

enum {
  SIGNAL_RESET_STATS,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

#define MEL_CAPS                                                               \
  "other/tensors, format = (string) static, num_tensors = (int) 1, types = (string) float32"
#define STATES_CAPS                                                            \
  "other/tensors, format = (string) static, num_tensors = (int) 1, types = (string) { float32, float16 }"

/* The dimensions are any of 1500 strings, in several spellings: they are left
 * open here, and looked at where caps are transformed and arrive. */
static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE (
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (MEL_CAPS));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE (
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (STATES_CAPS));

#define gst_npu_encoder_parent_class parent_class
G_DEFINE_FINAL_TYPE (GstNpuEncoder, gst_npu_encoder, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE (
    npuencoder, "npuencoder", GST_RANK_NONE, GST_TYPE_NPU_ENCODER)

/* --- properties --------------------------------------------------------- */

static void
gst_npu_encoder_set_property (
    GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstNpuEncoder *self = GST_NPU_ENCODER (object);
  gboolean refused;

  GST_OBJECT_LOCK (self);
  refused = self->open && !(pspec->flags & GST_PARAM_MUTABLE_PLAYING);
  if (!refused)
    gst_npu_encoder_settings_set (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);

  if (refused)
    GST_WARNING_OBJECT (self,
        "property %s keeps its value: it can be set in states NULL and READY only",
        pspec->name);
}

static void
gst_npu_encoder_get_property (
    GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstNpuEncoder *self = GST_NPU_ENCODER (object);

  GST_OBJECT_LOCK (self);
  if (id == PROP_STATS)
    g_value_take_boxed (value,
        gst_npu_encoder_stats_to_structure (&self->totals, &self->setup));
  else
    gst_npu_encoder_settings_get (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
}

static void
gst_npu_encoder_reset_stats (GstNpuEncoder *self)
{
  GST_OBJECT_LOCK (self);
  self->totals = (GstNpuEncoderStats) GST_NPU_ENCODER_STATS_INIT;
  GST_OBJECT_UNLOCK (self);
}

/* --- start and stop ----------------------------------------------------- */

static gboolean
gst_npu_encoder_start (GstBaseTransform *base)
{
  GstNpuEncoder *self = GST_NPU_ENCODER (base);
  GstNpuEncoderSession *session;

  GST_OBJECT_LOCK (self);
  self->open = TRUE;
  GST_OBJECT_UNLOCK (self);

  session = gst_npu_encoder_session_new (GST_ELEMENT (self), &self->settings);

  GST_OBJECT_LOCK (self);
  self->session = session;
  self->open = session != NULL;
  self->window = (GstNpuEncoderWindow){0};
  self->model_is_told = FALSE;
  if (session) {
    self->totals = (GstNpuEncoderStats) GST_NPU_ENCODER_STATS_INIT;
    gst_npu_encoder_setup_clear (&self->setup);
    gst_npu_encoder_setup_init (&self->setup, session, session->encoder);
    self->setup_of = session->encoder;
  }
  GST_OBJECT_UNLOCK (self);
  return session != NULL;
}

static gboolean
gst_npu_encoder_stop (GstBaseTransform *base)
{
  GstNpuEncoder *self = GST_NPU_ENCODER (base);
  GstNpuEncoderSession *session;

  GST_OBJECT_LOCK (self);
  session = g_steal_pointer (&self->session);
  GST_OBJECT_UNLOCK (self);

  if (session)
    gst_npu_encoder_session_free (session, GST_ELEMENT (self));

  GST_OBJECT_LOCK (self);
  self->open = FALSE;
  GST_OBJECT_UNLOCK (self);
  return TRUE;
}

/* From any thread, as FLUSH_START is. */
static void
gst_npu_encoder_cancel (GstNpuEncoder *self)
{
  GST_OBJECT_LOCK (self);
  if (self->session)
    gst_npu_encoder_session_cancel (self->session);
  GST_OBJECT_UNLOCK (self);
}

/* A FLUSH_STOP while the pad is deactivated must not let another window
 * begin. */
static void
gst_npu_encoder_resume (GstNpuEncoder *self)
{
  GST_OBJECT_LOCK (self);
  if (self->session && self->active)
    gst_npu_encoder_session_resume (self->session);
  GST_OBJECT_UNLOCK (self);
}

/* A pad takes events and buffers before the base class starts the element, and
 * after a FLUSH_STOP while it stops it. So the stream lock is held meanwhile:
 * what is serialised waits, and finds the element started or stopped, never
 * half. What is not serialised takes the object lock. */
static gboolean
gst_npu_encoder_sink_activate_mode (
    GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
  GstNpuEncoder *self = GST_NPU_ENCODER (parent);
  gboolean done;

  GST_OBJECT_LOCK (self);
  self->active = active;
  GST_OBJECT_UNLOCK (self);
  if (!active)
    gst_npu_encoder_cancel (self); /* the window that holds the lock */

  GST_PAD_STREAM_LOCK (pad);
  done = self->activate_mode (pad, parent, mode, active);
  GST_PAD_STREAM_UNLOCK (pad);
  return done;
}

/* --- buffers and events ------------------------------------------------- */

static gboolean
gst_npu_encoder_propose_allocation (
    GstBaseTransform *base, GstQuery *decide_query, GstQuery *query)
{
  GstNpuEncoderWindow window = GST_NPU_ENCODER (base)->window;
  GstCaps *caps;

  /* The caps asked about may be those to come. */
  gst_query_parse_allocation (query, &caps, NULL);
  if (!caps ||
      !tensor_caps_parse_mel (caps, window.n_mels, &window.n_frames, NULL))
    return FALSE;

  return GST_BASE_TRANSFORM_CLASS (parent_class)
             ->propose_allocation (base, decide_query, query) &&
         tensor_allocation_propose (
             query, gst_npu_encoder_window_mel_size (&window));
}

static gboolean
gst_npu_encoder_decide_allocation (GstBaseTransform *base, GstQuery *query)
{
  GstNpuEncoder *self = GST_NPU_ENCODER (base);

  tensor_allocation_decide (
      query, gst_npu_encoder_window_states_size (&self->window));
  return GST_BASE_TRANSFORM_CLASS (parent_class)
      ->decide_allocation (base, query);
}

static gboolean
gst_npu_encoder_transform_meta (
    GstBaseTransform *base, GstBuffer *outbuf, GstMeta *meta, GstBuffer *inbuf)
{
  /* A tensor of the input is the mel, not the states. */
  if (tensor_meta_is_tensor (meta))
    return FALSE;
  return GST_BASE_TRANSFORM_CLASS (parent_class)
      ->transform_meta (base, outbuf, meta, inbuf);
}

/* Tells downstream which model the states are of, before the first of them. The
 * event is sticky: whoever is linked later gets it too. */
static void
gst_npu_encoder_tell_model (GstNpuEncoder *self)
{
  GstStructure *structure = gst_structure_new ("npuencoder/model", "location",
      G_TYPE_STRING, self->settings.model, NULL);

  self->model_is_told = TRUE;
  gst_pad_push_event (GST_BASE_TRANSFORM_SRC_PAD (self),
      gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, structure));
}

/* Takes @event. */
static gboolean
gst_npu_encoder_sink_caps (GstNpuEncoder *self, GstEvent *event)
{
  GstBaseTransform *base = GST_BASE_TRANSFORM (self);
  GstCaps *caps;

  gst_event_parse_caps (event, &caps);
  if (!gst_npu_encoder_check_caps (self, caps)) {
    gst_event_unref (event);
    return FALSE;
  }
  if (!GST_BASE_TRANSFORM_CLASS (parent_class)->sink_event (base, event))
    return FALSE;
  gst_npu_encoder_tell_model (self);
  return TRUE;
}

static gboolean
gst_npu_encoder_sink_event (GstBaseTransform *base, GstEvent *event)
{
  GstNpuEncoder *self = GST_NPU_ENCODER (base);

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_START:
      gst_npu_encoder_cancel (self);
      break;
    case GST_EVENT_FLUSH_STOP:
      gst_npu_encoder_resume (self);
      self->model_is_told = FALSE;
      break;
    case GST_EVENT_STREAM_START:
      self->model_is_told = FALSE;
      break;
    case GST_EVENT_EOS:
      /* While somebody still reads the bus. */
      if (self->session)
        gst_npu_encoder_session_check_trace (
            self->session, GST_ELEMENT (self), TRUE);
      break;
    case GST_EVENT_CAPS:
      return gst_npu_encoder_sink_caps (self, event);
    default:
      break;
  }
  return GST_BASE_TRANSFORM_CLASS (parent_class)->sink_event (base, event);
}

/* A buffer without data is no window: it has no states, and its time passes as
 * a gap. */
static GstFlowReturn
gst_npu_encoder_submit_input_buffer (
    GstBaseTransform *base, gboolean is_discont, GstBuffer *inbuf)
{
  GstNpuEncoder *self = GST_NPU_ENCODER (base);

  if (!self->session) {
    gst_buffer_unref (inbuf);
    return GST_FLOW_FLUSHING;
  }
  if (!self->model_is_told)
    gst_npu_encoder_tell_model (self);
  if (gst_buffer_get_size (inbuf) == 0 &&
      gst_pad_has_current_caps (GST_BASE_TRANSFORM_SRC_PAD (base))) {
    GST_DEBUG_OBJECT (base, "empty buffer %" GST_PTR_FORMAT, inbuf);
    if (GST_BUFFER_PTS_IS_VALID (inbuf))
      gst_pad_push_event (GST_BASE_TRANSFORM_SRC_PAD (base),
          gst_event_new_gap (
              GST_BUFFER_PTS (inbuf), GST_BUFFER_DURATION (inbuf)));
    gst_buffer_unref (inbuf);
    return GST_FLOW_OK;
  }
  return GST_BASE_TRANSFORM_CLASS (parent_class)
      ->submit_input_buffer (base, is_discont, inbuf);
}

/* Counts a window that was encoded, logs it and tells the application. */
static void
publish_window (GstNpuEncoder *self, NpuEncoder *encoder,
    GstNpuEncoderStats *stats, GstNpuEncoderReport *report)
{
  GstStructure *structure = NULL;

  GST_OBJECT_LOCK (self);
  if (encoder != self->setup_of) {
    gst_npu_encoder_setup_clear (&self->setup);
    gst_npu_encoder_setup_init (&self->setup, self->session, encoder);
    self->setup_of = encoder;
  }
  gst_npu_encoder_stats_add (&self->totals, stats);
  if (report->collect)
    structure = gst_npu_encoder_stats_to_structure (stats, &self->setup);
  GST_OBJECT_UNLOCK (self);

  gst_npu_encoder_report_finish (report, stats, structure);
  if (structure)
    gst_element_post_message (GST_ELEMENT (self),
        gst_message_new_element (GST_OBJECT (self), structure));
}

/* Encodes on the session's device, or where that fails on the CPU; @stats has
 * the time of both. Returns what encoded the window, or NULL with @error set.
 */
static NpuEncoder *
encode_window (GstNpuEncoder *self, GstBuffer *inbuf, GstBuffer *outbuf,
    NpuStats *stats, GstNpuEncoderReport *report, GError **error)
{
  GstNpuEncoderSession *session = self->session;
  NpuEncoder *encoder = gst_npu_encoder_session_choose (session);
  g_autoptr (GError) failure = NULL;
  guint64 number;

  GST_OBJECT_LOCK (self);
  number = self->totals.report.window + 1;
  GST_OBJECT_UNLOCK (self);

  while (encoder) {
    NpuStats attempt = {0};
    gboolean done;

    g_clear_error (&failure);
    gst_npu_encoder_report_attach (report, encoder);
    done = gst_npu_encoder_window_encode (
        &self->window, encoder, inbuf, outbuf, &attempt, &failure);
    gst_npu_encoder_report_detach (encoder);
    npu_stats_add (stats, &attempt);
    if (done)
      break;
    if (!g_error_matches (failure, NPU_ERROR, NPU_ERROR_CANCELLED))
      g_prefix_error (&failure,
          "window %" G_GUINT64_FORMAT " at %" GST_TIME_FORMAT ": ", number,
          GST_TIME_ARGS (GST_BUFFER_PTS (inbuf)));
    encoder = gst_npu_encoder_session_fall_back (
        session, GST_ELEMENT (self), encoder, &failure);
  }

  if (encoder)
    gst_npu_encoder_session_succeeded (session, encoder);
  else
    g_propagate_error (error, g_steal_pointer (&failure));
  return encoder;
}

/* Those that had to do with a window's failure. */
static const char *
properties_of (const GError *error)
{
  if (g_error_matches (error, NPU_ERROR, NPU_ERROR_TIMEOUT))
    return "properties device, timeout";
  if (error->domain != NPU_ERROR || error->code == NPU_ERROR_SETTINGS)
    return NULL;
  if (error->code == NPU_ERROR_READ)
    return "property model";
  return "property device";
}

static GstFlowReturn
gst_npu_encoder_transform (
    GstBaseTransform *base, GstBuffer *inbuf, GstBuffer *outbuf)
{
  GstNpuEncoder *self = GST_NPU_ENCODER (base);
  NpuEncoder *encoder;
  GstNpuEncoderStats stats;
  GstNpuEncoderReport report;
  g_autoptr (GError) error = NULL;
  GstFlowReturn result = GST_FLOW_OK;

  gst_npu_encoder_stats_init_window (
      &stats, inbuf, &base->segment, self->window.n_frames);

  GST_OBJECT_LOCK (self);
  gst_npu_encoder_report_init (&report, GST_ELEMENT (self),
      self->settings.verbosity, self->settings.post_messages);
  GST_OBJECT_UNLOCK (self);

  encoder = encode_window (self, inbuf, outbuf, &stats.npu, &report, &error);
  if (encoder) {
    publish_window (self, encoder, &stats, &report);
    gst_npu_encoder_session_check_trace (
        self->session, GST_ELEMENT (self), FALSE);
  } else if (g_error_matches (error, NPU_ERROR, NPU_ERROR_CANCELLED)) {
    result = GST_FLOW_FLUSHING;
  } else {
    gst_npu_post_error (GST_ELEMENT (self), error,
        GST_RESOURCE_ERROR_OPEN_READ_WRITE, properties_of (error));
    result = GST_FLOW_ERROR;
  }
  gst_npu_encoder_report_clear (&report);
  return result;
}

/* --- the class ---------------------------------------------------------- */

static void
gst_npu_encoder_finalize (GObject *object)
{
  GstNpuEncoder *self = GST_NPU_ENCODER (object);

  gst_npu_encoder_settings_clear (&self->settings);
  gst_npu_encoder_setup_clear (&self->setup);
  G_OBJECT_CLASS (parent_class)->finalize (object);
}

static void
gst_npu_encoder_class_init (GstNpuEncoderClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *base_class = GST_BASE_TRANSFORM_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (
      gst_npu_encoder_debug, "npuencoder", 0, "Whisper encoder");

  object_class->set_property = gst_npu_encoder_set_property;
  object_class->get_property = gst_npu_encoder_get_property;
  object_class->finalize = gst_npu_encoder_finalize;
  gst_npu_encoder_settings_install (object_class);

  /**
   * GstNpuEncoder:stats:
   *
   * Totals of all windows since the start or the last
   * #GstNpuEncoder::reset-stats, in the fields of the npuencoder-stats message.
   * `window` counts the windows, `duration` is the sum of theirs, and the
   * other times are those of the last one.
   *
   * Since: 1.0
   */
  g_object_class_install_property (object_class, PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics",
          "Totals since the start or the last reset-stats; times in ns (Since: 1.0)",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));

  /**
   * GstNpuEncoder::reset-stats:
   *
   * Starts the totals of #GstNpuEncoder:stats and the numbers of windows anew.
   *
   * Since: 1.0
   */
  signals[SIGNAL_RESET_STATS] = g_signal_new_class_handler ("reset-stats",
      G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION,
      G_CALLBACK (gst_npu_encoder_reset_stats), NULL, NULL, NULL, G_TYPE_NONE,
      0);

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Whisper NPU encoder",
      "Filter/Converter/Tensor",
      "Encodes windows of log-mel (dimensions FRAMES:BANDS:1) into the hidden states of a Whisper model (D:POSITIONS:1), on an NPU or the CPU",
      "gst-npuencoder maintainers");

  base_class->start = gst_npu_encoder_start;
  base_class->stop = gst_npu_encoder_stop;
  gst_npu_encoder_caps_install (base_class);
  base_class->propose_allocation = gst_npu_encoder_propose_allocation;
  base_class->decide_allocation = gst_npu_encoder_decide_allocation;
  base_class->sink_event = gst_npu_encoder_sink_event;
  base_class->submit_input_buffer = gst_npu_encoder_submit_input_buffer;
  base_class->transform_meta = gst_npu_encoder_transform_meta;
  base_class->transform = gst_npu_encoder_transform;
}

static void
gst_npu_encoder_init (GstNpuEncoder *self)
{
  GstBaseTransform *base = GST_BASE_TRANSFORM (self);
  GstPad *sinkpad = GST_BASE_TRANSFORM_SINK_PAD (base);

  self->totals = (GstNpuEncoderStats) GST_NPU_ENCODER_STATS_INIT;

  /* Dropping a window would lose speech. */
  gst_base_transform_set_qos_enabled (base, FALSE);
  /* The states of silence are as good as silence: the flag is kept. */
  gst_base_transform_set_gap_aware (base, TRUE);
  /* Mel caps are no states caps, even where their strings would do. */
  gst_base_transform_set_prefer_passthrough (base, FALSE);

  self->activate_mode = GST_PAD_ACTIVATEMODEFUNC (sinkpad);
  gst_pad_set_activatemode_function (
      sinkpad, gst_npu_encoder_sink_activate_mode);
}
