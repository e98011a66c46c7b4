/* Windows to segments: where text begins and ends in the stream, how far a
 * window is used up, what the next one is told of the last (openai/whisper,
 * transcribe.py).
 *
 * One thread at a time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "decoding/npu-decoding.h"
#include "npu-pause.h"

G_BEGIN_DECLS

typedef struct _NpuTranscript NpuTranscript;

/* A word with the marks that belong to it. */
typedef struct {
  char *text;         /* valid UTF-8, mostly with the space before it */
  guint64 start, end; /* in the segment, start <= end */
  float probability;
  guint n_tokens; /* that spell it */
} NpuTimedWord;

/* Text between two timestamps. Times are the stream's, in ns. */
typedef struct {
  guint64 start, end;    /* start < end */
  const char *text;      /* valid UTF-8, stripped, not empty, without NUL */
  const guint32 *tokens; /* [n_tokens], timestamps included */
  guint n_tokens;
  const NpuTimedWord *words; /* [n_words], in order, where words are found */
  guint n_words;
  const NpuDecodedWindow *window; /* what it is part of */
} NpuSegment;

typedef void (*NpuSegmentFunc) (const NpuSegment *segment, gpointer user_data);

typedef struct {
  NpuDecodingOptions decoding; /* seed: of the stream; each window's is made
                                * of it and the window's time */
  gboolean words;              /* segments take the times of their words */
  double hallucination_silence_threshold; /* with words: seconds of silence
                                           * around text that is unlikely and
                                           * then left out; 0: none is */
  gboolean condition_on_previous_text;
  const char *initial_prompt;    /* or NULL */
  gboolean carry_initial_prompt; /* to all windows, not only until the history
                                  * has pushed it out */
  const char *hot_words;         /* or NULL: what all windows are told */
  guint64 language_interval;     /* ns from a window that told the language to
                                  * the next that is asked for it; 0: each,
                                  * G_MAXUINT64: the first with speech alone */
  guint n_windows;               /* at once, 0 for 1, to 16; each needs a window
                                  * of the source and sequences of its own, from
                                  * window x npu_decoding_n_sequences() on */
} NpuTranscriptOptions;

/* A window with less audio has no text. */
#define NPU_MIN_WINDOW_NS 100000000

/* @source, @tokenizer and @options are kept, by reference the second, by copy
 * the others; what @source calls must outlive the transcript. */
NPU_API NpuTranscript *npu_transcript_new (const NpuLogitsSource *source,
    NpuTokenizer *tokenizer, const NpuTranscriptOptions *options);
NPU_API void npu_transcript_free (NpuTranscript *transcript);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuTranscript, npu_transcript_free)

/* Forgets history, the language, the last time and windows that were begun:
 * after a flush or a new stream. */
NPU_API void npu_transcript_reset (NpuTranscript *transcript);

/* Whether the next window begins where the one before is used up, or before
 * that: if not, text that is not whole when a window ends is text, too, and an
 * answer leaves nothing to the next window. That of a stream's only window is
 * Whisper's own all the same: its first one, if that is shorter than 30 s and
 * such windows do not come before the last (@varies is %FALSE). At first they
 * are followed, unless there are several at once. Of windows from now on. */
NPU_API void npu_transcript_set_followed (
    NpuTranscript *transcript, gboolean is_followed, gboolean varies);

/* How much of its audio each window shares with the next, ns, of windows from
 * now on; at first 0. Above it the times of words are found, and what both
 * windows heard is given once (overlap.h): text of what is shared comes with
 * the next window, or by npu_transcript_finish(). */
NPU_API void npu_transcript_set_overlap (
    NpuTranscript *transcript, guint64 overlap);

/* Where it is quiet in the next window that is begun, in order and copied: no
 * word is there that is heard beside it, and what is said behind the last pause
 * for too short a time to have text is left to the window that follows. @n 0:
 * nothing is known of it. */
NPU_API void npu_transcript_set_pauses (
    NpuTranscript *transcript, const NpuPause *pauses, guint n);

/**
 * npu_transcript_add_window:
 * @window: number of the window in the source, set before
 * @start: of the window in the stream, ns
 * @duration: of its real audio, ns
 * @func: called for each segment, before this returns
 * @decoded: (out) (optional): what was decoded; clear it. Without tokens and
 *   text where the window is shorter than NPU_MIN_WINDOW_NS
 * @used_until: (out): the stream's time up to which the window is used up:
 *   at least 10 ms after @start, at most start + duration; where windows
 *   overlap, that from which on text may still come
 *
 * Decodes a window and gives its segments, in order, none before the end of
 * the last, none past the window's audio. None may have been begun.
 *
 * Returns: %FALSE with @error set as npu_decode_window() says; the transcript
 *   is as it was before
 */
NPU_API gboolean npu_transcript_add_window (NpuTranscript *transcript,
    guint window, guint64 start, guint64 duration, NpuSegmentFunc func,
    gpointer user_data, NpuDecodedWindow *decoded, guint64 *used_until,
    GError **error);

/* Several windows at once, with the text that they would have one by one: begin
 * as many as find_free() has places for, step until the oldest is whole, take
 * it, and so on. */

/* The number of a window of the source that can be set and begun; -1: first
 * another must become whole, or must be taken where the next is told what it
 * was. It never is where none is open. */
NPU_API int npu_transcript_find_free (NpuTranscript *transcript);

/* As npu_transcript_add_window(), but does not wait for the answer. Those that
 * were begun before are as they were where it returns %FALSE. */
NPU_API gboolean npu_transcript_begin_window (NpuTranscript *transcript,
    guint window, guint64 start, guint64 duration, GError **error);

/* One step of the decoder for all that are not whole. %FALSE with @error set:
 * then all are forgotten. */
NPU_API gboolean npu_transcript_step (
    NpuTranscript *transcript, GError **error);

/* Whether one was begun and not taken; whether the oldest such is whole. */
NPU_API gboolean npu_transcript_is_open (NpuTranscript *transcript);
NPU_API gboolean npu_transcript_has_whole (NpuTranscript *transcript);

/* Gives the segments of the oldest, which is whole; as
 * npu_transcript_add_window(). */
NPU_API void npu_transcript_take_window (NpuTranscript *transcript,
    NpuSegmentFunc func, gpointer user_data, NpuDecodedWindow *decoded,
    guint64 *used_until);

/* No window follows that shares audio with the last: gives what waited for one.
 * Before npu_transcript_reset(), or that is lost. */
NPU_API void npu_transcript_finish (
    NpuTranscript *transcript, NpuSegmentFunc func, gpointer user_data);

G_END_DECLS
