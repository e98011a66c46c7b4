/* Words of windows that grow, on a virtual clock.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "live-rig.h"

#include <math.h>
#include <string.h>

#include "npu-error.h"

/* Every word once, in time, with its time; cut where the transcript says. */
static void
run_speaker (guint64 longest)
{
  LiveRig *rig = live_rig_new (0);
  g_autofree char *expected = live_rig_expect_all ();
  guint64 start = 0;
  guint n_out = 0;

  live_rig_say_all (rig);
  for (guint64 now = 500; now <= 400 * LIVE_RIG_WORDS; now += 500) {
    live_rig_hear (rig, start, now, now == 400 * LIVE_RIG_WORDS);
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
  live_rig_free (rig);
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
  LiveRig *rig = live_rig_new (0);
  guint n_steps;

  live_rig_say_all (rig);
  live_rig_hear (rig, 0, 4000, FALSE);
  n_steps = rig->scripted->n_steps;
  live_rig_hear (rig, 0, 4000, FALSE);
  g_assert_cmpuint (rig->scripted->n_steps, ==, n_steps + 1);
  g_assert_cmpuint (rig->update.n_tokens, ==, 1);
  g_assert_cmpuint (rig->update.n_words, ==, 0);
  live_rig_free (rig);
}

static void
test_partial (void)
{
  LiveRig *rig = live_rig_new (0);
  g_autofree char *words = live_rig_text_of ((guint32[]){300, 301, 302}, 3);

  live_rig_say_all (rig);
  live_rig_hear (rig, 0, 1000, FALSE);
  g_assert_cmpuint (rig->update.n_words, ==, 1);
  live_rig_hear (rig, 0, 1000, FALSE);
  g_assert_cmpstr (rig->update.committed, ==, "");
  g_assert_true (g_str_has_suffix (words, rig->update.partial));
  g_assert_cmpuint (rig->update.partial_start, >=, 300 * MS);
  g_assert_cmpuint (rig->update.partial_end, <=, 1000 * MS);
  live_rig_free (rig);
}

/* The pause before a word is not part of it: what is heard less is a pause, and
 * so is more than the slowest reader takes before it is heard best. */
static void
test_pause (void)
{
  LiveRig *rig = live_rig_new (0);
  const NpuLiveWord *words;

  live_rig_say (rig, 300, 0, 400);
  live_rig_say (rig, 301, 1000, 3400); /* of four letters */
  live_rig_say (rig, 302, 3400, 3800);
  live_rig_hear (rig, 0, 5000, TRUE);
  words = rig->update.words;
  g_assert_cmpuint (rig->update.n_words, ==, 3);
  g_assert_cmpuint (words[0].start, <=, 400 * MS);
  g_assert_cmpfloat (fabs ((double) words[1].end / MS - 3400), <=, 120);
  g_assert_cmpuint (words[1].start, ==, words[1].end - 540 * MS);
  live_rig_free (rig);

  rig = live_rig_new (0);
  live_rig_say (rig, 300, 0, 400);
  live_rig_say (rig, 301, 400, 900);
  rig->speaker.spoken[1].voice = 700;
  live_rig_say (rig, 302, 900, 1300);
  live_rig_hear (rig, 0, 2000, TRUE);
  words = rig->update.words;
  g_assert_cmpuint (rig->update.n_words, ==, 3);
  g_assert_cmpfloat (fabs ((double) words[1].start / MS - 700), <=, 60);
  g_assert_cmpfloat (fabs ((double) words[1].end / MS - 900), <=, 120);
  live_rig_free (rig);
}

/* How many tokens the last window was told before its own: those before word
 * @next, in order. */
static guint
count_context (const LiveRig *rig, guint32 next)
{
  const NpuSpecialTokens *special =
      npu_tokenizer_get_special (live_rig_get_tokenizer ());
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
    LiveRig *rig = live_rig_new_with_context (0, context);
    NpuLiveWindow window;

    for (guint i = 0; i < 9; i++)
      live_rig_say (rig, 300 + i, 400 * i, 400 * i + 400);
    live_rig_say (rig, 309, 20000, 20400);
    live_rig_say (rig, 310, 20400, 20800);
    live_rig_hear (rig, 0, 3000, FALSE);
    g_assert_cmpuint (count_context (rig, 300), ==, 0);
    live_rig_hear (rig, 1600, 3500, FALSE); /* four words are gone */
    g_assert_cmpuint (count_context (rig, 304), ==, MIN (context, 4));
    live_rig_hear (rig, 2400, 4000, TRUE);
    g_assert_cmpuint (count_context (rig, 306), ==, context);

    live_rig_hear (rig, 4000, 5000, FALSE); /* a new utterance */
    g_assert_cmpuint (count_context (rig, 309), ==, context);
    live_rig_hear (rig, 19800, 21500, FALSE); /* much later */
    g_assert_cmpuint (count_context (rig, 309), ==, 0);
    live_rig_hear (rig, 20400, 22000, FALSE);
    g_assert_cmpuint (count_context (rig, 310), ==, MIN (context, 1));
    window = live_rig_window (rig, 20400, 22000); /* behind a hole */
    window.is_new = TRUE;
    live_rig_add (rig, &window);
    g_assert_cmpuint (count_context (rig, 310), ==, 0);
    live_rig_free (rig);
  }
}

