/* Windows of mode=fixed, mode=follow and mode=pauses.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "audiowindow.h"
#include "mel/logmel.h"
#include "meladvance.h"
#include "melcutter.h"
#include "melpause.h"

GST_DEBUG_CATEGORY_EXTERN (whisper_mel_debug);
#define GST_CAT_DEFAULT whisper_mel_debug

/* Less that is left at the end is no window of mode=follow. */
#define MIN_REST (AUDIO_WINDOW_RATE / 10)

/* Longer than the stop of a consonant, shorter than most pauses. */
#define PAUSE (AUDIO_WINDOW_RATE / 4)

#define FRAME_TIME (LOG_MEL_HOP * AUDIO_WINDOW_SAMPLE_TIME)

typedef struct {
  MelCutter parent;
  MelAdvance advance; /* from any thread */
  AudioWindow audio;
  gsize n_given; /* samples of the window that is given away */
} MelHops;

static gboolean
follows (const MelHops *self)
{
  return self->parent.settings.mode == GST_WHISPER_MEL_MODE_FOLLOW;
}

static gboolean
ends_at_pauses (const MelHops *self)
{
  return self->parent.settings.mode == GST_WHISPER_MEL_MODE_PAUSES;
}

/* --- windows ------------------------------------------------------------ */

/* @n: samples */
static GstFlowReturn
push_window (MelHops *self, gsize n)
{
  const AudioWindow *audio = &self->audio;
  const MelWindow window = {
      .samples = audio->samples,
      .n_samples = n,
      .start = audio->start,
      .content = audio_window_get_content (audio, n),
  };
  GstFlowReturn flow;

  mel_advance_ask (&self->advance, window.start,
      window.start + window.n_samples * AUDIO_WINDOW_SAMPLE_TIME);
  flow = mel_sender_push_window (self->parent.sender, &window);
  mel_advance_pushed (&self->advance);
  return flow;
}

/* The window is used up until then: whole frames, at least one. */
static void
advance_to (MelHops *self, GstClockTime until)
{
  AudioWindow *audio = &self->audio;
  gsize length = audio_window_get_length (audio);
  GstClockTime used = until - MIN (until, audio->start);
  guint64 n = (used + FRAME_TIME / 2) / FRAME_TIME * LOG_MEL_HOP;

  if (used >= length * AUDIO_WINDOW_SAMPLE_TIME)
    n = length;
  GST_LOG_OBJECT (self->parent.sender->element, "used up to %" GST_TIME_FORMAT,
      GST_TIME_ARGS (until));
  audio_window_advance_by (audio, MAX (n, LOG_MEL_HOP));
}

/* Moves on from the window that was given away: by its answer, or by a hop
 * where there is none and @decide, or no room to wait for one. */
static gboolean
move_on (MelHops *self, gboolean decide)
{
  AudioWindow *audio = &self->audio;
  GstClockTime until;

  if (follows (self)) {
    decide |= audio_window_must_advance (audio);
    if (decide ? mel_advance_close (&self->advance, &until)
               : mel_advance_take (&self->advance, &until)) {
      advance_to (self, until);
      return TRUE;
    }
    if (!decide)
      return FALSE;
  }
  if (ends_at_pauses (self))
    audio_window_advance_by (audio, self->n_given);
  else
    audio_window_advance (audio);
  return TRUE;
}

static GstFlowReturn
push_full_window (MelHops *self)
{
  AudioWindow *audio = &self->audio;
  const gsize n = audio_window_get_length (audio);
  GstFlowReturn flow;

  /* In the last third: windows would be short. */
  self->n_given = ends_at_pauses (self)
                      ? mel_pause_find (audio->samples, n - n / 3, n, PAUSE)
                      : n;
  flow = push_window (self, self->n_given);
  audio_window_give (audio);
  return flow;
}

/* Pushes what is full. After it there is room for more audio. */
static GstFlowReturn
push_full (MelHops *self)
{
  AudioWindow *audio = &self->audio;
  GstFlowReturn flow = GST_FLOW_OK;

  while (flow == GST_FLOW_OK) {
    if (audio_window_is_given (audio)) {
      if (!move_on (self, FALSE))
        break;
    } else if (audio_window_is_full (audio)) {
      flow = push_full_window (self);
    } else {
      break;
    }
  }
  if (flow != GST_FLOW_OK)
    move_on (self, TRUE);
  return flow;
}

static gboolean
is_worth_a_window (MelHops *self)
{
  const AudioWindow *audio = &self->audio;

  if (!audio_window_has_news (audio))
    return FALSE;
  return !follows (self) || audio->n_samples >= MIN_REST;
}

/* As short windows. */
static GstFlowReturn
drain (MelCutter *cutter)
{
  MelHops *self = (MelHops *) cutter;
  AudioWindow *audio = &self->audio;
  GstFlowReturn flow = GST_FLOW_OK;

  if (audio_window_is_given (audio))
    move_on (self, TRUE);
  while (flow == GST_FLOW_OK && is_worth_a_window (self)) {
    if (audio_window_get_content (audio, audio_window_get_length (audio)) ==
        AUDIO_WINDOW_NOTHING) {
      mel_sender_push_gap (
          self->parent.sender, audio->start, audio->head - audio->start);
      break;
    }
    if (self->parent.sender->output.n_mels == 0)
      break;
    flow = push_window (self, audio_window_get_length (audio));
    if (!follows (self))
      break;
    move_on (self, TRUE);
  }
  audio_window_restart (audio, audio->head);
  return flow;
}

/* --- audio -------------------------------------------------------------- */

