/* A script in the place of the library's decoder: what whisperdecoder does with
 * segments, time and errors is tested without a model.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "transcript/npu-transcript.h"

G_BEGIN_DECLS

#define SCRIPT_D 64
#define SCRIPT_N_POSITIONS 1500

/* Segments of a window; times are from its start. */
typedef struct {
  guint64 start, end; /* ns */
  const char *text;
} ScriptedSegment;

typedef struct {
  const ScriptedSegment *segments; /* [n_segments] */
  guint n_segments;
  const NpuTimedWord
      *words; /* [n_words] of the first, from the window's start */
  guint n_words;
  guint64 used;     /* ns of the window; 0: all of it */
  const char *code; /* of the language, "de" */
  GQuark domain;    /* of an error, or 0 */
  int error;
  guint64 wait;  /* us that decoding takes, unless cancelled; 0: none */
  guint n_steps; /* until it is whole; 0 is 1 */
} ScriptedWindow;

/* What every window from now on is: copied. NULL: no segments. */
void script_set_window (const ScriptedWindow *window);

/* What a window of a live stream gives. */
typedef struct {
  const ScriptedSegment *words; /* [n_words]: final; times from its start */
  guint n_words;
  const char *committed, *partial;  /* NULL: "" */
  guint64 until, sentence, decided; /* of the stream, ns */
  int language;
  gboolean is_language_decided;
  const char *rest; /* what npu_live_transcript_end() makes final, or NULL */
  void (*on_heard) (gpointer user_data); /* when it has been heard; or NULL */
  gpointer user_data;
  guint64 wait; /* as ScriptedWindow's */
} ScriptedUpdate;

/* What every window of a live stream from now on is: copied. */
void script_set_update (const ScriptedUpdate *update);

/* What the element has asked for. */
typedef struct {
  guint n_live, n_live_resets, n_live_ends;       /* of the live transcript */
  guint64 live_start, live_duration, due, margin; /* of its last window */
  gboolean is_new, is_last;                       /* likewise */
  int live_language;                              /* as it was set, or -2 */
  guint n_windows, n_resets, n_opened, n_closed;
  guint n_steps, most_open;      /* of steps; windows that shared one */
  guint64 start, duration;       /* of the last window */
  float first_state, last_state; /* likewise */
  guint n_positions;             /* likewise */
  char location[256];            /* of the last model */
  NpuDecodingOptions options;    /* without its ids */
  gboolean words;
  double hallucination_silence_threshold;
  guint n_suppress;
  guint32 last_suppressed;
  char prompt[64], hot_words[64];
  guint64 language_interval;
  gboolean is_followed; /* windows, as last said */
  guint64 overlap;      /* of each with the next, as last said */
  guint n_finished;     /* calls of npu_transcript_finish() */
} ScriptSeen;

void script_get_seen (ScriptSeen *seen);
void script_forget (void);

G_END_DECLS
