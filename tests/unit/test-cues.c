/* Where subtitles are cut: at pauses, between words, never inside a character.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "transcript/cues.h"

#include <string.h>

#include "transcript/graphemes.h"

#define MS G_GUINT64_CONSTANT (1000000)

static const NpuCueOptions usual = {42, 2, 1000 * MS};

/* --- characters ---------------------------------------------------------- */

static void
test_graphemes (void)
{
  static const struct {
    const char *before, *after;
    gboolean breaks;
  } pairs[] = {
      {"a", "b", TRUE},
      {"", "b", TRUE},
      {"a", "", TRUE},
      {"e", "\xcc\x81x", FALSE},                       /* U+0301 */
      {"\xf0\x9f\x91\x8d", "\xf0\x9f\x8f\xbd", FALSE}, /* skin tone */
      {"\xf0\x9f\x91\xa9\xe2\x80\x8d", "\xf0\x9f\x94\xac", FALSE}, /* joined */
      {"\xf0\x9f\x91\xa9", "\xf0\x9f\x94\xac", TRUE},
      {"\xf0\x9f\x87\xa9", "\xf0\x9f\x87\xaa", FALSE}, /* half of a flag */
      {"\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa", "\xf0\x9f\x87\xab", TRUE},
      {"\xe0\xb8\x81", "\xe0\xb9\x88", FALSE}, /* Thai, a tone mark */
      {"\xe0\xb8\x81", "\xe0\xb8\xb3", FALSE}, /* Thai, SARA AM */
      {"\xe1\x80\x80\xe1\x80\xb9", "\xe1\x80\x81",
          FALSE},                              /* Burmese, stacked */
      {"\xe1\x84\x92", "\xe1\x85\xa1", FALSE}, /* Hangul by letters */
      {"\xed\x95\x9c", "\xea\xb5\xad", TRUE},  /* Hangul syllables */
      {"\xe4\xbd\xa0", "\xe5\xa5\xbd", TRUE},  /* Chinese */
      {"\xe2\x9d\xa4", "\xef\xb8\x8f", FALSE}, /* variation selector */
      {"\r", "\n", FALSE},
      {"\n", "\xcc\x81", TRUE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (pairs); i++) {
    g_test_message ("%u", i);
    g_assert_cmpint (npu_graphemes_break (pairs[i].before, pairs[i].after), ==,
        pairs[i].breaks);
  }
  g_assert_cmpuint (npu_graphemes_count ("", 0), ==, 0);
  g_assert_cmpuint (npu_graphemes_count ("ae\xcc\x81i", 5), ==, 3);
}

/* --- cues ---------------------------------------------------------------- */

/* Words of @text, which spaces begin: each lasts 400 ms; "_" before one is a
 * pause of 1.2 s. (transfer full) */
static GArray *
make_words (const char *text)
{
  GArray *words = g_array_new (FALSE, FALSE, sizeof (NpuTimedWord));
  g_auto (GStrv) parts = g_strsplit (text, " ", -1);
  guint64 at = 0;

  for (guint i = 0; parts[i]; i++) {
    const gboolean after_pause = parts[i][0] == '_';
    NpuTimedWord word = {NULL, at, 0, 1, 1};

    word.text = g_strconcat (" ", parts[i] + after_pause, NULL);
    word.start = at += after_pause ? 1200 * MS : 0;
    word.end = at += 400 * MS;
    g_array_append_val (words, word);
  }
  return words;
}

static void
free_words (GArray *words)
{
  for (guint i = 0; i < words->len; i++)
    g_free (g_array_index (words, NpuTimedWord, i).text);
  g_array_unref (words);
}

/* The cues' texts with "|" between, line feeds as "/". (transfer full) */
static char *
cut (const char *text, const NpuCueOptions *options)
{
  GArray *words = make_words (text);
  g_autoptr (GArray) cues =
      npu_cues_cut ((NpuTimedWord *) words->data, words->len, options);
  GString *all = g_string_new (NULL);

  for (guint i = 0; i < cues->len; i++) {
    const NpuCue *cue = &g_array_index (cues, NpuCue, i);

    g_string_append_printf (all, "%s%s", i ? "|" : "", cue->text);
  }
  free_words (words);
  return g_strdelimit (g_string_free (all, FALSE), "\n", '/');
}

static void
check_cut (const char *text, const NpuCueOptions *options, const char *expected)
{
  g_autofree char *is = cut (text, options);

  g_assert_cmpstr (is, ==, expected);
}

static void
test_cut (void)
{
  static const NpuCueOptions one_line = {10, 1, 1000 * MS};
  static const NpuCueOptions no_limit = {0, 0, 1000 * MS};
  static const NpuCueOptions no_pause = {10, 0, G_MAXUINT64};

  check_cut ("One two three.", &usual, "One two three.");
  check_cut ("One _two three.", &usual, "One|two three.");
  /* Even lines, behind a mark where one is near. */
  check_cut ("Printing, in the only sense with which we are at present "
             "concerned",
      &usual,
      "Printing, in the only sense with/which we are at present concerned");
  check_cut ("It is of the first importance, that the letter used should be",
      &usual, "It is of the first importance,/that the letter used should be");
  check_cut ("aaaa bbbb cccc dddd", &one_line, "aaaa bbbb|cccc dddd");
  /* A word that is too long has a line of its own and stays whole. */
  check_cut ("a Donaudampfschiff b", &one_line, "a|Donaudampfschiff|b");
  check_cut ("aaaa bbbb _cccc dddd eeee ffff gggg", &no_limit,
      "aaaa bbbb|cccc dddd eeee ffff gggg");
  check_cut ("aaaa bbbb _cccc", &no_pause, "aaaa bbbb/cccc");
}

static void
test_times (void)
{
  GArray *words = make_words ("One two _three four");
  g_autoptr (GArray) cues =
      npu_cues_cut ((NpuTimedWord *) words->data, words->len, &usual);
  const NpuCue *cue = (NpuCue *) cues->data;

  g_assert_cmpuint (cues->len, ==, 2);
  g_assert_cmpuint (cue[0].start, ==, 0);
  g_assert_cmpuint (cue[0].end, ==, 800 * MS);
  g_assert_cmpuint (cue[1].start, ==, 2000 * MS);
  g_assert_cmpuint (cue[1].end, ==, 2800 * MS);
  g_assert_cmpuint (cue[1].first, ==, 2);
  g_assert_cmpuint (cue[1].n, ==, 2);
  free_words (words);
}

/* Words that were not said are heard in no time, at the audio's end: what they
 * fill is there to be read, but no cue is before its first word or behind the
 * last. */
static void
test_squeezed (void)
{
  static const NpuCueOptions one_line = {10, 1, 1000 * MS};
  GArray *words = make_words ("aaaa bbbb cccc dddd eeee ffff");
  NpuTimedWord *word = (NpuTimedWord *) words->data;
  const guint64 end = word[1].end;
  guint64 at = 0;

  for (guint i = 2; i < words->len; i++)
    word[i].start = word[i].end = end;
  for (guint only = 0; only < 2; only++) {
    g_autoptr (GArray) cues =
        npu_cues_cut (word + 2 * only, words->len - 2 * only, &one_line);

    at = only ? end : 0;
    for (guint i = 0; i < cues->len; i++) {
      const NpuCue *cue = &g_array_index (cues, NpuCue, i);

      g_assert_cmpuint (cue->start, >=, at);
      g_assert_cmpuint (
          cue->end - cue->start, >=, only ? 0 : 9 * 20 * MS); /* characters */
      at = cue->end;
    }
    g_assert_cmpuint (at, ==, end);
  }
  free_words (words);
}

/* Of random words: no line too long but of one word, not too many lines, all
 * words once and in order. */
static void
test_random (void)
{
  GRand *rand = g_rand_new_with_seed (3);

  for (guint round = 0; round < 400; round++) {
    const NpuCueOptions options = {g_rand_int_range (rand, 0, 50),
        g_rand_int_range (rand, 0, 4), 1000 * MS};
    g_autoptr (GString) text = g_string_new (NULL);
    g_autofree char *expected = NULL, *is = NULL;
    const guint n = g_rand_int_range (rand, 1, 60);

    for (guint i = 0; i < n; i++) {
      g_string_append (text, i == 0                               ? ""
                             : g_rand_int_range (rand, 0, 9) == 0 ? " _"
                                                                  : " ");
      for (guint j = g_rand_int_range (rand, 1, 14); j > 0; j--)
        g_string_append_c (text, 'a' + g_rand_int_range (rand, 0, 26));
      if (g_rand_int_range (rand, 0, 6) == 0)
        g_string_append_c (text, ",.?"[g_rand_int_range (rand, 0, 3)]);
    }
    is = cut (text->str, &options);
    {
      g_auto (GStrv) cues = g_strsplit (is, "|", -1);

      for (guint i = 0; cues[i]; i++) {
        g_auto (GStrv) lines = g_strsplit (cues[i], "/", -1);

        if (options.n_lines > 0 && options.line_length > 0)
          g_assert_cmpuint (g_strv_length (lines), <=, options.n_lines);
        for (guint j = 0; lines[j]; j++) {
          g_assert_cmpuint (strlen (lines[j]), >, 0);
          if (options.line_length > 0 && strchr (lines[j], ' '))
            g_assert_cmpuint (strlen (lines[j]), <=, options.line_length);
        }
      }
    }
    expected = g_strdelimit (g_strdup (is), "|/", ' ');
    {
      g_auto (GStrv) parts = g_strsplit (text->str, "_", -1);
      g_autofree char *plain = g_strjoinv ("", parts);

      g_assert_cmpstr (expected, ==, plain);
    }
  }
  g_rand_free (rand);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cues/graphemes", test_graphemes);
  g_test_add_func ("/cues/cut", test_cut);
  g_test_add_func ("/cues/times", test_times);
  g_test_add_func ("/cues/squeezed", test_squeezed);
  g_test_add_func ("/cues/random", test_random);
  return g_test_run ();
}
