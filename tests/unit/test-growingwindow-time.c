/* What holes, drift, a late machine, a detector and a random decoder do to the
 * windows for live captions.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "growing-rig.h"

/* --- time --------------------------------------------------------------- */

/* A machine that is late has fewer windows, but never none: one step is left
 * out, then two, then three each time. */
static void
test_steps_merge (void)
{
  GrowingRig rig;
  guint n, n_late;

  growing_rig_init_at (&rig, 25 * GST_SECOND, 0);
  growing_rig_speak (&rig, 4 * GST_SECOND);
  n = growing_rig_count_windows (&rig, FALSE);
  rig.lag = 501 * MS;
  growing_rig_speak (&rig, GST_SECOND);
  g_assert_cmpuint (growing_rig_count_windows (&rig, FALSE), ==, n + 1);
  growing_rig_speak (&rig, 1500 * MS);
  g_assert_cmpuint (growing_rig_count_windows (&rig, FALSE), ==, n + 2);
  growing_rig_speak (&rig, 8 * GST_SECOND);
  n_late = growing_rig_count_windows (&rig, FALSE) - n;
  g_assert_cmpuint (n_late, ==, 2 + 16 / (1 + GROWING_MAX_MERGED));
  rig.lag = 500 * MS;
  growing_rig_speak (&rig, GST_SECOND);
  g_assert_cmpuint (
      growing_rig_count_windows (&rig, FALSE), ==, n + n_late + 2);
  growing_rig_clear (&rig);
}

static void
test_nothing_passes_at_once (void)
{
  GrowingRig rig;

  growing_rig_init (&rig);
  growing_rig_hush (&rig, GST_SECOND);
  growing_rig_pass (&rig, 1000 * 3600 * GST_SECOND);
  g_assert_cmpuint (rig.told, ==, rig.window.head);
  g_assert_cmpuint (growing_rig_count_windows (&rig, FALSE), ==, 0);
  g_assert_cmpuint (rig.outputs->len, <=, 3);
  growing_rig_speak (&rig, GST_SECOND);
  growing_rig_drain (&rig);
  g_assert_cmpuint (growing_rig_count_windows (&rig, TRUE), ==, 1);
  growing_rig_clear (&rig);
}

/* An upstream that stops between words has said something about voice. */
static void
test_nothing_ends_an_utterance (void)
{
  static const GstClockTime words[] = {128 * MS, 256 * MS, 2 * GST_SECOND};

  for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
    GrowingRig rig;

    growing_rig_init (&rig);
    growing_rig_hush (&rig, 1024 * MS);
    growing_rig_speak (&rig, words[i]);
    growing_rig_pass (&rig, 10 * GST_SECOND);
    g_assert_cmpuint (growing_rig_count_windows (&rig, TRUE), ==, 1);
    g_assert_cmpuint (rig.told, ==, rig.window.head);
    growing_rig_clear (&rig);
  }
}

static void
test_a_short_pass_is_a_pause (void)
{
  GrowingRig rig;

  growing_rig_init (&rig);
  growing_rig_speak (&rig, GST_SECOND);
  growing_rig_pass (&rig, 300 * MS);
  growing_rig_speak (&rig, GST_SECOND);
  g_assert_cmpuint (growing_rig_count_windows (&rig, TRUE), ==, 0);
  growing_rig_drain (&rig);
  g_assert_cmpuint (growing_rig_count_windows (&rig, TRUE), ==, 1);
  g_assert_cmpuint (growing_rig_get_last (&rig)->duration, ==, 2300 * MS);
  growing_rig_clear (&rig);
}

/* Stamps drift against samples: windows stay near them, and never begin before
 * what is final. */
static void
test_drift (void)
{
  static const gint64 drifts[] = {-20, -1, 1, 20}; /* us in 20 ms */

  for (guint d = 0; d < G_N_ELEMENTS (drifts); d++) {
    const gint64 drift = drifts[d] * (gint64) GST_USECOND;
    GstClockTime time = 1000 * GST_SECOND;
    GrowingRig rig;

    growing_rig_init_at (&rig, 4 * GST_SECOND, time);
    for (guint i = 0; i < 3000; i++) {
      growing_window_set_time (&rig.window, time);
      if (i % 800 < 700)
        growing_rig_speak (&rig, 20 * MS);
      else
        growing_rig_hush (&rig, 20 * MS);
      time += 20 * MS + drift;
      if (i % 25 == 0)
        growing_rig_advance (&rig, time - 700 * MS, GST_CLOCK_TIME_NONE);
      if (i % 800 == 650)
        g_assert_cmpuint (
            ABS ((gint64) (growing_rig_get_last (&rig)->start +
                           growing_rig_get_last (&rig)->duration) -
                 (gint64) time),
            <=, 520 * MS + SKEW);
    }
    growing_rig_clear (&rig);
  }
}

