/* How whispermel cuts audio into windows: an interface, with an implementation
 * for each way to do so. Under the stream lock, but for mel_cutter_answer().
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "melsender.h"
#include "meltimeline.h"

G_BEGIN_DECLS

/* Audio is not further from its time than this: silence fills up. */
#define MEL_CUTTER_MAX_SKEW (20 * (gint64) GST_MSECOND)

typedef struct _MelCutter MelCutter;

/* A piece of audio, and what upstream says about it. */
typedef struct {
  const guint8 *data; /* NULL: silence */
  gsize n;            /* samples */
  gboolean has_level; /* upstream knows whether it is voice */
  gboolean is_voice;
} MelAudio;

typedef struct {
  void (*free) (MelCutter *self);

  /* Drops all that is held; what comes begins at @time. */
  void (*restart) (MelCutter *self, GstClockTime time);

  /* The windows to come belong to the segment event with @seqnum. */
  void (*set_segment) (MelCutter *self, guint32 seqnum);

  /* whisper/advance, from any thread: whether anything follows from it. */
  gboolean (*answer) (MelCutter *self, GstEvent *event);

  /* Brings the time to that of what comes next: by silence where that is later,
   * or by a jump, which ends what is held. */
  GstFlowReturn (*go_to) (MelCutter *self, const MelTimelinePiece *piece);

  GstFlowReturn (*add) (
      MelCutter *self, const MelAudio *audio, guint64 *n_invalid);

  /* @n samples of time without data. */
  GstFlowReturn (*pass) (MelCutter *self, guint64 n);

  /* Pushes all that is held, and empties it. */
  GstFlowReturn (*drain) (MelCutter *self);

  /* Time of the next sample to come. */
  GstClockTime (*get_head) (const MelCutter *self);

  /* Whether audio is held that was in no window. */
  gboolean (*has_news) (const MelCutter *self);
} MelCutterClass;

struct _MelCutter {
  const MelCutterClass *klass;
  MelSender *sender;
  GstWhisperMelSettings settings;
};

/* Windows that begin every hop, or where a decoder says. */
MelCutter *mel_hops_new (
    MelSender *sender, const GstWhisperMelSettings *settings);

/* Windows that grow, for live captions. NULL with @error set, where what it
 * takes to know a voice cannot be had. */
MelCutter *mel_growing_new (
    MelSender *sender, const GstWhisperMelSettings *settings, GError **error);

/* a - b of times that may be as large as times get. */
static inline gint64
mel_cutter_get_difference (GstClockTime a, GstClockTime b)
{
  return (gint64) MIN (a, G_MAXINT64) - (gint64) MIN (b, G_MAXINT64);
}

G_END_DECLS
