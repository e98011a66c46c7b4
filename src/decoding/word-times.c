/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "word-times.h"

#include <string.h>

#define SENTENCE_ENDS ".。!！?？"
#define PUNCTUATION "\"'“¿([{-\"'.。,，!！?？:：”)]}、"

#define MAX_MEDIAN 0.7
#define MAX_WORDS_OF_ANOMALY 8

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static double
duration_of (const NpuWord *word)
{
  return word->end - word->start;
}

/* Of those that last at all; 0 where there are none. */
static double
median_duration (const GArray *words)
{
  g_autoptr (GArray) durations = g_array_new (FALSE, FALSE, sizeof (double));
  const double *sorted;
  guint n;

  for (guint i = 0; i < words->len; i++) {
    const double duration = duration_of (&g_array_index (words, NpuWord, i));

    if (duration != 0)
      g_array_append_val (durations, duration);
  }
  g_array_sort (durations, compare_doubles);
  sorted = (const double *) durations->data;
  n = durations->len;
  if (n == 0)
    return 0;
  return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

NpuWordDurations
npu_words_cut_at_sentences (GArray *words)
{
  const double median = MIN (MAX_MEDIAN, median_duration (words));
  const NpuWordDurations durations = {median, 2 * median};

  if (median == 0)
    return durations;
  for (guint i = 1; i < words->len; i++) {
    NpuWord *word = &g_array_index (words, NpuWord, i);
    const NpuWord *previous = word - 1;

    if (!(duration_of (word) > durations.max))
      continue;
    if (strstr (SENTENCE_ENDS, word->text))
      word->end = word->start + durations.max;
    else if (strstr (SENTENCE_ENDS, previous->text))
      word->start = word->end - durations.max;
  }
  return durations;
}

/* The first word after a pause, or the first two, begin too early: in the
 * pause. */
static void
cut_after_pause (
    NpuWord *words, guint n, NpuWordDurations durations, double last_speech)
{
  const gboolean after_pause =
      words[0].end - last_speech > durations.median * 4;
  const gboolean is_long =
      duration_of (&words[0]) > durations.max ||
      (n > 1 && words[1].end - words[0].start > durations.max * 2);

  if (!after_pause || !is_long)
    return;
  if (n > 1 && duration_of (&words[1]) > durations.max)
    words[0].end = words[1].start =
        MAX (words[1].end / 2, words[1].end - durations.max);
  words[0].start = MAX (0, words[0].end - durations.max);
}

void
npu_words_fit_segment (NpuWord *words, guint n, NpuWordDurations durations,
    double last_speech, double *start, double *end)
{
  NpuWord *last = &words[n - 1];

  cut_after_pause (words, n, durations, last_speech);
  if (*start<words[0].end && * start - 0.5> words[0].start)
    words[0].start = MAX (0, MIN (words[0].end - durations.median, *start));
  else
    *start = words[0].start;

  if (*end > last->start && *end + 0.5 < last->end)
    last->end = MAX (last->start + durations.median, *end);
  else
    *end = last->end;
}

static double
anomaly_of (const NpuWord *word)
{
  const double duration = duration_of (word);
  double score = word->probability < 0.15 ? 1 : 0;

  if (duration < 0.133)
    score += (0.133 - duration) * 15;
  if (duration > 2)
    score += duration - 2;
  return score;
}

gboolean
npu_words_are_anomaly (const NpuWord *words, guint n)
{
  double score = 0;
  guint n_counted = 0;

  for (guint i = 0; i < n && n_counted < MAX_WORDS_OF_ANOMALY; i++) {
    if (strstr (PUNCTUATION, words[i].text))
      continue;
    score += anomaly_of (&words[i]);
    n_counted++;
  }
  return n > 0 && (score >= 3 || score + 0.01 >= n_counted);
}
