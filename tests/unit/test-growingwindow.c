/* What is pushed for live captions, and when: on a virtual clock, with a script
 * in the place of the detector and of the decoder.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "growing-rig.h"

/* --- windows ------------------------------------------------------------ */

static void
test_a_window_each_step (void)
{
  GrowingRig rig;
  guint i = 0;

  growing_rig_init (&rig);
  growing_rig_speak (&rig, 3 * GST_SECOND + 100 * MS);
  for (GstClockTime end = GST_SECOND; end <= 3 * GST_SECOND; end += 500 * MS) {
    const GrowingOutput *window = growing_rig_get_window (&rig, &i);

    g_assert_cmpuint (window->start, ==, 0);
    g_assert_cmpuint (window->duration, ==, end);
    g_assert_false (window->marker);
    g_assert_cmpint (window->discont, ==, end == GST_SECOND);
  }
  g_assert_cmpuint (rig.outputs->len, ==, i);
  growing_rig_drain (&rig);
  g_assert_true (growing_rig_get_window (&rig, &i)->marker);
  g_assert_cmpuint (rig.told, ==, 3 * GST_SECOND + 100 * MS);
  growing_rig_clear (&rig);
}

/* Two utterances, and what is around them. */
static void
test_utterances (void)
{
  GrowingRig rig;
  guint i = 0;
  const GrowingOutput *output;

  growing_rig_init (&rig);
  growing_rig_hush (&rig, 2048 * MS); /* whole blocks */
  growing_rig_speak (&rig, 1024 * MS);
  growing_rig_hush (&rig, 3008 * MS);
  growing_rig_speak (&rig, 512 * MS);
  growing_rig_hush (&rig, 2 * GST_SECOND);

  output = growing_rig_get_window (&rig, &i);
  g_assert_false (output->marker);
  g_assert_cmpuint (output->start, ==, 2048 * MS - GROWING_LEAD);
  while (!output->marker)
    output = growing_rig_get_window (&rig, &i);
  g_assert_cmpuint (output->start, ==, 2048 * MS - GROWING_LEAD);
  g_assert_cmpuint (
      output->start + output->duration, ==, 3072 * MS + GROWING_TRAIL);

  output = growing_rig_get_window (&rig, &i);
  g_assert_cmpuint (output->start, ==, 6080 * MS - GROWING_LEAD);
  g_assert_false (output->discont);
  while (!output->marker)
    output = growing_rig_get_window (&rig, &i);
  g_assert_cmpuint (
      output->start + output->duration, ==, 6592 * MS + GROWING_TRAIL);
  g_assert_cmpuint (growing_rig_count_windows (&rig, TRUE), ==, 2);
  /* Time goes on: not further than where the next utterance may begin. */
  g_assert_cmpuint (rig.told, <=, rig.window.head - GROWING_LEAD);
  g_assert_cmpuint (
      rig.told, >=, rig.window.head - GROWING_LEAD - 500 * MS - BLOCK_TIME);
  growing_rig_clear (&rig);
}

/* The lead does not reach into the utterance before. */
static void
test_utterances_do_not_overlap (void)
{
  GrowingRig rig;

  growing_rig_init (&rig);
  for (guint i = 0; i < 5; i++) {
    growing_rig_speak (&rig, 640 * MS);
    growing_rig_hush (&rig, 544 * MS);
  }
  growing_rig_drain (&rig); /* the rig checks */
  g_assert_cmpuint (growing_rig_count_windows (&rig, TRUE), ==, 5);
  growing_rig_clear (&rig);
}

static void
test_a_click_is_no_utterance (void)
{
  GrowingRig rig;

  growing_rig_init (&rig);
  growing_rig_hush (&rig, GST_SECOND);
  growing_rig_speak (&rig, 160 * MS);
  growing_rig_hush (&rig, 2 * GST_SECOND);
  growing_rig_speak (&rig, 160 * MS);
  growing_rig_hush (&rig, GST_SECOND);
  g_assert_cmpuint (growing_rig_count_windows (&rig, FALSE), ==, 0);
  growing_rig_drain (&rig);
  g_assert_cmpuint (growing_rig_count_windows (&rig, FALSE), ==, 0);
  growing_rig_clear (&rig);
}

