/* Segments whose times are those of their words (openai/whisper, transcribe.py
 * with word_timestamps). Times are seconds from the stream's beginning, as in
 * OpenAI's code, whose rules depend on them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "decoding/words.h"
#include "npu-transcript.h"
#include "segments.h"

G_BEGIN_DECLS

/* A window's place. */
typedef struct {
  double start, end;  /* of its audio */
  double last_speech; /* end of the last word before it */
} NpuWordWindow;

typedef struct {
  NpuSlice slice;
  double start, end;
  guint first, n; /* of the words */
} NpuWordSegment;

typedef struct {
  GArray *segments; /* of NpuWordSegment */
  GArray *words;    /* of NpuWord, merged, none empty */
} NpuWordSegments;

/* (transfer full): of guint32, what slices[] of tokens[] have of text */
GArray *npu_slices_get_text (const NpuSpecialTokens *special,
    const guint32 *tokens, const GArray *slices);

/* Shares @words, which npu_find_words() found of the slices' text and which are
 * used up, out to the slices. To be cleared. */
void npu_word_segments_init (NpuWordSegments *self,
    const NpuSpecialTokens *special, const guint32 *tokens,
    const GArray *slices, GArray *words, const NpuWordWindow *window);
void npu_word_segments_clear (NpuWordSegments *self);

/* Where the last word ends; of segments without words, where the last of them
 * does; -1 without segments. */
double npu_word_segments_get_end (const NpuWordSegments *self);

/**
 * npu_word_segments_drop_hallucinations:
 * @threshold: seconds of silence, above 0
 * @is_last: the stream ends with the window
 * @has_single_end: no speech follows the text
 * @used: (inout): up to which the window is used up
 *
 * Drops text that is unlikely and stands alone in silence, and what follows it:
 * the next window begins behind the silence before it.
 */
void npu_word_segments_drop_hallucinations (NpuWordSegments *self,
    const NpuWordWindow *window, double threshold, gboolean is_last,
    gboolean has_single_end, double *used);

/* Words of which most is heard before or behind one of @pauses, of NpuPause in
 * the stream's time, which began at @begin, leave it; or %NULL. */
void npu_word_segments_leave_pauses (
    NpuWordSegments *self, const GArray *pauses, guint64 begin);

/* A segment's words in the stream's time, which began at @begin, from @from to
 * @until: they do not overlap. Words that begin inside a character as readers
 * see it are joined to the one before. (transfer full): of NpuTimedWord */
GArray *npu_word_segments_get_timed (const NpuWordSegments *self,
    const NpuWordSegment *segment, guint64 begin, guint64 from, guint64 until);

G_END_DECLS
