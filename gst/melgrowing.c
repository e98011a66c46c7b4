/* Windows of mode=growing: carries out what GrowingWindow decides.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "audiowindow.h"
#include "common/gstnpulive.h"
#include "growingwindow.h"
#include "melcutter.h"
#include "voicedetector.h"
#include "windowevent.h"

GST_DEBUG_CATEGORY_EXTERN (whisper_mel_debug);
#define GST_CAT_DEFAULT whisper_mel_debug

/* A loss of a few packets, which cuts no word in two. */
#define MAX_LOSS (200 * (gint64) GST_MSECOND)

typedef struct {
  MelCutter parent;
  VoiceDetector *detector; /* NULL: all is voice */
  GrowingWindow window;
  guint n_levels; /* buffers in a row whose level upstream knows */

  GMutex lock; /* of what follows: an answer comes from any thread */
  guint32 seqnum;
  gboolean answered;
  GstClockTime until, sentence; /* the furthest answer since it was taken */
} MelGrowing;

/* Upstream's voice bit counts where it is on every buffer: some elements put it
 * where it changes only. */
#define MIN_LEVELS 8

/* --- answers ------------------------------------------------------------ */

/* From any thread. */
static gboolean
answer (MelCutter *cutter, GstEvent *event)
{
  MelGrowing *self = (MelGrowing *) cutter;
  GstClockTime until, sentence;
  guint32 seqnum;
  gboolean taken;

  if (!window_event_parse_advance (event, &until, &sentence, &seqnum))
    return FALSE;

  g_mutex_lock (&self->lock);
  taken = seqnum == self->seqnum && (!self->answered || until > self->until);
  if (taken) {
    self->answered = TRUE;
    self->until = until;
    if (GST_CLOCK_TIME_IS_VALID (sentence))
      self->sentence = sentence;
  }
  g_mutex_unlock (&self->lock);
  return taken;
}

static void
take_answer (MelGrowing *self)
{
  GstClockTime until, sentence;
  gboolean answered;

  g_mutex_lock (&self->lock);
  answered = self->answered;
  until = self->until;
  sentence = self->sentence;
  self->answered = FALSE;
  self->sentence = GST_CLOCK_TIME_NONE;
  g_mutex_unlock (&self->lock);

  if (answered && growing_window_advance (&self->window, until, sentence))
    GST_LOG_OBJECT (self->parent.sender->element,
        "final up to %" GST_TIME_FORMAT ", sentence %" GST_TIME_FORMAT,
        GST_TIME_ARGS (until), GST_TIME_ARGS (sentence));
}

static void
set_segment (MelCutter *cutter, guint32 seqnum)
{
  MelGrowing *self = (MelGrowing *) cutter;

  g_mutex_lock (&self->lock);
  self->seqnum = seqnum;
  self->answered = FALSE;
  self->sentence = GST_CLOCK_TIME_NONE;
  g_mutex_unlock (&self->lock);
}

/* --- the clock ---------------------------------------------------------- */

/* By how much the audio up to @time is late; 0 where nothing is live. */
static gint64
get_lag (MelSender *sender, GstClockTime time, GstClockTime step)
{
  const GstClockTime now = gst_npu_get_running_time (sender->element);
  GstClockTime due, latency;
  gboolean is_live;

  if (!GST_CLOCK_TIME_IS_VALID (now) ||
      sender->segment.format != GST_FORMAT_TIME)
    return 0;
  due = gst_segment_to_running_time (&sender->segment, GST_FORMAT_TIME, time);
  /* Mostly it is in time, and nobody is asked. */
  if (!GST_CLOCK_TIME_IS_VALID (due) || now <= due + step)
    return 0;
  gst_npu_query_latency (sender->sinkpad, &is_live, &latency);
  return is_live ? (gint64) (now - due) - (gint64) latency : 0;
}

/* --- windows ------------------------------------------------------------ */

