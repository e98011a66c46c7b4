/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cues.h"

#include <string.h>

#include "cue-text.h"
#include "graphemes.h"

/* Marks behind which a cut is good, as many characters away from the middle as
 * a cut there is worth. */
#define SENTENCE_WORTH 16
#define CLAUSE_WORTH 8

static void
clear_cue (gpointer data)
{
  NpuCue *cue = data;

  g_free (cue->text);
}

/* --- lines --------------------------------------------------------------- */

/* Appends words[n] as they stand in a cue. */
static void
append_line (GString *text, const NpuTimedWord *words, guint n)
{
  g_autoptr (GString) raw = g_string_new (NULL);

  for (guint i = 0; i < n; i++)
    g_string_append (raw, words[i].text);
  npu_cue_text_append (text, raw->str, raw->len);
}

static guint
line_length (const NpuTimedWord *words, guint n)
{
  g_autoptr (GString) line = g_string_new (NULL);

  append_line (line, words, n);
  return npu_graphemes_count (line->str, line->len);
}

/* How many of words[n], at least 1, fit in a line. */
static guint
fit_line (const NpuTimedWord *words, guint n, guint length)
{
  guint fit = 1;

  if (length == 0)
    return n;
  while (fit < n && line_length (words, fit + 1) <= length)
    fit++;
  return fit;
}

static guint
count_lines (const NpuTimedWord *words, guint n, guint length)
{
  guint n_lines = 0;

  for (guint i = 0; i < n; i += fit_line (words + i, n - i, length))
    n_lines++;
  return n_lines;
}

/* What a cut behind a word is worth. */
static guint
worth_of (const char *word)
{
  static const char *const sentence[] = {
      ".", "!", "?", "。", "！", "？", "…", NULL};
  static const char *const clause[] = {
      ",", ";", ":", "，", "、", "；", "：", NULL};

  for (guint i = 0; sentence[i]; i++)
    if (g_str_has_suffix (word, sentence[i]))
      return SENTENCE_WORTH;
  for (guint i = 0; clause[i]; i++)
    if (g_str_has_suffix (word, clause[i]))
      return CLAUSE_WORTH;
  return 0;
}

/* Where to cut words[n], of which at least @low and at most @high, below n, may
 * stand before the cut: near to the @part-th of the text. */
static guint
choose_cut (
    const NpuTimedWord *words, guint n, guint low, guint high, guint n_parts)
{
  const int goal = (int) (line_length (words, n) / n_parts);
  int best_cost = G_MAXINT;
  guint best = high;

  for (guint i = low; i <= high; i++) {
    const int distance = (int) line_length (words, i) - goal;
    const int cost = ABS (distance) - (int) worth_of (words[i - 1].text);

    if (cost <= best_cost) {
      best_cost = cost;
      best = i;
    }
  }
  return best;
}

/* The fewest of words[n] behind which the rest fits in n_lines lines. */
static guint
fewest_before (
    const NpuTimedWord *words, guint n, guint high, guint length, guint n_lines)
{
  guint low = high;

  while (
      low > 1 && count_lines (words + low - 1, n - low + 1, length) <= n_lines)
    low--;
  return low;
}

/* The lines of a cue, as even as they can be without more of them. */
static char *
write_lines (const NpuTimedWord *words, guint n, guint length)
{
  GString *text = g_string_new (NULL);
  guint n_lines = count_lines (words, n, length);

  for (guint i = 0; i < n;) {
    const guint left = n - i;
    guint cut = left;

    if (n_lines > 1 && left > 1) {
      const guint high = MIN (fit_line (words + i, left, length), left - 1);

      cut = choose_cut (words + i, left,
          fewest_before (words + i, left, high, length, n_lines - 1), high,
          n_lines);
    }
    if (text->len > 0)
      g_string_append_c (text, '\n');
    append_line (text, words + i, cut);
    i += cut;
    n_lines = n_lines > 1 ? n_lines - 1 : 1;
  }
  return g_string_free (text, FALSE);
}

