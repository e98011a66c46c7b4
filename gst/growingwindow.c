/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "growingwindow.h"

#include <string.h>

#include "audiowindow.h"
#include "melpause.h"

#define NONE G_MAXUINT64

#define SAMPLES(time) ((guint64) (time) / AUDIO_WINDOW_SAMPLE_TIME)
#define LEAD SAMPLES (GROWING_LEAD)
#define TRAIL SAMPLES (GROWING_TRAIL)
#define ONSET SAMPLES (GROWING_ONSET)
#define LEAST SAMPLES (GROWING_LEAST)
#define SHORTEST SAMPLES (GROWING_SHORTEST)

/* Voice may be interrupted for so long before it is an utterance: the silence
 * of a plosive. */
#define MAX_PAUSE SAMPLES (120 * GST_MSECOND)

/* After so much of digital silence a detector would remember what is long gone.
 */
#define MAX_ZEROS (SAMPLES (200 * GST_MSECOND) / GROWING_BLOCK)

/* A cut where a sentence ends must be worth it: that part of what is held. */
#define WORTH_PERCENT 40

/* Shorter than a pause: mostly somebody speaks without one. */
#define QUIET SAMPLES (100 * GST_MSECOND)

/* --- time --------------------------------------------------------------- */

static GstClockTime
get_time (const GrowingWindow *self, guint64 number)
{
  GstClockTime before;

  if (number >= self->anchor)
    return self->anchor_time +
           (number - self->anchor) * AUDIO_WINDOW_SAMPLE_TIME;
  before = (self->anchor - number) * AUDIO_WINDOW_SAMPLE_TIME;
  return self->anchor_time - MIN (self->anchor_time, before);
}

/* Counts from the newest stamp on. */
static void
anchor (GrowingWindow *self)
{
  self->anchor = self->end;
  self->anchor_time = self->head;
}

/* What is held begins at sample @number, or as much later as it takes to be not
 * before @time: stamps may have moved since that was told. */
static void
begin_at (GrowingWindow *self, guint64 number, GstClockTime time)
{
  GstClockTime start;

  anchor (self);
  start = get_time (self, number);
  if (start < time)
    number += (time - start + AUDIO_WINDOW_SAMPLE_TIME - 1) /
              AUDIO_WINDOW_SAMPLE_TIME;
  self->first = CLAMP (number, self->first, self->end);
}

GstClockTime
growing_window_get_end (const GrowingWindow *self)
{
  return self->speaking ? get_time (self, self->end) : self->head;
}

void
growing_window_set_time (GrowingWindow *self, GstClockTime time)
{
  self->head = time;
  if (!self->speaking)
    anchor (self);
}

/* --- life --------------------------------------------------------------- */

void
growing_window_init (GrowingWindow *self, const GrowingSettings *settings)
{
  *self = (GrowingWindow){
      .settings = *settings,
      .step = SAMPLES (settings->step),
      .window = SAMPLES (settings->window),
      .limit = SAMPLES (settings->window + GROWING_SLACK),
      .silence = SAMPLES (settings->silence),
  };
  self->capacity = self->limit + LEAD + 2 * ONSET + MAX_PAUSE + GROWING_BLOCK;
  self->samples = g_new (float, self->capacity);
  growing_window_restart (self, 0);
}

void
growing_window_clear (GrowingWindow *self)
{
  g_clear_pointer (&self->samples, g_free);
}

static void
forget_detector (GrowingWindow *self)
{
  if (self->settings.forget)
    self->settings.forget (self->settings.detector);
}

static void
begin_block (GrowingWindow *self)
{
  self->block = self->end;
  self->block_voice = GROWING_VOICE_NO;
  self->block_sound = FALSE;
}

static void
stop_speaking (GrowingWindow *self)
{
  self->speaking = FALSE;
  self->onset = NONE;
  self->voiced = 0;
  self->given = 0;
  self->end_at = NONE;
  self->n_merged = 0;
  self->may_merge = 1;
}

void
growing_window_restart (GrowingWindow *self, GstClockTime time)
{
  self->origin = self->first = self->end = 0;
  self->head = self->told = time;
  anchor (self);
  begin_block (self);
  stop_speaking (self);
  self->voice_end = 0;
  self->next_step = self->step;
  self->step_due = FALSE;
  self->is_drained = FALSE;
  self->discont = TRUE;
  self->until = 0;
  self->sentence = 0;
  self->n_zeros = 0;
  forget_detector (self);
}

/* --- utterances --------------------------------------------------------- */

static void
start_speaking (GrowingWindow *self)
{
  const guint64 lead = self->onset - MIN (self->onset, LEAD);

  self->speaking = TRUE;
  begin_at (self, MAX (self->first, lead), self->told);
}

/* Nothing before it can be of an utterance to come. */
static void
let_go (GrowingWindow *self)
{
  const guint64 from = self->onset != NONE ? self->onset : self->end;

  self->first = MAX (self->first, from - MIN (from, LEAD));
}

