/* A scripted speaker through windows that grow to words, on a virtual clock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "transcript/npu-live-transcript.h"

#include <math.h>
#include <string.h>

#include "npu-error.h"
#include "scripted-source.h"
#include "tokenizer/tokenizer-private.h"

#define N_VOCAB 51865
#define N_HEADS 3
#define MS G_GUINT64_CONSTANT (1000000)
#define PADDING (2000 * MS)
#define MAX_SPOKEN 200

/* Byte tokens of the synthetic vocabulary. */
#define BYTE(c) ((guint32) (guint8) ((c) - '!'))

static NpuTokenizer *tokenizer;
static const NpuSpecialTokens *special;

typedef struct {
  guint32 token;
  guint64 start, end; /* ms */
} Spoken;

/* A model that hears what is in the window. */
typedef struct {
  Spoken spoken[MAX_SPOKEN];
  guint n_spoken;
  guint64 start, end; /* of the window, ms */
  guint n_positions;
  int language;
  float language_weight, no_speech_weight;
} Speaker;

static void
say (Speaker *speaker, guint32 token, guint64 start, guint64 end)
{
  g_assert_cmpuint (speaker->n_spoken, <, MAX_SPOKEN);
  speaker->spoken[speaker->n_spoken++] = (Spoken){token, start, end};
}

/* What comes after tokens[n]: behind the last of them that was spoken, or the
 * first of the window. n_spoken: the end. */
static guint
find_next (const Speaker *speaker, const guint32 *tokens, guint n)
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

static void
speaker_logits (
    gpointer data, guint window, const guint32 *tokens, guint n, float *logits)
{
  const Speaker *speaker = data;
  const guint next = find_next (speaker, tokens, n);

  for (guint i = 0; i < N_VOCAB; i++)
    logits[i] = -10;
  if (tokens[n - 1] == special->sot) {
    logits[special->sot + 1 + (guint) speaker->language] =
        speaker->language_weight;
    logits[special->no_speech] = speaker->no_speech_weight;
    return;
  }
  logits[next < speaker->n_spoken ? speaker->spoken[next].token
                                  : special->eot] = 10;
}

/* A token looks at what comes next, most at its end; the end is in the silence
 * behind the audio. */
static void
speaker_attention (gpointer data, guint window, const guint32 *tokens, guint n,
    float *attention)
{
  const Speaker *speaker = data;
  const guint next = find_next (speaker, tokens, n);
  double from = (double) speaker->end + 400, to = from + 400;

  if (next < speaker->n_spoken) {
    from = (double) speaker->spoken[next].start;
    to = (double) speaker->spoken[next].end;
  }
  for (guint head = 0; head < N_HEADS; head++)
    for (guint i = 0; i < speaker->n_positions; i++) {
      const double at = (double) speaker->start + 20 * i + 10;

      attention[head * speaker->n_positions + i] =
          tokens[n - 1] >= special->sot &&
                  tokens[n - 1] != special->no_timestamps
              ? 0
          : at >= from && at < to ? 4.5f + (float) ((at - from) / (to - from))
                                  : -5;
    }
}

/* --- the rig ------------------------------------------------------------ */

typedef struct {
  Speaker speaker;
  ScriptedSource *scripted;
  NpuLiveTranscript *transcript;
  NpuLiveUpdate update;
  GString *text; /* all that is final */
  guint64 last_end;
} Rig;

/* @context: tokens of earlier text */
static Rig *
rig_new_with_context (int language, guint context)
{
  Rig *rig = g_new0 (Rig, 1);
  NpuLiveOptions options = {.margin = 500 * MS, .context = context};

  npu_decoding_options_init (&options.decoding);
  options.decoding.language = language;
  rig->speaker.language = MAX (language, 0);
  rig->speaker.language_weight = 10;
  rig->speaker.no_speech_weight = -10;
  rig->scripted = scripted_source_new (N_VOCAB, speaker_logits, &rig->speaker);
  scripted_source_set_attention (rig->scripted, N_HEADS, speaker_attention);
  rig->transcript =
      npu_live_transcript_new (&rig->scripted->source, tokenizer, &options);
  rig->text = g_string_new (NULL);
  return rig;
}

