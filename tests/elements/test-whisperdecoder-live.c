/* whisperdecoder on a live stream: words, gaps, events, latency and what is
 * said now, over a script in the place of the library.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "decoder-rig.h"

#define N_POSITIONS 150

static const ScriptedSegment hello[] = {
    {100 * MS, 400 * MS, "hello"},
    {500 * MS, 900 * MS, "world."},
};

static DecoderRig *
live_rig (void)
{
  DecoderRig *rig = decoder_rig_new ("post-messages", FALSE, NULL);

  gst_util_set_object_arg (G_OBJECT (rig->element), "commit", "alignatt");
  decoder_rig_set_positions (rig, N_POSITIONS);
  return rig;
}

static void
push (DecoderRig *rig, guint64 start_ms, guint64 duration_ms, guint flags)
{
  GstBuffer *buffer =
      decoder_states (N_POSITIONS, start_ms * MS, duration_ms * MS);

  GST_BUFFER_FLAG_SET (buffer, flags);
  g_assert_cmpint (gst_harness_push (rig->harness, buffer), ==, GST_FLOW_OK);
}

static void
assert_took (DecoderRig *rig, const char *expected)
{
  g_autofree char *text = decoder_rig_take (rig);

  g_assert_cmpstr (text, ==, expected);
}

/* --- what comes out ----------------------------------------------------- */

static void
test_words_and_gaps (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  ScriptedUpdate update = {.partial = "hel", .decided = 50 * MS};

  script_set_update (&update);
  push (rig, 0, 500, 0);
  assert_took (rig, "gap 0-50\n");

  update = (ScriptedUpdate){.words = hello,
      .n_words = 1,
      .committed = "hello",
      .partial = "world",
      .until = 400 * MS,
      .decided = 450 * MS};
  script_set_update (&update);
  push (rig, 0, 1000, 0);
  assert_took (rig, "tag en\ngap 50-100\ntext 100-400 hello\ngap 400-450\n");

  update = (ScriptedUpdate){.words = hello + 1,
      .n_words = 1,
      .until = 900 * MS,
      .sentence = 900 * MS,
      .decided = 1500 * MS};
  script_set_update (&update);
  push (rig, 0, 1500, GST_BUFFER_FLAG_MARKER);
  assert_took (rig, "gap 450-500\ntext 500-900 world.\n"
                    "event rstranscribe/final-transcript\ngap 900-1500\n");
}

/* Windows whose flags say so. */
static void
test_flags (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  ScriptSeen seen;

  push (rig, 0, 500, GST_BUFFER_FLAG_DISCONT);
  script_get_seen (&seen);
  g_assert_true (seen.is_new && !seen.is_last);
  push (rig, 0, 1000, GST_BUFFER_FLAG_MARKER);
  script_get_seen (&seen);
  g_assert_true (!seen.is_new && seen.is_last);
  g_assert_cmpuint (seen.live_duration, ==, 1000 * MS);
  g_assert_cmpuint (seen.n_windows, ==, 0); /* not the other transcript */
}

static void
test_advance (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  ScriptedUpdate update = {.until = 400 * MS};
  GstEvent *event;
  guint64 until, sentence;

  script_set_update (&update);
  while ((event = gst_harness_try_pull_upstream_event (rig->harness)))
    gst_event_unref (event);
  push (rig, 0, 500, 0);
  update.sentence = 300 * MS;
  script_set_update (&update);
  push (rig, 0, 1000, 0);
  for (guint i = 0; i < 2; i++) {
    const GstStructure *s;

    event = gst_harness_try_pull_upstream_event (rig->harness);
    g_assert_nonnull (event);
    s = gst_event_get_structure (event);
    g_assert_true (gst_structure_has_name (s, "whisper/advance"));
    gst_structure_get_uint64 (s, "until", &until);
    gst_structure_get_uint64 (s, "sentence", &sentence);
    g_assert_cmpuint (until, ==, 400 * MS);
    g_assert_cmpuint (sentence, ==, i == 0 ? GST_CLOCK_TIME_NONE : 300 * MS);
    gst_event_unref (event);
  }
}

/* What is partial when no window follows is final, before what ends it. */
static void
test_nothing_is_lost (void)
{
  const ScriptedUpdate update = {.partial = "bye", .rest = "bye", .decided = 0};

  for (guint i = 0; i < 3; i++) {
    g_autoptr (DecoderRig) rig = live_rig ();
    g_autofree char *text = NULL;
    GstSegment segment;

    script_set_update (&update);
    push (rig, 0, 1000, 0);
    assert_took (rig, "");
    if (i == 0) {
      gst_harness_push_event (rig->harness, gst_event_new_eos ());
    } else if (i == 1) {
      gst_segment_init (&segment, GST_FORMAT_TIME);
      segment.start = segment.time = 5 * GST_SECOND;
      gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
    } else {
      push (rig, 5000, 500, GST_BUFFER_FLAG_DISCONT);
    }
    text = decoder_rig_take (rig);
    g_test_message ("%u: %s", i, text);
    g_assert_true (strstr (
        text, "text 900-1000 bye\nevent rstranscribe/final-transcript\n"));
  }
}