/* The end in a word: nothing tells that it would not have gone on. */
static void
test_a_word_begins_at_the_end (void)
{
  GrowingRig rig;

  growing_rig_init (&rig);
  growing_rig_hush (&rig, GST_SECOND);
  growing_rig_speak (&rig, 160 * MS);
  growing_rig_drain (&rig);
  g_assert_cmpuint (growing_rig_count_windows (&rig, TRUE), ==, 1);
  g_assert_cmpuint (rig.told, ==, 1160 * MS);
  growing_rig_clear (&rig);
}

static void
test_buffers_do_not_matter (void)
{
  static const gsize chunks[] = {1, 160, 511, 512, 513, 7999, 16000, 200000};
  const gsize n = 12 * RATE;
  g_autofree float *samples = g_new (float, n);
  GrowingRig rigs[G_N_ELEMENTS (chunks)];

  for (gsize i = 0; i < n; i++)
    samples[i] = (i / 9000 % 3 ? 0.4f : 0.001f) * (1 + (float) i / n / 8);
  for (guint c = 0; c < G_N_ELEMENTS (chunks); c++) {
    GrowingRig *rig = &rigs[c];

    growing_rig_init (rig);
    growing_rig_add (rig, samples, n, chunks[c]);
    growing_rig_drain (rig);
    g_assert_cmpuint (growing_rig_count_windows (rig, FALSE), >, 5);
    g_assert_cmpuint (rig->outputs->len, ==, rigs[0].outputs->len);
    for (guint i = 0; i < rig->outputs->len; i++)
      g_assert_cmpmem (growing_rig_get (rig, i), sizeof (GrowingOutput),
          growing_rig_get (&rigs[0], i), sizeof (GrowingOutput));
    g_assert_cmpmem (rig->samples->data, rig->samples->len * sizeof (float),
        rigs[0].samples->data, rigs[0].samples->len * sizeof (float));
  }
  for (guint c = 0; c < G_N_ELEMENTS (chunks); c++)
    growing_rig_clear (&rigs[c]);
}

/* --- advances ----------------------------------------------------------- */

/* Nothing is cut while there is room. */
static void
test_advances_cut_when_there_is_too_much (void)
{
  GrowingRig rig;

  growing_rig_init (&rig);
  growing_rig_speak (&rig, 4 * GST_SECOND);
  g_assert_true (
      growing_rig_advance (&rig, 3 * GST_SECOND, GST_CLOCK_TIME_NONE));
  g_assert_cmpuint (growing_rig_get_last (&rig)->start, ==, 0);
  growing_rig_speak (&rig, 500 * MS);
  g_assert_cmpuint (growing_rig_get_last (&rig)->start, ==, 3 * GST_SECOND);
  g_assert_cmpuint (growing_rig_get_last (&rig)->duration, ==, 1500 * MS);
  g_assert_false (growing_rig_get_last (&rig)->discont);
  growing_rig_clear (&rig);
}

static void
test_sentences_are_cut_off_where_that_frees_enough (void)
{
  static const struct {
    GstClockTime sentence, start;
  } cases[] = {
      {1700 * MS, 3 * GST_SECOND}, /* 38 % of 4.5 s */
      {1900 * MS, 1900 * MS},      /* 42 % */
      {3500 * MS, 3 * GST_SECOND}, /* not final yet */
      {GST_CLOCK_TIME_NONE, 3 * GST_SECOND},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    GrowingRig rig;

    growing_rig_init (&rig);
    growing_rig_speak (&rig, 4 * GST_SECOND);
    g_assert_true (
        growing_rig_advance (&rig, 3 * GST_SECOND, cases[i].sentence));
    growing_rig_speak (&rig, 500 * MS);
    g_assert_cmpuint (growing_rig_get_last (&rig)->start, ==, cases[i].start);
    growing_rig_clear (&rig);
  }
}

/* A window never begins before the word that it leaves out ends: the decoder
 * tells by its PTS which words are in it. */
