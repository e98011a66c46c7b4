/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "transcriberload.h"

#define SPAN (10 * GST_SECOND)
#define LEAST_SPAN (2 * GST_SECOND)
#define LONGEST_STEP (5 * GST_SECOND) /* more is a pause */

#define TOO_MUCH 0.9
#define WELL 0.7
#define TOO_LATE (3 * GST_SECOND)
#define IN_TIME GST_SECOND

void
transcriber_load_reset (TranscriberLoad *self)
{
  *self = (TranscriberLoad){0};
}

static guint
index_of (const TranscriberLoad *self, guint i)
{
  return (self->first + i) % TRANSCRIBER_LOAD_WINDOWS;
}

static void
forget (TranscriberLoad *self)
{
  self->first = self->n = 0;
  self->is_known = FALSE;
  self->load = 0;
  self->step = 0;
}

/* Those that are older than the span; one before it stays, as the start. */
static void
drop_old (TranscriberLoad *self, GstClockTime end)
{
  while (
      self->n > 1 && (self->n == TRANSCRIBER_LOAD_WINDOWS ||
                         self->windows[index_of (self, 1)].end + SPAN <= end)) {
    self->first = index_of (self, 1);
    self->n--;
  }
}

static gboolean
goes_on (const TranscriberLoad *self, GstClockTime end, guint64 busy)
{
  const guint last = index_of (self, self->n - 1);

  return self->n > 0 && end >= self->windows[last].end &&
         end - self->windows[last].end <= LONGEST_STEP &&
         busy >= self->windows[last].busy;
}

static TranscriberLoadChange
judge (TranscriberLoad *self)
{
  const gboolean is_over = self->load > TOO_MUCH || self->lag > TOO_LATE;
  const gboolean is_well = self->load < WELL && self->lag < IN_TIME;

  if (!self->is_over && is_over) {
    self->is_over = TRUE;
    return TRANSCRIBER_LOAD_OVER;
  }
  if (self->is_over && is_well) {
    self->is_over = FALSE;
    return TRANSCRIBER_LOAD_WELL;
  }
  return TRANSCRIBER_LOAD_SAME;
}

TranscriberLoadChange
transcriber_load_add (
    TranscriberLoad *self, GstClockTime end, guint64 busy, GstClockTime lag)
{
  GstClockTime span;
  guint start;

  if (goes_on (self, end, busy))
    self->step = end - self->windows[index_of (self, self->n - 1)].end;
  else
    forget (self);
  drop_old (self, end);
  self->windows[index_of (self, self->n)].end = end;
  self->windows[index_of (self, self->n)].busy = busy;
  self->n++;
  self->lag = lag;

  start = index_of (self, 0);
  span = end - self->windows[start].end;
  if (span >= LEAST_SPAN) {
    self->is_known = TRUE;
    self->load = (double) (busy - self->windows[start].busy) / (double) span;
  }
  return judge (self);
}

void
transcriber_load_note_dropped (TranscriberLoad *self, GstClockTime lag)
{
  self->is_over = TRUE;
  self->lag = lag;
}
