/* Windows of mode=follow: each begins where a decoder says, here a scripted one
 * behind the element, that the last one was used up.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "mel-rig.h"
#include "test-audio.h"
#include "windowevent.h"

#define N_SAMPLES (12 * RATE)
#define FRAME 160

static float *speech; /* [N_SAMPLES] */

/* Answers, relative to the start of the window, and NO_ANSWER. */
#define NO_ANSWER G_MININT64
#define END G_MAXINT64 /* the whole window */

typedef struct {
  const gint64 *answers; /* ns; the last of them for ever */
  guint n, n_asked;
  gint seqnum_offset;
  gboolean taken; /* the last one */
} Script;

static guint32
get_seqnum (GstPad *pad)
{
  g_autoptr (GstEvent) segment =
      gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);

  return gst_event_get_seqnum (segment);
}

static GstPadProbeReturn
decode (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  Script *script = user_data;
  GstBuffer *window = GST_PAD_PROBE_INFO_BUFFER (info);
  guint i = MIN (script->n_asked, script->n - 1);
  gint64 answer = script->answers[i];
  GstClockTime until;

  script->n_asked++;
  if (answer == NO_ANSWER)
    return GST_PAD_PROBE_OK;
  if (answer == END)
    until = GST_BUFFER_PTS (window) + GST_BUFFER_DURATION (window);
  else
    until = MAX ((gint64) GST_BUFFER_PTS (window) + answer, 0);
  script->taken = gst_pad_send_event (
      pad, window_event_new_advance (until, GST_CLOCK_TIME_NONE,
               get_seqnum (pad) + script->seqnum_offset));
  return GST_PAD_PROBE_OK;
}

static MelRig *
follow_rig_new (Script *script, const char *property, GstClockTime value)
{
  MelRig *rig = mel_rig_new ("mode", 1, property, value, NULL);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, decode, script, NULL);
  mel_rig_start (rig);
  return rig;
}

/* Pushes @n samples in chunks of @chunk, and EOS. */
static void
push_all (MelRig *rig, gsize n, gsize chunk)
{
  for (gsize i = 0; i < n; i += chunk)
    mel_rig_push (rig, speech + i, MIN (chunk, n - i), i * SAMPLE);
  mel_rig_send (rig, gst_event_new_eos ());
}

static void
check_at (MelRig *rig, gsize first, gsize n)
{
  mel_rig_check_window (rig, first * SAMPLE, speech + first, n);
}

/* The loop of transcribe(): seek += what was used, to the end of the audio. */
static void
test_answers_move_windows (void)
{
  static const gint64 answers[] = {600 * GST_MSECOND, END, 20 * GST_MSECOND,
      980 * GST_MSECOND, 340 * GST_MSECOND};
  static const gsize chunks[] = {160, 1111, RATE, 5 * RATE};

  for (guint c = 0; c < G_N_ELEMENTS (chunks); c++) {
    Script script = {answers, G_N_ELEMENTS (answers), 0, 0, FALSE};
    g_autoptr (MelRig) rig = follow_rig_new (&script, "hop", 0);
    const gsize n = 5 * RATE / 2 + 7;
    gsize seek = 0;

    push_all (rig, n, chunks[c]);
    for (guint i = 0; n - seek >= RATE / 10; i++) {
      gint64 answer = answers[MIN (i, G_N_ELEMENTS (answers) - 1)];
      gsize length = MIN (n - seek, RATE);

      check_at (rig, seek, length);
      seek += answer == END ? length : MIN ((gsize) answer / SAMPLE, length);
    }
    mel_rig_check_no_window (rig);
    g_assert_true (script.taken);
  }
}

static void
test_without_answers_windows_hop (void)
{
  static const gint64 answers[] = {NO_ANSWER};
  Script script = {answers, 1, 0, 0, FALSE};
  g_autoptr (MelRig) rig = follow_rig_new (&script, "hop", 0);

  push_all (rig, 5 * RATE / 2, 1000);
  check_at (rig, 0, RATE);
  check_at (rig, RATE, RATE);
  check_at (rig, 2 * RATE, RATE / 2);
  mel_rig_check_no_window (rig);
}

static void
test_without_answers_windows_overlap (void)
{
  static const gint64 answers[] = {NO_ANSWER};
  Script script = {answers, 1, 0, 0, FALSE};
  g_autoptr (MelRig) rig = follow_rig_new (&script, "hop", GST_SECOND / 2);

  push_all (rig, 2 * RATE + 100, 1000);
  check_at (rig, 0, RATE);
  check_at (rig, RATE / 2, RATE);
  check_at (rig, RATE, RATE);
  check_at (rig, 3 * RATE / 2, RATE / 2 + 100); /* for the last 100 */
  mel_rig_check_no_window (rig);
}

