/* Where an utterance ends, and what is left of it when something fails.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "live-rig.h"

#include "npu-error.h"

static void
test_silence (void)
{
  LiveRig *rig = live_rig_new (0);
  NpuLiveWindow window;

  live_rig_say_all (rig);
  rig->speaker.no_speech_weight = 20;
  live_rig_hear (rig, 0, 3000, FALSE);
  g_assert_cmpuint (rig->update.n_words, ==, 0);
  g_assert_cmpstr (rig->update.partial, ==, "");
  window = live_rig_window (rig, 3000, 5000);
  npu_live_transcript_add_silence (rig->transcript, &window, &rig->update);
  g_assert_cmpuint (rig->update.n_words, ==, 0);
  g_assert_cmpuint (rig->update.decided, ==, 5000 * MS);
  live_rig_free (rig);
}

/* A stream that ends without a last window. */
static void
test_end (void)
{
  LiveRig *rig = live_rig_new (0);
  g_autofree char *expected = NULL;

  live_rig_say_all (rig);
  live_rig_hear (rig, 0, 3000, FALSE);
  g_assert_cmpstr (rig->update.partial, !=, "");
  expected = g_strdup (rig->update.partial);
  npu_live_transcript_end (rig->transcript, &rig->update);
  g_assert_cmpstr (rig->update.committed, ==, expected);
  g_assert_cmpuint (rig->update.words[0].start, >=, rig->last_end);
  g_assert_cmpuint (rig->update.decided, >=, 3000 * MS);
  npu_live_transcript_end (rig->transcript, &rig->update);
  g_assert_cmpuint (rig->update.n_words, ==, 0);

  /* the next window may hold the end of it, which does not come again */
  live_rig_hear (rig, 2800, 5000, TRUE);
  g_assert_cmpuint (rig->update.words[0].start, >=, 2900 * MS);
  live_rig_free (rig);
}

static char *
hear_lost (guint64 lost_from, gboolean is_always)
{
  LiveRig *rig = live_rig_new (0);
  char *text;

  live_rig_say_all (rig);
  rig->speaker.lost_from = lost_from;
  rig->speaker.is_always_lost = is_always;
  for (guint64 now = 1000; now <= 5000; now += 500)
    live_rig_hear (rig, 0, now, FALSE);
  live_rig_hear (rig, 0, 5200, TRUE);
  text = g_strdup (rig->text->str);
  live_rig_free (rig);
  return text;
}

/* A decoder that loses its way at the very end, where nothing follows: without
 * its prefix it finds it; and where it does not, what it heard before counts.
 */
static void
test_lost_at_end (void)
{
  g_autofree char *sound = hear_lost (0, FALSE);
  g_autofree char *found = hear_lost (5200, FALSE);
  g_autofree char *lost = hear_lost (5200, TRUE);
  g_autofree char *earlier = hear_lost (3000, FALSE);

  g_assert_cmpstr (found, ==, sound);
  g_assert_cmpstr (lost, ==, sound);
  g_assert_cmpstr (earlier, ==, sound);
}

/* A step that fails changes nothing. */
static void
test_failure (void)
{
  LiveRig *rig = live_rig_new (-1);
  g_autofree char *expected = live_rig_expect_all ();
  guint64 start = 0;

  live_rig_say_all (rig);
  for (guint64 now = 500; now <= 400 * LIVE_RIG_WORDS; now += 500) {
    for (guint step = 1; step < 3; step++) {
      const NpuLiveWindow window = live_rig_window (rig, start, now);
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
    live_rig_hear (rig, start, now, now == 400 * LIVE_RIG_WORDS);
  }
  g_assert_cmpstr (rig->text->str, ==, expected);
  live_rig_free (rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  live_rig_init ();
  g_test_add_func ("/live-ends/silence", test_silence);
  g_test_add_func ("/live-ends/end", test_end);
  g_test_add_func ("/live-ends/lost-at-end", test_lost_at_end);
  g_test_add_func ("/live-ends/failure", test_failure);
  return live_rig_run ();
}
