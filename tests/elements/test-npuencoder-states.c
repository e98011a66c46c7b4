/* npuencoder in the hands of an application: state changes, flushes and seeks
 * at any time, several elements at once, a launch that takes too long.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "encoder-rig.h"
#include "patience.h"

#define LONG_FRAMES 1000 /* long enough to be caught in the middle */

/* Far above what a launch takes, far below a hang. */
#define SOON (30 * G_USEC_PER_SEC)

/* One window pushed in a thread of its own. */
typedef struct {
  EncoderRig *rig;
  guint n_frames;
  GstFlowReturn flow;
} Push;

static gpointer
push_thread (gpointer data)
{
  Push *push = data;

  push->flow = gst_harness_push (
      push->rig->harness, encoder_mel_buffer (push->n_frames, 1, 0));
  return NULL;
}

static void
drop_output (EncoderRig *rig)
{
  GstBuffer *buffer;

  while ((buffer = gst_harness_try_pull (rig->harness)))
    gst_buffer_unref (buffer);
}

/* us that a window takes now. */
static gint64
time_window (EncoderRig *rig)
{
  const gint64 start = g_get_monotonic_time ();

  g_bytes_unref (encoder_rig_encode (rig, LONG_FRAMES, 1));
  return MAX (g_get_monotonic_time () - start, 1);
}

static void
test_flush_in_the_middle_of_a_window (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new ("precision", 2, NULL);
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  g_autoptr (GBytes) expected = NULL;
  guint n, n_flushed = 0;
  gint64 longest = 0, whole;

  encoder_rig_set_frames (rig, LONG_FRAMES);
  expected = encoder_rig_encode (rig, LONG_FRAMES, 1);
  whole = time_window (rig);

  /* Some seconds of it, on a machine of any speed, and until one was cut short:
   * that whose time was taken may have been a slow one. */
  n = g_test_slow () ? CLAMP (5 * G_USEC_PER_SEC / whole, 8, 40) : 8;
  for (guint i = 0; i < n || n_flushed == 0; i++) {
    Push push = {rig, LONG_FRAMES, GST_FLOW_ERROR};
    GThread *thread = g_thread_new ("push", push_thread, &push);
    GstSegment segment;
    gint64 start;

    g_usleep (g_rand_int_range (rand, 0, whole));
    start = g_get_monotonic_time ();
    gst_harness_push_event (rig->harness, gst_event_new_flush_start ());
    g_thread_join (thread);
    longest = MAX (longest, g_get_monotonic_time () - start);
    g_assert_true (push.flow == GST_FLOW_FLUSHING || push.flow == GST_FLOW_OK);
    n_flushed += push.flow == GST_FLOW_FLUSHING;
    gst_harness_push_event (rig->harness, gst_event_new_flush_stop (TRUE));
    gst_segment_init (&segment, GST_FORMAT_TIME);
    gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
    drop_output (rig);

    /* And the next window is as if nothing had been. */
    if (i % 8 == 0) {
      g_autoptr (GBytes) states = encoder_rig_encode (rig, LONG_FRAMES, 1);

      g_assert_true (g_bytes_equal (states, expected));
      whole = MIN (whole, time_window (rig));
    }
  }
  g_test_message (
      "%u of at least %u flushes cut a window of %.0f ms short; the longest "
      "took %.1f ms",
      n_flushed, n, whole / 1e3, longest / 1e3);
  g_assert_cmpint (longest, <, SOON);
  g_assert_null (encoder_pop_message (rig->bus, GST_MESSAGE_ERROR, 0));
}

static void
test_flush_without_a_window (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  GstSegment segment;

  for (guint i = 0; i < 3; i++) {
    g_autoptr (GBytes) states = NULL;

    gst_harness_push_event (rig->harness, gst_event_new_flush_start ());
    g_assert_cmpint (
        gst_harness_push (rig->harness, encoder_mel_buffer (20, 1, 0)), ==,
        GST_FLOW_FLUSHING);
    gst_harness_push_event (rig->harness, gst_event_new_flush_stop (TRUE));
    encoder_rig_set_frames (rig, 20);
    gst_segment_init (&segment, GST_FORMAT_TIME);
    gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
    states = encoder_rig_encode (rig, 20, 1);
  }
}

static void
test_pad_deactivated_in_the_middle (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new ("threads", 1, NULL);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "sink");
  Push push = {rig, LONG_FRAMES, GST_FLOW_ERROR};
  GThread *thread;
  gint64 start;

  encoder_rig_set_frames (rig, LONG_FRAMES);
  thread = g_thread_new ("push", push_thread, &push);
  g_usleep (20000);
  start = g_get_monotonic_time ();
  g_assert_true (gst_pad_set_active (pad, FALSE));
  g_assert_cmpint (g_get_monotonic_time () - start, <, SOON);
  g_thread_join (thread);
  g_assert_true (push.flow == GST_FLOW_FLUSHING || push.flow == GST_FLOW_OK);
}

/* --- whole pipelines ---------------------------------------------------- */

