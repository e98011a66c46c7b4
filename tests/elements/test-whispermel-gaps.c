/* What whispermel makes of gaps: events and flagged buffers.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "mel-rig.h"
#include "test-audio.h"

#define N_SAMPLES (4 * RATE)

static float *speech;  /* [N_SAMPLES] */
static float *silence; /* [N_SAMPLES] */

/* Past those events that every stream begins with. */
static MelRig *
rig_new_started (void)
{
  MelRig *rig = mel_rig_new (NULL, NULL);

  mel_rig_start (rig);
  mel_rig_forget (rig);
  return rig;
}

static void
check_gap (MelRig *rig, GstClockTime pts, GstClockTime duration)
{
  g_autoptr (GstEvent) event = mel_rig_pop_event (rig);
  GstClockTime event_pts, event_duration;

  g_assert_nonnull (event);
  g_assert_cmpint (GST_EVENT_TYPE (event), ==, GST_EVENT_GAP);
  gst_event_parse_gap (event, &event_pts, &event_duration);
  g_assert_cmpuint (event_pts, ==, pts);
  g_assert_cmpuint (event_duration, ==, duration);
}

/* [5000, 9000) of a window. */
static void
test_gap_event_is_silence (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();
  g_autofree float *expected = g_memdup2 (speech, RATE * sizeof (float));

  memset (expected + 5000, 0, 4000 * sizeof (float));
  mel_rig_push (rig, speech, 5000, 0);
  mel_rig_send (rig, gst_event_new_gap (5000 * SAMPLE, 4000 * SAMPLE));
  mel_rig_push (rig, speech + 9000, RATE - 9000, 9000 * SAMPLE);
  g_assert_false (GST_BUFFER_FLAG_IS_SET (
      g_queue_peek_head (&rig->pushed), GST_BUFFER_FLAG_GAP));
  mel_rig_check_window (rig, 0, expected, RATE);
}

/* From the middle of one window into the middle of the fourth. */
static void
test_long_gap_event (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();
  g_autofree float *first = g_memdup2 (silence, RATE * sizeof (float));
  g_autofree float *last = g_memdup2 (silence, RATE * sizeof (float));

  memcpy (first, speech, 5000 * sizeof (float));
  memcpy (last + 3000, speech, (RATE - 3000) * sizeof (float));
  mel_rig_push (rig, speech, 5000, 0);
  mel_rig_send (
      rig, gst_event_new_gap (5000 * SAMPLE, (3 * RATE - 2000) * SAMPLE));
  mel_rig_push (rig, speech, RATE - 3000, 3 * GST_SECOND + 3000 * SAMPLE);

  mel_rig_check_window (rig, 0, first, RATE);
  check_gap (rig, GST_SECOND, 2 * GST_SECOND);
  mel_rig_check_window (rig, 3 * GST_SECOND, last, RATE);
}

static void
test_small_gap_events_make_one_a_window (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  for (int i = 0; i < 150; i++)
    mel_rig_send (
        rig, gst_event_new_gap (i * 20 * GST_MSECOND, 20 * GST_MSECOND));
  for (int i = 0; i < 3; i++)
    check_gap (rig, i * GST_SECOND, GST_SECOND);
  mel_rig_send (rig, gst_event_new_gap (3 * GST_SECOND, GST_SECOND / 4));
  mel_rig_send (rig, gst_event_new_eos ());
  check_gap (rig, 3 * GST_SECOND, GST_SECOND / 4);
  mel_rig_check_event (rig, GST_EVENT_EOS);
}

static void
test_gap_of_hours (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();
  const GstClockTime hours = 10000 * 3600 * GST_SECOND;

  mel_rig_send (rig, gst_event_new_gap (0, hours));
  check_gap (rig, 0, hours);
  mel_rig_push (rig, speech, RATE, hours);
  mel_rig_check_window (rig, hours, speech, RATE);

  /* The longest there is counts as 146 years. */
  mel_rig_send (rig, gst_event_new_gap (hours + GST_SECOND, G_MAXUINT64 - 1));
  check_gap (rig, hours + GST_SECOND, 4611686018 * GST_SECOND);
}

static void
test_gap_with_overlap (void)
{
  g_autoptr (MelRig) rig = mel_rig_new ("hop", GST_SECOND / 2, NULL);
  g_autofree float *half = g_memdup2 (silence, RATE * sizeof (float));

  mel_rig_start (rig);
  mel_rig_forget (rig);
  memcpy (half, speech + RATE / 2, RATE / 2 * sizeof (float));
  mel_rig_push (rig, speech, RATE, 0);
  mel_rig_send (rig, gst_event_new_gap (GST_SECOND, 3 * GST_SECOND));
  mel_rig_check_window (rig, 0, speech, RATE);
  mel_rig_check_window (rig, GST_SECOND / 2, half, RATE);
  /* Windows at 1, 1.5, 2, 2.5 and 3 s. */
  check_gap (rig, GST_SECOND, 5 * GST_SECOND / 2);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_event (rig, GST_EVENT_EOS);
}