static Rig *
rig_new (int language)
{
  return rig_new_with_context (language, 0);
}

static void
rig_free (Rig *rig)
{
  npu_live_transcript_free (rig->transcript);
  scripted_source_free (rig->scripted);
  g_string_free (rig->text, TRUE);
  g_free (rig);
}

static NpuLiveWindow
rig_window (Rig *rig, guint64 start_ms, guint64 end_ms)
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

static void
rig_add (Rig *rig, const NpuLiveWindow *window)
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

static void
rig_hear (Rig *rig, guint64 start_ms, guint64 end_ms, gboolean is_last)
{
  NpuLiveWindow window = rig_window (rig, start_ms, end_ms);

  window.is_last = is_last;
  rig_add (rig, &window);
}

static char *
text_of (const guint32 *tokens, guint n)
{
  gsize length;

  return npu_tokenizer_decode (tokenizer, tokens, n, &length);
}

/* --- tests -------------------------------------------------------------- */

#define N_WORDS 50

/* Word i is token 300 + i, 400 ms each; every tenth ends a sentence. */
static void
say_all (Rig *rig)
{
  for (guint i = 0; i < N_WORDS; i++) {
    say (&rig->speaker, 300 + i, 400 * i, 400 * i + (i % 10 == 9 ? 300 : 400));
    if (i % 10 == 9)
      say (&rig->speaker, BYTE ('.'), 400 * i + 300, 400 * i + 400);
  }
}

static char *
expect_all (void)
{
  GString *text = g_string_new (NULL);

  for (guint32 i = 0; i < N_WORDS; i++) {
    const guint32 token = 300 + i;
    g_autofree char *word = text_of (&token, 1);

    g_string_append_printf (
        text, "%s%s|", g_strstrip (word), i % 10 == 9 ? "." : "");
  }
  return g_string_free (text, FALSE);
}

/* Every word once, in time, with its time; cut where the transcript says. */
static void
run_speaker (guint64 longest)
{
  Rig *rig = rig_new (0);
  g_autofree char *expected = expect_all ();
  guint64 start = 0;
  guint n_out = 0;

  say_all (rig);
  for (guint64 now = 500; now <= 400 * N_WORDS; now += 500) {
    rig_hear (rig, start, now, now == 400 * N_WORDS);
    for (guint i = 0; i < rig->update.n_words; i++, n_out++) {
      const NpuLiveWord *word = &rig->update.words[i];

      g_assert_cmpfloat (
          fabs ((double) word->start / MS - 400.0 * n_out), <=, 120);
      g_assert_cmpfloat (
          fabs ((double) word->end / MS - 400.0 * (n_out + 1)), <=, 120);
      g_assert_cmpuint (now * MS, <=, word->end + 1200 * MS);
    }
    if (rig->update.n_words > 0)
      g_assert_cmpuint (rig->update.until, ==, rig->last_end);
    if (n_out >= 10)
      g_assert_cmpfloat (
          fabs ((double) rig->update.sentence / MS - n_out / 10 * 4000.0), <=,
          120);
    if (now - start > longest)
      start = rig->update.until / MS;
  }
  g_assert_cmpstr (rig->text->str, ==, expected);
  g_assert_cmpstr (rig->update.partial, ==, "");
  rig_free (rig);
}

static void
test_speaker (void)
{
  run_speaker (6000);
  run_speaker (100000);
}

/* What is heard again costs one step. */
static void
test_draft (void)
{
  Rig *rig = rig_new (0);
  guint n_steps;

  say_all (rig);
  rig_hear (rig, 0, 4000, FALSE);
  n_steps = rig->scripted->n_steps;
  rig_hear (rig, 0, 4000, FALSE);
  g_assert_cmpuint (rig->scripted->n_steps, ==, n_steps + 1);
  g_assert_cmpuint (rig->update.n_tokens, ==, 1);
  g_assert_cmpuint (rig->update.n_words, ==, 0);
  rig_free (rig);
}

