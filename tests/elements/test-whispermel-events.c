/* What whispermel makes of events, bad buffers and refusals downstream.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "mel-rig.h"
#include "test-audio.h"
#include "patience.h"

#define N_SAMPLES (10 * RATE)

static float *speech; /* [N_SAMPLES] */

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
send_segment (MelRig *rig, double rate, guint64 start)
{
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.rate = rate;
  segment.start = segment.time = start;
  if (rate < 0)
    segment.stop = 10 * GST_SECOND;
  mel_rig_send (rig, gst_event_new_segment (&segment));
}

/* --- start, end, flush --- */

static void
test_stream_begins_in_order (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, speech, RATE, 0);
  mel_rig_check_event (rig, GST_EVENT_STREAM_START);
  mel_rig_check_event (rig, GST_EVENT_CAPS);
  mel_rig_check_event (rig, GST_EVENT_SEGMENT);
  g_assert_null (mel_rig_pop_event (rig));
  mel_rig_check_window (rig, 0, speech, RATE);
}

static void
test_eos_before_caps (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

  g_assert_true (mel_rig_send (rig, gst_event_new_eos ()));
  mel_rig_check_event (rig, GST_EVENT_STREAM_START);
  mel_rig_check_event (rig, GST_EVENT_EOS);
  mel_rig_check_no_window (rig);
}

static void
test_eos_before_audio (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  g_assert_true (mel_rig_send (rig, gst_event_new_eos ()));
  mel_rig_check_event (rig, GST_EVENT_EOS);
  mel_rig_check_no_window (rig);
}

/* Events at which no more audio comes. */
static void
test_end_drains (gconstpointer type)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  mel_rig_push (rig, speech, 5000, 0);
  switch (GPOINTER_TO_INT (type)) {
    case GST_EVENT_EOS:
      mel_rig_send (rig, gst_event_new_eos ());
      break;
    case GST_EVENT_SEGMENT_DONE:
      mel_rig_send (
          rig, gst_event_new_segment_done (GST_FORMAT_TIME, GST_SECOND));
      break;
    case GST_EVENT_STREAM_START:
      mel_rig_send (rig, gst_event_new_stream_start ("next"));
      break;
  }
  g_assert_null (mel_rig_pop_event (rig));
  mel_rig_check_window (rig, 0, speech, 5000);
  mel_rig_check_event (rig, GPOINTER_TO_INT (type));
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_no_window (rig); /* once is enough */
}

/* A resampler's last samples come after it. */
static void
test_group_done_does_not_drain (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  mel_rig_push (rig, speech, 5000, 0);
  mel_rig_send (rig, gst_event_new_stream_group_done (1));
  mel_rig_check_event (rig, GST_EVENT_STREAM_GROUP_DONE);
  mel_rig_push (rig, speech + 5000, 32, GST_CLOCK_TIME_NONE);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_window (rig, 0, speech, 5032);
}

/* With the same segment, and no timestamps to tell it from the one before. */
static void
test_next_stream_starts_anew (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  mel_rig_push (rig, speech, RATE + 5000, GST_CLOCK_TIME_NONE);
  mel_rig_send (rig, gst_event_new_stream_start ("next"));
  send_segment (rig, 1, 0);
  mel_rig_push (rig, speech + RATE, RATE, GST_CLOCK_TIME_NONE);
  g_assert_true (GST_BUFFER_IS_DISCONT (g_queue_peek_tail (&rig->pushed)));
  mel_rig_check_window (rig, 0, speech, RATE);
  mel_rig_check_window (rig, GST_SECOND, speech + RATE, 5000);
  mel_rig_check_window (rig, 0, speech + RATE, RATE);
}

static void
test_flush_discards (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  mel_rig_push (rig, speech, RATE + 5000, 0);
  mel_rig_forget (rig);
  mel_rig_send (rig, gst_event_new_flush_start ());
  g_assert_cmpint (
      mel_rig_push (rig, speech, 100, GST_SECOND), ==, GST_FLOW_FLUSHING);
  mel_rig_send (rig, gst_event_new_flush_stop (TRUE));
  send_segment (rig, 1, 5 * GST_SECOND);
  mel_rig_push (rig, speech + RATE, RATE, 5 * GST_SECOND);

  mel_rig_check_event (rig, GST_EVENT_FLUSH_START);
  mel_rig_check_event (rig, GST_EVENT_FLUSH_STOP);
  mel_rig_check_event (rig, GST_EVENT_SEGMENT);
  g_assert_true (GST_BUFFER_IS_DISCONT (g_queue_peek_head (&rig->pushed)));
  mel_rig_check_window (rig, 5 * GST_SECOND, speech + RATE, RATE);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_no_window (rig);
}

