/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-transcript.h"

#include <string.h>

#include "cue-text.h"
#include "decoding/random.h"
#include "decoding/window-decoding.h"
#include "history.h"
#include "overlap.h"
#include "segments.h"
#include "spoken-language.h"
#include "transcript-private.h"
#include "word-pauses.h"
#include "word-segments.h"

#define FRAME_NS (NPU_TIMESTAMP_NS / 2)
#define FULL_WINDOW_NS ((guint64) 1500 * NPU_TIMESTAMP_NS)

struct _NpuTranscript {
  NpuLogitsSource source;
  NpuTokenizer *tokenizer;
  NpuTranscriptOptions options; /* without initial_prompt */
  guint32 *suppress;
  NpuDecodeFunc decode;
  gpointer decode_data;

  NpuHistory history;
  NpuSpokenLanguage spoken;
  guint64 last_end;   /* of the last segment */
  guint64 begin;      /* of the first window; G_MAXUINT64 before it */
  double last_speech; /* end of the last word, in seconds from there */

  gboolean is_followed; /* each window, by one that begins where it ends */
  gboolean varies;      /* how long windows are */
  guint64 shared;       /* of each window with the next, ns */
  NpuOverlap overlap;   /* of windows that were */
  NpuOverlap heard;     /* of the window that is taken, where they overlap */
  GArray *pauses;       /* of NpuPause: of the next window; or NULL */
  GQueue open;          /* of OpenWindow, in the stream's order */
  NpuDecodingStep step;
};

/* A window that has been begun and not been taken. */
typedef struct {
  NpuTranscript *transcript;
  guint window;                /* of the source */
  guint64 start, end;          /* of its audio */
  NpuSpokenLanguage spoken;    /* before it */
  gboolean is_asked;           /* for its language */
  gboolean is_followed;        /* by one that begins where it is used up */
  guint64 shared;              /* with the next, ns */
  GArray *pauses;              /* of NpuPause, or NULL */
  NpuWindowDecoding *decoding; /* NULL: it is whole */
  NpuDecodedWindow decoded;    /* then */
  GArray *words;               /* then, of NpuWord; NULL: none are found */
} OpenWindow;

static void
open_window_free (OpenWindow *open)
{
  npu_window_decoding_free (open->decoding);
  npu_decoded_window_clear (&open->decoded);
  g_clear_pointer (&open->words, g_array_unref);
  g_clear_pointer (&open->pauses, g_array_unref);
  g_free (open);
}

void
npu_transcript_set_decode_func (
    NpuTranscript *transcript, NpuDecodeFunc func, gpointer data)
{
  transcript->decode = func;
  transcript->decode_data = data;
}

NpuTranscript *
npu_transcript_new (const NpuLogitsSource *source, NpuTokenizer *tokenizer,
    const NpuTranscriptOptions *options)
{
  NpuTranscript *transcript = g_new0 (NpuTranscript, 1);
  NpuDecodingOptions *decoding = &transcript->options.decoding;

  transcript->source = *source;
  transcript->tokenizer = npu_tokenizer_ref (tokenizer);
  transcript->options = *options;
  transcript->options.initial_prompt = NULL;
  transcript->options.hot_words = NULL;
  transcript->options.n_windows =
      CLAMP (options->n_windows, 1, NPU_DECODER_MAX_WINDOWS);
  transcript->suppress =
      g_memdup2 (decoding->suppress, decoding->n_suppress * sizeof (guint32));
  decoding->suppress = transcript->suppress;
  npu_history_init (&transcript->history, tokenizer, source->n_positions,
      options->hot_words, options->initial_prompt,
      options->carry_initial_prompt);
  transcript->is_followed = transcript->options.n_windows == 1;
  npu_overlap_init (
      &transcript->overlap, npu_tokenizer_get_special (tokenizer)->eot);
  npu_overlap_init (
      &transcript->heard, npu_tokenizer_get_special (tokenizer)->eot);
  npu_decoding_step_init (&transcript->step, source->n_vocab);
  g_queue_init (&transcript->open);
  npu_transcript_reset (transcript);
  return transcript;
}

