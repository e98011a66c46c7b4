/* whisperdecoder over a scripted library: text, time, tags, JSON, statistics,
 * and how far a window is used up.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "decoder-rig.h"

#define WINDOW 100 /* positions: 2 s */
#define SECOND GST_SECOND

static void
set_script (const ScriptedSegment *segments, guint n, guint64 used)
{
  const ScriptedWindow window = {
      .segments = segments, .n_segments = n, .used = used};

  script_set_window (&window);
}

static void
push (DecoderRig *rig, GstClockTime pts, GstClockTime duration)
{
  g_assert_cmpint (
      gst_harness_push (rig->harness, decoder_states (WINDOW, pts, duration)),
      ==, GST_FLOW_OK);
}

static void
check_taken (DecoderRig *rig, const char *expected)
{
  g_autofree char *taken = decoder_rig_take (rig);

  g_assert_cmpstr (taken, ==, expected);
}

static const ScriptedSegment two[] = {
    {200 * MS, 800 * MS, "one"}, {1000 * MS, 1600 * MS, "two"}};

/* --- text and gaps ------------------------------------------------------ */

static void
test_segments_and_gaps (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  ScriptSeen seen;

  decoder_rig_set_positions (rig, WINDOW);
  set_script (two, 2, 0);
  push (rig, 0, 2 * SECOND);
  check_taken (rig, "tag en\ngap 0-200\ntext 200-800 one\ngap 800-1000\n"
                    "text 1000-1600 two\ngap 1600-2000\n");
  push (rig, 2 * SECOND, 2 * SECOND);
  check_taken (rig, "gap 2000-2200\ntext 2200-2800 one\ngap 2800-3000\n"
                    "text 3000-3600 two\ngap 3600-4000\n");
  script_get_seen (&seen);
  g_assert_cmpuint (seen.start, ==, 2 * SECOND);
  g_assert_cmpuint (seen.duration, ==, 2 * SECOND);
  g_assert_cmpuint (seen.n_positions, ==, WINDOW);
  g_assert_cmpfloat (seen.first_state, ==, 0);
  g_assert_cmpfloat (seen.last_state, ==, 99 + 63 / 64.f);
}

/* No time that gets text later is given away. */
static void
test_used_in_part (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);

  decoder_rig_set_positions (rig, WINDOW);
  set_script (two, 1, 900 * MS);
  push (rig, 0, 2 * SECOND);
  check_taken (rig, "tag en\ngap 0-200\ntext 200-800 one\ngap 800-900\n");
  set_script (NULL, 0, 0);
  push (rig, 900 * MS, 2 * SECOND);
  check_taken (rig, "gap 900-2900\n");
  /* A hole in the windows is a gap, too. */
  push (rig, 5 * SECOND, SECOND);
  check_taken (rig, "gap 2900-5000\ngap 5000-6000\n");
}

static void
test_overlapping_windows (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);

  decoder_rig_set_positions (rig, WINDOW);
  set_script (two, 1, 0);
  push (rig, 0, 2 * SECOND);
  check_taken (rig, "tag en\ngap 0-200\ntext 200-800 one\ngap 800-2000\n");
  push (rig, SECOND, 2 * SECOND);
  check_taken (rig, "text 2000-2001 one\ngap 2001-3000\n");
}

static void
test_digital_silence_is_not_decoded (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  GstBuffer *silence = decoder_states (WINDOW, 0, 2 * SECOND);
  g_autoptr (GstEvent) event = NULL;
  ScriptSeen seen;

  decoder_rig_set_positions (rig, WINDOW);
  while ((event = gst_harness_try_pull_upstream_event (rig->harness)))
    gst_clear_event (&event);
  set_script (two, 2, 0);
  GST_BUFFER_FLAG_SET (silence, GST_BUFFER_FLAG_GAP);
  g_assert_cmpint (gst_harness_push (rig->harness, silence), ==, GST_FLOW_OK);
  script_get_seen (&seen);
  g_assert_cmpuint (seen.n_windows, ==, 0);
  check_taken (rig, "gap 0-2000\n");
  event = gst_harness_pull_upstream_event (rig->harness);
  g_assert_true (gst_event_has_name (event, "whisper/advance"));
}