static GstElement *
new_pipeline (const char *description)
{
  g_autoptr (GError) error = NULL;
  GstElement *pipeline = gst_parse_launch (description, &error);

  g_assert_no_error (error);
  return pipeline;
}

static void
check_no_error (GstElement *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message =
      encoder_pop_message (bus, GST_MESSAGE_ERROR, 0);

  if (message) {
    g_autoptr (GError) error = NULL;

    gst_message_parse_error (message, &error, NULL);
    g_error ("%s", error->message);
  }
}

/* Returns how many stats messages there were. */
static guint
run_to_eos (GstElement *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  guint n = 0;

  g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PLAYING), !=,
      GST_STATE_CHANGE_FAILURE);
  for (;;) {
    g_autoptr (GstMessage) message = encoder_pop_message (bus,
        GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS | GST_MESSAGE_ERROR, PATIENCE);

    g_assert_nonnull (message);
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS)
      return n;
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
      g_autoptr (GError) error = NULL;

      gst_message_parse_error (message, &error, NULL);
      g_error ("%s", error->message);
    }
    n += gst_message_has_name (message, "npuencoder-stats");
  }
}

#define SPEECH(seconds)                                                        \
  "audiotestsrc wave=red-noise samplesperbuffer=1600 num-buffers=" #seconds    \
  "0 ! audio/x-raw,format=F32LE,rate=16000,channels=1 ! "

static void
test_whole_pipeline_reaches_eos (void)
{
  g_autoptr (GstElement) pipeline = new_pipeline (SPEECH (
      5) "whispermel window=2000000000 ! npuencoder model=" TINY " ! fakesink");

  /* 2 s, 2 s, 1 s; and again after a restart. */
  for (guint i = 0; i < 2; i++) {
    g_assert_cmpuint (run_to_eos (pipeline), ==, 3);
    gst_element_set_state (pipeline, i ? GST_STATE_NULL : GST_STATE_READY);
  }
}