static void
wait_for_voice (GrowingWindow *self, gboolean voice)
{
  if (voice) {
    if (self->onset == NONE)
      self->onset = self->block;
    self->voiced += GROWING_BLOCK;
  } else if (self->onset != NONE && self->end - self->voice_end > MAX_PAUSE) {
    self->onset = NONE;
    self->voiced = 0;
  }
  if (self->voiced >= ONSET)
    start_speaking (self);
  else
    let_go (self);
}

/* A window says so, even where all of the voice is cut off as final. */
static void
end_utterance (GrowingWindow *self)
{
  const guint64 at = MAX (self->voice_end + TRAIL, self->first + LEAST);

  self->end_at = MIN (at, self->end);
}

static void
wait_for_silence (GrowingWindow *self)
{
  if (self->end - self->voice_end >= self->silence)
    end_utterance (self);
}

static gboolean
has_voice (GrowingWindow *self)
{
  const float *block = self->samples + (self->block - self->origin);

  if (!self->block_sound) {
    if (++self->n_zeros == MAX_ZEROS)
      forget_detector (self);
    return FALSE;
  }
  self->n_zeros = 0;
  if (self->block_voice != GROWING_VOICE_ASK)
    return self->block_voice == GROWING_VOICE_YES;
  return !self->settings.detect ||
         self->settings.detect (self->settings.detector, block);
}

static void
take_block (GrowingWindow *self)
{
  const gboolean voice = has_voice (self);

  if (voice)
    self->voice_end = self->end;
  if (self->speaking)
    wait_for_silence (self);
  else
    wait_for_voice (self, voice);
  begin_block (self);
}

/* --- audio -------------------------------------------------------------- */

gboolean
growing_window_has_news (const GrowingWindow *self)
{
  return self->speaking || self->onset != NONE;
}

/* Moves what is held to the front. */
static void
compact (GrowingWindow *self)
{
  /* A block is looked at as a whole. */
  const guint64 from = MIN (self->first, self->block);
  const gsize gone = from - self->origin;

  if (gone == 0)
    return;
  memmove (
      self->samples, self->samples + gone, (self->end - from) * sizeof (float));
  self->origin = from;
}

static void
take_voice (GrowingWindow *self, GrowingVoice voice)
{
  if (voice == GROWING_VOICE_YES || self->block_voice == GROWING_VOICE_YES)
    self->block_voice = GROWING_VOICE_YES;
  else if (voice == GROWING_VOICE_ASK)
    self->block_voice = GROWING_VOICE_ASK;
}

static gboolean
is_sound (const float *samples, gsize n)
{
  for (gsize i = 0; i < n; i++) /* speech ends this at once */
    if (samples[i] != 0)
      return TRUE;
  return FALSE;
}

gsize
growing_window_add (GrowingWindow *self, const guint8 *data, gsize n,
    GrowingVoice voice, guint64 *n_invalid)
{
  float *to;

  compact (self);
  n = MIN (n, self->block + GROWING_BLOCK - self->end);
  n = MIN (n, self->next_step - self->end);
  if (self->speaking)
    n = MIN (n, self->first + self->limit - self->end);
  to = self->samples + (self->end - self->origin);
  if (data)
    *n_invalid += audio_window_copy_samples (to, data, n);
  else
    memset (to, 0, n * sizeof (float));
  self->block_sound = self->block_sound || is_sound (to, n);
  if (data)
    take_voice (self, voice);

  self->end += n;
  self->head += n * AUDIO_WINDOW_SAMPLE_TIME;
  if (self->end == self->block + GROWING_BLOCK)
    take_block (self);
  if (self->end == self->next_step) {
    self->step_due = TRUE;
    self->next_step += self->step;
  }
  return n;
}

guint64
growing_window_pass (GrowingWindow *self, guint64 n)
{
  guint64 n_invalid = 0;

  if (!self->speaking && self->onset != NONE &&
      self->end - self->onset >= LEAST)
    start_speaking (self);
  if (self->speaking)
    return growing_window_add (
        self, NULL, MIN (n, G_MAXUINT32), GROWING_VOICE_NO, &n_invalid);

  self->end += n;
  self->head += n * AUDIO_WINDOW_SAMPLE_TIME;
  self->origin = self->first = self->end;
  anchor (self);
  begin_block (self);
  stop_speaking (self);
  if (self->next_step <= self->end)
    self->next_step +=
        ((self->end - self->next_step) / self->step + 1) * self->step;
  self->step_due = TRUE;
  if (n >= MAX_ZEROS * GROWING_BLOCK)
    forget_detector (self);
  return n;
}

void
growing_window_drain (GrowingWindow *self)
{
  self->is_drained = TRUE;
  if (!self->speaking && self->onset != NONE &&
      self->end - self->onset >= LEAST)
    start_speaking (self);
  if (self->speaking)
    end_utterance (self);
}

/* --- cuts --------------------------------------------------------------- */