/* --- voice -------------------------------------------------------------- */

static void
add_as (GrowingRig *rig, float level, GstClockTime time, GrowingVoice voice)
{
  const float sample = level;
  guint64 n_invalid = 0;

  for (guint64 i = 0; i < time / SAMPLE; i++) {
    growing_window_add (
        &rig->window, (const guint8 *) &sample, 1, voice, &n_invalid);
    growing_rig_collect (rig);
  }
}

static void
test_upstream_knows_voice (void)
{
  GrowingRig rig;

  growing_rig_init (&rig);
  add_as (&rig, 0.5f, 2 * GST_SECOND, GROWING_VOICE_NO); /* loud music */
  g_assert_cmpuint (growing_rig_count_windows (&rig, FALSE), ==, 0);
  add_as (&rig, 0.01f, 2 * GST_SECOND, GROWING_VOICE_YES);
  g_assert_cmpuint (growing_rig_count_windows (&rig, FALSE), >, 0);
  growing_rig_clear (&rig);
}

static void
test_zeros_are_no_voice (void)
{
  GrowingRig rig;

  growing_rig_init (&rig);
  rig.window.settings.detect = NULL; /* all else is */
  growing_rig_hush (&rig, 2 * GST_SECOND);
  growing_rig_add_level (&rig, 0, 2 * GST_SECOND);
  g_assert_cmpuint (growing_rig_count_windows (&rig, TRUE), ==, 1);
  growing_rig_clear (&rig);
}

static void
test_the_detector_forgets (void)
{
  GrowingRig rig;
  guint n;

  growing_rig_init (&rig);
  n = rig.n_forgotten;
  growing_rig_add_level (&rig, 0, 100 * MS);
  g_assert_cmpuint (rig.n_forgotten, ==, n);
  growing_rig_add_level (&rig, 0, GST_SECOND);
  g_assert_cmpuint (rig.n_forgotten, ==, n + 1);
  growing_rig_pass (&rig, GST_SECOND);
  g_assert_cmpuint (rig.n_forgotten, ==, n + 2);
  growing_window_restart (&rig.window, 0);
  g_assert_cmpuint (rig.n_forgotten, ==, n + 3);
  growing_rig_clear (&rig);
}

/* --- storms ------------------------------------------------------------- */

/* A decoder behind a queue: it answers about windows that are long gone, or
 * not at all, or nonsense. */
static void
answer_at_random (GrowingRig *rig, GRand *rand)
{
  const GrowingOutput *window;
  guint back = g_rand_int_range (rand, 0, 8);
  GstClockTime until;

  if (rig->outputs->len <= back)
    return;
  window = growing_rig_get (rig, rig->outputs->len - 1 - back);
  until = window->start + g_rand_double (rand) * window->duration;
  if (g_rand_int_range (rand, 0, 20) == 0)
    until = g_rand_double (rand) * 4e12;
  growing_rig_advance (
      rig, until, until - MIN (until, g_rand_int_range (rand, 0, 4) * 1e9));
}

static void
test_storm (void)
{
  for (guint32 seed = 1; seed <= 20; seed++) {
    g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
    GrowingRig rig;

    growing_rig_init_at (&rig, g_rand_int_range (rand, 1, 12) * GST_SECOND,
        g_rand_int_range (rand, 0, 1000) * MS);
    for (guint i = 0; i < 200; i++) {
      const GstClockTime time = g_rand_int_range (rand, 1, 1500) * MS;

      rig.lag = g_rand_int_range (rand, -1000, 1000) * (gint64) MS;
      switch (g_rand_int_range (rand, 0, 8)) {
        case 0:
          growing_rig_pass (&rig, time);
          break;
        case 1:
        case 2:
          growing_rig_hush (&rig, time / 2);
          break;
        case 3:
          growing_window_set_time (&rig.window,
              rig.window.head + g_rand_int_range (rand, 0, 15) * MS);
          break;
        default:
          growing_rig_speak (&rig, time);
      }
      if (seed % 4)
        answer_at_random (&rig, rand);
    }
    growing_rig_drain (&rig);
    growing_rig_clear (&rig);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/growing/late", test_steps_merge);
  g_test_add_func ("/growing/pass/long", test_nothing_passes_at_once);
  g_test_add_func ("/growing/pass/end", test_nothing_ends_an_utterance);
  g_test_add_func ("/growing/pass/short", test_a_short_pass_is_a_pause);
  g_test_add_func ("/growing/drift", test_drift);
  g_test_add_func ("/growing/voice/upstream", test_upstream_knows_voice);
  g_test_add_func ("/growing/voice/zeros", test_zeros_are_no_voice);
  g_test_add_func ("/growing/voice/forget", test_the_detector_forgets);
  g_test_add_func ("/growing/storm", test_storm);
  return g_test_run ();
}