static void
test_answers_with_a_hop_beyond_the_window (void)
{
  static const gint64 answers[] = {500 * GST_MSECOND, NO_ANSWER};
  Script script = {answers, 2, 0, 0, FALSE};
  g_autoptr (MelRig) rig = follow_rig_new (&script, "hop", 3 * GST_SECOND);

  push_all (rig, 6 * RATE, 1000);
  check_at (rig, 0, RATE);
  check_at (rig, RATE / 2, RATE);
  check_at (rig, RATE / 2 + 3 * RATE, RATE);
  mel_rig_check_no_window (rig);
}

static void
test_exactly_one_window (void)
{
  static const gint64 answers[] = {END};
  Script script = {answers, 1, 0, 0, FALSE};
  g_autoptr (MelRig) rig = follow_rig_new (&script, "hop", 0);

  push_all (rig, RATE, RATE);
  check_at (rig, 0, RATE);
  mel_rig_check_no_window (rig);
}

/* Of audio that is no window, nothing is made. */
static void
test_less_than_100_ms (void)
{
  static const gint64 answers[] = {END};
  static const gsize lengths[] = {1, RATE / 10 - 1, RATE / 10};

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++) {
    Script script = {answers, 1, 0, 0, FALSE};
    g_autoptr (MelRig) rig = follow_rig_new (&script, "hop", 0);

    push_all (rig, RATE + lengths[i], RATE);
    check_at (rig, 0, RATE);
    if (lengths[i] >= RATE / 10)
      check_at (rig, RATE, lengths[i]);
    mel_rig_check_no_window (rig);
  }
}

/* Answers that lead nowhere: before the window, at its start, beyond it. */
static void
test_answers_are_clamped (void)
{
  static const gint64 answers[] = {
      -5 * (gint64) GST_SECOND, 0, 1, 100 * GST_SECOND};
  Script script = {answers, G_N_ELEMENTS (answers), 0, 0, FALSE};
  g_autoptr (MelRig) rig = follow_rig_new (&script, "hop", 0);

  push_all (rig, 3 * RATE, 1000);
  check_at (rig, 0, RATE);
  check_at (rig, FRAME, RATE); /* a frame is the least */
  check_at (rig, 2 * FRAME, RATE);
  check_at (rig, 3 * FRAME, RATE);
  check_at (rig, 3 * FRAME + RATE, RATE);
  check_at (rig, 3 * FRAME + 2 * RATE, RATE - 3 * FRAME);
  mel_rig_check_no_window (rig);
}

/* As floats have it: 599999999 ns is 60 frames. */
static void
test_answers_are_rounded_to_frames (void)
{
  static const gint64 answers[] = {600 * GST_MSECOND - 1, END};
  Script script = {answers, 2, 0, 0, FALSE};
  g_autoptr (MelRig) rig = follow_rig_new (&script, "hop", 0);

  push_all (rig, 2 * RATE, 1000);
  check_at (rig, 0, RATE);
  check_at (rig, 60 * FRAME, RATE);
}

static void
test_answers_about_another_segment (void)
{
  static const gint64 answers[] = {500 * GST_MSECOND};
  Script script = {answers, 1, 0, 1, TRUE};
  g_autoptr (MelRig) rig = follow_rig_new (&script, "hop", 0);

  push_all (rig, 2 * RATE, 1000);
  check_at (rig, 0, RATE);
  check_at (rig, RATE, RATE);
  mel_rig_check_no_window (rig);
  g_assert_false (script.taken);
}

static void
test_fixed_ignores_answers (void)
{
  static const gint64 answers[] = {500 * GST_MSECOND};
  Script script = {answers, 1, 0, 0, TRUE};
  g_autoptr (MelRig) rig = follow_rig_new (&script, "mode", 0);

  push_all (rig, 2 * RATE, 1000);
  check_at (rig, 0, RATE);
  check_at (rig, RATE, RATE);
  mel_rig_check_no_window (rig);
  g_assert_false (script.taken);
}

/* A flush and a seek: the answer to the window before does not move what comes
 * after. */
static void
test_flush_forgets_answers (void)
{
  static const gint64 answers[] = {500 * GST_MSECOND, END};
  Script script = {answers, 2, 0, 0, FALSE};
  g_autoptr (MelRig) rig = follow_rig_new (&script, "hop", 0);
  GstSegment segment;

  mel_rig_push (rig, speech, RATE, 0);
  mel_rig_send (rig, gst_event_new_flush_start ());
  mel_rig_send (rig, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = segment.time = 5 * GST_SECOND;
  mel_rig_send (rig, gst_event_new_segment (&segment));
  mel_rig_push (rig, speech + 5 * RATE, RATE, 5 * GST_SECOND);
  check_at (rig, 0, RATE);
  check_at (rig, 5 * RATE, RATE);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_no_window (rig);
}

static gboolean
send_advance (MelRig *rig, GstClockTime until)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");

  return gst_pad_send_event (pad,
      window_event_new_advance (until, GST_CLOCK_TIME_NONE, get_seqnum (pad)));
}

