/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "live-rig.h"

#include <string.h>

#include "tokenizer/tokenizer-private.h"

#define PADDING (2000 * MS)

static NpuTokenizer *tokenizer;
static const NpuSpecialTokens *special;

void
live_rig_init (void)
{
  NpuSpecialTokens tokens;

  npu_special_tokens_init (&tokens, LIVE_RIG_VOCAB);
  tokenizer = npu_tokenizer_new_of_vocabulary (
      npu_vocabulary_new_synthetic (&tokens, "synthetic"));
  special = npu_tokenizer_get_special (tokenizer);
}

int
live_rig_run (void)
{
  const int status = g_test_run ();

  npu_tokenizer_unref (tokenizer);
  return status;
}

NpuTokenizer *
live_rig_get_tokenizer (void)
{
  return tokenizer;
}

/* --- the speaker -------------------------------------------------------- */

void
live_rig_say (LiveRig *rig, guint32 token, guint64 start, guint64 end)
{
  LiveSpeaker *speaker = &rig->speaker;

  g_assert_cmpuint (speaker->n_spoken, <, LIVE_RIG_SPOKEN);
  speaker->spoken[speaker->n_spoken++] = (LiveSpoken){token, start, end, 0};
}

/* What comes after tokens[n]: behind the last of them that was spoken, or the
 * first of the window. n_spoken: the end. */
static guint
find_next (const LiveSpeaker *speaker, const guint32 *tokens, guint n)
{
  guint next = 0;

  while (next < speaker->n_spoken &&
         speaker->spoken[next].start + 20 < speaker->start)
    next++;
  for (guint i = 0; i < n; i++) {
    /* each token after the task is where the one before it was, or behind */
    for (guint j = next; tokens[i] < special->eot && j < speaker->n_spoken; j++)
      if (speaker->spoken[j].token == tokens[i]) {
        next = j + 1;
        break;
      }
  }
  return next < speaker->n_spoken &&
                 speaker->spoken[next].start + 100 <= speaker->end
             ? next
             : speaker->n_spoken;
}

#define OTHER_WORD 299

/* What a decoder says that has lost its way; 0 where it has not. */
static guint32
find_lost (const LiveSpeaker *speaker, const guint32 *tokens, guint n)
{
  guint first = 0;

  if (speaker->lost_from == 0 || speaker->end < speaker->lost_from)
    return 0;
  while (first < n && tokens[first] >= special->eot)
    first++;
  if (first + 2 <= n &&
      (speaker->is_always_lost || tokens[first] != OTHER_WORD))
    return tokens[n - 2];
  return first == n && !speaker->is_always_lost ? OTHER_WORD : 0;
}

static void
speaker_logits (
    gpointer data, guint window, const guint32 *tokens, guint n, float *logits)
{
  const LiveSpeaker *speaker = data;
  const guint next = find_next (speaker, tokens, n);
  guint32 lost;

  for (guint i = 0; i < LIVE_RIG_VOCAB; i++)
    logits[i] = -10;
  if (tokens[n - 1] == special->sot) {
    logits[special->sot + 1 + (guint) speaker->language] =
        speaker->language_weight;
    logits[special->no_speech] = speaker->no_speech_weight;
    return;
  }
  lost = find_lost (speaker, tokens, n);
  logits[lost                       ? lost
         : next < speaker->n_spoken ? speaker->spoken[next].token
                                    : special->eot] = 10;
}

/* A token looks at what comes next, most at its end; the end is in the silence
 * behind the audio. At a pause before a
 * word, the one before it looks, too, and more. */
static void
speaker_attention (gpointer data, guint window, const guint32 *tokens, guint n,
    float *attention)
{
  const LiveSpeaker *speaker = data;
  const guint next = find_next (speaker, tokens, n);
  double from = (double) speaker->end + 400, to = from + 400, voice = from;

  if (next < speaker->n_spoken) {
    from = (double) speaker->spoken[next].start;
    to = (double) speaker->spoken[next].end;
    voice = (double) speaker->spoken[next].voice;
    if (next + 1 < speaker->n_spoken)
      to = MAX (to, (double) speaker->spoken[next + 1].voice);
  }
  for (guint head = 0; head < LIVE_RIG_HEADS; head++)
    for (guint i = 0; i < speaker->n_positions; i++) {
      const double at = (double) speaker->start + 20 * i + 10;

      attention[head * speaker->n_positions + i] =
          tokens[n - 1] >= special->sot &&
                  tokens[n - 1] != special->no_timestamps
              ? 0
          : at >= from && at < to
              ? (at < voice ? 4 : 4.9f) +
                    (float) (0.1 * (at - from) / (to - from))
              : -5;
    }
}

