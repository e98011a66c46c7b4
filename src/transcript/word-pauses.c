/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "word-pauses.h"

#include <math.h>

#define MS G_GUINT64_CONSTANT (1000000)
#define LONGEST_CLICK (60 * MS)
#define SHORTEST (500 * MS) /* longer than the silence within any word */

/* Speech that begins so late in a whole window is left to the next. */
#define WHOLE_WINDOW (30000 * MS)
#define LATE (1000 * MS)
#define LEAD (200 * MS)

/* Seconds of a word that may be as quiet as the pause before or behind it.
 * OpenAI's rules have a word begin up to 0.7 s before its voice: what they say
 * stands where it is nearly right. */
#define SOFT_BEGIN 0.5
#define SOFT_END 0.1
#define LEAST_VOICE 0.04
#define EARLY_END 0.6 /* a word behind it may be heard so long before */

void
npu_pauses_join (GArray **joined, const NpuPause *pauses, guint n)
{
  GArray *array = g_array_new (FALSE, FALSE, sizeof (NpuPause));

  g_clear_pointer (joined, g_array_unref);
  for (guint i = 0; i < n;) {
    NpuPause pause = pauses[i++];

    for (; i < n && pauses[i].start <= pause.end + LONGEST_CLICK; i++)
      pause.end = MAX (pause.end, pauses[i].end);
    if (pause.end >= pause.start + SHORTEST)
      g_array_append_val (array, pause);
  }
  if (array->len > 0)
    *joined = array;
  else
    g_array_unref (array);
}

guint64
npu_pauses_find_late_voice (
    const GArray *pauses, guint64 start, guint64 text_end, guint64 end)
{
  const NpuPause *last =
      pauses ? &g_array_index (pauses, NpuPause, pauses->len - 1) : NULL;

  if (!last || end - start < WHOLE_WINDOW || last->end >= end ||
      last->end + LATE < end || text_end > last->end)
    return end;
  return last->end - MIN (last->end - last->start, LEAD);
}

static gboolean
has_digit (const char *text)
{
  for (; *text; text = g_utf8_next_char (text))
    if (g_unichar_isdigit (g_utf8_get_char (text)))
      return TRUE;
  return FALSE;
}

/* As OpenAI's rules have them. */
static double
round_time (double seconds)
{
  return round (seconds * 100) / 100;
}

static double
seconds_from (guint64 begin, guint64 at)
{
  return at > begin ? (double) (at - begin) / 1e9 : 0;
}

/* Of a word that is heard in a pause alone: near to the voice behind it. */
static gboolean
ends_early (const NpuWord *word, double start, double end)
{
  const double early = end - word->end;

  return early < EARLY_END && early < word->start - start;
}

void
npu_pauses_leave (const GArray *pauses, guint64 begin, NpuWord *word)
{
  for (guint i = 0; i < pauses->len; i++) {
    const NpuPause *pause = &g_array_index (pauses, NpuPause, i);
    const double start = seconds_from (begin, pause->start);
    const double end = seconds_from (begin, pause->end);
    const double before = start - word->start, behind = word->end - end;

    if (word->end <= start || word->start >= end ||
        (MIN (before, behind) >= LEAST_VOICE && has_digit (word->text)))
      continue;
    if (behind >= LEAST_VOICE ? behind > before
                              : ends_early (word, start, end)) {
      word->start = MAX (word->start, round_time (end - SOFT_BEGIN));
      word->end = MAX (word->end, word->start + LEAST_VOICE);
    } else if (before >= LEAST_VOICE) {
      word->end = MIN (word->end, round_time (start + SOFT_END));
    }
  }
}
