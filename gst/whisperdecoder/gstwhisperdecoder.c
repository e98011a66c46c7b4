/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-whisperdecoder
 * @title: whisperdecoder
 * @short_description: Whisper's decoder: hidden states to text
 *
 * Turns the hidden states that npuencoder gives into text, by the rules of
 * OpenAI's own code. One input buffer is one window, C
 * float[1][positions][d]; each segment of its text is a buffer, with the time
 * at which it is spoken: `text/x-raw, format=utf8` or, where downstream asks
 * for `application/x-json`, an object with `start` and `end` in seconds,
 * `text`, `tokens`, `avg_logprob`, `no_speech_prob`, `compression_ratio`,
 * `temperature`, `language` and, with #GstWhisperDecoder:timestamps `words`,
 * `words`. Plain text is cues then, cut at pauses and to two lines; with
 * #GstWhisperDecoder:text `words` a buffer is a word. Between segments GAP
 * events keep time moving, and a TAG event has the `language-code`.
 *
 * #GstWhisperDecoder:model need not be set behind an npuencoder, which names
 * its own in the event `npuencoder/model`.
 *
 * How far a window is used up goes upstream in the event `whisper/advance`,
 * before the chain function returns: whispermel in mode `follow`, with no queue
 * between, begins the next window there, as Whisper's own long form does.
 *
 * After every window an element message named `whisperdecoder-stats` is posted,
 * if #GstWhisperDecoder:post-messages is %TRUE. Its fields, which are also
 * those of #GstWhisperDecoder:stats:
 *
 * * #guint64 `window`: number of the window since the start or the last
 *   #GstWhisperDecoder::reset-stats, from 1
 * * #GstClockTime `timestamp`, `stream-time`, `running-time`, `duration`: of
 *   the window; the duration is that of its real audio
 * * #guint64 `tokens`: sampled, in all attempts
 * * #guint64 `total-time`: time in the decoder, in ns
 * * #guint64 `token-time`: `total-time` / `tokens`, in ns
 * * #guint64 `tries`: attempts at different temperatures; 0 for silence that is
 *   not decoded
 * * #gdouble `temperature`, `avg-logprob`, `compression-ratio`: of the attempt
 *   that was kept
 * * #gdouble `no-speech-probability`
 * * #gchararray `language`: that is spoken; #gdouble `language-probability`: 1
 *   where it was given
 * * #gdouble `realtime-factor`: `duration` / `total-time`
 * * #gchararray `device`, `precision`: as chosen
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! decodebin ! audioconvert !
 * audioresample ! whispermel mode=follow tail=zero !
 * npuencoder model=ggml-base.bin ! whisperdecoder ! webvttenc !
 * filesink location=speech.vtt
 * ]| Subtitles of a recording; nputranscriber is the three elements in one.
 * |[
 * gst-launch-1.0 filesrc location=speech.wav ! decodebin ! audioconvert !
 * audioresample ! whispermel mode=follow tail=zero !
 * npuencoder model=ggml-base.bin ! whisperdecoder ! application/x-json !
 * filesink location=speech.jsonl
 * ]| The same as JSON, a line for each segment.
 *
 * Since: 1.0
 */

#include "gstwhisperdecoderprivate.h"

#include "common/gstnpuerror.h"
#include "common/gstnpurange.h"
#include "npu-error.h"

GST_DEBUG_CATEGORY (gst_whisper_decoder_debug);
#define GST_CAT_DEFAULT gst_whisper_decoder_debug

enum {
  PROP_STATS = GST_WHISPER_DECODER_N_SETTINGS,
  PROP_MAX_OBSERVED_DELAY,
};

