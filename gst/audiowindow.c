/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "audiowindow.h"

#include <math.h>
#include <string.h>

#include "mel/logmel.h"

G_STATIC_ASSERT (AUDIO_WINDOW_RATE == LOG_MEL_RATE);

void
audio_window_init (AudioWindow *self, gsize size, guint64 hop)
{
  *self = (AudioWindow){
      .size = size,
      .hop = hop,
      .samples = g_new (float, 2 * size),
  };
}

void
audio_window_clear (AudioWindow *self)
{
  g_free (self->samples);
  *self = (AudioWindow){0};
}

void
audio_window_restart (AudioWindow *self, GstClockTime time)
{
  self->n_samples = 0;
  self->n_seen = 0;
  self->n_to_skip = 0;
  self->given = FALSE;
  self->data_end = 0;
  self->start = time;
  self->head = time;
}

static float
read_float_le (const guint8 *from)
{
  union {
    guint32 i;
    float f;
  } x;

  memcpy (&x.i, from, sizeof x.i);
  x.i = GUINT32_FROM_LE (x.i);
  return x.f;
}

gsize
audio_window_copy_samples (float *to, const guint8 *from, gsize n)
{
  gsize n_invalid = 0;

  for (gsize i = 0; i < n; i++) {
    float x = read_float_le (from + i * sizeof (float));
    gboolean valid = fabsf (x) <= LOG_MEL_MAX_SAMPLE; /* not so for NaN */

    to[i] = valid ? x : 0;
    n_invalid += !valid;
  }
  return n_invalid;
}

/* Timestamps that jitter may lie closer together than the samples do. */
static void
set_start (AudioWindow *self)
{
  GstClockTime held = self->n_samples * AUDIO_WINDOW_SAMPLE_TIME;

  self->start = self->head - MIN (self->head, held);
}

/* Passes time between two windows. */
static guint64
skip (AudioWindow *self, guint64 n)
{
  n = MIN (n, self->n_to_skip);
  self->n_to_skip -= n;
  self->head += n * AUDIO_WINDOW_SAMPLE_TIME;
  if (self->n_to_skip == 0)
    self->start = self->head;
  return n;
}

/* Samples that it may hold before something must happen. */
static gsize
get_limit (const AudioWindow *self)
{
  return self->given ? self->size + MIN (self->hop, self->size) : self->size;
}

/* @data: NULL for zeros. */
static gsize
append (AudioWindow *self, const guint8 *data, gsize n, guint64 *n_invalid)
{
  float *to = self->samples + self->n_samples;

  n = MIN (n, get_limit (self) - self->n_samples);
  if (self->n_samples == 0)
    self->start = self->head;
  if (data)
    *n_invalid += audio_window_copy_samples (to, data, n);
  else
    memset (to, 0, n * sizeof (float));

  self->n_samples += n;
  self->head += n * AUDIO_WINDOW_SAMPLE_TIME;
  return n;
}

gsize
audio_window_add (
    AudioWindow *self, const guint8 *data, gsize n, guint64 *n_invalid)
{
  if (self->n_to_skip > 0)
    return skip (self, n);

  n = append (self, data, n, n_invalid);
  self->data_end = self->n_samples;
  return n;
}

/* Samples that one window leaves to the next. */
static gsize
get_overlap (const AudioWindow *self)
{
  return self->hop < self->size ? self->size - self->hop : 0;
}

guint64
audio_window_add_nothing (AudioWindow *self, guint64 n, guint64 *n_windows)
{
  guint64 n_total, n_passed;

  *n_windows = 0;
  if (self->n_to_skip > 0)
    return skip (self, n);

  n_total = self->n_samples + n;
  if (self->given || self->data_end > 0 || n_total < self->size)
    return append (self, NULL, MIN (n, 2 * self->size), NULL);

  *n_windows = (n_total - self->size) / self->hop + 1;
  n_passed = *n_windows * self->hop;
  self->head += n * AUDIO_WINDOW_SAMPLE_TIME;
  if (n_passed > n_total) {
    self->n_samples = 0;
    self->n_to_skip = n_passed - n_total;
  } else {
    self->n_samples = n_total - n_passed;
    memset (self->samples, 0, self->n_samples * sizeof (float));
  }
  self->n_seen = get_overlap (self);
  set_start (self);
  return n;
}

gboolean
audio_window_is_full (const AudioWindow *self)
{
  return !self->given && self->n_samples >= self->size;
}

gboolean
audio_window_has_news (const AudioWindow *self)
{
  return self->n_samples > self->n_seen;
}

gsize
audio_window_get_length (const AudioWindow *self)
{
  return MIN (self->n_samples, self->size);
}

AudioWindowContent
audio_window_get_content (const AudioWindow *self, gsize n)
{
  if (self->data_end == 0)
    return AUDIO_WINDOW_NOTHING;
  for (gsize i = 0; i < n; i++) /* speech ends this at once */
    if (self->samples[i] != 0)
      return AUDIO_WINDOW_SOUND;
  return AUDIO_WINDOW_SILENCE;
}

GstClockTime
audio_window_get_end (const AudioWindow *self)
{
  if (self->n_samples == 0)
    return self->head;
  return self->start + self->n_samples * AUDIO_WINDOW_SAMPLE_TIME;
}

void
audio_window_give (AudioWindow *self)
{
  self->given = TRUE;
}

gboolean
audio_window_is_given (const AudioWindow *self)
{
  return self->given;
}

gboolean
audio_window_must_advance (const AudioWindow *self)
{
  return self->given && self->n_samples >= get_limit (self);
}

/* Moves on by @n samples, of which some may be still to come. */
static void
move (AudioWindow *self, guint64 n, gsize n_seen)
{
  gsize gone = MIN (n, self->n_samples);

  self->n_samples -= gone;
  memmove (
      self->samples, self->samples + gone, self->n_samples * sizeof (float));
  self->n_to_skip = n - gone;
  self->n_seen = n_seen;
  self->data_end -= MIN (self->data_end, gone);
  self->given = FALSE;
  set_start (self);
}

void
audio_window_advance (AudioWindow *self)
{
  move (self, self->hop, get_overlap (self));
}

void
audio_window_advance_by (AudioWindow *self, gsize n)
{
  move (self, MIN (n, audio_window_get_length (self)), 0);
}