static void
test_partial (void)
{
  Rig *rig = rig_new (0);
  g_autofree char *words = text_of ((guint32[]){300, 301, 302}, 3);

  say_all (rig);
  rig_hear (rig, 0, 1000, FALSE);
  g_assert_cmpuint (rig->update.n_words, ==, 1);
  rig_hear (rig, 0, 1000, FALSE);
  g_assert_cmpstr (rig->update.committed, ==, "");
  g_assert_true (g_str_has_suffix (words, rig->update.partial));
  g_assert_cmpuint (rig->update.partial_start, >=, 300 * MS);
  g_assert_cmpuint (rig->update.partial_end, <=, 1000 * MS);
  rig_free (rig);
}

/* The pause before a word is not part of it, whatever its attention is on. */
static void
test_pause (void)
{
  Rig *rig = rig_new (0);
  const NpuLiveWord *words;

  say (&rig->speaker, 300, 0, 400);
  say (&rig->speaker, 301, 1000, 3400); /* of four letters */
  say (&rig->speaker, 302, 3400, 3800);
  rig_hear (rig, 0, 5000, TRUE);
  words = rig->update.words;
  g_assert_cmpuint (rig->update.n_words, ==, 3);
  g_assert_cmpuint (words[0].start, <=, 400 * MS);
  g_assert_cmpfloat (fabs ((double) words[1].end / MS - 3400), <=, 120);
  g_assert_cmpuint (words[1].start, ==, words[1].end - 540 * MS);
  rig_free (rig);
}

/* How many tokens the last window was told before its own: those before word
 * @next, in order. */
static guint
count_context (const Rig *rig, guint32 next)
{
  const GArray *tokens = rig->scripted->sequences[0];
  guint n = 0;

  if (g_array_index (tokens, guint32, 0) == special->sot)
    return 0;
  g_assert_cmpuint (
      g_array_index (tokens, guint32, 0), ==, special->start_of_prev);
  while (g_array_index (tokens, guint32, 1 + n) != special->sot)
    n++;
  for (guint i = 0; i < n; i++)
    g_assert_cmpuint (g_array_index (tokens, guint32, 1 + i), ==, next - n + i);
  return n;
}

/* What windows no longer hold is told them, where that is asked for and what
 * they hold goes on from it. */
static void
test_context (void)
{
  for (guint context = 0; context <= 5; context += 5) {
    Rig *rig = rig_new_with_context (0, context);
    NpuLiveWindow window;

    for (guint i = 0; i < 9; i++)
      say (&rig->speaker, 300 + i, 400 * i, 400 * i + 400);
    say (&rig->speaker, 309, 20000, 20400);
    say (&rig->speaker, 310, 20400, 20800);
    rig_hear (rig, 0, 3000, FALSE);
    g_assert_cmpuint (count_context (rig, 300), ==, 0);
    rig_hear (rig, 1600, 3500, FALSE); /* four words are gone */
    g_assert_cmpuint (count_context (rig, 304), ==, MIN (context, 4));
    rig_hear (rig, 2400, 4000, TRUE);
    g_assert_cmpuint (count_context (rig, 306), ==, context);

    rig_hear (rig, 4000, 5000, FALSE); /* a new utterance */
    g_assert_cmpuint (count_context (rig, 309), ==, context);
    rig_hear (rig, 19800, 21500, FALSE); /* much later */
    g_assert_cmpuint (count_context (rig, 309), ==, 0);
    rig_hear (rig, 20400, 22000, FALSE);
    g_assert_cmpuint (count_context (rig, 310), ==, MIN (context, 1));
    window = rig_window (rig, 20400, 22000); /* behind a hole */
    window.is_new = TRUE;
    rig_add (rig, &window);
    g_assert_cmpuint (count_context (rig, 310), ==, 0);
    rig_free (rig);
  }
}

/* A mark that comes after its word is final is no word; what it ends is the
 * sentence. */