static gpointer
send_half (gpointer rig)
{
  return GINT_TO_POINTER (send_advance (rig, GST_SECOND / 2));
}

/* With a queue between, the answer comes when the push has returned. It counts
 * until the next window is full by hops. */
static void
test_late_answers (void)
{
  static const gint64 answers[] = {NO_ANSWER};
  Script script = {answers, 1, 0, 0, FALSE};
  g_autoptr (MelRig) rig = follow_rig_new (&script, "hop", 0);

  mel_rig_push (rig, speech, RATE + 7000, 0);
  check_at (rig, 0, RATE);
  g_assert_true (g_thread_join (g_thread_new ("decoder", send_half, rig)));
  mel_rig_push (rig, speech + RATE + 7000, RATE - 7000, (RATE + 7000) * SAMPLE);
  check_at (rig, RATE / 2, RATE); /* now that is there */
  mel_rig_check_no_window (rig);

  mel_rig_push (rig, speech + 2 * RATE, RATE, 2 * GST_SECOND);
  check_at (rig, 3 * RATE / 2, RATE);              /* by a hop */
  g_assert_false (send_advance (rig, GST_SECOND)); /* to the one before */
  mel_rig_send (rig, gst_event_new_eos ());
  check_at (rig, 5 * RATE / 2, RATE / 2);
  mel_rig_check_no_window (rig);
  g_assert_false (send_advance (rig, 3 * GST_SECOND)); /* all is decided */
}

/* A pause: what is left is a window, and nothing more. */
static void
test_gap_between (void)
{
  static const gint64 answers[] = {500 * GST_MSECOND, END};
  Script script = {answers, 2, 0, 0, FALSE};
  g_autoptr (MelRig) rig = follow_rig_new (&script, "hop", 0);

  mel_rig_push (rig, speech, RATE, 0);
  mel_rig_push (rig, speech + 8 * RATE, RATE, 8 * GST_SECOND);
  check_at (rig, 0, RATE);
  check_at (rig, RATE / 2, RATE / 2);
  check_at (rig, 8 * RATE, RATE);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_no_window (rig);
}

static void
test_hours_of_gap (void)
{
  static const gint64 answers[] = {END};
  Script script = {answers, 1, 0, 0, FALSE};
  g_autoptr (MelRig) rig = follow_rig_new (&script, "hop", 0);
  const GstClockTime hours = 10000 * 3600 * GST_SECOND;

  mel_rig_push (rig, speech, RATE, 0);
  mel_rig_send (rig, gst_event_new_gap (GST_SECOND, hours - GST_SECOND));
  mel_rig_push (rig, speech, RATE, hours);
  check_at (rig, 0, RATE);
  mel_rig_check_window (rig, hours, speech, RATE);
}

/* A decoder behind a queue, that takes as long as it likes: every sample is in
 * a window, in order, and none is skipped. */
static GstPadProbeReturn
decode_beyond_queue (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GRand *rand = user_data;
  GstBuffer *window = GST_PAD_PROBE_INFO_BUFFER (info);
  GstClockTime used =
      GST_BUFFER_DURATION (window) / 100 * g_rand_int_range (rand, 20, 101);

  if (g_rand_boolean (rand))
    g_usleep (g_rand_int_range (rand, 0, 500));
  gst_pad_push_event (
      pad, window_event_new_advance (GST_BUFFER_PTS (window) + used,
               GST_CLOCK_TIME_NONE, get_seqnum (pad)));
  return GST_PAD_PROBE_OK;
}

