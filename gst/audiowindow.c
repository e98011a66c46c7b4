/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "audiowindow.h"

#include <math.h>
#include <string.h>

#include "logmel.h"

G_STATIC_ASSERT (AUDIO_WINDOW_RATE == LOG_MEL_RATE);

void
audio_window_init (AudioWindow *self, gsize size, guint64 hop)
{
  *self = (AudioWindow){
      .size = size,
      .hop = hop,
      .samples = g_new (float, size),
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
  self->silence_end = 0;
  self->speech_end = 0;
  self->start = time;
  self->head = time;
}

/* Returns how many were replaced. */
static gsize
copy_samples (float *to, const guint8 *from, gsize n)
{
  gsize n_invalid = 0;

  for (gsize i = 0; i < n; i++) {
    float x = GST_READ_FLOAT_LE (from + i * sizeof (float));
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

gsize
audio_window_add (AudioWindow *self, const guint8 *data, gsize n,
    AudioWindowContent content, guint64 *n_invalid)
{
  float *to = self->samples + self->n_samples;

  if (self->n_to_skip > 0)
    return skip (self, n);

  n = MIN (n, self->size - self->n_samples);
  if (self->n_samples == 0)
    self->start = self->head;
  if (data)
    *n_invalid += copy_samples (to, data, n);
  else
    memset (to, 0, n * sizeof (float));

  self->n_samples += n;
  self->head += n * AUDIO_WINDOW_SAMPLE_TIME;
  if (content >= AUDIO_WINDOW_SILENCE)
    self->silence_end = self->n_samples;
  if (content >= AUDIO_WINDOW_SPEECH)
    self->speech_end = self->n_samples;
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
  if (audio_window_get_content (self) != AUDIO_WINDOW_NOTHING ||
      n_total < self->size)
    return audio_window_add (
        self, NULL, MIN (n, self->size), AUDIO_WINDOW_NOTHING, NULL);

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
  return self->n_samples == self->size;
}

gboolean
audio_window_has_news (const AudioWindow *self)
{
  return self->n_samples > self->n_seen;
}

AudioWindowContent
audio_window_get_content (const AudioWindow *self)
{
  if (self->speech_end > 0)
    return AUDIO_WINDOW_SPEECH;
  if (self->silence_end > 0)
    return AUDIO_WINDOW_SILENCE;
  return AUDIO_WINDOW_NOTHING;
}

void
audio_window_advance (AudioWindow *self)
{
  gsize overlap = get_overlap (self);
  gsize gone = self->size - overlap;

  memmove (self->samples, self->samples + gone, overlap * sizeof (float));
  self->n_samples = overlap;
  self->n_seen = overlap;
  self->n_to_skip = self->hop > self->size ? self->hop - self->size : 0;
  self->silence_end -= MIN (self->silence_end, gone);
  self->speech_end -= MIN (self->speech_end, gone);
  set_start (self);
}