static void
test_late_punctuation (void)
{
  Rig *rig = rig_new (0);
  NpuLiveWindow window;

  say (&rig->speaker, 300, 0, 500);
  window = rig_window (rig, 0, 1000);
  window.due = 1000 * MS;
  rig_add (rig, &window);
  g_assert_cmpuint (rig->update.n_words, ==, 1);
  say (&rig->speaker, BYTE ('.'), 500, 600);
  rig_hear (rig, 0, 2000, TRUE);
  g_assert_cmpuint (rig->update.n_words, ==, 0);
  g_assert_cmpuint (rig->update.sentence, >=, 500 * MS);
  rig_free (rig);
}

/* Chinese comes in runs that end with a mark. */
static void
test_without_spaces (void)
{
  static const char text[] = "\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82\xe5\x9c\xa8"
                             "\xe6\xad\xa4";
  Rig *rig = rig_new (npu_tokenizer_find_language (tokenizer, "zh"));

  for (guint i = 0; i < strlen (text); i++)
    say (&rig->speaker, BYTE (text[i]), 100 * i, 100 * i + 100);
  rig_hear (rig, 0, 3000, TRUE);
  g_assert_cmpstr (rig->text->str, ==,
      "\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82|\xe5\x9c\xa8\xe6\xad\xa4|");
  g_assert_cmpstr (rig->update.committed, ==, text);
  rig_free (rig);
}

static void
test_language (void)
{
  Rig *rig = rig_new (-1);
  const int german = npu_tokenizer_find_language (tokenizer, "de");

  rig->speaker.language = german;
  say_all (rig);
  rig_hear (rig, 0, 2500, FALSE);
  g_assert_cmpint (rig->update.language, ==, german);
  g_assert_false (rig->update.is_language_decided);
  g_assert_cmpuint (rig->update.n_words, ==, 0); /* held */
  g_assert_cmpstr (rig->update.partial, !=, "");

  rig->speaker.language_weight = -6; /* likeliest, but not likely */
  rig_hear (rig, 0, 3500, FALSE);
  g_assert_false (rig->update.is_language_decided);
  rig->speaker.language_weight = 10;
  rig->speaker.no_speech_weight = 20;
  rig_hear (rig, 0, 3500, FALSE);
  g_assert_false (rig->update.is_language_decided);
  rig->speaker.no_speech_weight = -10;
  rig_hear (rig, 0, 3500, FALSE);
  g_assert_true (rig->update.is_language_decided);
  g_assert_cmpfloat (rig->update.language_prob, >, 0.5f);
  g_assert_cmpuint (rig->update.n_words, >, 0);

  rig->speaker.language = 0; /* it stays */
  rig_hear (rig, 0, 4000, FALSE);
  g_assert_cmpint (rig->update.language, ==, german);

  /* until it is told: what was said is not said again */
  npu_live_transcript_set_language (rig->transcript, 0);
  rig_hear (rig, 0, 4500, FALSE);
  g_assert_cmpint (rig->update.language, ==, 0);
  rig_hear (rig, 0, 400 * N_WORDS, TRUE);
  {
    g_autofree char *expected = expect_all ();

    g_assert_cmpstr (rig->text->str, ==, expected);
  }
  rig_free (rig);
}

static void
test_unlikely_language_at_last (void)
{
  Rig *rig = rig_new (-1);

  rig->speaker.language_weight = -6;
  say_all (rig);
  rig_hear (rig, 0, 9900, FALSE);
  g_assert_false (rig->update.is_language_decided);
  rig_hear (rig, 0, 10000, FALSE);
  g_assert_true (rig->update.is_language_decided);
  rig_free (rig);
}

static void
test_silence (void)
{
  Rig *rig = rig_new (0);
  NpuLiveWindow window;

  say_all (rig);
  rig->speaker.no_speech_weight = 20;
  rig_hear (rig, 0, 3000, FALSE);
  g_assert_cmpuint (rig->update.n_words, ==, 0);
  g_assert_cmpstr (rig->update.partial, ==, "");
  window = rig_window (rig, 3000, 5000);
  npu_live_transcript_add_silence (rig->transcript, &window, &rig->update);
  g_assert_cmpuint (rig->update.n_words, ==, 0);
  g_assert_cmpuint (rig->update.decided, ==, 5000 * MS);
  rig_free (rig);
}