static GstFlowReturn
add (MelCutter *cutter, const MelAudio *piece, guint64 *n_invalid)
{
  MelHops *self = (MelHops *) cutter;
  GstFlowReturn flow = push_full (self);
  const guint8 *data = piece->data;
  gsize n = piece->n;

  while (n > 0 && flow == GST_FLOW_OK) {
    gsize taken = audio_window_add (&self->audio, data, n, n_invalid);

    n -= taken;
    if (data)
      data += taken * sizeof (float);
    flow = push_full (self);
  }
  return flow;
}

/* Time passes without audio: silence in windows that hold audio, GAP events in
 * place of those that hold none. */
static GstFlowReturn
pass (MelCutter *cutter, guint64 n)
{
  MelHops *self = (MelHops *) cutter;
  AudioWindow *audio = &self->audio;
  GstFlowReturn flow = push_full (self);

  while (n > 0 && flow == GST_FLOW_OK) {
    GstClockTime start = audio->start;
    guint64 n_windows;

    n -= audio_window_add_nothing (audio, n, &n_windows);
    if (n_windows > 0)
      mel_sender_push_gap (self->parent.sender, start,
          n_windows * audio->hop * AUDIO_WINDOW_SAMPLE_TIME);
    flow = push_full (self);
  }
  return flow;
}

/* --- time --------------------------------------------------------------- */

static GstFlowReturn
jump (MelHops *self, GstClockTime time)
{
  GstFlowReturn flow;

  GST_DEBUG_OBJECT (self->parent.sender->element,
      "jump from %" GST_TIME_FORMAT " to %" GST_TIME_FORMAT,
      GST_TIME_ARGS (self->audio.head), GST_TIME_ARGS (time));
  flow = drain (&self->parent);
  audio_window_restart (&self->audio, time);
  self->parent.sender->discont = TRUE;
  return flow;
}

/* Whether a hole of so long ends the window: it is silence in it where audio
 * comes again before the window's end. */
static gboolean
is_end_of_window (MelHops *self, gint64 hole)
{
  const AudioWindow *audio = &self->audio;
  GstClockTime shortest =
      MAX (gst_whisper_mel_settings_get_wait (&self->parent.settings),
          self->parent.settings.alignment_threshold);

  if (hole < 0)
    return (GstClockTime) -hole > self->parent.settings.alignment_threshold;
  if ((GstClockTime) hole < shortest)
    return FALSE;
  return audio->n_samples == 0 ||
         audio->n_samples + hole / AUDIO_WINDOW_SAMPLE_TIME >= audio->size;
}

/* Brings the window to the time of what comes next, by silence where that is
 * later. Returns what pushing windows returned. */
static GstFlowReturn
go_to (MelCutter *cutter, const MelTimelinePiece *piece)
{
  MelHops *self = (MelHops *) cutter;
  AudioWindow *audio = &self->audio;
  GstFlowReturn flow = GST_FLOW_OK;
  gint64 gap =
      mel_cutter_get_difference (piece->time, audio_window_get_end (audio));
  gboolean hole =
      piece->hole > 0 || (audio->n_samples > 0 && gap > MEL_CUTTER_MAX_SKEW);

  if (piece->cut)
    return jump (self, piece->time);

  if (hole && gap > 0 && audio_window_is_given (audio) &&
      (GstClockTime) gap >=
          gst_whisper_mel_settings_get_wait (&self->parent.settings))
    move_on (self, TRUE);
  if (is_end_of_window (self, hole && gap > 0 ? gap : MIN (piece->hole, 0))) {
    if (!piece->discont)
      mel_sender_count_jump (self->parent.sender, audio->head, piece->time);
    return jump (self, piece->time);
  }
  if (hole && gap > 0) {
    GST_DEBUG_OBJECT (self->parent.sender->element,
        "silence of %" GST_TIME_FORMAT " before %" GST_TIME_FORMAT,
        GST_TIME_ARGS (gap), GST_TIME_ARGS (piece->time));
    audio->head = audio_window_get_end (audio);
    flow = pass (cutter,
        gst_util_uint64_scale_round (gap, AUDIO_WINDOW_RATE, GST_SECOND));
  }
  audio->head = piece->time;
  return flow;
}

/* --- interface ---------------------------------------------------------- */

static void
hops_free (MelCutter *cutter)
{
  MelHops *self = (MelHops *) cutter;

  audio_window_clear (&self->audio);
  mel_advance_clear (&self->advance);
  g_free (self);
}

static void
restart (MelCutter *cutter, GstClockTime time)
{
  MelHops *self = (MelHops *) cutter;
  GstClockTime until;

  mel_advance_close (&self->advance, &until);
  audio_window_restart (&self->audio, time);
}

static void
set_segment (MelCutter *cutter, guint32 seqnum)
{
  mel_advance_set_segment (&((MelHops *) cutter)->advance, seqnum);
}

static gboolean
answer (MelCutter *cutter, GstEvent *event)
{
  MelHops *self = (MelHops *) cutter;

  return follows (self) && mel_advance_answer (&self->advance, event);
}

static GstClockTime
get_head (const MelCutter *cutter)
{
  return ((const MelHops *) cutter)->audio.head;
}

static gboolean
has_news (const MelCutter *cutter)
{
  return audio_window_has_news (&((const MelHops *) cutter)->audio);
}

MelCutter *
mel_hops_new (MelSender *sender, const GstWhisperMelSettings *settings)
{
  static const MelCutterClass klass = {
      .free = hops_free,
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
  MelHops *self = g_new0 (MelHops, 1);

  self->parent = (MelCutter){&klass, sender, *settings};
  mel_advance_init (&self->advance);
  audio_window_init (&self->audio, gst_whisper_mel_settings_get_size (settings),
      ends_at_pauses (self) ? gst_whisper_mel_settings_get_size (settings)
                            : gst_whisper_mel_settings_get_hop (settings));
  return &self->parent;
}
