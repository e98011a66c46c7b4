/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "textoutput.h"

#include <string.h>

#include "segmentjson.h"
#include "transcript/cue-text.h"

/* Of text whose time another window has already given away. */
#define SHORTEST GST_MSECOND

void
text_output_init (TextOutput *output)
{
  *output = (TextOutput){.position = GST_CLOCK_TIME_NONE};
  g_queue_init (&output->items);
}

void
text_output_reset (TextOutput *output)
{
  g_queue_clear_full (&output->items, (GDestroyNotify) gst_mini_object_unref);
  output->position = GST_CLOCK_TIME_NONE;
}

void
text_output_drop_unsent (TextOutput *output)
{
  for (guint n = output->items.length; n > 0; n--) {
    GstMiniObject *item = g_queue_pop_head (&output->items);

    if (GST_IS_EVENT (item) && GST_EVENT_IS_STICKY (item))
      g_queue_push_tail (&output->items, item);
    else
      gst_mini_object_unref (item);
  }
}

void
text_output_flush (TextOutput *output)
{
  text_output_drop_unsent (output);
  output->position = GST_CLOCK_TIME_NONE;
}

void
text_output_begin_window (
    TextOutput *output, GstClockTime start, gboolean is_before)
{
  if (is_before || !GST_CLOCK_TIME_IS_VALID (output->position))
    output->position = start;
  text_output_advance (output, start);
}

void
text_output_advance (TextOutput *output, GstClockTime until)
{
  if (!GST_CLOCK_TIME_IS_VALID (output->position) || until <= output->position)
    return;
  text_output_add_event (
      output, gst_event_new_gap (output->position, until - output->position));
  output->position = until;
}

void
text_output_add_event (TextOutput *output, GstEvent *event)
{
  g_queue_push_tail (&output->items, event);
}

/* --- text ---------------------------------------------------------------- */

/* What of text from *start to *end is in @time, behind what has been said:
 * %FALSE where nothing is. */
static gboolean
place (const TextOutput *output, const GstSegment *time, guint64 *start,
    guint64 *end)
{
  if (!gst_segment_clip (
          time, GST_FORMAT_TIME, *start, MAX (*end, *start + 1), start, end))
    return FALSE;
  /* Where windows overlap, the one before may have had more time than text. */
  if (GST_CLOCK_TIME_IS_VALID (output->position))
    *start = MAX (*start, output->position);
  *end = MAX (*end, *start + SHORTEST);
  return TRUE;
}

/* Takes @text. */
static void
push_text (TextOutput *output, guint64 start, guint64 end, char *text)
{
  GstBuffer *buffer = gst_buffer_new_wrapped (text, strlen (text));

  GST_BUFFER_PTS (buffer) = start;
  GST_BUFFER_DURATION (buffer) = end - start;
  text_output_advance (output, start);
  g_queue_push_tail (&output->items, buffer);
  output->position = end;
}

static guint64
to_stream_time (const GstSegment *time, guint64 at)
{
  const guint64 stream = gst_segment_to_stream_time (time, GST_FORMAT_TIME, at);

  return GST_CLOCK_TIME_IS_VALID (stream) ? stream : at;
}

/* The words from @start to @end, in stream time. Returns how many. */
static guint
take_words (NpuTimedWord *words, const NpuSegment *segment,
    const GstSegment *time, guint64 start, guint64 end)
{
  guint n = 0;

  for (guint i = 0; i < segment->n_words; i++) {
    NpuTimedWord word = segment->words[i];

    if (word.end < start || word.start >= end)
      continue;
    word.start = to_stream_time (time, MAX (word.start, start));
    word.end = to_stream_time (time, CLAMP (word.end, start, end));
    words[n++] = word;
  }
  return n;
}

static void
add_whole (TextOutput *output, const NpuSegment *segment,
    const GstSegment *time, const char *language)
{
  guint64 start = segment->start, end = segment->end;
  g_autofree NpuTimedWord *words = g_new (NpuTimedWord, segment->n_words + 1);
  NpuSegment copy = *segment;

  if (!place (output, time, &start, &end))
    return;
  if (!output->json) {
    push_text (output, start, end, g_strdup (segment->text));
    return;
  }
  copy.words = output->has_words ? words : NULL;
  copy.n_words = take_words (words, segment, time, start, end);
  push_text (output, start, end,
      segment_to_json (&copy, to_stream_time (time, start),
          to_stream_time (time, end), language));
}

static void
add_words (TextOutput *output, const NpuSegment *segment,
    const GstSegment *time, const char *language)
{
  for (guint i = 0; i < segment->n_words; i++) {
    g_autoptr (GString) text = g_string_new (NULL);
    NpuTimedWord word = segment->words[i];
    guint64 start = word.start, end = word.end;

    npu_cue_text_append (text, word.text, strlen (word.text));
    if (text->len == 0 || !place (output, time, &start, &end))
      continue;
    word.start = to_stream_time (time, start);
    word.end = to_stream_time (time, end);
    push_text (output, start, end,
        output->json ? word_to_json (&word, text->str, language)
                     : g_strdup (text->str));
  }
}

static void
add_cues (TextOutput *output, const NpuSegment *segment, const GstSegment *time)
{
  g_autoptr (GArray) cues =
      npu_cues_cut (segment->words, segment->n_words, &output->cues);

  for (guint i = 0; i < cues->len; i++) {
    const NpuCue *cue = &g_array_index (cues, NpuCue, i);
    guint64 start = cue->start, end = cue->end;

    if (place (output, time, &start, &end))
      push_text (output, start, end, g_strdup (cue->text));
  }
}

void
text_output_set_form (TextOutput *output, gboolean has_words, gboolean by_word,
    const NpuCueOptions *cues)
{
  output->has_words = has_words;
  output->by_word = by_word;
  output->cues = *cues;
}

void
text_output_add (TextOutput *output, const NpuSegment *segment,
    const GstSegment *time, const char *language)
{
  if (*segment->text == '\0')
    return;
  if (output->by_word)
    add_words (output, segment, time, language);
  else if (output->has_words && !output->json)
    add_cues (output, segment, time);
  else
    add_whole (output, segment, time, language);
}

GstBuffer *
text_output_pop (TextOutput *output, GstPad *pad)
{
  GstMiniObject *item;

  while ((item = g_queue_pop_head (&output->items))) {
    if (GST_IS_BUFFER (item))
      return GST_BUFFER_CAST (item);
    gst_pad_push_event (pad, GST_EVENT_CAST (item));
  }
  return NULL;
}

void
text_output_add_text (TextOutput *output, GstClockTime start, GstClockTime end,
    const GstSegment *time, char *text)
{
  if (*text != '\0' && place (output, time, &start, &end))
    push_text (output, start, end, text);
  else
    g_free (text);
}