/* --- segments and seeks --- */

static void
test_new_segment_drains (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  mel_rig_push (rig, speech, 5000, 0);
  send_segment (rig, 1, 5 * GST_SECOND);
  mel_rig_push (rig, speech + RATE, RATE, GST_CLOCK_TIME_NONE);
  g_assert_null (mel_rig_pop_event (rig));
  mel_rig_check_window (rig, 0, speech, 5000);
  mel_rig_check_event (rig, GST_EVENT_SEGMENT);
  mel_rig_check_window (rig, 5 * GST_SECOND, speech + RATE, RATE);
}

static void
test_same_segment_goes_on (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  mel_rig_push (rig, speech, 5000, 0);
  send_segment (rig, 1, 0);
  mel_rig_push (rig, speech + 5000, RATE - 5000, 5000 * SAMPLE);
  mel_rig_check_window (rig, 0, speech, RATE);
}

static void
test_audio_outside_the_segment (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  send_segment (rig, 1, GST_SECOND / 2);
  mel_rig_push (rig, speech, 4000, 0);
  mel_rig_push (rig, speech + 4000, 2 * RATE, 4000 * SAMPLE);
  mel_rig_check_window (rig, GST_SECOND / 2, speech + 8000, RATE);
}

static void
test_bytes_become_time (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();
  g_autoptr (GstEvent) event = NULL;
  const GstSegment *segment;
  GstSegment bytes;
  GstEvent *sent;
  guint32 seqnum;

  gst_segment_init (&bytes, GST_FORMAT_BYTES);
  sent = gst_event_new_segment (&bytes);
  seqnum = gst_event_get_seqnum (sent);
  mel_rig_send (rig, sent);
  event = mel_rig_pop_event (rig);
  gst_event_parse_segment (event, &segment);
  g_assert_cmpint (segment->format, ==, GST_FORMAT_TIME);
  g_assert_cmpuint (segment->start, ==, 0);
  g_assert_cmpuint (gst_event_get_seqnum (event), ==, seqnum);
  mel_rig_push (rig, speech, 2 * RATE, GST_CLOCK_TIME_NONE);
  mel_rig_check_window (rig, 0, speech, RATE);
  mel_rig_check_window (rig, GST_SECOND, speech + RATE, RATE);
}

static void
test_backwards_is_refused (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();
  g_autoptr (GstMessage) message = NULL;

  g_assert_false (gst_harness_push_upstream_event (
      rig->harness, gst_event_new_seek (-1, GST_FORMAT_TIME, 0,
                        GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_SET, GST_SECOND)));
  send_segment (rig, -1, 0);
  mel_rig_check_message (rig, GST_MESSAGE_ERROR, GST_CORE_ERROR,
      GST_CORE_ERROR_SEEK, "backwards", NULL);

  /* The pad tries once more with each buffer: it is told once. */
  for (guint i = 0; i < 2; i++)
    g_assert_cmpint (
        mel_rig_push (rig, speech, RATE, i * GST_SECOND), !=, GST_FLOW_OK);
  message = gst_bus_pop_filtered (rig->bus, GST_MESSAGE_ERROR);
  g_assert_null (message);
}

