/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "meltimeline.h"

#include <stdlib.h>

#include "audiowindow.h"

/* Stamps are rounded, to milliseconds by some containers, and clocks drift. */
#define ROUNDING (2 * (gint64) GST_MSECOND)
#define MAX_DRIFT 128 /* a part in so many */

/* Less is no hole yet: it adds up. */
#define MIN_HOLE (5 * (gint64) GST_MSECOND)

/* So many steps tell whether stamps are exact. */
#define MIN_STEPS 8

/* Jittering stamps are believed where most of them are off by more; before they
 * were seen around the line, that may have begun at their edge. */
#define MAX_ERROR (10 * (gint64) GST_MSECOND)
#define MAX_FIRST_ERROR (15 * (gint64) GST_MSECOND)
/* So many in a row that are further ahead are no jitter, either. */
#define N_AHEAD 5
#define MIN_AHEAD (12 * (gint64) GST_MSECOND)

/* So many jumps back are believed, of which none came after so much audio in
 * line. wavparse and adpcmdec of GStreamer 1.22 stamp MS-ADPCM at half its
 * speed: they go back with every 4 KB of it. */
#define MAX_BACK 3
#define BACK_MEMORY (10 * (gint64) GST_SECOND)

#define CENTRE (5 * (gint64) GST_MSECOND)

#define NO_TIME G_MININT64

typedef struct {
  gpointer data;
  gint64 time;   /* ns, or NO_TIME */
  gint64 length; /* ns */
} Entry;

/* --- history --- */

static void
history_add (MelTimelineHistory *self, gint64 value)
{
  self->values[self->next] = value;
  self->next = (self->next + 1) % self->size;
  self->n = MIN (self->n + 1, self->size);
}

static void
history_empty (MelTimelineHistory *self, guint size)
{
  *self = (MelTimelineHistory){.size = size};
}