static GstFlowReturn
push_window (MelGrowing *self, const GrowingOutput *output)
{
  MelSender *sender = self->parent.sender;
  const MelWindow window = {
      .samples = output->samples,
      .n_samples = output->n_samples,
      .start = output->start,
      .content = AUDIO_WINDOW_SOUND,
      .marker = output->marker,
  };
  const guint n_frames = gst_whisper_mel_settings_get_n_growing_frames (
      &self->parent.settings, output->duration);

  if (!mel_sender_set_n_frames (sender, n_frames))
    return GST_PAD_IS_FLUSHING (sender->srcpad) ? GST_FLOW_FLUSHING
                                                : GST_FLOW_NOT_NEGOTIATED;
  /* Not where upstream says so of a loss that was filled. */
  sender->discont = output->discont;
  return mel_sender_push_window (sender, &window);
}

/* Pushes what is due. */
static GstFlowReturn
push_due (MelGrowing *self)
{
  MelSender *sender = self->parent.sender;
  const GstClockTime step = self->parent.settings.step;
  GstFlowReturn flow = GST_FLOW_OK;
  GrowingOutput output;

  while (flow == GST_FLOW_OK) {
    gint64 lag = 0;

    take_answer (self);
    if (self->window.step_due && self->window.speaking)
      lag = get_lag (sender, self->window.head, step);
    if (!growing_window_pop (&self->window, lag, &output))
      break;
    if (output.kind == GROWING_GAP)
      mel_sender_push_gap (sender, output.start, output.duration);
    else
      flow = push_window (self, &output);
  }
  return flow;
}

static GstFlowReturn
drain (MelCutter *cutter)
{
  MelGrowing *self = (MelGrowing *) cutter;
  const GstClockTime head = self->window.head;
  GstFlowReturn flow = GST_FLOW_OK;

  if (self->parent.sender->output.n_mels > 0) {
    growing_window_drain (&self->window);
    flow = push_due (self);
  }
  growing_window_restart (&self->window, head);
  return flow;
}

/* --- audio -------------------------------------------------------------- */

static GrowingVoice
get_voice (MelGrowing *self, const MelAudio *piece)
{
  const GstWhisperMelVad vad = self->parent.settings.vad;

  self->n_levels = piece->has_level ? MIN (self->n_levels + 1, MIN_LEVELS) : 0;
  if (!piece->data)
    return GROWING_VOICE_NO;
  if (vad != GST_WHISPER_MEL_VAD_AUTO || self->n_levels < MIN_LEVELS)
    return GROWING_VOICE_ASK;
  return piece->is_voice ? GROWING_VOICE_YES : GROWING_VOICE_NO;
}

/* @data: NULL for silence. */
static GstFlowReturn
add_samples (MelGrowing *self, const guint8 *data, gsize n, GrowingVoice voice,
    guint64 *n_invalid)
{
  GstFlowReturn flow = push_due (self);

  while (n > 0 && flow == GST_FLOW_OK) {
    gsize taken = growing_window_add (&self->window, data, n, voice, n_invalid);

    n -= taken;
    if (data)
      data += taken * sizeof (float);
    flow = push_due (self);
  }
  return flow;
}

static GstFlowReturn
add (MelCutter *cutter, const MelAudio *piece, guint64 *n_invalid)
{
  MelGrowing *self = (MelGrowing *) cutter;

  return add_samples (
      self, piece->data, piece->n, get_voice (self, piece), n_invalid);
}

static GstFlowReturn
pass (MelCutter *cutter, guint64 n)
{
  MelGrowing *self = (MelGrowing *) cutter;
  GstFlowReturn flow = push_due (self);

  while (n > 0 && flow == GST_FLOW_OK) {
    n -= growing_window_pass (&self->window, n);
    flow = push_due (self);
  }
  return flow;
}

/* --- time --------------------------------------------------------------- */

static void
restart (MelCutter *cutter, GstClockTime time)
{
  MelGrowing *self = (MelGrowing *) cutter;

  growing_window_restart (&self->window, time);
  g_mutex_lock (&self->lock);
  self->answered = FALSE;
  g_mutex_unlock (&self->lock);
  self->n_levels = 0;
}