static void
test_gap_in_what_is_left_out (void)
{
  g_autoptr (MelRig) rig = mel_rig_new ("hop", 2 * GST_SECOND, NULL);

  mel_rig_start (rig);
  mel_rig_forget (rig);
  mel_rig_send (rig, gst_event_new_gap (0, 3 * GST_SECOND));
  check_gap (rig, 0, 4 * GST_SECOND); /* no window begins before */
  mel_rig_push (rig, speech, 3 * RATE, 3 * GST_SECOND);
  mel_rig_check_window (rig, 4 * GST_SECOND, speech + RATE, RATE);

  mel_rig_send (rig, gst_event_new_gap (6 * GST_SECOND, 2 * GST_SECOND));
  check_gap (rig, 6 * GST_SECOND, 2 * GST_SECOND);
  mel_rig_push (rig, speech, RATE, 8 * GST_SECOND);
  mel_rig_check_window (rig, 8 * GST_SECOND, speech, RATE);
  mel_rig_send (rig, gst_event_new_gap (9 * GST_SECOND, 2 * GST_SECOND));
  check_gap (rig, 10 * GST_SECOND, 2 * GST_SECOND);
}

static void
test_gap_after_a_jump (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  mel_rig_push (rig, speech, 5000, 0);
  mel_rig_send (rig, gst_event_new_gap (5 * GST_SECOND, GST_SECOND));
  mel_rig_check_window (rig, 0, speech, 5000);
  check_gap (rig, 5 * GST_SECOND, GST_SECOND);
}

static void
test_gap_without_duration (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  mel_rig_send (rig, gst_event_new_gap (0, GST_CLOCK_TIME_NONE));
  check_gap (rig, 0, GST_CLOCK_TIME_NONE);
  mel_rig_push (rig, speech, 5000, 0);
  mel_rig_send (rig, gst_event_new_gap (5000 * SAMPLE, GST_CLOCK_TIME_NONE));
  mel_rig_push (rig, speech + 5000, RATE - 5000, 5000 * SAMPLE);
  g_assert_null (mel_rig_pop_event (rig));
  mel_rig_check_window (rig, 0, speech, RATE);
}

static void
push_gap_buffer (MelRig *rig, gsize n, GstClockTime pts)
{
  GstBuffer *buffer = mel_buffer_new (speech, n, pts);

  GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_GAP);
  gst_harness_push (rig->harness, buffer);
}

static void
test_gap_buffers_are_silence (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();
  g_autofree float *expected = g_memdup2 (speech, RATE * sizeof (float));
  GstBuffer *window;

  memset (expected + 5000, 0, 4000 * sizeof (float));
  mel_rig_push (rig, speech, 5000, 0);
  push_gap_buffer (rig, 4000, 5000 * SAMPLE);
  mel_rig_push (rig, speech + 9000, RATE - 9000, 9000 * SAMPLE);
  window = g_queue_peek_head (&rig->pushed);
  g_assert_false (GST_BUFFER_FLAG_IS_SET (window, GST_BUFFER_FLAG_GAP));
  mel_rig_check_window (rig, 0, expected, RATE);

  push_gap_buffer (rig, RATE, GST_SECOND);
  window = g_queue_peek_head (&rig->pushed);
  g_assert_true (GST_BUFFER_FLAG_IS_SET (window, GST_BUFFER_FLAG_GAP));
  mel_rig_check_window (rig, GST_SECOND, silence, RATE);
}

#define ADD(name, func) g_test_add_func ("/whispermel/gaps/" name, func)

int
main (int argc, char **argv)
{
  int result;

  mel_test_init (&argc, &argv);
  speech = test_audio_new_speech (N_SAMPLES, 4);
  silence = g_new0 (float, N_SAMPLES);

  ADD ("gap-event-is-silence-in-a-window", test_gap_event_is_silence);
  ADD ("windows-of-nothing-are-a-gap-event", test_long_gap_event);
  ADD ("small-gap-events-make-one-a-window",
      test_small_gap_events_make_one_a_window);
  ADD ("gap-of-hours-takes-no-time", test_gap_of_hours);
  ADD ("gap-with-overlap", test_gap_with_overlap);
  ADD ("gap-in-what-is-left-out", test_gap_in_what_is_left_out);
  ADD ("gap-after-a-jump-cuts", test_gap_after_a_jump);
  ADD ("gap-without-duration", test_gap_without_duration);
  ADD ("gap-buffers-are-silence", test_gap_buffers_are_silence);

  result = g_test_run ();
  g_free (speech);
  g_free (silence);
  return result;
}