static void
test_queue_loses_nothing (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (
      "audiotestsrc num-buffers=600 samplesperbuffer=1600 ! "
      "audio/x-raw,rate=16000 ! audioconvert ! "
      "whispermel window=1000000000 mode=follow ! queue max-size-buffers=2 ! "
      "appsink name=sink sync=false max-buffers=2",
      &error);
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  g_autoptr (GstElement) sink = NULL;
  g_autoptr (GstPad) pad = NULL;
  GstClockTime start = 0, end = 0;
  GstSample *sample;

  g_assert_no_error (error);
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  pad = gst_element_get_static_pad (sink, "sink");
  gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_BUFFER, decode_beyond_queue, rand, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while (TRUE) {
    GstBuffer *window;

    g_signal_emit_by_name (sink, "pull-sample", &sample);
    if (!sample)
      break;
    window = gst_sample_get_buffer (sample);
    g_assert_cmpuint (GST_BUFFER_PTS (window), <=, end);
    g_assert_true (end == 0 || GST_BUFFER_PTS (window) > start);
    start = GST_BUFFER_PTS (window);
    end = start + GST_BUFFER_DURATION (window);
    gst_sample_unref (sample);
  }
  g_assert_cmpuint (end, >, 60 * GST_SECOND - 100 * GST_MSECOND);
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

#define ADD(name, func) g_test_add_func ("/whispermel/follow/" name, func)

/* Windows of mode=pauses: all audio is in one of them, none is short but the
 * last, and answers change nothing. */
static void
test_pauses (void)
{
  g_autoptr (MelRig) rig = mel_rig_new ("mode", 3, NULL);
  GstClockTime end = 0;
  guint n = 0;
  GstBuffer *window;

  mel_rig_start (rig);
  for (guint i = 0; i < 12; i++)
    mel_rig_push (rig, speech + i * RATE, RATE, i * GST_SECOND);
  mel_rig_send (rig, gst_event_new_eos ());
  while ((window = mel_rig_pop_window (rig))) {
    const GstClockTime duration = GST_BUFFER_DURATION (window);

    g_assert_cmpuint (GST_BUFFER_PTS (window), ==, end);
    g_assert_cmpuint (duration, <=, GST_SECOND);
    end += duration;
    if (end < 12 * GST_SECOND)
      g_assert_cmpuint (duration, >=, GST_SECOND * 2 / 3);
    n++;
    gst_buffer_unref (window);
  }
  g_assert_cmpuint (end, ==, 12 * GST_SECOND);
  g_assert_cmpuint (n, >, 12);
}

/* A decoder asks whether what it leaves of a window comes again. */
static void
test_how_windows_follow (void)
{
  static const struct {
    int mode;
    GstClockTime hop;
    GstClockTime window; /* s */
    WindowFollow follow;
  } cases[] = {{0, 0, 30, {FALSE, FALSE, 0}},
      {0, GST_SECOND, 1, {FALSE, TRUE, 0}},
      {0, GST_SECOND / 4, 1, {FALSE, TRUE, GST_SECOND - GST_SECOND / 4}},
      {0, 2 * GST_SECOND, 1, {FALSE, TRUE, 0}}, {1, 0, 30, {TRUE, FALSE, 0}},
      {1, GST_SECOND / 2, 1, {TRUE, TRUE, 0}},
      {3, GST_SECOND / 2, 30, {FALSE, TRUE, 0}}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (MelRig) rig = mel_rig_new ("mode", cases[i].mode, "hop",
        cases[i].hop, "window", cases[i].window * GST_SECOND, NULL);
    g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
    g_autoptr (GstQuery) query = window_event_new_follow_query ();
    WindowFollow follow = window_event_parse_follow (query);

    /* where nobody answers */
    g_assert_false (follow.follows || follow.overlap || follow.varies);
    g_assert_true (gst_pad_query (pad, query));
    follow = window_event_parse_follow (query);
    g_assert_cmpint (follow.follows, ==, cases[i].follow.follows);
    g_assert_cmpuint (follow.overlap, ==, cases[i].follow.overlap);
    g_assert_cmpint (follow.varies, ==, cases[i].follow.varies);
  }
}

int
main (int argc, char **argv)
{
  int result;

  mel_test_init (&argc, &argv);
  speech = test_audio_new_speech (N_SAMPLES, 5);

  ADD ("answers-move-windows", test_answers_move_windows);
  ADD ("without-answers-windows-hop", test_without_answers_windows_hop);
  ADD ("without-answers-windows-overlap", test_without_answers_windows_overlap);
  ADD ("answers-with-a-hop-beyond-the-window",
      test_answers_with_a_hop_beyond_the_window);
  ADD ("exactly-one-window", test_exactly_one_window);
  ADD ("less-than-100-ms-is-no-window", test_less_than_100_ms);
  ADD ("answers-are-clamped", test_answers_are_clamped);
  ADD ("answers-are-rounded-to-frames", test_answers_are_rounded_to_frames);
  ADD ("answers-about-another-segment-are-ignored",
      test_answers_about_another_segment);
  ADD ("fixed-ignores-answers", test_fixed_ignores_answers);
  ADD ("flush-forgets-answers", test_flush_forgets_answers);
  ADD ("late-answers-count-until-the-next-window", test_late_answers);
  ADD ("pauses", test_pauses);
  ADD ("how-windows-follow", test_how_windows_follow);
  ADD ("a-pause-ends-the-loop", test_gap_between);
  ADD ("hours-of-gap-take-no-time", test_hours_of_gap);
  ADD ("behind-a-queue-nothing-is-lost", test_queue_loses_nothing);

  result = g_test_run ();
  g_free (speech);
  return result;
}