static void
test_flush (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  const ScriptedUpdate update = {.partial = "bye", .rest = "bye"};
  ScriptSeen seen;
  GstSegment segment;

  script_set_update (&update);
  push (rig, 0, 1000, 0);
  gst_harness_push_event (rig->harness, gst_event_new_flush_start ());
  gst_harness_push_event (rig->harness, gst_event_new_flush_stop (TRUE));
  script_get_seen (&seen);
  g_assert_cmpuint (seen.n_live_resets, >=, 1);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
  gst_harness_push_event (rig->harness, gst_event_new_eos ());
  assert_took (rig, "");
}

/* Time that jumps back is another stream. */
static void
test_jump_back (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  ScriptedUpdate update = {.words = hello, .n_words = 1};
  ScriptSeen seen, later;

  script_set_update (&update);
  push (rig, 5000, 1000, GST_BUFFER_FLAG_MARKER);
  script_get_seen (&seen);
  push (rig, 0, 1000, 0);
  script_get_seen (&later);
  g_assert_cmpuint (later.n_live_resets, ==, seen.n_live_resets + 1);
  assert_took (rig, "tag en\ngap 5000-5100\ntext 5100-5400 hello\n"
                    "event rstranscribe/final-transcript\n"
                    "gap 0-100\ntext 100-400 hello\n");
}

/* --- time --------------------------------------------------------------- */

/* Without a clock the stream's time decides. */
static void
test_due (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  ScriptSeen seen;

  gst_harness_set_live (rig->harness, FALSE);
  push (rig, 0, 2000, 0);
  script_get_seen (&seen);
  g_assert_cmpuint (seen.due, ==, 0);
  push (rig, 0, 3000, 0);
  script_get_seen (&seen);
  g_assert_cmpuint (seen.due, ==, 500 * MS);
  g_object_set (rig->element, "latency", 1000, NULL);
  push (rig, 0, 3000, 0);
  script_get_seen (&seen);
  g_assert_cmpuint (seen.due, ==, 2000 * MS);
}

static void
assert_latency (DecoderRig *rig, gboolean is_live, GstClockTime expected)
{
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  GstClockTime min, max;
  gboolean live;

  g_assert_true (gst_pad_query (pad, query));
  gst_query_parse_latency (query, &live, &min, &max);
  g_assert_cmpint (live, ==, is_live);
  g_assert_cmpuint (min, ==, expected);
}

static void
test_latency (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  g_autoptr (GstMessage) message = NULL;

  gst_harness_set_upstream_latency (rig->harness, 700 * MS);
  assert_latency (rig, TRUE, 3200 * MS);
  gst_bus_set_flushing (rig->bus, TRUE);
  gst_bus_set_flushing (rig->bus, FALSE);
  g_object_set (rig->element, "latency", 1000, NULL);
  assert_latency (rig, TRUE, 1700 * MS);
  message = gst_bus_pop_filtered (rig->bus, GST_MESSAGE_LATENCY);
  g_assert_nonnull (message);
  gst_util_set_object_arg (G_OBJECT (rig->element), "commit", "all");
  assert_latency (rig, TRUE, 700 * MS);
}

/* The clock says 1 s for a window that ends there, upstream's step included,
 * and later 9 s. */