/* A stream that ends without a last window. */
static void
test_end (void)
{
  Rig *rig = rig_new (0);
  g_autofree char *expected = NULL;

  say_all (rig);
  rig_hear (rig, 0, 3000, FALSE);
  g_assert_cmpstr (rig->update.partial, !=, "");
  expected = g_strdup (rig->update.partial);
  npu_live_transcript_end (rig->transcript, &rig->update);
  g_assert_cmpstr (rig->update.committed, ==, expected);
  g_assert_cmpuint (rig->update.words[0].start, >=, rig->last_end);
  g_assert_cmpuint (rig->update.decided, >=, 3000 * MS);
  npu_live_transcript_end (rig->transcript, &rig->update);
  g_assert_cmpuint (rig->update.n_words, ==, 0);

  /* the next window may hold the end of it, which does not come again */
  rig_hear (rig, 2800, 5000, TRUE);
  g_assert_cmpuint (rig->update.words[0].start, >=, 2900 * MS);
  rig_free (rig);
}

/* A step that fails changes nothing. */
static void
test_failure (void)
{
  Rig *rig = rig_new (-1);
  g_autofree char *expected = expect_all ();
  guint64 start = 0;

  say_all (rig);
  for (guint64 now = 500; now <= 400 * N_WORDS; now += 500) {
    for (guint step = 1; step < 3; step++) {
      const NpuLiveWindow window = rig_window (rig, start, now);
      g_autoptr (GError) error = NULL;

      rig->scripted->fail_at = rig->scripted->n_steps + step;
      if (!npu_live_transcript_add_window (
              rig->transcript, &window, &rig->update, &error))
        g_assert_error (error, NPU_ERROR, NPU_ERROR_LAUNCH);
      else
        for (guint i = 0; i < rig->update.n_words; i++)
          g_string_append_printf (rig->text, "%s|", rig->update.words[i].text);
    }
    rig->scripted->fail_at = 0;
    rig_hear (rig, start, now, now == 400 * N_WORDS);
  }
  g_assert_cmpstr (rig->text->str, ==, expected);
  rig_free (rig);
}

static void
test_settings (void)
{
  Rig *rig = rig_new (0);
  const NpuLiveWindow window = rig_window (rig, 0, 1000);
  g_autoptr (GError) error = NULL;
  NpuLiveTranscript *blind;
  NpuLiveOptions options = {0};

  npu_decoding_options_init (&options.decoding);
  rig->scripted->source.step_attending = NULL;
  blind = npu_live_transcript_new (&rig->scripted->source, tokenizer, &options);
  g_assert_false (
      npu_live_transcript_add_window (blind, &window, &rig->update, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
  npu_live_transcript_free (blind);
  rig_free (rig);
}

int
main (int argc, char **argv)
{
  NpuSpecialTokens tokens;
  int status;

  g_test_init (&argc, &argv, NULL);
  npu_special_tokens_init (&tokens, N_VOCAB);
  tokenizer = npu_tokenizer_new_of_vocabulary (
      npu_vocabulary_new_synthetic (&tokens, "synthetic"));
  special = npu_tokenizer_get_special (tokenizer);
  g_test_add_func ("/live-transcript/speaker", test_speaker);
  g_test_add_func ("/live-transcript/draft", test_draft);
  g_test_add_func ("/live-transcript/partial", test_partial);
  g_test_add_func ("/live-transcript/pause", test_pause);
  g_test_add_func ("/live-transcript/context", test_context);
  g_test_add_func ("/live-transcript/late-punctuation", test_late_punctuation);
  g_test_add_func ("/live-transcript/without-spaces", test_without_spaces);
  g_test_add_func ("/live-transcript/language", test_language);
  g_test_add_func ("/live-transcript/unlikely-language-at-last",
      test_unlikely_language_at_last);
  g_test_add_func ("/live-transcript/silence", test_silence);
  g_test_add_func ("/live-transcript/end", test_end);
  g_test_add_func ("/live-transcript/failure", test_failure);
  g_test_add_func ("/live-transcript/settings", test_settings);
  status = g_test_run ();
  npu_tokenizer_unref (tokenizer);
  return status;
}