void
npu_transcript_free (NpuTranscript *transcript)
{
  g_queue_clear_full (&transcript->open, (GDestroyNotify) open_window_free);
  npu_decoding_step_clear (&transcript->step);
  npu_tokenizer_unref (transcript->tokenizer);
  g_free (transcript->suppress);
  npu_history_clear (&transcript->history);
  npu_overlap_clear (&transcript->overlap);
  npu_overlap_clear (&transcript->heard);
  g_clear_pointer (&transcript->pauses, g_array_unref);
  g_free (transcript);
}

void
npu_transcript_reset (NpuTranscript *transcript)
{
  const NpuTranscriptOptions *options = &transcript->options;

  g_queue_clear_full (&transcript->open, (GDestroyNotify) open_window_free);
  npu_history_reset (&transcript->history);
  npu_spoken_language_init (&transcript->spoken, options->decoding.language,
      options->language_interval, options->decoding.no_speech_threshold);
  transcript->last_end = 0;
  transcript->begin = G_MAXUINT64;
  transcript->last_speech = 0;
  npu_overlap_reset (&transcript->overlap);
}

void
npu_transcript_set_followed (
    NpuTranscript *transcript, gboolean is_followed, gboolean varies)
{
  transcript->is_followed = is_followed;
  transcript->varies = varies;
}

void
npu_transcript_set_overlap (NpuTranscript *transcript, guint64 overlap)
{
  transcript->shared = overlap;
}

void
npu_transcript_set_pauses (
    NpuTranscript *transcript, const NpuPause *pauses, guint n)
{
  npu_pauses_join (&transcript->pauses, pauses, n);
}

void
npu_transcript_finish (
    NpuTranscript *transcript, NpuSegmentFunc func, gpointer user_data)
{
  npu_overlap_finish (&transcript->overlap, func, user_data);
}

/* A window's place in the stream, and who hears of its segments. */
typedef struct {
  guint64 start, end; /* of its audio */
  const NpuDecodedWindow *decoded;
  gboolean is_followed;
  guint64 shared; /* with the next */
  GArray *words;  /* of NpuWord, used up by its segments; or NULL */
  const GArray *pauses;
  NpuSegmentFunc func;
  gpointer data;
  gboolean has_text; /* a segment has been emitted */
} Window;

static guint64
stream_time (const Window *window, guint timestamp)
{
  const guint64 offset = (guint64) timestamp * NPU_TIMESTAMP_NS;

  return timestamp == NPU_WINDOW_END || offset > window->end - window->start
             ? window->end
             : window->start + offset;
}

/* Emits a slice that has text and time; its tokens become history. */
static void
emit (NpuTranscript *transcript, Window *window, const NpuSlice *slice,
    NpuSegment *segment)
{
  const guint32 *tokens =
      &g_array_index (window->decoded->tokens, guint32, slice->first);
  g_autoptr (GString) cue = g_string_new (NULL);
  g_autofree char *text = NULL;
  gsize n;

  /* Times in a short window may all lie behind its audio. */
  if (segment->start == window->end && !window->has_text)
    segment->start = window->start;
  segment->start = MAX (segment->start, transcript->last_end);
  text = npu_tokenizer_decode (transcript->tokenizer, tokens, slice->n, &n);
  npu_cue_text_append (cue, text, n);
  /* Marks alone are what noise is given, or an answer that had to go on. */
  if (!npu_cue_text_has_word (cue->str) || segment->start >= segment->end)
    return;

  segment->text = cue->str;
  segment->tokens = tokens;
  segment->n_tokens = slice->n;
  segment->window = window->decoded;
  if (segment->end + window->shared <= window->end) /* else it comes again */
    npu_history_add (&transcript->history, tokens, slice->n);
  transcript->last_end = segment->end;
  window->has_text = TRUE;
  if (window->func)
    window->func (segment, window->data);
}

static void
emit_slice (NpuTranscript *transcript, Window *window, const NpuSlice *slice)
{
  NpuSegment segment = {
      .start = stream_time (window, slice->start),
      .end = stream_time (window, slice->end),
  };

  emit (transcript, window, slice, &segment);
}

/* --- words --------------------------------------------------------------- */

/* The window's slices; returns how far it is used up by them, in timestamps:
 * to its end, where no window begins before that. */
static guint
cut_slices (NpuTranscript *transcript, const NpuDecodedWindow *decoded,
    gboolean is_followed, GArray *slices)
{
  const NpuSpecialTokens *special =
      npu_tokenizer_get_special (transcript->tokenizer);
  const guint32 *tokens = (guint32 *) decoded->tokens->data;
  const guint used = npu_segments_cut (
      special, tokens, decoded->tokens->len, decoded->is_cut, slices);

  if (is_followed || used == NPU_WINDOW_END)
    return used;
  npu_segments_add_rest (special, tokens, decoded->tokens->len, slices);
  return NPU_WINDOW_END;
}

