/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "word-segments.h"

#include <math.h>

#include "decoding/word-times.h"
#include "graphemes.h"
#include "word-pauses.h"

#define SECONDS_PER_TIMESTAMP (NPU_TIMESTAMP_NS / 1e9)

/* So near to the ends of a window speech may have been cut. */
#define NEAR_END 2.0

/* --- sharing out --------------------------------------------------------- */

GArray *
npu_slices_get_text (const NpuSpecialTokens *special, const guint32 *tokens,
    const GArray *slices)
{
  GArray *text = g_array_new (FALSE, FALSE, sizeof (guint32));

  for (guint i = 0; i < slices->len; i++) {
    const NpuSlice *slice = &g_array_index (slices, NpuSlice, i);

    for (guint j = slice->first; j < slice->first + slice->n; j++)
      if (tokens[j] < special->eot)
        g_array_append_val (text, tokens[j]);
  }
  return text;
}

static guint
count_text (const NpuSpecialTokens *special, const guint32 *tokens,
    const NpuSlice *slice)
{
  guint n = 0;

  for (guint i = slice->first; i < slice->first + slice->n; i++)
    n += tokens[i] < special->eot;
  return n;
}

static double
round_time (double seconds)
{
  return round (seconds * 100) / 100;
}

/* Moves a word that has text; one that was merged has none. */
static void
take_word (NpuWordSegments *self, NpuWord *word, double offset)
{
  if (*word->text == '\0')
    return;
  word->start = round_time (offset + word->start);
  word->end = round_time (offset + word->end);
  g_array_append_val (self->words, *word);
  word->text = NULL;
}

void
npu_word_segments_init (NpuWordSegments *self, const NpuSpecialTokens *special,
    const guint32 *tokens, const GArray *slices, GArray *words,
    const NpuWordWindow *window)
{
  const NpuWordDurations durations = npu_words_cut_at_sentences (words);
  double last_speech = window->last_speech;
  guint next = 0;

  self->words = npu_words_new ();
  self->segments = g_array_new (FALSE, FALSE, sizeof (NpuWordSegment));
  npu_words_merge_punctuation (words);
  for (guint i = 0; i < slices->len; i++) {
    const NpuSlice *slice = &g_array_index (slices, NpuSlice, i);
    const guint n = count_text (special, tokens, slice);
    NpuWordSegment segment = {*slice,
        window->start + slice->start * SECONDS_PER_TIMESTAMP, window->end,
        self->words->len, 0};

    if (slice->end != NPU_WINDOW_END)
      segment.end = window->start + slice->end * SECONDS_PER_TIMESTAMP;
    for (guint n_taken = 0; n_taken < n && next < words->len; next++) {
      NpuWord *word = &g_array_index (words, NpuWord, next);

      n_taken += word->n_tokens;
      take_word (self, word, window->start);
    }
    segment.n = self->words->len - segment.first;
    if (segment.n > 0) {
      npu_words_fit_segment (
          &g_array_index (self->words, NpuWord, segment.first), segment.n,
          durations, last_speech, &segment.start, &segment.end);
      last_speech = segment.end;
    }
    g_array_append_val (self->segments, segment);
  }
}

void
npu_word_segments_clear (NpuWordSegments *self)
{
  g_clear_pointer (&self->segments, g_array_unref);
  g_clear_pointer (&self->words, g_array_unref);
}

double
npu_word_segments_get_end (const NpuWordSegments *self)
{
  for (guint i = self->segments->len; i-- > 0;) {
    const NpuWordSegment *segment =
        &g_array_index (self->segments, NpuWordSegment, i);

    if (segment->n > 0)
      return g_array_index (
          self->words, NpuWord, segment->first + segment->n - 1)
          .end;
  }
  return self->segments->len > 0 ? g_array_index (self->segments,
                                       NpuWordSegment, self->segments->len - 1)
                                       .end
                                 : -1;
}

/* --- hallucinations ------------------------------------------------------ */

static gboolean
is_anomaly (const NpuWordSegments *self, const NpuWordSegment *segment)
{
  return segment && segment->n > 0 &&
         npu_words_are_anomaly (
             &g_array_index (self->words, NpuWord, segment->first), segment->n);
}

/* From the @i-th on. */
static const NpuWordSegment *
next_with_words (const NpuWordSegments *self, guint i)
{
  for (; i < self->segments->len; i++) {
    const NpuWordSegment *segment =
        &g_array_index (self->segments, NpuWordSegment, i);

    if (segment->n > 0)
      return segment;
  }
  return NULL;
}