static void
test_empty_buffers_and_gap_events (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  GstBuffer *empty = gst_buffer_new ();

  decoder_rig_set_positions (rig, WINDOW);
  push (rig, 0, 2 * SECOND);
  check_taken (rig, "gap 0-2000\n");
  GST_BUFFER_PTS (empty) = 2 * SECOND;
  GST_BUFFER_DURATION (empty) = SECOND;
  g_assert_cmpint (gst_harness_push (rig->harness, empty), ==, GST_FLOW_OK);
  check_taken (rig, "gap 2000-3000\n");
  gst_harness_push_event (
      rig->harness, gst_event_new_gap (2 * SECOND, 3 * SECOND));
  check_taken (rig, "gap 3000-5000\n");
}

/* Its end is no time that there is: it is as long as there is time. */
static void
test_a_gap_for_ever (void)
{
  static const GstClockTime durations[] = {
      GST_CLOCK_TIME_NONE - 1, GST_CLOCK_TIME_NONE - 4 * SECOND, G_MAXINT64};

  for (guint i = 0; i < G_N_ELEMENTS (durations); i++) {
    g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);

    decoder_rig_set_positions (rig, WINDOW);
    push (rig, 0, 2 * SECOND);
    check_taken (rig, "gap 0-2000\n");
    gst_harness_push_event (
        rig->harness, gst_event_new_gap (5 * SECOND, durations[i]));
    check_taken (rig, "gap 2000-9223372036854\n");
  }
}

/* --- time --------------------------------------------------------------- */

static void
test_advance_is_told_upstream (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  g_autoptr (GstEvent) advance = NULL;
  GstEvent *event;
  GstSegment segment;
  guint64 until = 0;
  guint seqnum = 0, expected;

  decoder_rig_set_positions (rig, WINDOW);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  event = gst_event_new_segment (&segment);
  expected = gst_event_get_seqnum (event);
  gst_harness_push_event (rig->harness, event);
  while ((event = gst_harness_try_pull_upstream_event (rig->harness)))
    gst_event_unref (event);
  set_script (two, 2, 1600 * MS);
  push (rig, 7 * SECOND, 2 * SECOND);
  advance = gst_harness_pull_upstream_event (rig->harness);
  g_assert_true (gst_event_has_name (advance, "whisper/advance"));
  g_assert_true (gst_structure_get (gst_event_get_structure (advance), "until",
      G_TYPE_UINT64, &until, "seqnum", G_TYPE_UINT, &seqnum, NULL));
  g_assert_cmpuint (until, ==, 8600 * MS);
  g_assert_cmpuint (seqnum, ==, expected);
}

static void
test_text_outside_the_segment (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  g_autofree char *taken = NULL;
  GstSegment segment;

  decoder_rig_set_positions (rig, WINDOW);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.start = 900 * MS;
  segment.stop = 1500 * MS;
  gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
  set_script (two, 2, 0);
  push (rig, 0, 2 * SECOND);
  taken = decoder_rig_take (rig);
  g_assert_null (strstr (taken, "one"));
  g_assert_nonnull (strstr (taken, "text 1000-1500 two"));
}

/* States of a file: neither times nor a segment of time. */
static void
test_without_times (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  GstSegment segment;

  decoder_rig_set_positions (rig, WINDOW);
  gst_segment_init (&segment, GST_FORMAT_BYTES);
  gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
  set_script (two, 1, 0);
  push (rig, GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE);
  check_taken (rig, "tag en\ngap 0-200\ntext 200-800 one\ngap 800-2000\n");
  push (rig, GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE);
  check_taken (rig, "gap 2000-2200\ntext 2200-2800 one\ngap 2800-4000\n");
}

static void
test_time_that_goes_back_is_another_stream (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  ScriptSeen before, after;

  decoder_rig_set_positions (rig, WINDOW);
  push (rig, 10 * SECOND, 2 * SECOND);
  check_taken (rig, "gap 10000-12000\n");
  script_get_seen (&before);
  push (rig, 0, 2 * SECOND);
  check_taken (rig, "gap 0-2000\n");
  script_get_seen (&after);
  g_assert_cmpuint (after.n_resets, ==, before.n_resets + 1);
}

/* --- forms of text ------------------------------------------------------ */