/* Of an answer that is whole, before its place in the source is another's. */
static gboolean
find_words (NpuTranscript *transcript, OpenWindow *open, GError **error)
{
  const NpuDecodedWindow *decoded = &open->decoded;
  const NpuDecodingOptions *options = &transcript->options.decoding;
  g_autoptr (GArray) slices = g_array_new (FALSE, FALSE, sizeof (NpuSlice));
  g_autoptr (GArray) text = NULL;

  if (!(transcript->options.words || open->shared > 0) || decoded->is_silence ||
      !decoded->tokens)
    return TRUE;
  cut_slices (transcript, decoded, open->is_followed, slices);
  text = npu_slices_get_text (npu_tokenizer_get_special (transcript->tokenizer),
      (guint32 *) decoded->tokens->data, slices);
  return npu_find_words (&transcript->source, transcript->tokenizer,
      open->window, open->window * npu_decoding_n_sequences (options),
      options->task, decoded->language, (guint32 *) text->data, text->len,
      (guint) ((open->end - open->start) / NPU_TIMESTAMP_NS), &open->words,
      error);
}

static void
emit_words (NpuTranscript *transcript, Window *window,
    const NpuWordSegments *found, const NpuWordSegment *from)
{
  const guint64 begin = transcript->begin;
  const guint64 start = begin + (guint64) (MAX (from->start, 0) * 1e9 + 0.5);
  const guint64 end = begin + (guint64) (MAX (from->end, 0) * 1e9 + 0.5);
  const guint64 first = CLAMP (start, transcript->last_end, window->end);
  g_autoptr (GArray) words =
      npu_word_segments_get_timed (found, from, begin, first, window->end);
  NpuSegment segment = {
      .start = first,
      .end = CLAMP (end, first, window->end),
      .words = (NpuTimedWord *) words->data,
      .n_words = words->len,
  };

  /* Where words were kept from going back, they end later. */
  if (words->len > 0)
    segment.end = MAX (
        segment.end, g_array_index (words, NpuTimedWord, words->len - 1).end);
  emit (transcript, window, &from->slice, &segment);
}

/* As emit_segments(), with what npu_find_words() found. */
static guint64
emit_word_segments (
    NpuTranscript *transcript, Window *window, const GArray *slices, guint used)
{
  const NpuSpecialTokens *special =
      npu_tokenizer_get_special (transcript->tokenizer);
  const guint32 *tokens = (guint32 *) window->decoded->tokens->data;
  const double threshold = transcript->options.hallucination_silence_threshold;
  const guint64 begin = transcript->begin;
  const NpuWordWindow place = {(double) (window->start - begin) / 1e9,
      (double) (window->end - begin) / 1e9, transcript->last_speech};
  const gboolean has_single_end =
      !window->decoded->is_cut && npu_segments_have_single_end (special, tokens,
                                      window->decoded->tokens->len);
  double used_until = (double) (stream_time (window, used) - begin) / 1e9;
  NpuWordSegments found;
  double end;

  npu_word_segments_init (
      &found, special, tokens, slices, window->words, &place);
  end = npu_word_segments_get_end (&found);
  if (!has_single_end && end > place.start)
    used_until = end;
  if (threshold > 0)
    npu_word_segments_drop_hallucinations (&found, &place, threshold,
        window->end - window->start < FULL_WINDOW_NS, has_single_end,
        &used_until);
  end = npu_word_segments_get_end (&found);
  if (end >= 0)
    transcript->last_speech = end;
  npu_word_segments_leave_pauses (&found, window->pauses, begin);
  for (guint i = 0; i < found.segments->len; i++)
    emit_words (transcript, window, &found,
        &g_array_index (found.segments, NpuWordSegment, i));
  npu_word_segments_clear (&found);
  return MIN (begin + (guint64) (used_until * 1e9 + 0.5), window->end);
}