static guint64
get_due (gpointer user_data)
{
  return *(guint64 *) user_data;
}

/* A mark that comes after its word is final is no word; what it ends is the
 * sentence. */
static void
test_late_punctuation (void)
{
  LiveRig *rig = live_rig_new (0);
  guint64 due = 1000 * MS;
  NpuLiveWindow window;

  live_rig_say (rig, 300, 0, 500);
  window = live_rig_window (rig, 0, 1000);
  window.find_due = get_due;
  window.user_data = &due;
  live_rig_add (rig, &window);
  g_assert_cmpuint (rig->update.n_words, ==, 1);
  live_rig_say (rig, BYTE ('.'), 500, 600);
  live_rig_hear (rig, 0, 2000, TRUE);
  g_assert_cmpuint (rig->update.n_words, ==, 0);
  g_assert_cmpuint (rig->update.sentence, >=, 500 * MS);
  live_rig_free (rig);
}

/* A word is heard from the pause before it on, or from before that, and begins
 * with the voice, or a little earlier. */
static void
test_quiet (void)
{
  static const struct {
    guint64 from, to, start, end; /* of a pause; of the word, ms */
  } cases[] = {
      {500, 800, 550, 900}, {200, 700, 450, 900},
      {450, 550, 400, 900},  /* the voice begins with it */
      {600, 880, 400, 900},  /* there is no room behind it */
      {900, 1200, 400, 900}, /* behind it */
      {700, 1200, 400, 700}, /* from before its end on */
      {420, 1200, 400, 900}, /* it would have nothing left */
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    LiveRig *rig = live_rig_new (0);
    NpuLiveWindow window;
    const NpuPause pause = {cases[i].from * MS, cases[i].to * MS};

    live_rig_say (rig, BYTE ('a'), 0, 400);
    live_rig_say (rig, 301, 400, 900); /* of four letters */
    window = live_rig_window (rig, 0, 2000);
    window.is_last = TRUE;
    window.pauses = &pause;
    window.n_pauses = 1;
    live_rig_add (rig, &window);
    g_assert_cmpuint (rig->update.n_words, ==, 2);
    g_assert_cmpfloat (fabs ((double) rig->update.words[1].start / MS -
                             (double) cases[i].start),
        <=, 40);
    g_assert_cmpfloat (
        fabs ((double) rig->update.words[1].end / MS - (double) cases[i].end),
        <=, 60);
    live_rig_free (rig);
  }
}

