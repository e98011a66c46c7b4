/* Whose language it is, while windows grow.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "live-rig.h"

static void
test_language (void)
{
  LiveRig *rig = live_rig_new (-1);
  const int german =
      npu_tokenizer_find_language (live_rig_get_tokenizer (), "de");

  rig->speaker.language = german;
  live_rig_say_all (rig);
  live_rig_hear (rig, 0, 2500, FALSE);
  g_assert_cmpint (rig->update.language, ==, german);
  g_assert_false (rig->update.is_language_decided);
  g_assert_cmpuint (rig->update.n_words, ==, 0); /* held */
  g_assert_cmpstr (rig->update.partial, !=, "");

  rig->speaker.language_weight = -6; /* likeliest, but not likely */
  live_rig_hear (rig, 0, 3500, FALSE);
  g_assert_false (rig->update.is_language_decided);
  rig->speaker.language_weight = 10;
  rig->speaker.no_speech_weight = 20;
  live_rig_hear (rig, 0, 3500, FALSE);
  g_assert_false (rig->update.is_language_decided);
  rig->speaker.no_speech_weight = -10;
  live_rig_hear (rig, 0, 3500, FALSE);
  g_assert_true (rig->update.is_language_decided);
  g_assert_cmpfloat (rig->update.language_prob, >, 0.5f);
  g_assert_cmpuint (rig->update.n_words, >, 0);

  rig->speaker.language = 0; /* it stays */
  live_rig_hear (rig, 0, 4000, FALSE);
  g_assert_cmpint (rig->update.language, ==, german);

  /* until it is told: what was said is not said again */
  npu_live_transcript_set_language (rig->transcript, 0);
  live_rig_hear (rig, 0, 4500, FALSE);
  g_assert_cmpint (rig->update.language, ==, 0);
  live_rig_hear (rig, 0, 400 * LIVE_RIG_WORDS, TRUE);
  {
    g_autofree char *expected = live_rig_expect_all ();

    g_assert_cmpstr (rig->text->str, ==, expected);
  }
  live_rig_free (rig);
}

static void
test_unlikely_language_at_last (void)
{
  LiveRig *rig = live_rig_new (-1);

  rig->speaker.language_weight = -6;
  live_rig_say_all (rig);
  live_rig_hear (rig, 0, 9900, FALSE);
  g_assert_false (rig->update.is_language_decided);
  live_rig_hear (rig, 0, 10000, FALSE);
  g_assert_true (rig->update.is_language_decided);
  live_rig_free (rig);
}

/* "en" and then "en-US", while somebody speaks: what was said stays as sure. */
static void
test_same_language (void)
{
  LiveRig *rig = live_rig_new (0);

  live_rig_say_all (rig);
  live_rig_hear (rig, 0, 4000, FALSE);
  npu_live_transcript_set_language (rig->transcript, 0);
  live_rig_hear (rig, 0, 4000, FALSE);
  g_assert_cmpuint (rig->update.n_tokens, ==, 1); /* behind its prefix */
  live_rig_free (rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  live_rig_init ();
  g_test_add_func ("/live-language/language", test_language);
  g_test_add_func ("/live-language/unlikely-language-at-last",
      test_unlikely_language_at_last);
  g_test_add_func ("/live-language/same-language", test_same_language);
  return live_rig_run ();
}