/* Returns the stream's time up to which the window is used up. */
static guint64
emit_segments (NpuTranscript *transcript, Window *window)
{
  const NpuDecodedWindow *decoded = window->decoded;
  g_autoptr (GArray) slices = g_array_new (FALSE, FALSE, sizeof (NpuSlice));
  guint64 until;
  guint used;

  if (decoded->is_silence)
    return window->end;
  used = cut_slices (transcript, decoded, window->is_followed, slices);
  if (window->words)
    until = emit_word_segments (transcript, window, slices, used);
  else
    until = stream_time (window, used);
  for (guint i = 0; i < slices->len && !window->words; i++)
    emit_slice (transcript, window, &g_array_index (slices, NpuSlice, i));
  npu_history_end_window (&transcript->history, decoded,
      transcript->options.condition_on_previous_text);
  return until;
}

/* --- windows at once ----------------------------------------------------- */

/* Called in the order of the windows. */
static int
choose_language (
    gpointer data, int found, float no_speech_prob, float *probability)
{
  OpenWindow *open = data;

  open->spoken = open->transcript->spoken;
  return npu_spoken_language_hear (&open->transcript->spoken, open->start,
      open->end - open->start, found, no_speech_prob, probability);
}

/* What a window is told depends on those before it. */
static gboolean
has_moving_prompt (const NpuTranscript *transcript)
{
  return transcript->options.condition_on_previous_text ||
         transcript->history.tokens->len > 0;
}

int
npu_transcript_find_free (NpuTranscript *transcript)
{
  guint32 taken = 0;

  if (transcript->open.length > 0 && has_moving_prompt (transcript))
    return -1;
  for (GList *item = transcript->open.head; item; item = item->next) {
    const OpenWindow *open = item->data;

    if (open->decoding)
      taken |= 1u << open->window;
  }
  for (guint i = 0; i < transcript->options.n_windows; i++) {
    if (!(taken & 1u << i))
      return (int) i;
  }
  return -1;
}

/* A scripted answer, which is whole at once. */
static gboolean
decode_by_script (NpuTranscript *transcript, OpenWindow *open,
    NpuDecodingOptions *options, const GArray *prompt, GError **error)
{
  NpuDecodedWindow *decoded = &open->decoded;

  if (!transcript->decode (transcript->decode_data, open->window, options,
          (guint32 *) prompt->data, prompt->len, decoded, error))
    return FALSE;
  if (open->is_asked)
    decoded->language = choose_language (open, decoded->language,
        decoded->no_speech_prob, &decoded->language_prob);
  else
    decoded->language_prob = open->spoken.probability;
  return find_words (transcript, open, error);
}

/* Fills in what @open is to answer: later, or at once. */
static gboolean
begin_window (NpuTranscript *transcript, OpenWindow *open, GError **error)
{
  const guint64 duration = open->end - open->start;
  const gboolean is_alone = !transcript->varies && duration < FULL_WINDOW_NS &&
                            transcript->begin == G_MAXUINT64 &&
                            transcript->open.length == 0;
  NpuDecodingOptions options = transcript->options.decoding;
  g_autoptr (GArray) prompt = npu_history_build_prompt (&transcript->history);
  const NpuWindowTask task = {.window = open->window,
      .first_sequence = open->window * npu_decoding_n_sequences (&options),
      .options = &options,
      .prompt = (guint32 *) prompt->data,
      .n_prompt = prompt->len,
      .choose_language = choose_language,
      .data = open};

  if (duration < NPU_MIN_WINDOW_NS) {
    open->decoded.language = transcript->spoken.language;
    return TRUE;
  }
  open->is_asked = npu_spoken_language_asks (&open->spoken, open->start);
  if (!open->is_asked)
    options.language = open->spoken.language;
  options.seed = npu_random_seed (options.seed, open->start);
  if (!open->is_followed && !is_alone)
    options.last_begin = npu_segments_last_begin (duration);
  if (transcript->decode)
    return decode_by_script (transcript, open, &options, prompt, error);
  open->decoding = npu_window_decoding_new (
      &transcript->source, transcript->tokenizer, &task, error);
  return open->decoding != NULL;
}

gboolean
npu_transcript_begin_window (NpuTranscript *transcript, guint window,
    guint64 start, guint64 duration, GError **error)
{
  OpenWindow *open = g_new0 (OpenWindow, 1);

  g_return_val_if_fail (window < transcript->options.n_windows, FALSE);
  open->transcript = transcript;
  open->window = window;
  open->start = start;
  open->end = start + duration;
  open->spoken = transcript->spoken;
  open->is_followed = transcript->is_followed;
  open->shared = transcript->shared;
  open->pauses = g_steal_pointer (&transcript->pauses);
  if (!begin_window (transcript, open, error)) {
    open_window_free (open);
    return FALSE;
  }
  g_queue_push_tail (&transcript->open, open);
  return TRUE;
}