/* The error is that nothing is linked, not one of caps. */
static void
test_nothing_downstream (void)
{
  g_autoptr (GstElement) pipeline = new_pipeline (
      SPEECH (2) "whispermel window=1000000000 ! npuencoder model=" TINY);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message = NULL;
  g_autofree char *details = NULL;

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = encoder_pop_message (bus, GST_MESSAGE_ERROR, PATIENCE);
  g_assert_nonnull (message);
  gst_message_parse_error (message, NULL, &details);
  g_assert_nonnull (strstr (details, "not-linked"));
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

static void
test_any_state_change_at_any_time (void)
{
  static const GstState states[] = {
      GST_STATE_NULL, GST_STATE_READY, GST_STATE_PAUSED, GST_STATE_PLAYING};
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);
  g_autoptr (GstElement) pipeline = new_pipeline (
      SPEECH (60) "whispermel window=10000000000 ! npuencoder model=" TINY
                  " ! fakesink");
  gint64 longest = 0;

  for (guint i = 0; i < (g_test_slow () ? 60 : 25); i++) {
    GstState state = states[g_rand_int_range (rand, 0, 4)];
    gint64 start = g_get_monotonic_time ();

    g_assert_cmpint (
        gst_element_set_state (pipeline, state), !=, GST_STATE_CHANGE_FAILURE);
    longest = MAX (longest, g_get_monotonic_time () - start);
    g_usleep (g_rand_int_range (rand, 0, 150000));
    check_no_error (pipeline);
  }
  g_test_message ("the longest state change took %.1f ms", longest / 1e3);
  g_assert_cmpint (longest, <, SOON);
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

static GstPadProbeReturn
note_buffer (GstPad *pad, GstPadProbeInfo *info, gpointer seen)
{
  g_atomic_int_set ((int *) seen, TRUE);
  return GST_PAD_PROBE_OK;
}

/* Stops as soon as a window is in the element: it is not waited for. */
static void
test_playing_to_null_in_the_middle (void)
{
  guint n_cut = 0;

  const guint n = g_test_slow () ? 10 : 4;

  for (guint i = 0; i < n; i++) {
    g_autoptr (GstElement) pipeline = new_pipeline (
        SPEECH (30) "whispermel ! npuencoder name=e precision=f32 threads=1 "
                    "model=" TINY " ! fakesink name=s");
    g_autoptr (GstElement) encoder =
        gst_bin_get_by_name (GST_BIN (pipeline), "e");
    g_autoptr (GstPad) pad = gst_element_get_static_pad (encoder, "sink");
    g_autoptr (GstStructure) stats = NULL;
    guint64 n_windows = 0;
    int seen = FALSE;
    gint64 start;

    gst_pad_add_probe (
        pad, GST_PAD_PROBE_TYPE_BUFFER, note_buffer, &seen, NULL);
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    while (!g_atomic_int_get (&seen))
      g_usleep (1000);
    g_usleep (i * 3000);
    start = g_get_monotonic_time ();
    gst_element_set_state (pipeline, GST_STATE_NULL);
    g_assert_cmpint (g_get_monotonic_time () - start, <, SOON);
    check_no_error (pipeline);

    g_object_get (encoder, "stats", &stats, NULL);
    gst_structure_get_uint64 (stats, "window", &n_windows);
    n_cut += n_windows == 0;
  }
  g_test_message ("%u of %u windows were cut short", n_cut, n);
  g_assert_cmpuint (n_cut, >, 0);
}

static void
test_flushing_seeks (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (11);
  g_autoptr (GstElement) pipeline = new_pipeline (
      SPEECH (600) "whispermel window=10000000000 ! npuencoder model=" TINY
                   " ! fakesink");

  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gst_element_get_state (pipeline, NULL, NULL, GST_CLOCK_TIME_NONE);
  for (guint i = 0; i < (g_test_slow () ? 30 : 12); i++) {
    gint64 position = g_rand_int_range (rand, 0, 100) * (gint64) GST_SECOND;
    gint64 start = g_get_monotonic_time ();

    g_assert_true (gst_element_seek_simple (
        pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, position));
    g_assert_cmpint (g_get_monotonic_time () - start, <, SOON);
    g_usleep (g_rand_int_range (rand, 0, 100000));
    check_no_error (pipeline);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

/* --- several elements --------------------------------------------------- */

typedef struct {
  guint32 seed;
  GBytes *states[6];
} Stream;

static gpointer
encode_stream (gpointer data)
{
  Stream *stream = data;
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);

  encoder_rig_set_frames (rig, 300);
  for (guint i = 0; i < G_N_ELEMENTS (stream->states); i++)
    stream->states[i] = encoder_rig_encode (rig, 300, stream->seed + i);
  return NULL;
}

static void
test_elements_in_parallel (void)
{
  enum { N = 4 };
  Stream alone = {.seed = 1}, parallel[N];
  GThread *threads[N];

  encode_stream (&alone);
  for (guint t = 0; t < N; t++) {
    parallel[t].seed = 1;
    threads[t] = g_thread_new ("stream", encode_stream, &parallel[t]);
  }
  for (guint t = 0; t < N; t++)
    g_thread_join (threads[t]);

  for (guint i = 0; i < G_N_ELEMENTS (alone.states); i++) {
    for (guint t = 0; t < N; t++) {
      g_assert_true (g_bytes_equal (alone.states[i], parallel[t].states[i]));
      g_bytes_unref (parallel[t].states[i]);
    }
    g_bytes_unref (alone.states[i]);
  }
}

static void
test_two_in_one_pipeline (void)
{
  g_autoptr (GstElement) pipeline = new_pipeline (
      SPEECH (6) "whispermel window=3000000000 ! tee name=t "
                 "t. ! queue ! npuencoder model=" TINY " ! fakesink "
                 "t. ! queue ! npuencoder model=" TINY
                 " precision=f32 output-type=float16 ! fakesink");

  g_assert_cmpuint (run_to_eos (pipeline), ==, 4);
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

/* --- a launch that takes too long --------------------------------------- */

static void
test_timeout_is_an_error (void)
{
  /* The largest launches, on one core, and 1 ms for each. */
  g_autoptr (EncoderRig) rig = encoder_rig_new ("timeout", 1, "threads", 1,
      "batch-size", 24, "precision", 2, "depth", 2, NULL);
  gint64 start = g_get_monotonic_time ();

  encoder_rig_set_frames (rig, LONG_FRAMES);
  g_assert_cmpint (
      gst_harness_push (rig->harness, encoder_mel_buffer (LONG_FRAMES, 1, 0)),
      ==, GST_FLOW_ERROR);
  encoder_check_error (
      rig->bus, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED, "timeout", NULL);
  gst_element_set_state (rig->element, GST_STATE_NULL);
  g_assert_cmpint (g_get_monotonic_time () - start, <, SOON);
}

int
main (int argc, char **argv)
{
  encoder_test_init (&argc, &argv);
  g_test_add_func ("/npuencoder/flush/in-the-middle-of-a-window",
      test_flush_in_the_middle_of_a_window);
  g_test_add_func (
      "/npuencoder/flush/without-a-window", test_flush_without_a_window);
  g_test_add_func ("/npuencoder/flush/seeks", test_flushing_seeks);
  g_test_add_func ("/npuencoder/states/pad-deactivated-in-the-middle",
      test_pad_deactivated_in_the_middle);
  g_test_add_func ("/npuencoder/states/pipeline-reaches-eos-and-restarts",
      test_whole_pipeline_reaches_eos);
  g_test_add_func (
      "/npuencoder/states/nothing-downstream", test_nothing_downstream);
  g_test_add_func ("/npuencoder/states/any-change-at-any-time",
      test_any_state_change_at_any_time);
  g_test_add_func ("/npuencoder/states/playing-to-null-in-the-middle",
      test_playing_to_null_in_the_middle);
  g_test_add_func (
      "/npuencoder/several/same-bytes-in-parallel", test_elements_in_parallel);
  g_test_add_func (
      "/npuencoder/several/two-in-one-pipeline", test_two_in_one_pipeline);
  g_test_add_func (
      "/npuencoder/timeout/is-an-error-not-a-hang", test_timeout_is_an_error);
  return g_test_run ();
}
