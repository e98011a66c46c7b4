/* A GrowingWindow on a virtual clock: what it gives is recorded, and what must
 * hold whatever comes is checked at each step. Loud audio is voice.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "growingwindow.h"

G_BEGIN_DECLS

#define RATE 16000
#define SAMPLE (GST_SECOND / RATE)
#define MS GST_MSECOND
#define BLOCK_TIME (GROWING_BLOCK * SAMPLE)

/* The clock need not be nearer than that. */
#define SKEW (20 * MS)

typedef struct {
  GrowingWindow window;
  guint n_forgotten;
  gint64 lag;      /* of the machine */
  GArray *outputs; /* of GrowingOutput; their samples are gone */
  GArray *samples; /* of those of all windows */

  /* What must hold whatever comes. */
  GstClockTime told;  /* GAPs and MARKER windows tile the time up to here */
  GstClockTime final; /* the furthest advance that was taken */
  gboolean is_first;
} GrowingRig;

/* With a window of so long, from @start on; else 4 s, from 0. */
void growing_rig_init_at (
    GrowingRig *rig, GstClockTime window, GstClockTime start);
void growing_rig_init (GrowingRig *rig);
void growing_rig_clear (GrowingRig *rig);

/* Takes all that is due. */
void growing_rig_collect (GrowingRig *rig);

/* @samples[@n] in chunks. */
void growing_rig_add (
    GrowingRig *rig, const float *samples, gsize n, gsize chunk);

/* Audio of one loudness, in chunks of 20 ms; no two samples are equal. */
void growing_rig_add_level (GrowingRig *rig, float level, GstClockTime time);
void growing_rig_speak (GrowingRig *rig, GstClockTime time);
void growing_rig_hush (GrowingRig *rig, GstClockTime time);

void growing_rig_pass (GrowingRig *rig, GstClockTime time);
void growing_rig_drain (GrowingRig *rig);
gboolean growing_rig_advance (
    GrowingRig *rig, GstClockTime until, GstClockTime sentence);

const GrowingOutput *growing_rig_get (const GrowingRig *rig, guint i);
const GrowingOutput *growing_rig_get_last (const GrowingRig *rig);
/* The next one from @i on. */
const GrowingOutput *growing_rig_get_window (const GrowingRig *rig, guint *i);
guint growing_rig_count_windows (const GrowingRig *rig, gboolean markers_only);

G_END_DECLS