/* Takes the answer of a window that is whole; its place in the source is
 * free. */
static gboolean
end_window (OpenWindow *open, GError **error)
{
  npu_window_decoding_end (open->decoding, &open->decoded);
  if (!open->is_asked)
    open->decoded.language_prob = open->spoken.probability;
  g_clear_pointer (&open->decoding, npu_window_decoding_free);
  return find_words (open->transcript, open, error);
}

/* After an error: what was begun is forgotten. */
static void
forget_open (NpuTranscript *transcript)
{
  const OpenWindow *oldest = NULL;

  for (GList *item = transcript->open.tail; item; item = item->prev)
    oldest = item->data;
  if (oldest)
    transcript->spoken = oldest->spoken;
  g_queue_clear_full (&transcript->open, (GDestroyNotify) open_window_free);
}

gboolean
npu_transcript_step (NpuTranscript *transcript, GError **error)
{
  NpuWindowDecoding *decodings[NPU_DECODER_MAX_WINDOWS];
  guint n = 0;

  for (GList *item = transcript->open.head; item; item = item->next) {
    OpenWindow *open = item->data;

    if (open->decoding)
      decodings[n++] = open->decoding;
  }
  if (n > 0 && !npu_decodings_step (&transcript->step, &transcript->source,
                   decodings, n, error)) {
    forget_open (transcript);
    return FALSE;
  }
  for (GList *item = transcript->open.head; item; item = item->next) {
    OpenWindow *open = item->data;

    if (open->decoding && npu_window_decoding_is_whole (open->decoding) &&
        !end_window (open, error)) {
      forget_open (transcript);
      return FALSE;
    }
  }
  return TRUE;
}

gboolean
npu_transcript_is_open (NpuTranscript *transcript)
{
  return transcript->open.length > 0;
}

gboolean
npu_transcript_has_whole (NpuTranscript *transcript)
{
  const OpenWindow *oldest = g_queue_peek_head (&transcript->open);

  return oldest && !oldest->decoding;
}

static void
hear (const NpuSegment *segment, gpointer user_data)
{
  npu_overlap_add (user_data, segment);
}

/* As emit_segments(), of a window that shares time with others. */
static guint64
join_segments (NpuTranscript *transcript, Window *window)
{
  const NpuSegmentFunc func = window->func;
  const gpointer data = window->data;

  window->func = hear;
  window->data = &transcript->heard;
  transcript->last_end = window->start;
  transcript->last_speech = MIN (transcript->last_speech,
      (double) (window->start - transcript->begin) / 1e9);
  if (window->decoded->tokens)
    emit_segments (transcript, window);
  return npu_overlap_join (&transcript->overlap, &transcript->heard,
      window->start, window->end, window->shared, func, data);
}

void
npu_transcript_take_window (NpuTranscript *transcript, NpuSegmentFunc func,
    gpointer user_data, NpuDecodedWindow *decoded, guint64 *used_until)
{
  OpenWindow *open;
  Window place;

  g_return_if_fail (npu_transcript_has_whole (transcript));
  open = g_queue_pop_head (&transcript->open);
  place = (Window){open->start, open->end, &open->decoded, open->is_followed,
      open->shared, open->words, open->pauses, func, user_data, FALSE};
  transcript->begin = MIN (transcript->begin, open->start);
  *used_until = place.end;
  if (open->shared == 0)
    npu_transcript_finish (transcript, func, user_data);
  if (open->shared > 0)
    *used_until = join_segments (transcript, &place);
  else if (open->decoded.tokens)
    *used_until = emit_segments (transcript, &place);
  if (open->is_followed && *used_until == place.end)
    *used_until = npu_pauses_find_late_voice (
        open->pauses, place.start, transcript->last_end, place.end);
  if (open->shared == 0 && open->decoded.tokens)
    *used_until = MAX (*used_until, open->start + FRAME_NS);
  if (decoded) {
    *decoded = open->decoded;
    open->decoded = (NpuDecodedWindow){0};
  }
  open_window_free (open);
}