/* An utterance ends where audio is missing. What comes at times that were there
 * before belongs to a segment of its own, so that late answers about those are
 * not taken for answers about these. */
static GstFlowReturn
jump (MelGrowing *self, GstClockTime time)
{
  MelSender *sender = self->parent.sender;
  const GstClockTime head = self->window.head;
  GstFlowReturn flow;

  GST_DEBUG_OBJECT (sender->element,
      "jump from %" GST_TIME_FORMAT " to %" GST_TIME_FORMAT,
      GST_TIME_ARGS (head), GST_TIME_ARGS (time));
  flow = drain (&self->parent);
  if (time < head) {
    mel_sender_renew_segment (sender);
    set_segment (&self->parent, sender->seqnum);
  }
  restart (&self->parent, time);
  return flow;
}

static GstFlowReturn
go_to (MelCutter *cutter, const MelTimelinePiece *piece)
{
  MelGrowing *self = (MelGrowing *) cutter;
  GrowingWindow *window = &self->window;
  const gint64 gap =
      mel_cutter_get_difference (piece->time, growing_window_get_end (window));
  const gboolean hole =
      piece->hole > 0 || (window->speaking && gap > MEL_CUTTER_MAX_SKEW);
  GstFlowReturn flow = GST_FLOW_OK;

  if (piece->cut)
    return jump (self, piece->time);
  if ((hole && gap > MAX_LOSS) ||
      piece->hole < -(gint64) self->parent.settings.alignment_threshold) {
    if (!piece->discont)
      mel_sender_count_jump (self->parent.sender, window->head, piece->time);
    return jump (self, piece->time);
  }
  if (hole && gap > 0) {
    growing_window_set_time (window, growing_window_get_end (window));
    flow = add_samples (self, NULL,
        gst_util_uint64_scale_round (gap, AUDIO_WINDOW_RATE, GST_SECOND),
        GROWING_VOICE_NO, NULL);
  }
  growing_window_set_time (window, piece->time);
  return flow;
}

/* --- interface ---------------------------------------------------------- */

static void
growing_free (MelCutter *cutter)
{
  MelGrowing *self = (MelGrowing *) cutter;

  growing_window_clear (&self->window);
  g_clear_pointer (&self->detector, voice_detector_free);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static GstClockTime
get_head (const MelCutter *cutter)
{
  return ((const MelGrowing *) cutter)->window.head;
}

static gboolean
has_news (const MelCutter *cutter)
{
  return growing_window_has_news (&((const MelGrowing *) cutter)->window);
}

static gboolean
detect (gpointer detector, const float *block)
{
  return voice_detector_has_voice (detector, block);
}

static void
forget (gpointer detector)
{
  voice_detector_reset (detector);
}

MelCutter *
mel_growing_new (
    MelSender *sender, const GstWhisperMelSettings *settings, GError **error)
{
  static const MelCutterClass klass = {
      .free = growing_free,
      .restart = restart,
      .set_segment = set_segment,
      .answer = answer,
      .go_to = go_to,
      .add = add,
      .pass = pass,
      .drain = drain,
      .get_head = get_head,
      .has_news = has_news,
  };
  const GstWhisperMelVad vad = settings->vad;
  GrowingSettings growing = {
      .step = settings->step,
      .window = gst_whisper_mel_settings_get_growing_window (settings),
      .silence = settings->silence,
  };
  VoiceDetector *detector = NULL;
  MelGrowing *self;

  if (vad != GST_WHISPER_MEL_VAD_NONE) {
    detector = voice_detector_new (
        vad == GST_WHISPER_MEL_VAD_ENERGY ? NULL : settings->vad_model, error);
    if (!detector)
      return NULL;
    growing.detect = detect;
    growing.forget = forget;
    growing.detector = detector;
  }
  self = g_new0 (MelGrowing, 1);
  self->parent = (MelCutter){&klass, sender, *settings};
  self->detector = detector;
  g_mutex_init (&self->lock);
  growing_window_init (&self->window, &growing);
  return &self->parent;
}