static void
test_delay (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  ScriptedUpdate update = {.words = hello, .n_words = 1};
  g_autoptr (GstMessage) message = NULL;
  const GstStructure *details;
  ScriptSeen seen;
  guint delay;
  GstClockTime told;

  gst_harness_use_testclock (rig->harness);
  gst_element_set_base_time (rig->element, 0);
  gst_harness_set_upstream_latency (rig->harness, 500 * MS);
  gst_harness_set_time (rig->harness, 1500 * MS);
  script_set_update (&update);
  push (rig, 0, 1000, 0);
  g_object_get (rig->element, "max-observed-delay", &delay, NULL);
  g_assert_cmpuint (delay, ==, 1400);
  message = gst_bus_pop_filtered (rig->bus, GST_MESSAGE_WARNING);
  g_assert_null (message);
  script_get_seen (&seen);
  g_assert_cmpuint (seen.due, ==, 0);

  gst_harness_set_time (rig->harness, 9000 * MS);
  push (rig, 0, 1500, 0);
  g_object_get (rig->element, "max-observed-delay", &delay, NULL);
  g_assert_cmpuint (delay, ==, 8900);
  message = gst_bus_pop_filtered (rig->bus, GST_MESSAGE_WARNING);
  g_assert_nonnull (message);
  gst_message_parse_warning_details (message, &details);
  g_assert_true (
      gst_structure_has_name (details, "whisperdecoder/excessive-delay"));
  g_assert_true (
      gst_structure_get_clock_time (details, "new-observed-max-delay", &told));
  g_assert_cmpuint (told, ==, 8900 * MS);
  /* 8.5 s of the stream, a step twice as long to the next window, 2.5 s of
   * latency but for a fifth; but no word of the newest half a second */
  script_get_seen (&seen);
  g_assert_cmpuint (seen.due, ==, 1000 * MS);
  g_object_set (rig->element, "latency", 1000, NULL);
  push (rig, 0, 1500, 0);
  script_get_seen (&seen);
  g_assert_cmpuint (seen.due, ==, 1300 * MS);
}

static void
let_time_pass (gpointer harness)
{
  gst_harness_set_time (harness, 4000 * MS);
}

/* A window that takes longer than the one before it is heard with the time in
 * mind that it took. */
static void
test_due_when_heard (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  ScriptedUpdate update = {0};
  ScriptSeen seen;

  gst_harness_use_testclock (rig->harness);
  gst_element_set_base_time (rig->element, 0);
  gst_harness_set_upstream_latency (rig->harness, 500 * MS);
  gst_harness_set_time (rig->harness, 3000 * MS);
  script_set_update (&update);
  push (rig, 0, 3000, 0);
  script_get_seen (&seen);
  g_assert_cmpuint (seen.due, ==, 500 * MS);
  gst_harness_set_time (rig->harness, 3500 * MS);
  update.on_heard = let_time_pass;
  update.user_data = rig->harness;
  script_set_update (&update);
  push (rig, 500, 3000, 0);
  script_get_seen (&seen);
  g_assert_cmpuint (seen.due, ==, 2000 * MS);
}

/* Time goes on, at the latest by the latency behind the clock. */
static void
test_late_gap (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  const ScriptedUpdate update = {.partial = "for ever", .decided = 100 * MS};

  gst_harness_use_testclock (rig->harness);
  gst_element_set_base_time (rig->element, 0);
  gst_harness_set_upstream_latency (rig->harness, 500 * MS);
  gst_harness_set_time (rig->harness, 6000 * MS);
  script_set_update (&update);
  push (rig, 0, 5500, 0);
  assert_took (rig, "gap 0-3000\n");
}

static void
test_lateness (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  g_autoptr (GstEvent) event = NULL;
  const GstSegment *late;
  GstSegment segment;

  g_object_set (rig->element, "lateness", 2000, NULL);
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.base = 3 * GST_SECOND;
  gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
  push (rig, 0, 1000, 0);
  event = gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);
  gst_event_parse_segment (event, &late);
  g_assert_cmpuint (late->base, ==, 5 * GST_SECOND);
  gst_harness_set_upstream_latency (rig->harness, 500 * MS);
  assert_latency (rig, TRUE, 3000 * MS);
}

/* --- properties while it runs -------------------------------------------- */

static void
test_language (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  g_autoptr (GstMessage) message = NULL;
  ScriptSeen seen;

  push (rig, 0, 500, 0);
  script_get_seen (&seen);
  g_assert_cmpint (seen.live_language, ==, -2);
  g_object_set (rig->element, "language-code", "de-AT", "margin",
      (guint64) 200 * MS, NULL);
  push (rig, 0, 1000, 0);
  script_get_seen (&seen);
  g_assert_cmpint (seen.live_language, ==, 2);
  g_assert_cmpuint (seen.margin, ==, 200 * MS);

  g_object_set (rig->element, "language-code", "klingon", NULL);
  push (rig, 0, 1500, 0);
  message = gst_bus_pop_filtered (rig->bus, GST_MESSAGE_WARNING);
  g_assert_nonnull (message);
  script_get_seen (&seen);
  g_assert_cmpint (seen.live_language, ==, 2);
}

/* --- what is said now ---------------------------------------------------- */

