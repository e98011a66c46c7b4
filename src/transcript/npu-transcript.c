/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-transcript.h"

#include <string.h>

#include "cue-text.h"
#include "decoding/random.h"
#include "segments.h"
#include "tokenizer/utf8.h"
#include "transcript-private.h"

#define FRAME_NS (NPU_TIMESTAMP_NS / 2)

/* Above it what was sampled is too random to go on from. */
#define MAX_TEMPERATURE_OF_HISTORY 0.5f

struct _NpuTranscript {
  NpuLogitsSource source;
  NpuTokenizer *tokenizer;
  NpuTranscriptOptions options; /* without initial_prompt */
  guint32 *suppress;
  NpuDecodeFunc decode;
  gpointer decode_data;

  GArray *initial; /* of guint32: the initial prompt */
  GArray *history; /* of guint32: what the next window is told; begins with the
                    * initial prompt unless that is carried */
  int language;    /* -1: not known yet */
  float language_prob;
  guint64 last_end; /* of the last segment */
};

static gboolean
decode_by_source (gpointer data, guint window,
    const NpuDecodingOptions *options, const guint32 *prompt, guint n_prompt,
    NpuDecodedWindow *decoded, GError **error)
{
  NpuTranscript *transcript = data;

  return npu_decode_window (&transcript->source, transcript->tokenizer, window,
      options, prompt, n_prompt, NULL, 0, decoded, error);
}

void
npu_transcript_set_decode_func (
    NpuTranscript *transcript, NpuDecodeFunc func, gpointer data)
{
  transcript->decode = func;
  transcript->decode_data = data;
}

/* A space and the stripped text, as text follows text. */
static void
encode_initial_prompt (NpuTranscript *transcript, const char *text)
{
  gsize n = strlen (text);
  g_autoptr (GString) valid = g_string_new (NULL);
  g_autoptr (GString) prompt = g_string_new (" ");
  const char *stripped;

  npu_utf8_append_valid (valid, (const guint8 *) text, n);
  n = valid->len;
  stripped = npu_utf8_strip (valid->str, &n);
  if (n == 0)
    return;
  g_string_append_len (prompt, stripped, (gssize) n);
  npu_tokenizer_encode (transcript->tokenizer, prompt->str,
      (gssize) prompt->len, transcript->initial);
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
  transcript->suppress =
      g_memdup2 (decoding->suppress, decoding->n_suppress * sizeof (guint32));
  decoding->suppress = transcript->suppress;
  transcript->initial = g_array_new (FALSE, FALSE, sizeof (guint32));
  transcript->history = g_array_new (FALSE, FALSE, sizeof (guint32));
  if (options->initial_prompt)
    encode_initial_prompt (transcript, options->initial_prompt);
  npu_transcript_set_decode_func (transcript, decode_by_source, transcript);
  npu_transcript_reset (transcript);
  return transcript;
}

void
npu_transcript_free (NpuTranscript *transcript)
{
  npu_tokenizer_unref (transcript->tokenizer);
  g_free (transcript->suppress);
  g_array_unref (transcript->initial);
  g_array_unref (transcript->history);
  g_free (transcript);
}

void
npu_transcript_reset (NpuTranscript *transcript)
{
  g_array_set_size (transcript->history, 0);
  if (!transcript->options.carry_initial_prompt)
    g_array_append_vals (transcript->history, transcript->initial->data,
        transcript->initial->len);
  transcript->language = transcript->options.decoding.language;
  transcript->language_prob = 1;
  transcript->last_end = 0;
}

/* The greatest number of tokens before sot, without startofprev. */
static guint
max_prompt (const NpuTranscript *transcript)
{
  return MAX (transcript->source.n_positions / 2, 1) - 1;
}

/* (transfer full): the carried prompt, and what room it leaves for history. */
static GArray *
build_prompt (const NpuTranscript *transcript)
{
  const GArray *initial = transcript->initial, *history = transcript->history;
  const gboolean carries = transcript->options.carry_initial_prompt;
  const guint n_carried = carries ? initial->len : 0;
  const guint max = max_prompt (transcript);
  const guint room = n_carried < max ? max - n_carried : 0;
  const guint n = MIN (history->len, room);
  GArray *prompt = g_array_new (FALSE, FALSE, sizeof (guint32));

  g_array_append_vals (prompt, initial->data, n_carried);
  g_array_append_vals (
      prompt, history->data + (history->len - n) * sizeof (guint32), n);
  return prompt;
}