static void
test_json (void)
{
  static const ScriptedSegment odd[] = {
      {200 * MS, 1230 * MS, "a \"b\" \\ \n ö \x01"}};
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  g_autofree char *taken = NULL;

  gst_harness_set_sink_caps_str (rig->harness, "application/x-json");
  decoder_rig_set_positions (rig, WINDOW);
  set_script (odd, 1, 1230 * MS);
  push (rig, 0, 2 * SECOND);
  taken = decoder_rig_take (rig);
  g_assert_cmpstr (taken, ==,
      "tag en\ngap 0-200\ntext 200-1230 "
      "{\"start\": 0.200000000, \"end\": 1.230000000, "
      "\"text\": \"a \\\"b\\\" \\\\ \\u000a ö \\u0001\", "
      "\"tokens\": [50364, 440, 50414], \"avg_logprob\": -0.25, "
      "\"no_speech_prob\": 0.125, \"compression_ratio\": 1.5, "
      "\"temperature\": 0.2, \"language\": \"en\"}\n\n");
}

static void
test_language_is_told_by_tags (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  ScriptedWindow window = {.segments = two, .n_segments = 1, .code = "de"};
  GstTagList *tags = gst_tag_list_new (GST_TAG_TITLE, "talk", NULL);
  g_autoptr (GstEvent) event = NULL;
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  g_autofree char *title = NULL;

  decoder_rig_set_positions (rig, WINDOW);
  gst_harness_push_event (rig->harness, gst_event_new_tag (tags));
  script_set_window (&window);
  push (rig, 0, SECOND);
  check_taken (rig, "tag de\ngap 0-200\ntext 200-800 one\ngap 800-1000\n");
  /* Once. */
  push (rig, SECOND, SECOND);
  check_taken (rig, "gap 1000-1200\ntext 1200-1800 one\ngap 1800-2000\n");
  /* What upstream says is kept. */
  event = gst_pad_get_sticky_event (pad, GST_EVENT_TAG, 0);
  gst_event_parse_tag (event, &tags);
  g_assert_true (gst_tag_list_get_string (tags, GST_TAG_TITLE, &title));
  g_assert_cmpstr (title, ==, "talk");
  /* And ours is, when upstream speaks again. */
  gst_harness_push_event (rig->harness,
      gst_event_new_tag (gst_tag_list_new (GST_TAG_TITLE, "more", NULL)));
  check_taken (rig, "tag de\n");
}

static void
test_translation_is_english (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("task", 1, NULL);
  const ScriptedWindow window = {
      .segments = two, .n_segments = 1, .code = "de"};
  ScriptSeen seen;

  decoder_rig_set_positions (rig, WINDOW);
  script_set_window (&window);
  push (rig, 0, SECOND);
  check_taken (rig, "tag en\ngap 0-200\ntext 200-800 one\ngap 800-1000\n");
  script_get_seen (&seen);
  g_assert_cmpint (seen.options.task, ==, NPU_TASK_TRANSLATE);
}

static void
test_half_floats (void)
{
  /* 1.5, -2, the smallest subnormal, 65504. */
  static const guint16 halves[] = {0x3e00, 0xc000, 0x0001, 0x7bff};
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  guint16 *states = g_new0 (guint16, SCRIPT_D);
  ScriptSeen seen;
  GstBuffer *buffer;

  states[0] = halves[1];
  states[SCRIPT_D - 1] = halves[2];
  gst_harness_set_src_caps (rig->harness, decoder_caps ("64:1", "float16"));
  buffer = gst_buffer_new_wrapped (states, SCRIPT_D * sizeof (guint16));
  GST_BUFFER_PTS (buffer) = 0;
  g_assert_cmpint (gst_harness_push (rig->harness, buffer), ==, GST_FLOW_OK);
  script_get_seen (&seen);
  g_assert_cmpfloat (seen.first_state, ==, -2);
  g_assert_cmpfloat (seen.last_state, ==, 0x1p-24f);
  g_assert_cmpuint (seen.duration, ==, 20 * MS);
}

/* --- statistics --------------------------------------------------------- */

static void
check_stats (const GstStructure *stats, guint64 window, guint64 tokens)
{
  static const char *const fields[] = {"timestamp", "stream-time",
      "running-time", "duration", "total-time", "token-time", "temperature",
      "compression-ratio", "no-speech-probability", "language-probability",
      "realtime-factor"};
  guint64 n, n_tokens, tries;
  double logprob;

  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    g_assert_true (gst_structure_has_field (stats, fields[i]));
  g_assert_true (gst_structure_get (stats, "window", G_TYPE_UINT64, &n,
      "tokens", G_TYPE_UINT64, &n_tokens, "tries", G_TYPE_UINT64, &tries,
      "avg-logprob", G_TYPE_DOUBLE, &logprob, NULL));
  g_assert_cmpuint (n, ==, window);
  g_assert_cmpuint (n_tokens, ==, tokens);
  g_assert_cmpuint (tries, ==, tokens / 5);
  g_assert_cmpfloat (logprob, ==, -0.25);
  g_assert_cmpstr (gst_structure_get_string (stats, "language"), ==, "de");
  g_assert_cmpstr (gst_structure_get_string (stats, "device"), ==, "cpu");
  g_assert_cmpstr (gst_structure_get_string (stats, "precision"), ==, "f32");
}