/* Whether the @i-th, an anomaly, has silence or more of its kind around it. */
static gboolean
is_alone (const NpuWordSegments *self, guint i, const NpuWordWindow *window,
    double threshold, double last_end)
{
  const NpuWordSegment *segment =
      &g_array_index (self->segments, NpuWordSegment, i);
  const NpuWordSegment *next = next_with_words (self, i + 1);
  const double next_start =
      next ? g_array_index (self->words, NpuWord, next->first).start
           : window->end;
  const gboolean silence_before = segment->start - last_end > threshold ||
                                  segment->start < threshold ||
                                  segment->start - window->start < NEAR_END;
  const gboolean silence_after = next_start - segment->end > threshold ||
                                 is_anomaly (self, next) ||
                                 window->end - segment->end < NEAR_END;

  return silence_before && silence_after;
}

static void
drop_lonely (NpuWordSegments *self, const NpuWordWindow *window,
    double threshold, gboolean is_last, double *used)
{
  double last_end = window->last_speech;

  for (guint i = 0; i < self->segments->len; i++) {
    const NpuWordSegment *segment =
        &g_array_index (self->segments, NpuWordSegment, i);

    if (segment->n == 0)
      continue;
    if (is_anomaly (self, segment) &&
        is_alone (self, i, window, threshold, last_end)) {
      *used = MAX (window->start + 1, segment->start);
      if (is_last && window->end - segment->end < threshold)
        *used = window->end;
      g_array_set_size (self->segments, i);
      return;
    }
    last_end = segment->end;
  }
}

void
npu_word_segments_drop_hallucinations (NpuWordSegments *self,
    const NpuWordWindow *window, double threshold, gboolean is_last,
    gboolean has_single_end, double *used)
{
  const NpuWordSegment *first = next_with_words (self, 0);
  const double end = npu_word_segments_get_end (self);

  if (!has_single_end && end > window->start)
    *used = window->end - end > threshold ? end : window->end;
  if (is_anomaly (self, first) && first->start - window->start > threshold) {
    *used = first->start;
    g_array_set_size (self->segments, 0);
    return;
  }
  drop_lonely (self, window, threshold, is_last, used);
}

/* --- pauses -------------------------------------------------------------- */

void
npu_word_segments_leave_pauses (
    NpuWordSegments *self, const GArray *pauses, guint64 begin)
{
  for (guint i = 0; pauses && i < self->segments->len; i++) {
    NpuWordSegment *segment =
        &g_array_index (self->segments, NpuWordSegment, i);
    NpuWord *words = (NpuWord *) self->words->data + segment->first;
    NpuWord *last = words + segment->n - 1;
    double start, end;

    if (segment->n == 0)
      continue;
    start = words->start;
    end = last->end;
    for (guint j = 0; j < segment->n; j++)
      npu_pauses_leave (pauses, begin, &words[j]);
    /* A segment begins and ends with its words, mostly. */
    if (words->start > start)
      segment->start = MAX (segment->start, words->start);
    if (last->end < end)
      segment->end = MIN (segment->end, last->end);
  }
}

/* --- the stream's time --------------------------------------------------- */

static guint64
to_stream (double seconds, guint64 begin)
{
  return begin + (guint64) llround (MAX (seconds, 0) * 1e9);
}

static void
clear_timed (gpointer data)
{
  NpuTimedWord *word = data;

  g_free (word->text);
}

static void
join_timed (NpuTimedWord *word, const NpuTimedWord *part)
{
  char *text = g_strconcat (word->text, part->text, NULL);

  g_free (word->text);
  word->text = text;
  word->end = part->end;
  word->n_tokens += part->n_tokens;
  word->probability = MIN (word->probability, part->probability);
}

GArray *
npu_word_segments_get_timed (const NpuWordSegments *self,
    const NpuWordSegment *segment, guint64 begin, guint64 from, guint64 until)
{
  GArray *timed = g_array_new (FALSE, TRUE, sizeof (NpuTimedWord));
  guint64 at = MIN (from, until);

  g_array_set_clear_func (timed, clear_timed);
  for (guint i = 0; i < segment->n; i++) {
    const NpuWord *word =
        &g_array_index (self->words, NpuWord, segment->first + i);
    NpuTimedWord next = {.text = word->text,
        .start = CLAMP (to_stream (word->start, begin), at, until),
        .probability = (float) word->probability,
        .n_tokens = word->n_tokens};
    NpuTimedWord *last =
        timed->len > 0 ? &g_array_index (timed, NpuTimedWord, timed->len - 1)
                       : NULL;

    next.end = CLAMP (to_stream (word->end, begin), next.start, until);
    at = next.end;
    if (last && !npu_graphemes_break (last->text, next.text)) {
      join_timed (last, &next);
      continue;
    }
    next.text = g_strdup (next.text);
    g_array_append_val (timed, next);
  }
  return timed;
}