/* After a window with text. */
static void
update_history (NpuTranscript *transcript, const NpuDecodedWindow *decoded)
{
  GArray *history = transcript->history;
  const guint max = max_prompt (transcript);
  /* Where all temperatures failed, the text that was kept is no better for
   * being of a low one. */
  const gboolean is_random =
      decoded->temperature > MAX_TEMPERATURE_OF_HISTORY ||
      (decoded->has_failed && decoded->n_tries > 1);

  if (!transcript->options.condition_on_previous_text || is_random)
    g_array_set_size (history, 0);
  else if (history->len > max)
    g_array_remove_range (history, 0, history->len - max);
}

/* A window's place in the stream, and who hears of its segments. */
typedef struct {
  guint64 start, end; /* of its audio */
  const NpuDecodedWindow *decoded;
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
emit_slice (NpuTranscript *transcript, Window *window, const NpuSlice *slice)
{
  const guint32 *tokens =
      &g_array_index (window->decoded->tokens, guint32, slice->first);
  g_autoptr (GString) cue = g_string_new (NULL);
  g_autofree char *text = NULL;
  gsize n;
  NpuSegment segment = {
      .start = stream_time (window, slice->start),
      .end = stream_time (window, slice->end),
      .tokens = tokens,
      .n_tokens = slice->n,
      .window = window->decoded,
  };

  /* Timestamps of a short window may all lie behind its audio. */
  if (segment.start == window->end && !window->has_text)
    segment.start = window->start;
  segment.start = MAX (segment.start, transcript->last_end);
  text = npu_tokenizer_decode (transcript->tokenizer, tokens, slice->n, &n);
  npu_cue_text_append (cue, text, n);
  if (cue->len == 0 || segment.start >= segment.end)
    return;

  segment.text = cue->str;
  g_array_append_vals (transcript->history, tokens, slice->n);
  transcript->last_end = segment.end;
  window->has_text = TRUE;
  if (window->func)
    window->func (&segment, window->data);
}

/* Returns the stream's time up to which the window is used up. */
static guint64
emit_segments (NpuTranscript *transcript, Window *window)
{
  const NpuDecodedWindow *decoded = window->decoded;
  g_autoptr (GArray) slices = g_array_new (FALSE, FALSE, sizeof (NpuSlice));
  guint used;

  if (decoded->is_silence)
    return window->end;
  used = npu_segments_cut (npu_tokenizer_get_special (transcript->tokenizer),
      (guint32 *) decoded->tokens->data, decoded->tokens->len, decoded->is_cut,
      slices);
  for (guint i = 0; i < slices->len; i++)
    emit_slice (transcript, window, &g_array_index (slices, NpuSlice, i));
  update_history (transcript, decoded);
  return stream_time (window, used);
}

/* The first window with speech decides. */
static void
update_language (NpuTranscript *transcript, NpuDecodedWindow *decoded)
{
  const NpuDecodingOptions *options = &transcript->options.decoding;

  if (transcript->language >= 0) {
    decoded->language_prob = transcript->language_prob;
  } else if (!decoded->is_silence &&
             decoded->no_speech_prob <= options->no_speech_threshold) {
    transcript->language = decoded->language;
    transcript->language_prob = decoded->language_prob;
  }
}

gboolean
npu_transcript_add_window (NpuTranscript *transcript, guint window,
    guint64 start, guint64 duration, NpuSegmentFunc func, gpointer user_data,
    NpuDecodedWindow *decoded, guint64 *used_until, GError **error)
{
  NpuDecodingOptions options = transcript->options.decoding;
  g_autoptr (GArray) prompt = build_prompt (transcript);
  NpuDecodedWindow answer = {.language = transcript->language};
  Window place = {start, start + duration, &answer, func, user_data, FALSE};

  *used_until = place.end;
  if (duration >= NPU_MIN_WINDOW_NS) {
    options.language = transcript->language;
    options.seed = npu_random_seed (options.seed, start);
    if (!transcript->decode (transcript->decode_data, window, &options,
            (guint32 *) prompt->data, prompt->len, &answer, error))
      return FALSE;
    update_language (transcript, &answer);
    *used_until = emit_segments (transcript, &place);
    *used_until = MAX (*used_until, start + FRAME_NS);
  }
  if (decoded)
    *decoded = answer;
  else
    npu_decoded_window_clear (&answer);
  return TRUE;
}