static GstMessage *
pop_message (DecoderRig *rig)
{
  return gst_bus_pop_filtered (rig->bus, GST_MESSAGE_ELEMENT);
}

static void
test_statistics (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  const ScriptedWindow window = {.code = "de"};
  g_autoptr (GstStructure) totals = NULL;
  g_autoptr (GstStructure) none = NULL;
  guint64 n;

  decoder_rig_set_positions (rig, WINDOW);
  script_set_window (&window);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GstMessage) message = NULL;

    push (rig, i * SECOND, SECOND);
    message = pop_message (rig);
    g_assert_nonnull (message);
    g_assert_true (gst_message_has_name (message, "whisperdecoder-stats"));
    check_stats (gst_message_get_structure (message), i + 1, 10);
  }
  g_object_get (rig->element, "stats", &totals, NULL);
  check_stats (totals, 2, 20);

  g_object_set (rig->element, "post-messages", FALSE, NULL);
  push (rig, 2 * SECOND, SECOND);
  g_assert_null (pop_message (rig));
  g_signal_emit_by_name (rig->element, "reset-stats");
  g_object_get (rig->element, "stats", &none, NULL);
  g_assert_true (gst_structure_get_uint64 (none, "window", &n));
  g_assert_cmpuint (n, ==, 0);
}

/* --- allocation ----------------------------------------------------------- */

static gboolean
count_allocations (GstPad *pad, GstObject *parent, GstQuery *query)
{
  guint *n = g_object_get_data (G_OBJECT (pad), "allocations");

  if (GST_QUERY_TYPE (query) == GST_QUERY_ALLOCATION)
    ++*n;
  return gst_pad_query_default (pad, parent, query);
}

/* Such a query waits in a queue for the text before it. */
static void
test_text_is_not_asked_for_memory (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  GstPad *text = rig->harness->sinkpad;
  g_autoptr (GstCaps) caps = NULL;
  g_autoptr (GstQuery) query = NULL;
  guint n = 0;

  g_object_set_data (G_OBJECT (text), "allocations", &n);
  gst_pad_set_query_function (text, count_allocations);
  decoder_rig_set_positions (rig, WINDOW);
  set_script (two, 2, 0);
  push (rig, 0, 2 * SECOND);
  decoder_rig_set_positions (rig, WINDOW / 2);
  caps = gst_pad_get_current_caps (rig->harness->srcpad);
  query = gst_query_new_allocation (caps, TRUE);
  gst_pad_peer_query (rig->harness->srcpad, query);
  g_assert_cmpuint (n, ==, 0);
  check_taken (rig, "tag en\ngap 0-200\ntext 200-800 one\ngap 800-1000\n"
                    "text 1000-1600 two\ngap 1600-2000\n");
}

int
main (int argc, char **argv)
{
  decoder_test_init (&argc, &argv);
#define ADD(path, test) g_test_add_func ("/whisperdecoder/" path, test)
  ADD ("text/segments-and-gaps", test_segments_and_gaps);
  ADD ("text/window-used-in-part", test_used_in_part);
  ADD ("text/overlapping-windows", test_overlapping_windows);
  ADD ("text/digital-silence-is-not-decoded",
      test_digital_silence_is_not_decoded);
  ADD ("text/empty-buffers-and-gap-events", test_empty_buffers_and_gap_events);
  ADD ("text/gap-for-ever", test_a_gap_for_ever);
  ADD ("text/json", test_json);
  ADD ("text/half-floats", test_half_floats);
  ADD ("time/advance-is-told-upstream", test_advance_is_told_upstream);
  ADD ("time/text-outside-the-segment", test_text_outside_the_segment);
  ADD ("time/states-without-times", test_without_times);
  ADD ("time/going-back", test_time_that_goes_back_is_another_stream);
  ADD ("language/tags", test_language_is_told_by_tags);
  ADD ("language/translation-is-english", test_translation_is_english);
  ADD ("stats", test_statistics);
  ADD ("text-is-not-asked-for-memory", test_text_is_not_asked_for_memory);
  return g_test_run ();
}