static void
test_unsynced (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  const ScriptedUpdate update = {.words = hello,
      .n_words = 1,
      .committed = "he \"said\"",
      .partial = "wor"};
  GstHarness *side =
      gst_harness_new_with_element (rig->element, NULL, "unsynced_src");
  g_autoptr (GstBuffer) buffer = NULL;
  GstMapInfo map;

  /* the pad has what it needs before there is any data */
  for (guint i = 0; i < 3; i++) {
    const GstEventType types[] = {
        GST_EVENT_STREAM_START, GST_EVENT_CAPS, GST_EVENT_SEGMENT};
    g_autoptr (GstPad) pad =
        gst_element_get_static_pad (rig->element, "unsynced_src");
    g_autoptr (GstEvent) event = gst_pad_get_sticky_event (pad, types[i], 0);

    g_assert_nonnull (event);
    /* GStreamer answers queries by the caps of the last event then, which that
     * event's successor frees under it; see peer-pad.h */
    g_assert_false (GST_PAD_IS_FIXED_CAPS (pad));
  }
  script_set_update (&update);
  push (rig, 1000, 500, 0);
  buffer = gst_harness_try_pull (side);
  g_assert_nonnull (buffer);
  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_READ));
  {
    g_autofree char *json = g_strndup ((char *) map.data, map.size);

    g_assert_cmpstr (json, ==,
        "{\"start\": 1000000000, \"end\": 1500000000, \"committed\": \"he "
        "\\\"said\\\"\", \"partial\": \"wor\", \"language\": \"en\"}\n");
  }
  gst_buffer_unmap (buffer, &map);
  gst_harness_teardown (side);
}

static void
test_message (void)
{
  g_autoptr (DecoderRig) rig = live_rig ();
  const ScriptedUpdate update = {.committed = "hello", .partial = "wor"};
  g_autoptr (GstMessage) message = NULL;
  const GstStructure *s;

  script_set_update (&update);
  g_object_set (rig->element, "post-messages", TRUE, NULL);
  push (rig, 1000, 500, 0);
  for (;;) {
    message = gst_bus_pop_filtered (rig->bus, GST_MESSAGE_ELEMENT);
    g_assert_nonnull (message);
    s = gst_message_get_structure (message);
    if (gst_structure_has_name (s, "whisperdecoder-text"))
      break;
    gst_clear_message (&message);
  }
  g_assert_cmpstr (gst_structure_get_string (s, "committed"), ==, "hello");
  g_assert_cmpstr (gst_structure_get_string (s, "partial"), ==, "wor");
}

/* JSON where downstream asks for it. */
static void
test_json (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("post-messages", FALSE, NULL);
  const ScriptedUpdate update = {.words = hello, .n_words = 2};

  gst_util_set_object_arg (G_OBJECT (rig->element), "commit", "alignatt");
  gst_harness_set_sink_caps_str (rig->harness, "application/x-json");
  decoder_rig_set_positions (rig, N_POSITIONS);
  script_set_update (&update);
  push (rig, 1000, 1000, 0);
  assert_took (rig,
      "tag en\ngap 1000-1100\n"
      "text 1100-1400 {\"start\": 1.100000000, \"end\": 1.400000000, "
      "\"text\": \"hello\", \"language\": \"en\"}\n\n"
      "gap 1400-1500\n"
      "text 1500-1900 {\"start\": 1.500000000, \"end\": 1.900000000, "
      "\"text\": \"world.\", \"language\": \"en\"}\n\n");
}

int
main (int argc, char **argv)
{
  decoder_test_init (&argc, &argv);
  g_test_add_func ("/whisperdecoder/live/words-and-gaps", test_words_and_gaps);
  g_test_add_func ("/whisperdecoder/live/flags", test_flags);
  g_test_add_func ("/whisperdecoder/live/advance", test_advance);
  g_test_add_func (
      "/whisperdecoder/live/nothing-is-lost", test_nothing_is_lost);
  g_test_add_func ("/whisperdecoder/live/flush", test_flush);
  g_test_add_func ("/whisperdecoder/live/jump-back", test_jump_back);
  g_test_add_func ("/whisperdecoder/live/due", test_due);
  g_test_add_func ("/whisperdecoder/live/latency", test_latency);
  g_test_add_func ("/whisperdecoder/live/delay", test_delay);
  g_test_add_func ("/whisperdecoder/live/due-when-heard", test_due_when_heard);
  g_test_add_func ("/whisperdecoder/live/late-gap", test_late_gap);
  g_test_add_func ("/whisperdecoder/live/lateness", test_lateness);
  g_test_add_func ("/whisperdecoder/live/language", test_language);
  g_test_add_func ("/whisperdecoder/live/unsynced", test_unsynced);
  g_test_add_func ("/whisperdecoder/live/message", test_message);
  g_test_add_func ("/whisperdecoder/live/json", test_json);
  return g_test_run ();
}