gboolean
growing_window_advance (
    GrowingWindow *self, GstClockTime until, GstClockTime sentence)
{
  GstClockTime given;

  if (!self->speaking || self->given == 0)
    return FALSE;
  given = get_time (self, self->given);
  until = MIN (until, given);
  if (until <= MAX (self->until, get_time (self, self->first)))
    return FALSE;
  self->until = until;
  if (GST_CLOCK_TIME_IS_VALID (sentence) && sentence <= until)
    self->sentence = MAX (self->sentence, sentence);
  return TRUE;
}

/* The quietest place of the second quarter of what is held: a cut there frees a
 * quarter of it at least. */
static guint64
find_quiet (const GrowingWindow *self)
{
  const gsize held = self->end - self->first;
  const float *samples = self->samples + (self->first - self->origin);

  return self->first + mel_pause_find (samples, held / 4, held / 2, QUIET);
}

/* Cuts off what is final, if more than a whole window is held. */
static void
cut_final (GrowingWindow *self)
{
  const guint64 held = self->end - self->first;
  const GstClockTime start = get_time (self, self->first);
  const GstClockTime worth =
      held * AUDIO_WINDOW_SAMPLE_TIME / 100 * WORTH_PERCENT;
  GstClockTime at = self->until;

  if (held <= self->window || self->until <= start)
    return;
  if (self->sentence > start && self->sentence - start >= worth)
    at = self->sentence;
  begin_at (self, self->first, at);
  self->told = get_time (self, self->first); /* whoever advanced knows */
}

static gboolean
is_full (const GrowingWindow *self)
{
  return self->end - self->first >= self->limit;
}

/* --- output ------------------------------------------------------------- */

static gboolean
pop_gap (GrowingWindow *self, GrowingOutput *output)
{
  const GstClockTime start = get_time (self, self->first);

  if (start <= self->told)
    return FALSE;
  *output = (GrowingOutput){
      .kind = GROWING_GAP,
      .start = self->told,
      .duration = start - self->told,
  };
  self->told = start;
  return TRUE;
}

static void
fill (GrowingWindow *self, guint64 end, gboolean marker, GrowingOutput *output)
{
  *output = (GrowingOutput){
      .kind = GROWING_WINDOW,
      .start = get_time (self, self->first),
      .duration = (end - self->first) * AUDIO_WINDOW_SAMPLE_TIME,
      .samples = self->samples + (self->first - self->origin),
      .n_samples = end - self->first,
      .marker = marker,
      .discont = self->discont,
  };
  self->discont = FALSE;
  self->given = end;
  self->n_merged = 0;
}

/* All up to @end is final with this window. */
static gboolean
pop_marker (GrowingWindow *self, guint64 end, GrowingOutput *output)
{
  const gboolean is_window = end > self->first;

  if (is_window) {
    fill (self, end, TRUE, output);
    self->told = output->start + output->duration;
  }
  self->first = end;
  return is_window;
}

static gboolean
pop_end (GrowingWindow *self, GrowingOutput *output)
{
  const gboolean is_window = pop_marker (self, self->end_at, output);

  stop_speaking (self);
  begin_at (self, self->first, self->told);
  return is_window;
}

/* Nobody has committed anything: an utterance ends here for want of room. */
static gboolean
pop_forced (GrowingWindow *self, GrowingOutput *output)
{
  const gboolean is_window = pop_marker (self, find_quiet (self), output);

  begin_at (self, self->first, self->told);
  self->given = 0;
  self->discont = TRUE;
  return is_window;
}

/* Whoever is told of windows sees it coming that the next one is late: it comes
 * one step later than the last did, no more. */
static gboolean
is_left_out (GrowingWindow *self, gint64 lag)
{
  if (lag <= (gint64) self->settings.step) {
    self->may_merge = 1;
    return FALSE;
  }
  if (self->n_merged < self->may_merge) {
    self->n_merged++;
    return TRUE;
  }
  self->may_merge = MIN (self->may_merge + 1, GROWING_MAX_MERGED);
  return FALSE;
}

static gboolean
pop_step (GrowingWindow *self, gint64 lag, GrowingOutput *output)
{
  self->step_due = FALSE;
  cut_final (self);
  if (is_left_out (self, lag))
    return FALSE;
  if (self->end - self->first < SHORTEST || self->end == self->given)
    return FALSE;
  fill (self, self->end, FALSE, output);
  return TRUE;
}

gboolean
growing_window_pop (GrowingWindow *self, gint64 lag, GrowingOutput *output)
{
  if (self->speaking) {
    if (pop_gap (self, output))
      return TRUE;
    if (self->end_at != NONE && pop_end (self, output))
      return TRUE;
  }
  if (self->speaking && is_full (self)) {
    cut_final (self);
    if (is_full (self) && pop_forced (self, output))
      return TRUE;
  }
  if (self->speaking && self->step_due)
    return pop_step (self, lag, output);
  if (self->speaking || !(self->step_due || self->is_drained))
    return FALSE;

  if (self->is_drained)
    self->first = self->end;
  self->is_drained = FALSE;
  self->step_due = FALSE;
  return pop_gap (self, output);
}