/* --- the rig ------------------------------------------------------------ */

LiveRig *
live_rig_new_with_context (int language, guint context)
{
  LiveRig *rig = g_new0 (LiveRig, 1);
  NpuLiveOptions options = {.margin = 500 * MS, .context = context};

  npu_decoding_options_init (&options.decoding);
  options.decoding.language = language;
  rig->speaker.language = MAX (language, 0);
  rig->speaker.language_weight = 10;
  rig->speaker.no_speech_weight = -10;
  rig->scripted =
      scripted_source_new (LIVE_RIG_VOCAB, speaker_logits, &rig->speaker);
  scripted_source_set_attention (
      rig->scripted, LIVE_RIG_HEADS, speaker_attention);
  rig->transcript =
      npu_live_transcript_new (&rig->scripted->source, tokenizer, &options);
  rig->text = g_string_new (NULL);
  return rig;
}

LiveRig *
live_rig_new (int language)
{
  return live_rig_new_with_context (language, 0);
}

void
live_rig_free (LiveRig *rig)
{
  npu_live_transcript_free (rig->transcript);
  scripted_source_free (rig->scripted);
  g_string_free (rig->text, TRUE);
  g_free (rig);
}

NpuLiveWindow
live_rig_window (LiveRig *rig, guint64 start_ms, guint64 end_ms)
{
  const NpuLiveWindow window = {
      .start = start_ms * MS,
      .duration = (end_ms - start_ms) * MS,
      .n_positions = (guint) (((end_ms - start_ms) * MS + PADDING) / (20 * MS)),
  };

  rig->speaker.start = start_ms;
  rig->speaker.end = end_ms;
  rig->speaker.n_positions = window.n_positions;
  return window;
}

void
live_rig_add (LiveRig *rig, const NpuLiveWindow *window)
{
  const NpuLiveUpdate *update = &rig->update;
  g_autoptr (GError) error = NULL;

  npu_live_transcript_add_window (
      rig->transcript, window, &rig->update, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < update->n_words; i++) {
    const NpuLiveWord *word = &update->words[i];

    g_assert_cmpuint (word->start, >=, rig->last_end);
    g_assert_cmpuint (word->end, >=, word->start);
    g_assert_cmpuint (strlen (word->text), >, 0);
    rig->last_end = word->end;
    g_string_append_printf (rig->text, "%s|", word->text);
  }
  g_assert_cmpuint (update->decided, >=, update->until);
}

void
live_rig_hear (LiveRig *rig, guint64 start_ms, guint64 end_ms, gboolean is_last)
{
  NpuLiveWindow window = live_rig_window (rig, start_ms, end_ms);

  window.is_last = is_last;
  live_rig_add (rig, &window);
}

char *
live_rig_text_of (const guint32 *tokens, guint n)
{
  gsize length;

  return npu_tokenizer_decode (tokenizer, tokens, n, &length);
}

/* --- a text ------------------------------------------------------------- */

void
live_rig_say_all (LiveRig *rig)
{
  for (guint i = 0; i < LIVE_RIG_WORDS; i++) {
    live_rig_say (rig, 300 + i, 400 * i, 400 * i + (i % 10 == 9 ? 300 : 400));
    if (i % 10 == 9)
      live_rig_say (rig, BYTE ('.'), 400 * i + 300, 400 * i + 400);
  }
}

char *
live_rig_expect_all (void)
{
  GString *text = g_string_new (NULL);

  for (guint32 i = 0; i < LIVE_RIG_WORDS; i++) {
    const guint32 token = 300 + i;
    g_autofree char *word = live_rig_text_of (&token, 1);

    g_string_append_printf (
        text, "%s%s|", g_strstrip (word), i % 10 == 9 ? "." : "");
  }
  return g_string_free (text, FALSE);
}