static int
compare (const void *a, const void *b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

static gint64
history_get_median (const MelTimelineHistory *self)
{
  gint64 sorted[MEL_TIMELINE_N_ERRORS];

  for (guint i = 0; i < self->n; i++)
    sorted[i] = self->values[i];
  qsort (sorted, self->n, sizeof *sorted, compare);
  return sorted[self->n / 2];
}

static gint64
history_get_mean (const MelTimelineHistory *self)
{
  gint64 sum = 0;

  for (guint i = 0; i < self->n; i++)
    sum += self->values[i] / (gint64) self->n;
  return sum;
}

static void
history_shift (MelTimelineHistory *self, gint64 by)
{
  for (guint i = 0; i < self->n; i++)
    self->values[i] -= by;
}

/* Most stamps follow one another but for rounding and drift, where they are
 * exact, whatever is lost between. */
static void
add_step (MelTimeline *self, gint64 step)
{
  guint n_small = 0, n;

  history_add (&self->steps, step);
  n = self->steps.n;
  for (guint i = 0; i < n; i++)
    n_small += ABS (self->steps.values[i]) <= ROUNDING;
  if (self->exact)
    self->exact = 3 * n_small >= n;
  else
    self->exact = n_small >= MIN_STEPS && 4 * n_small >= 3 * n;
}

/* --- pieces --- */

static gint64
get_length (guint64 n)
{
  /* No buffer is longer than this, and sums do not overflow. */
  return MIN (n, G_MAXUINT32) * (gint64) AUDIO_WINDOW_SAMPLE_TIME;
}

static void
emit (MelTimeline *self, gpointer data, gint64 length, gint64 hole,
    gboolean cut, gboolean discont)
{
  MelTimelinePiece *piece = g_new (MelTimelinePiece, 1);

  *piece = (MelTimelinePiece){
      .data = data,
      .time = MAX (self->head, 0),
      .hole = hole,
      .cut = cut,
      .discont = discont,
  };
  g_queue_push_tail (&self->ready, piece);
  self->head += length;
  self->since_back = MIN (self->since_back, BACK_MEMORY) + length;
}

static gint64
get_tolerance (const MelTimeline *self, gint64 length)
{
  return self->exact ? MAX (MIN_HOLE, ROUNDING + length / MAX_DRIFT)
                     : self->threshold;
}

/* --- stamps that go back --- */

static void
note_if_back (MelTimeline *self, gint64 off)
{
  if (off >= -self->threshold)
    return;
  self->n_back = self->since_back < BACK_MEMORY ? self->n_back + 1 : 1;
  self->since_back = 0;
}

/* Whether that stamp goes back once too often. */
static gboolean
is_back_again (MelTimeline *self, gint64 off)
{
  if (off >= -self->threshold || self->n_back < MAX_BACK)
    return FALSE;
  self->since_back = 0;
  return TRUE;
}

/* --- stamps near the line --- */

/* By how much the newest stamps are ahead, all of them, of a line that was amid
 * the stamps before; or 0. */
static gint64
get_step (const MelTimeline *self)
{
  const MelTimelineHistory *errors = &self->errors;
  gint64 least = G_MAXINT64;

  if (!self->centred || errors->n < N_AHEAD)
    return 0;
  for (guint i = 1; i <= N_AHEAD; i++)
    least = MIN (least,
        errors->values[(errors->next + errors->size - i) % errors->size]);
  return least > MIN_AHEAD ? least : 0;
}

/* By how much most stamps are off; or 0. */
static gint64
get_shift (MelTimeline *self)
{
  gint64 median, mean, most;

  if (self->errors.n < self->errors.size)
    return 0;

  /* The mean varies less, the median is how far a step went. */
  median = history_get_median (&self->errors);
  mean = history_get_mean (&self->errors);
  self->centred |= ABS (mean) <= CENTRE;
  most = self->centred ? MAX_ERROR : MAX_FIRST_ERROR;
  return MIN (ABS (median), ABS (mean)) > most ? median : 0;
}

/* Counts samples, and moves when stamps have. */
static gint64
follow_most (MelTimeline *self, gint64 time)
{
  gint64 by;

  history_add (&self->errors, time - self->head);
  by = get_shift (self);
  if (by == 0)
    by = get_step (self);
  if (by == 0)
    return 0;
  self->head += by;
  history_shift (&self->errors, by);
  self->centred = TRUE;
  return by;
}

static void
follow (MelTimeline *self, gpointer data, gint64 time, gint64 length)
{
  gint64 hole = 0;

  if (self->since_back >= BACK_MEMORY)
    self->n_back = 0;
  if (self->exact) {
    self->head = time;
    history_empty (&self->errors, MEL_TIMELINE_N_ERRORS);
  } else {
    hole = follow_most (self, time);
  }
  emit (self, data, length, hole, FALSE, FALSE);
}

/* --- stamps off the line --- */

static void
hold (MelTimeline *self, gpointer data, gint64 time, gint64 length)
{
  Entry *entry = g_new (Entry, 1);

  *entry = (Entry){data, time, length};
  g_queue_push_tail (&self->held, entry);
  self->held_time += length;
}

/* They were outliers: their audio follows what was before. */
static void
ignore_stamps (MelTimeline *self)
{
  Entry *entry;

  while ((entry = g_queue_pop_head (&self->held))) {
    emit (self, entry->data, entry->length, 0, FALSE, FALSE);
    g_free (entry);
  }
  self->held_time = 0;
}

static void consider (
    MelTimeline *self, gpointer data, gint64 time, gint64 length);

/* They were right: the line goes on where the first of them says, and the
 * others are looked at from there. */
static void
believe (MelTimeline *self)
{
  Entry *entry = g_queue_pop_head (&self->held);
  GQueue others = self->held;

  g_queue_init (&self->held);
  self->held_time = 0;
  self->head += self->held_off;
  note_if_back (self, self->held_off);
  history_empty (&self->errors, MEL_TIMELINE_N_ERRORS);
  emit (self, entry->data, entry->length, self->held_off, FALSE, FALSE);
  self->stamp_end = self->head;
  g_free (entry);

  while ((entry = g_queue_pop_head (&others))) {
    consider (self, entry->data, entry->time, entry->length);
    g_free (entry);
  }
}

/* A stamp, with nothing held. */
static void
judge (
    MelTimeline *self, gpointer data, gint64 time, gint64 length, gint64 step)
{
  gint64 off = time - self->head;

  if (ABS (off) <= self->threshold &&
      (!self->exact || ABS (step) <= get_tolerance (self, length))) {
    follow (self, data, time, length);
    return;
  }
  if (is_back_again (self, off)) {
    emit (self, data, length, 0, FALSE, FALSE);
    return;
  }
  hold (self, data, time, length);
  self->held_off = off;
  self->held_first = time;
  if (length >= self->wait)
    believe (self);
}

static gboolean
is_further (gint64 off, gint64 held_off)
{
  return held_off > 0 ? off >= held_off : off <= held_off;
}

/* Stamped when it arrived, after a stall: it catches up. */
static gboolean
is_catching_up (const MelTimeline *self, gint64 time, gint64 off)
{
  return self->held_off > self->threshold && off > 0 && time >= self->held_last;
}

/* A stamp that is to tell what those were that are held. */
static void
compare_with_held (
    MelTimeline *self, gpointer data, gint64 time, gint64 length, gint64 step)
{
  gint64 off = time - self->head - self->held_time;
  gint64 tolerance = get_tolerance (self, length);

  if (ABS (off) <= tolerance && ABS (off) <= ABS (step)) {
    ignore_stamps (self);
    follow (self, data, time, length);
  } else if (ABS (step) <= tolerance) {
    hold (self, data, time, length);
    if (self->held_time >= self->wait || time - self->held_first >= self->wait)
      believe (self);
  } else if (is_catching_up (self, time, off) &&
             !is_further (off, self->held_off)) {
    hold (self, data, time, length);
    self->held_off = off;
    if (self->held_time >= self->wait)
      believe (self);
  } else if (ABS (self->held_off) <= self->threshold &&
             !is_further (off, self->held_off)) {
    /* Stamps that were exact begin to jitter. */
    ignore_stamps (self);
    judge (self, data, time, length, step);
  } else if (off < self->held_off && self->held_off < -self->threshold) {
    /* Back, and back again: neither is a line. */
    note_if_back (self, self->held_off);
    ignore_stamps (self);
    judge (self, data, time, length, step);
  } else {
    believe (self);
    consider (self, data, time, length);
  }
}

static void
consider (MelTimeline *self, gpointer data, gint64 time, gint64 length)
{
  gint64 step;

  if (time == NO_TIME) {
    if (g_queue_is_empty (&self->held))
      emit (self, data, length, 0, FALSE, FALSE);
    else
      hold (self, data, NO_TIME, length);
    self->stamp_end += length;
    return;
  }
  step = time - self->stamp_end;
  if (g_queue_is_empty (&self->held))
    judge (self, data, time, length, step);
  else
    compare_with_held (self, data, time, length, step);
  self->held_last = time;
  self->stamp_end = time + length;
}

/* The first stamp, or one after a hole that upstream knows of: it is believed.
 */
static void
resync (MelTimeline *self, gpointer data, gint64 time, gint64 length,
    gboolean discont)
{
  gint64 off = time - self->head;

  history_empty (&self->errors, MEL_TIMELINE_N_ERRORS);
  self->head = time;
  emit (self, data, length, ABS (off) <= ROUNDING ? 0 : off, self->fresh,
      discont);
  self->held_last = time;
  self->stamp_end = time + length;
}

/* --- interface --- */

void
mel_timeline_init (MelTimeline *self, GstClockTime threshold, GstClockTime wait)
{
  *self = (MelTimeline){
      .threshold = MIN (threshold, G_MAXINT64 / 4),
      .wait = MIN (wait, G_MAXINT64 / 4),
  };
  g_queue_init (&self->held);
  g_queue_init (&self->ready);
  mel_timeline_restart (self, 0, NULL);
}

void
mel_timeline_clear (MelTimeline *self, GDestroyNotify free_data)
{
  MelTimelinePiece *piece;

  ignore_stamps (self);
  while ((piece = g_queue_pop_head (&self->ready))) {
    if (free_data)
      free_data (piece->data);
    g_free (piece);
  }
}

void
mel_timeline_restart (
    MelTimeline *self, GstClockTime time, GDestroyNotify free_data)
{
  mel_timeline_clear (self, free_data);
  history_empty (&self->steps, MEL_TIMELINE_N_STEPS);
  history_empty (&self->errors, MEL_TIMELINE_N_ERRORS);
  self->exact = FALSE;
  self->centred = FALSE;
  self->n_back = 0;
  self->since_back = 0;
  self->head = self->stamp_end = MIN (time, G_MAXINT64 / 2);
  self->fresh = TRUE;
}

void
mel_timeline_push (MelTimeline *self, gpointer data, GstClockTime time,
    guint64 n, gboolean discont)
{
  gint64 length = get_length (n);
  gboolean stamped = time <= G_MAXINT64 / 2; /* else none, or nonsense */

  /* Where data is missing, time goes on. audioresample flags every jump. */
  if (stamped && !self->fresh &&
      (gint64) time - self->stamp_end < -self->threshold)
    discont = FALSE;
  if (discont)
    mel_timeline_settle (self);

  if (!stamped && discont) {
    emit (self, data, length, 0, !self->fresh, TRUE);
    self->stamp_end += length;
  } else if (!stamped) {
    consider (self, data, NO_TIME, length);
  } else if (self->fresh || discont) {
    resync (self, data, time, length, discont);
  } else {
    add_step (self, (gint64) time - self->stamp_end);
    consider (self, data, time, length);
  }
  self->fresh = FALSE;
}

void
mel_timeline_settle (MelTimeline *self)
{
  while (!g_queue_is_empty (&self->held))
    believe (self);
}

void
mel_timeline_pass (MelTimeline *self, GstClockTime time)
{
  self->head = self->stamp_end = MIN (time, G_MAXINT64 / 2);
  self->fresh = FALSE;
}

gboolean
mel_timeline_is_doubted (const MelTimeline *self)
{
  return self->n_back >= MAX_BACK;
}

gboolean
mel_timeline_is_fresh (const MelTimeline *self)
{
  return self->fresh;
}

gboolean
mel_timeline_pop (MelTimeline *self, MelTimelinePiece *piece)
{
  MelTimelinePiece *first = g_queue_pop_head (&self->ready);

  if (!first)
    return FALSE;
  *piece = *first;
  g_free (first);
  return TRUE;
}
