/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "meladvance.h"

#include "windowevent.h"

void
mel_advance_init (MelAdvance *self)
{
  *self = (MelAdvance){.until = GST_CLOCK_TIME_NONE};
  g_mutex_init (&self->lock);
}

void
mel_advance_clear (MelAdvance *self)
{
  g_mutex_clear (&self->lock);
}

void
mel_advance_set_segment (MelAdvance *self, guint32 seqnum)
{
  g_mutex_lock (&self->lock);
  self->seqnum = seqnum;
  g_mutex_unlock (&self->lock);
}

void
mel_advance_ask (MelAdvance *self, GstClockTime start, GstClockTime end)
{
  g_mutex_lock (&self->lock);
  self->open = TRUE;
  self->asker = g_thread_self ();
  self->start = start;
  self->end = end;
  self->until = GST_CLOCK_TIME_NONE;
  g_mutex_unlock (&self->lock);
}

void
mel_advance_pushed (MelAdvance *self)
{
  g_mutex_lock (&self->lock);
  self->asker = NULL;
  g_mutex_unlock (&self->lock);
}

/* Under the lock. */
static gboolean
is_about_window (const MelAdvance *self, GstClockTime until, guint32 seqnum)
{
  if (!self->open || seqnum != self->seqnum)
    return FALSE;
  return self->asker == g_thread_self () || until > self->start;
}

gboolean
mel_advance_answer (MelAdvance *self, GstEvent *event)
{
  GstClockTime until;
  guint32 seqnum;
  gboolean taken;

  if (!window_event_parse_advance (event, &until, NULL, &seqnum))
    return FALSE;

  g_mutex_lock (&self->lock);
  taken = is_about_window (self, until, seqnum);
  if (taken)
    self->until = CLAMP (until, self->start, self->end);
  g_mutex_unlock (&self->lock);
  return taken;
}

static gboolean
take (MelAdvance *self, gboolean close, GstClockTime *until)
{
  gboolean answered;

  g_mutex_lock (&self->lock);
  answered = self->open && GST_CLOCK_TIME_IS_VALID (self->until);
  if (answered)
    *until = self->until;
  if (answered || close)
    self->open = FALSE;
  g_mutex_unlock (&self->lock);
  return answered;
}

gboolean
mel_advance_take (MelAdvance *self, GstClockTime *until)
{
  return take (self, FALSE, until);
}

gboolean
mel_advance_close (MelAdvance *self, GstClockTime *until)
{
  return take (self, TRUE, until);
}