/* --- cues ---------------------------------------------------------------- */

/* How many of words[n] fit in a cue. */
static guint
fit_cue (const NpuTimedWord *words, guint n, const NpuCueOptions *options)
{
  guint fit = 0;

  if (options->n_lines == 0 || options->line_length == 0)
    return n;
  for (guint line = 0; line < options->n_lines && fit < n; line++)
    fit += fit_line (words + fit, n - fit, options->line_length);
  return fit;
}

static guint
count_cues (const NpuTimedWord *words, guint n, const NpuCueOptions *options)
{
  guint n_cues = 0;

  for (guint i = 0; i < n; i += fit_cue (words + i, n - i, options))
    n_cues++;
  return n_cues;
}

static void
add_cue (GArray *cues, const NpuTimedWord *words, guint first, guint n,
    const NpuCueOptions *options)
{
  NpuCue cue = {words[first].start, words[first + n - 1].end, NULL, first, n};

  cue.text = write_lines (words + first, n, options->line_length);
  if (*cue.text)
    g_array_append_val (cues, cue);
  else
    g_free (cue.text);
}

/* Time that a character takes at least. What was not said, such as the same
 * once more, is often heard in none, at the audio's end. */
#define LEAST_CHARACTER_NS G_GUINT64_CONSTANT (20000000)

static guint64
least_time (const NpuCue *cue, guint64 each)
{
  return each * npu_graphemes_count (cue->text, strlen (cue->text));
}

/* Cues of less time than anybody speaks them in get some of their neighbours',
 * from the @from-th on: there is no pause between them. */
static void
share_time (GArray *array, guint from)
{
  const guint n = array->len - from;
  guint64 at, end, each, n_characters = 0;
  NpuCue *cues;

  if (n < 2)
    return;
  cues = &g_array_index (array, NpuCue, from);
  for (guint i = 0; i < n; i++)
    n_characters += least_time (&cues[i], 1);
  at = cues[0].start;
  end = MAX (cues[n - 1].end, at);
  each = MIN (LEAST_CHARACTER_NS, (end - at) / MAX (n_characters, 1));
  for (guint i = 0; i < n; i++) {
    cues[i].start = MAX (cues[i].start, at);
    at = cues[i].end =
        MAX (cues[i].end, cues[i].start + least_time (&cues[i], each));
  }
  at = end;
  for (guint i = n; i-- > 0;) {
    cues[i].end = MIN (cues[i].end, at);
    at = cues[i].start =
        MIN (cues[i].start, cues[i].end - least_time (&cues[i], each));
  }
}

/* Words without a pause between them. */
static void
cut_run (GArray *cues, const NpuTimedWord *words, guint first, guint n,
    const NpuCueOptions *options)
{
  guint n_cues = count_cues (words + first, n, options);
  const guint from = cues->len;

  while (n > 0) {
    guint cut = n;

    if (n_cues > 1 && n > 1) {
      const guint high = MIN (fit_cue (words + first, n, options), n - 1);
      guint low = high;

      while (low > 1 && count_cues (words + first + low - 1, n - low + 1,
                            options) < n_cues)
        low--;
      cut = choose_cut (words + first, n, low, high, n_cues);
    }
    add_cue (cues, words, first, cut, options);
    first += cut;
    n -= cut;
    n_cues = n_cues > 1 ? n_cues - 1 : 1;
  }
  share_time (cues, from);
}

GArray *
npu_cues_cut (const NpuTimedWord *words, guint n, const NpuCueOptions *options)
{
  GArray *cues = g_array_new (FALSE, FALSE, sizeof (NpuCue));
  guint first = 0;

  g_array_set_clear_func (cues, clear_cue);
  for (guint i = 1; i <= n; i++) {
    if (i < n && (words[i].start <= words[i - 1].end ||
                     words[i].start - words[i - 1].end <= options->max_pause))
      continue;
    cut_run (cues, words, first, i - first, options);
    first = i;
  }
  return cues;
}
