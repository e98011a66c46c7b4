/* What leaves whisperdecoder, in order: a buffer for each segment of text, or
 * for what its words make, and gaps that keep time moving between them.
 *
 * One thread at a time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <gst/gst.h>

#include "transcript/cues.h"

G_BEGIN_DECLS

typedef struct {
  GQueue items;          /* of GstBuffer and GstEvent */
  GstClockTime position; /* up to which all is said; NONE before a window */
  gboolean json;         /* buffers hold JSON objects, not plain text */
  gboolean has_words;    /* segments have words: plain text is cues of them */
  gboolean by_word;      /* a word a buffer */
  NpuCueOptions cues;
} TextOutput;

void text_output_init (TextOutput *output);

/* What buffers hold from now on; @cues is copied. */
void text_output_set_form (TextOutput *output, gboolean has_words,
    gboolean by_word, const NpuCueOptions *cues);

/* Forgets what waits, and the time: in a new stream. */
void text_output_reset (TextOutput *output);

/* The same, but sticky events, which tell what the stream is, still leave with
 * what comes next: they hold after a flush, too. */
void text_output_flush (TextOutput *output);

/* Forgets buffers and gaps that wait, left by a push that failed. */
void text_output_drop_unsent (TextOutput *output);

/* A window begins at @start. Time that it jumps over is a gap; where it begins
 * before the one before it, time begins anew. */
void text_output_begin_window (
    TextOutput *output, GstClockTime start, gboolean is_before);

/* Appends a segment, clipped to @time; one that is outside of it is none.
 * @language: (nullable): for JSON */
void text_output_add (TextOutput *output, const NpuSegment *segment,
    const GstSegment *time, const char *language);

/* Appends @text (transfer full), likewise. */
void text_output_add_text (TextOutput *output, GstClockTime start,
    GstClockTime end, const GstSegment *time, char *text);

/* No text comes before @until any more. */
void text_output_advance (TextOutput *output, GstClockTime until);

/* Appends @event (transfer full). */
void text_output_add_event (TextOutput *output, GstEvent *event);

/* Pushes the events that are first on @pad, and returns (transfer full) the
 * buffer behind them, or %NULL where nothing is left. */
GstBuffer *text_output_pop (TextOutput *output, GstPad *pad);

G_END_DECLS