enum {
  SIGNAL_RESET_STATS,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

#define STATES_CAPS                                                            \
  "other/tensors, format = (string) static, num_tensors = (int) 1, types = (string) { float32, float16 }"
#define TEXT_CAPS "text/x-raw, format = (string) utf8; application/x-json"

/* The dimensions are any of 1500 strings and more, in several spellings: they
 * are left open here, and looked at where caps arrive. */
static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE (
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (STATES_CAPS));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE (
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (TEXT_CAPS));

#define gst_whisper_decoder_parent_class parent_class
G_DEFINE_FINAL_TYPE (
    GstWhisperDecoder, gst_whisper_decoder, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE (
    whisperdecoder, "whisperdecoder", GST_RANK_NONE, GST_TYPE_WHISPER_DECODER)

/* --- properties --------------------------------------------------------- */

static void
gst_whisper_decoder_set_property (
    GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstWhisperDecoder *self = GST_WHISPER_DECODER (object);
  g_autoptr (GError) error = NULL;
  const gboolean fits = gst_npu_range_check (pspec, value, &error);
  gboolean refused, is_open;

  GST_OBJECT_LOCK (self);
  is_open = self->open;
  refused = is_open && !(pspec->flags & GST_PARAM_MUTABLE_PLAYING);
  /* What does not fit is told at the start, or at once. */
  if (!refused && (fits || !is_open))
    gst_whisper_decoder_settings_set (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);

  if (!refused && !fits && is_open)
    gst_npu_post_warning (GST_ELEMENT (self), error,
        GST_RESOURCE_ERROR_SETTINGS, "It keeps its value");
  else if (refused)
    GST_WARNING_OBJECT (self,
        "property %s keeps its value: it can be set in states NULL and READY only",
        pspec->name);
  else
    gst_whisper_decoder_live_notify (self, id);
}

static void
gst_whisper_decoder_get_property (
    GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  GstWhisperDecoder *self = GST_WHISPER_DECODER (object);

  GST_OBJECT_LOCK (self);
  if (id == PROP_STATS)
    g_value_take_boxed (
        value, gst_whisper_decoder_stats_to_structure (&self->totals));
  else if (id == PROP_MAX_OBSERVED_DELAY)
    g_value_set_uint (value, self->live.max_observed_delay);
  else
    gst_whisper_decoder_settings_get (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
}

static void
gst_whisper_decoder_reset_stats (GstWhisperDecoder *self)
{
  GST_OBJECT_LOCK (self);
  self->totals = (GstWhisperDecoderStats) GST_WHISPER_DECODER_STATS_INIT;
  GST_OBJECT_UNLOCK (self);
}

/* --- the session -------------------------------------------------------- */

/* In the streaming thread, or while there is none. */
static void
gst_whisper_decoder_close_session (GstWhisperDecoder *self)
{
  GstWhisperDecoderSession *session;

  GST_OBJECT_LOCK (self);
  session = g_steal_pointer (&self->session);
  GST_OBJECT_UNLOCK (self);
  g_clear_pointer (&session, gst_whisper_decoder_session_free);
}

/* Likewise. An error message has been posted where it returns %FALSE. */
static gboolean
gst_whisper_decoder_open_session (GstWhisperDecoder *self, const char *location)
{
  GstWhisperDecoderSession *session;
  GstWhisperDecoderSettings settings;
  g_autofree char *language = NULL;

  gst_whisper_decoder_close_session (self);
  GST_OBJECT_LOCK (self);
  settings = self->settings;
  /* The one string that may change meanwhile. */
  settings.language_code = language = g_strdup (settings.language_code);
  self->live.has_new_language = self->live.has_new_margin = FALSE;
  GST_OBJECT_UNLOCK (self);
  session =
      gst_whisper_decoder_session_new (GST_ELEMENT (self), &settings, location);

  GST_OBJECT_LOCK (self);
  self->session = session;
  if (session && self->cancelled)
    npu_decoder_cancel (session->decoder);
  GST_OBJECT_UNLOCK (self);
  self->has_failed = session == NULL;
  return session != NULL;
}

gboolean
gst_whisper_decoder_has_model (const GstWhisperDecoder *self)
{
  return self->settings.model && *self->settings.model;
}

/* From any thread, as FLUSH_START is. */
void
gst_whisper_decoder_cancel (GstWhisperDecoder *self)
{
  GST_OBJECT_LOCK (self);
  self->cancelled = TRUE;
  if (self->session)
    npu_decoder_cancel (self->session->decoder);
  GST_OBJECT_UNLOCK (self);
}

/* A FLUSH_STOP while the pad is deactivated must not let another window
 * begin. */
void
gst_whisper_decoder_resume (GstWhisperDecoder *self)
{
  GST_OBJECT_LOCK (self);
  if (self->active) {
    self->cancelled = FALSE;
    if (self->session)
      npu_decoder_resume (self->session->decoder);
  }
  GST_OBJECT_UNLOCK (self);
}

/* --- start and stop ----------------------------------------------------- */

/* Forgets the stream's windows, its time and what the next window is told of
 * the last. */
void
gst_whisper_decoder_flush (GstWhisperDecoder *self)
{
  window_queue_clear (&self->windows);
  text_output_flush (&self->output);
  self->last_start = GST_CLOCK_TIME_NONE;
  self->next_start = 0;
  if (self->session)
    npu_transcript_reset (self->session->transcript);
  gst_whisper_decoder_live_reset (self);
}

/* And what the stream is. */
void
gst_whisper_decoder_reset (GstWhisperDecoder *self)
{
  gst_whisper_decoder_flush (self);
  text_output_reset (&self->output);
  self->language = NULL;
}

static gboolean
gst_whisper_decoder_check_settings (GstWhisperDecoder *self)
{
  g_autoptr (GError) error = NULL;

  if (gst_npu_range_check_all (G_OBJECT (self), &error))
    return TRUE;
  gst_whisper_decoder_post_error (GST_ELEMENT (self), error, NULL);
  return FALSE;
}

static gboolean
gst_whisper_decoder_start (GstBaseTransform *base)
{
  GstWhisperDecoder *self = GST_WHISPER_DECODER (base);

  GST_OBJECT_LOCK (self);
  self->open = TRUE;
  self->totals = (GstWhisperDecoderStats) GST_WHISPER_DECODER_STATS_INIT;
  self->live.max_observed_delay = 0;
  GST_OBJECT_UNLOCK (self);
  self->has_failed = FALSE;
  text_output_set_form (&self->output,
      gst_whisper_decoder_settings_want_words (&self->settings),
      self->settings.text == GST_WHISPER_DECODER_TEXT_WORDS,
      &(NpuCueOptions){self->settings.line_length, self->settings.lines,
          self->settings.max_pause});
  gst_whisper_decoder_reset (self);

  if (gst_whisper_decoder_check_settings (self) &&
      (!gst_whisper_decoder_has_model (self) ||
          gst_whisper_decoder_open_session (self, self->settings.model)))
    return TRUE;
  GST_OBJECT_LOCK (self);
  self->open = FALSE;
  GST_OBJECT_UNLOCK (self);
  return FALSE;
}

static gboolean
gst_whisper_decoder_stop (GstBaseTransform *base)
{
  GstWhisperDecoder *self = GST_WHISPER_DECODER (base);

  gst_whisper_decoder_close_session (self);
  gst_whisper_decoder_reset (self);
  gst_clear_tag_list (&self->upstream_tags);
  g_clear_pointer (&self->states, g_free);
  GST_OBJECT_LOCK (self);
  self->open = FALSE;
  GST_OBJECT_UNLOCK (self);
  return TRUE;
}

/* A pad takes events and buffers before the base class starts the element, and
 * after a FLUSH_STOP while it stops it: the stream lock is held meanwhile, so
 * that nothing meets a half-started element. */
static gboolean
gst_whisper_decoder_sink_activate_mode (
    GstPad *pad, GstObject *parent, GstPadMode mode, gboolean active)
{
  GstWhisperDecoder *self = GST_WHISPER_DECODER (parent);
  gboolean done;

  GST_OBJECT_LOCK (self);
  self->active = active;
  GST_OBJECT_UNLOCK (self);
  if (active)
    gst_whisper_decoder_resume (self);
  else
    gst_whisper_decoder_cancel (self); /* the window that holds the lock */

  GST_PAD_STREAM_LOCK (pad);
  done = self->activate_mode (pad, parent, mode, active);
  GST_PAD_STREAM_UNLOCK (pad);
  return done;
}

/* Of the states that come. */
void
gst_whisper_decoder_take_model (GstWhisperDecoder *self, GstEvent *event)
{
  const char *location =
      gst_structure_get_string (gst_event_get_structure (event), "location");

  if (!self->open || gst_whisper_decoder_has_model (self) || !location)
    return;
  if (self->session && g_strcmp0 (self->session->location, location) == 0)
    return;
  GST_INFO_OBJECT (self, "upstream's states are of %s", location);
  gst_whisper_decoder_open_session (self, location);
}

/* --- buffers ------------------------------------------------------------ */

static void
post_no_model (GstWhisperDecoder *self)
{
  g_autoptr (GError) error = g_error_new_literal (NPU_ERROR,
      NPU_ERROR_NOT_FOUND,
      "no model is set, and upstream does not say which one its states are of; set it to the Whisper model that they were made with");

  gst_whisper_decoder_post_error (GST_ELEMENT (self), error, "property model");
}

/* A buffer without data is no window: its time passes as a gap. */
static GstFlowReturn
gst_whisper_decoder_submit_input_buffer (
    GstBaseTransform *base, gboolean is_discont, GstBuffer *inbuf)
{
  GstWhisperDecoder *self = GST_WHISPER_DECODER (base);

  if (!self->session) {
    gst_buffer_unref (inbuf);
    if (!self->open)
      return GST_FLOW_FLUSHING;
    if (!self->has_failed)
      post_no_model (self);
    self->has_failed = TRUE;
    return GST_FLOW_ERROR;
  }
  if (gst_buffer_get_size (inbuf) == 0 &&
      gst_pad_has_current_caps (GST_BASE_TRANSFORM_SRC_PAD (base))) {
    const GstFlowReturn flow = gst_whisper_decoder_drain (self);

    if (GST_BUFFER_PTS_IS_VALID (inbuf))
      gst_whisper_decoder_take_gap (
          self, gst_event_new_gap (
                    GST_BUFFER_PTS (inbuf), GST_BUFFER_DURATION (inbuf)));
    gst_buffer_unref (inbuf);
    return flow;
  }
  return GST_BASE_TRANSFORM_CLASS (parent_class)
      ->submit_input_buffer (base, is_discont, inbuf);
}

static GstFlowReturn
gst_whisper_decoder_generate_output (GstBaseTransform *base, GstBuffer **outbuf)
{
  GstWhisperDecoder *self = GST_WHISPER_DECODER (base);
  g_autoptr (GstBuffer) inbuf = g_steal_pointer (&base->queued_buf);
  GstFlowReturn flow = GST_FLOW_OK;

  if (inbuf)
    flow = gst_whisper_decoder_take_window (self, inbuf);
  *outbuf = flow == GST_FLOW_OK ? text_output_pop (&self->output,
                                      GST_BASE_TRANSFORM_SRC_PAD (base))
                                : NULL;
  return flow;
}

/* --- the class ---------------------------------------------------------- */

static void
gst_whisper_decoder_finalize (GObject *object)
{
  GstWhisperDecoder *self = GST_WHISPER_DECODER (object);

  window_queue_clear (&self->windows);
  text_output_reset (&self->output);
  gst_clear_tag_list (&self->upstream_tags);
  g_free (self->states);
  gst_whisper_decoder_settings_clear (&self->settings);
  G_OBJECT_CLASS (parent_class)->finalize (object);
}

static void
gst_whisper_decoder_install_properties (GstWhisperDecoderClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  gst_whisper_decoder_settings_install (object_class);

  /**
   * GstWhisperDecoder:stats:
   *
   * Totals of all windows since the start or the last
   * #GstWhisperDecoder::reset-stats, in the fields of the whisperdecoder-stats
   * message. `window` counts the windows; `duration`, `tokens`, `total-time`
   * and `tries` are sums, and the rest is of the last window.
   *
   * Since: 1.0
   */
  g_object_class_install_property (object_class, PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics",
          "Totals since the start or the last reset-stats; times in ns (Since: 1.0)",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));

  /**
   * GstWhisperDecoder::reset-stats:
   *
   * Starts the totals of #GstWhisperDecoder:stats and the numbers of windows
   * anew.
   *
   * Since: 1.0
   */
  signals[SIGNAL_RESET_STATS] = g_signal_new_class_handler ("reset-stats",
      G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION,
      G_CALLBACK (gst_whisper_decoder_reset_stats), NULL, NULL, NULL,
      G_TYPE_NONE, 0);
}

static void
gst_whisper_decoder_class_init (GstWhisperDecoderClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *base_class = GST_BASE_TRANSFORM_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (
      gst_whisper_decoder_debug, "whisperdecoder", 0, "Whisper decoder");

  object_class->set_property = gst_whisper_decoder_set_property;
  object_class->get_property = gst_whisper_decoder_get_property;
  object_class->finalize = gst_whisper_decoder_finalize;
  gst_whisper_decoder_install_properties (klass);

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Whisper decoder",
      "Filter/Converter/Text",
      "Turns the hidden states of a Whisper encoder (dimensions D:POSITIONS:1) into text, on the CPU",
      "gst-npuencoder maintainers");

  gst_whisper_decoder_live_install (base_class, PROP_MAX_OBSERVED_DELAY);
  base_class->start = gst_whisper_decoder_start;
  base_class->stop = gst_whisper_decoder_stop;
  gst_whisper_decoder_caps_install (base_class);
  base_class->sink_event = gst_whisper_decoder_sink_event;
  base_class->submit_input_buffer = gst_whisper_decoder_submit_input_buffer;
  base_class->generate_output = gst_whisper_decoder_generate_output;
}

static void
gst_whisper_decoder_init (GstWhisperDecoder *self)
{
  GstBaseTransform *base = GST_BASE_TRANSFORM (self);
  GstPad *sinkpad = GST_BASE_TRANSFORM_SINK_PAD (base);

  self->totals = (GstWhisperDecoderStats) GST_WHISPER_DECODER_STATS_INIT;
  text_output_init (&self->output);
  gst_whisper_decoder_init_windows (self);
  self->last_start = GST_CLOCK_TIME_NONE;
  gst_segment_init (&self->no_segment, GST_FORMAT_TIME);

  /* Dropping a window would lose speech. */
  gst_base_transform_set_qos_enabled (base, FALSE);
  gst_base_transform_set_gap_aware (base, TRUE);
  gst_base_transform_set_prefer_passthrough (base, FALSE);
  gst_whisper_decoder_caps_init (base);

  self->activate_mode = GST_PAD_ACTIVATEMODEFUNC (sinkpad);
  gst_pad_set_activatemode_function (
      sinkpad, gst_whisper_decoder_sink_activate_mode);
}