/* What is left of a word where a window was cut is not told again. */
static void
test_rest_at_cut (void)
{
  LiveRig *rig = live_rig_new (0);
  guint64 due = 1400 * MS;
  NpuLiveWindow window;

  live_rig_say (rig, 300, 0, 400);
  live_rig_say (rig, 301, 400, 800);
  window = live_rig_window (rig, 0, 1400);
  window.find_due = get_due;
  window.user_data = &due;
  live_rig_add (rig, &window);
  g_assert_cmpuint (rig->update.n_words, ==, 2);
  rig->speaker.n_spoken = 0;
  live_rig_say (rig, 301, 800, 900);
  live_rig_say (rig, 302, 900, 1400);
  live_rig_say (rig, 303, 1400, 1800);
  live_rig_hear (rig, rig->update.until / MS, 2500, FALSE);
  g_assert_cmpuint (rig->update.n_words, ==, 1);
  g_assert_cmpuint (rig->update.words[0].start, >=, 880 * MS);
  live_rig_free (rig);
}

/* What has no space before it is of the word before, which is whole when a
 * space follows: "d" would stand apart from "'accord". */
static void
test_whole_words (void)
{
  LiveRig *rig = live_rig_new (0);
  g_autofree char *expected = NULL;
  g_autofree char *word = live_rig_text_of ((guint32[]){301}, 1);

  live_rig_say (rig, 300, 0, 500);
  live_rig_say (rig, 301, 500, 1000);
  live_rig_say (rig, BYTE ('\''), 1000, 1200);
  live_rig_say (rig, BYTE ('a'), 1200, 2000);
  live_rig_say (rig, 302, 2000, 2400);
  live_rig_hear (rig, 0, 2000, FALSE);
  g_assert_cmpuint (rig->update.n_words, ==, 1);
  live_rig_hear (rig, 0, 3000, FALSE);
  g_assert_cmpuint (rig->update.n_words, ==, 1);
  expected = g_strdup_printf ("%s'a", g_strstrip (word));
  g_assert_cmpstr (rig->update.words[0].text, ==, expected);
  live_rig_free (rig);
}

/* Chinese comes in runs that end with a mark. */
static void
test_without_spaces (void)
{
  static const char text[] = "\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82\xe5\x9c\xa8"
                             "\xe6\xad\xa4";
  LiveRig *rig = live_rig_new (
      npu_tokenizer_find_language (live_rig_get_tokenizer (), "zh"));

  for (guint i = 0; i < strlen (text); i++)
    live_rig_say (rig, BYTE (text[i]), 100 * i, 100 * i + 100);
  live_rig_hear (rig, 0, 3000, TRUE);
  g_assert_cmpstr (rig->text->str, ==,
      "\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82|\xe5\x9c\xa8\xe6\xad\xa4|");
  g_assert_cmpstr (rig->update.committed, ==, text);
  live_rig_free (rig);
}

static void
test_settings (void)
{
  LiveRig *rig = live_rig_new (0);
  const NpuLiveWindow window = live_rig_window (rig, 0, 1000);
  g_autoptr (GError) error = NULL;
  NpuLiveTranscript *blind;
  NpuLiveOptions options = {0};

  npu_decoding_options_init (&options.decoding);
  rig->scripted->source.step_attending = NULL;
  blind = npu_live_transcript_new (
      &rig->scripted->source, live_rig_get_tokenizer (), &options);
  g_assert_false (
      npu_live_transcript_add_window (blind, &window, &rig->update, &error));
  g_assert_error (error, NPU_ERROR, NPU_ERROR_SETTINGS);
  npu_live_transcript_free (blind);
  live_rig_free (rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  live_rig_init ();
  g_test_add_func ("/live-transcript/speaker", test_speaker);
  g_test_add_func ("/live-transcript/draft", test_draft);
  g_test_add_func ("/live-transcript/partial", test_partial);
  g_test_add_func ("/live-transcript/pause", test_pause);
  g_test_add_func ("/live-transcript/context", test_context);
  g_test_add_func ("/live-transcript/late-punctuation", test_late_punctuation);
  g_test_add_func ("/live-transcript/rest-at-cut", test_rest_at_cut);
  g_test_add_func ("/live-transcript/quiet", test_quiet);
  g_test_add_func ("/live-transcript/whole-words", test_whole_words);
  g_test_add_func ("/live-transcript/without-spaces", test_without_spaces);
  g_test_add_func ("/live-transcript/settings", test_settings);
  return live_rig_run ();
}