static void
test_cuts_are_not_before_the_word_ends (void)
{
  GrowingRig rig;

  growing_rig_init (&rig);
  for (guint i = 1; i < 40; i++) {
    const GstClockTime until = i * 250 * MS + 12345;

    growing_rig_speak (&rig, 250 * MS);
    growing_rig_advance (
        &rig, until - MIN (until, 750 * MS), GST_CLOCK_TIME_NONE);
    if (rig.outputs->len > 0 && growing_rig_get_last (&rig)->start > 0) {
      g_assert_cmpuint (growing_rig_get_last (&rig)->start, >=, 12345);
      g_assert_cmpuint (
          (growing_rig_get_last (&rig)->start - 12345) % (250 * MS), <, SAMPLE);
    }
  }
  growing_rig_clear (&rig);
}

static void
test_advances_that_are_not_about_a_window (void)
{
  GrowingRig rig;

  growing_rig_init (&rig);
  g_assert_false (growing_rig_advance (&rig, GST_SECOND, GST_CLOCK_TIME_NONE));
  growing_rig_speak (&rig, 2 * GST_SECOND);
  g_assert_false (growing_rig_advance (&rig, 0, GST_CLOCK_TIME_NONE));
  /* No further than the newest window, whatever it says. */
  growing_rig_speak (&rig, 2400 * MS);
  g_assert_true (
      growing_rig_advance (&rig, 100 * GST_SECOND, GST_CLOCK_TIME_NONE));
  g_assert_false (
      growing_rig_advance (&rig, 3 * GST_SECOND, GST_CLOCK_TIME_NONE));
  growing_rig_speak (&rig, 1100 * MS);
  g_assert_cmpuint (growing_rig_get_last (&rig)->start, ==, 4 * GST_SECOND);
  /* After the utterance it is too late. */
  growing_rig_hush (&rig, 2 * GST_SECOND);
  g_assert_false (
      growing_rig_advance (&rig, 5 * GST_SECOND, GST_CLOCK_TIME_NONE));
  growing_rig_clear (&rig);
}

/* Nobody is there that commits. */
static void
test_without_advances (void)
{
  GrowingRig rig;
  guint n_markers;

  growing_rig_init (&rig);
  for (guint i = 0; i < 60; i++) {
    growing_rig_speak (&rig, 640 * MS);
    growing_rig_hush (&rig, 128 * MS); /* cuts are there */
  }
  n_markers = growing_rig_count_windows (&rig, TRUE);
  g_assert_cmpuint (n_markers, >=, 46 / 7);
  g_assert_cmpuint (n_markers, <=, 4 * 46 / 7);
  for (guint i = 0; i + 1 < rig.outputs->len; i++) {
    const GstClockTime end =
        growing_rig_get (&rig, i)->start + growing_rig_get (&rig, i)->duration;

    if (!growing_rig_get (&rig, i)->marker)
      continue;
    g_assert_cmpuint (end % (768 * MS), >=, 640 * MS);
    g_assert_true (growing_rig_get (&rig, i + 1)->discont);
    g_assert_cmpuint (growing_rig_get (&rig, i + 1)->start, ==, end);
  }
  growing_rig_clear (&rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/growing/steps", test_a_window_each_step);
  g_test_add_func ("/growing/utterances", test_utterances);
  g_test_add_func ("/growing/no-overlap", test_utterances_do_not_overlap);
  g_test_add_func ("/growing/click", test_a_click_is_no_utterance);
  g_test_add_func ("/growing/end-in-word", test_a_word_begins_at_the_end);
  g_test_add_func ("/growing/buffers", test_buffers_do_not_matter);
  g_test_add_func (
      "/growing/advance/room", test_advances_cut_when_there_is_too_much);
  g_test_add_func ("/growing/advance/sentence",
      test_sentences_are_cut_off_where_that_frees_enough);
  g_test_add_func (
      "/growing/advance/exact", test_cuts_are_not_before_the_word_ends);
  g_test_add_func (
      "/growing/advance/nonsense", test_advances_that_are_not_about_a_window);
  g_test_add_func ("/growing/advance/none", test_without_advances);
  return g_test_run ();
}