static void
test_seek_in_a_pipeline (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (
      "audiotestsrc ! audio/x-raw,rate=16000 ! audioconvert ! "
      "whispermel window=1000000000 ! appsink name=sink max-buffers=1",
      &error);
  g_autoptr (GstElement) sink = NULL;
  static const GstClockTime places[] = {3500 * GST_MSECOND, 0, 7 * GST_SECOND};

  g_assert_no_error (error);
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  g_assert_cmpint (gst_element_get_state (pipeline, NULL, NULL, PATIENCE), ==,
      GST_STATE_CHANGE_SUCCESS);

  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autoptr (GstSample) sample = NULL;
    GstBuffer *window;

    g_assert_true (gst_element_seek_simple (pipeline, GST_FORMAT_TIME,
        GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE, places[i]));
    g_signal_emit_by_name (sink, "pull-preroll", &sample);
    g_assert_nonnull (sample);
    window = gst_sample_get_buffer (sample);
    g_assert_cmpuint (GST_BUFFER_PTS (window), ==, places[i]);
    g_assert_cmpuint (GST_BUFFER_DURATION (window), ==, GST_SECOND);
    g_assert_cmpuint (
        gst_segment_to_stream_time (gst_sample_get_segment (sample),
            GST_FORMAT_TIME, GST_BUFFER_PTS (window)),
        ==, places[i]);
    g_assert_cmpuint (
        gst_segment_to_running_time (gst_sample_get_segment (sample),
            GST_FORMAT_TIME, GST_BUFFER_PTS (window)),
        ==, 0);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

/* --- other events --- */

static void
test_tags_come_before_audio_that_follows (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  mel_rig_push (rig, speech, RATE, 0);
  mel_rig_send (rig, gst_event_new_tag (gst_tag_list_new_empty ()));
  mel_rig_push (rig, speech + RATE, 5000, GST_SECOND);
  mel_rig_send (rig, gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
                         gst_structure_new_empty ("mark")));
  mel_rig_push (
      rig, speech + RATE + 5000, RATE - 5000, GST_SECOND + 5000 * SAMPLE);

  g_assert_null (mel_rig_pop_event (rig));
  mel_rig_check_window (rig, 0, speech, RATE);
  mel_rig_check_event (rig, GST_EVENT_TAG);
  mel_rig_check_event (rig, GST_EVENT_CUSTOM_DOWNSTREAM);
  mel_rig_check_window (rig, GST_SECOND, speech + RATE, RATE);
}

/* --- bad audio and refusals --- */

static void
test_invalid_samples (void)
{
  static const float invalid[] = {NAN, INFINITY, -INFINITY, 2e6f, -1e30f};
  g_autoptr (MelRig) rig = rig_new_started ();
  g_autofree float *bad = g_memdup2 (speech, 2 * RATE * sizeof (float));
  g_autofree float *expected = g_memdup2 (speech, 2 * RATE * sizeof (float));

  for (guint i = 0; i < G_N_ELEMENTS (invalid); i++) {
    bad[3000 * (i + 1)] = bad[RATE + 3001 * (i + 1)] = invalid[i];
    expected[3000 * (i + 1)] = expected[RATE + 3001 * (i + 1)] = 0;
  }
  mel_rig_push (rig, bad, RATE, 0);
  mel_rig_push (rig, bad + RATE, RATE, GST_SECOND);
  mel_rig_check_window (rig, 0, expected, RATE);
  mel_rig_check_window (rig, GST_SECOND, expected + RATE, RATE);
  mel_rig_check_message (rig, GST_MESSAGE_WARNING, GST_STREAM_ERROR,
      GST_STREAM_ERROR_FORMAT, "silence", NULL);
  g_assert_null (gst_bus_pop_filtered (rig->bus, GST_MESSAGE_WARNING));
}

static void
test_partial_sample (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  g_assert_cmpint (gst_harness_push (rig->harness,
                       gst_buffer_new_allocate (NULL, 4002, NULL)),
      ==, GST_FLOW_ERROR);
  mel_rig_check_message (rig, GST_MESSAGE_ERROR, GST_STREAM_ERROR,
      GST_STREAM_ERROR_FORMAT, "4002 bytes", NULL);
}

static void
test_no_caps (void)
{
  g_autoptr (MelRig) rig = mel_rig_new (NULL, NULL);

  send_segment (rig, 1, 0);
  g_assert_cmpint (
      mel_rig_push (rig, speech, RATE, 0), ==, GST_FLOW_NOT_NEGOTIATED);
  mel_rig_check_message (rig, GST_MESSAGE_ERROR, GST_CORE_ERROR,
      GST_CORE_ERROR_NEGOTIATION, "audioconvert ! audioresample", NULL);
}

static void
test_empty_buffers (void)
{
  g_autoptr (MelRig) rig = rig_new_started ();

  mel_rig_push (rig, speech, 0, 0);
  mel_rig_push (rig, speech, 5000, 0);
  mel_rig_push (rig, speech, 0, 5000 * SAMPLE);
  mel_rig_push (rig, speech, 0, GST_CLOCK_TIME_NONE);
  mel_rig_push (rig, speech + 5000, RATE - 5000, 5000 * SAMPLE);
  mel_rig_push (rig, speech, 0, GST_SECOND);
  mel_rig_check_window (rig, 0, speech, RATE);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_check_no_window (rig);
}

static GstPadProbeReturn
refuse (GstPad *pad, GstPadProbeInfo *info, gpointer flow)
{
  gst_buffer_unref (GST_PAD_PROBE_INFO_BUFFER (info));
  GST_PAD_PROBE_INFO_FLOW_RETURN (info) = GPOINTER_TO_INT (flow);
  return GST_PAD_PROBE_HANDLED;
}

static void
test_refusal_goes_upstream (gconstpointer flow)
{
  g_autoptr (MelRig) rig = rig_new_started ();
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");

  gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_BUFFER, refuse, (gpointer) flow, NULL);
  g_assert_cmpint (mel_rig_push (rig, speech, RATE - 1, 0), ==, GST_FLOW_OK);
  g_assert_cmpint (mel_rig_push (rig, speech, 2, GST_SECOND - SAMPLE), ==,
      GPOINTER_TO_INT (flow));
}

static GstPadProbeReturn
answer_latency (GstPad *pad, GstPadProbeInfo *info, gpointer max)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);

  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return GST_PAD_PROBE_OK;
  gst_query_set_latency (query, TRUE, 7 * GST_MSECOND, *(GstClockTime *) max);
  return GST_PAD_PROBE_HANDLED;
}

static void
check_latency (GstClockTime hop, GstClockTime upstream, GstClockTime expected)
{
  g_autoptr (MelRig) rig = mel_rig_new ("hop", hop, NULL);
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  GstClockTime min, max;
  gboolean live;

  gst_pad_add_probe (rig->harness->srcpad, GST_PAD_PROBE_TYPE_QUERY_UPSTREAM,
      answer_latency, &upstream, NULL);
  g_assert_true (gst_pad_query (pad, query));
  gst_query_parse_latency (query, &live, &min, &max);
  g_assert_true (live);
  g_assert_cmpuint (min, ==, GST_SECOND + 7 * GST_MSECOND);
  g_assert_cmpuint (max, ==, expected);
}

static void
test_latency (void)
{
  check_latency (0, GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE);
  check_latency (0, GST_SECOND, 2 * GST_SECOND);
  check_latency (GST_SECOND / 4, GST_SECOND, 2 * GST_SECOND);
  check_latency (3 * GST_SECOND, GST_SECOND, 2 * GST_SECOND);
}

#define EVENTS "/whispermel/events/"
#define ADD(name, func) g_test_add_func (EVENTS name, func)
#define ADD_DATA(name, data, func)                                             \
  g_test_add_data_func (EVENTS name, GINT_TO_POINTER (data), func)

int
main (int argc, char **argv)
{
  int result;

  mel_test_init (&argc, &argv);
  speech = test_audio_new_speech (N_SAMPLES, 2);

  ADD ("stream-begins-in-order", test_stream_begins_in_order);
  ADD ("eos-before-caps", test_eos_before_caps);
  ADD ("eos-before-audio", test_eos_before_audio);
  ADD_DATA ("eos-drains", GST_EVENT_EOS, test_end_drains);
  ADD_DATA ("segment-done-drains", GST_EVENT_SEGMENT_DONE, test_end_drains);
  ADD ("stream-group-done-does-not-drain", test_group_done_does_not_drain);
  ADD_DATA ("next-stream-drains", GST_EVENT_STREAM_START, test_end_drains);
  ADD ("next-stream-starts-anew", test_next_stream_starts_anew);
  ADD ("flush-discards", test_flush_discards);
  ADD ("new-segment-drains", test_new_segment_drains);
  ADD ("same-segment-goes-on", test_same_segment_goes_on);
  ADD ("audio-outside-the-segment-is-cut", test_audio_outside_the_segment);
  ADD ("bytes-become-time", test_bytes_become_time);
  ADD ("backwards-is-refused", test_backwards_is_refused);
  ADD ("seek-in-a-pipeline", test_seek_in_a_pipeline);
  ADD ("tags-come-before-audio-that-follows",
      test_tags_come_before_audio_that_follows);
  ADD ("invalid-samples-are-silence-and-warned-of-once", test_invalid_samples);
  ADD ("partial-sample-is-an-error", test_partial_sample);
  ADD ("audio-without-caps-is-an-error", test_no_caps);
  ADD ("empty-buffers-change-nothing", test_empty_buffers);
  ADD_DATA ("eos-goes-upstream", GST_FLOW_EOS, test_refusal_goes_upstream);
  ADD_DATA ("error-goes-upstream", GST_FLOW_ERROR, test_refusal_goes_upstream);
  ADD ("latency-is-one-window", test_latency);

  result = g_test_run ();
  g_free (speech);
  return result;
}
