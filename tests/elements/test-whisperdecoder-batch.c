/* whisperdecoder over a scripted library with several windows at once: text,
 * time and events are those of windows one by one, and nothing is lost where
 * the stream changes, flushes or ends.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "decoder-rig.h"
#include "npu-error.h"
#include "windowevent.h"

#define WINDOW 100 /* positions: 2 s */
#define SECOND GST_SECOND
#define N_WINDOWS 9

static const ScriptedSegment two[] = {
    {200 * MS, 800 * MS, "one"}, {1000 * MS, 1600 * MS, "two"}};

/* The window of this number takes other steps than its neighbours. */
static void
set_window (guint i)
{
  static const guint n_steps[] = {7, 1, 3, 12, 2, 2, 1, 5, 1};
  const ScriptedWindow window = {.segments = two,
      .n_segments = 1 + i % 2,
      .code = i % 3 ? "de" : "en",
      .n_steps = n_steps[i % G_N_ELEMENTS (n_steps)]};

  script_set_window (&window);
}

static GstFlowReturn
push (DecoderRig *rig, guint i, gboolean is_silent)
{
  GstBuffer *states =
      decoder_states (WINDOW, i * 2 * SECOND, 2 * SECOND - i * 10 * MS);

  set_window (i);
  if (is_silent)
    GST_BUFFER_FLAG_SET (states, GST_BUFFER_FLAG_GAP);
  return gst_harness_push (rig->harness, states);
}

/* (transfer full): what comes of a recording, some of it silent. */
static char *
transcribe (guint batch, guint *most_open)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("batch", batch, NULL);
  ScriptSeen seen;

  decoder_rig_set_positions (rig, WINDOW);
  for (guint i = 0; i < N_WINDOWS; i++)
    g_assert_cmpint (push (rig, i, i == 4), ==, GST_FLOW_OK);
  g_assert_true (gst_harness_push_event (rig->harness, gst_event_new_eos ()));
  script_get_seen (&seen);
  g_assert_cmpuint (seen.n_windows, ==, N_WINDOWS - 1);
  *most_open = seen.most_open;
  return decoder_rig_take (rig);
}

static void
test_same_text (void)
{
  guint most_open;
  g_autofree char *alone = transcribe (1, &most_open);

  g_assert_cmpuint (most_open, ==, 1);
  g_assert_nonnull (strstr (alone, "text 2200-2800 one"));
  for (guint batch = 2; batch <= 16; batch += 2) {
    g_autofree char *text = transcribe (batch, &most_open);

    g_assert_cmpuint (most_open, ==, MIN (batch, N_WINDOWS - 1));
    g_assert_cmpstr (text, ==, alone);
  }
}

/* Text leaves as soon as it and what is before it are whole. */
static void
test_soon (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("batch", 2, NULL);
  g_autofree char *first = NULL;
  g_autofree char *second = NULL;

  decoder_rig_set_positions (rig, WINDOW);
  push (rig, 1, FALSE); /* 1 step */
  first = decoder_rig_take (rig);
  g_assert_cmpstr (first, ==, "");
  push (rig, 3, FALSE); /* 12 steps */
  second = decoder_rig_take (rig);
  g_assert_nonnull (strstr (second, "text 2200-2800 one"));
  g_assert_null (strstr (second, "text 6200"));
}

/* What follows the windows in the stream finds their text before it. */
static void
test_events (void)
{
  for (guint i = 0; i < 6; i++) {
    g_autoptr (DecoderRig) rig = decoder_rig_new ("batch", 8, NULL);
    g_autoptr (GstCaps) caps = decoder_caps ("64:50:1", "float32");
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    GstBuffer *empty = gst_buffer_new ();
    GstSegment segment;

    decoder_rig_set_positions (rig, WINDOW);
    push (rig, 0, FALSE);
    push (rig, 1, FALSE);
    before = decoder_rig_take (rig);
    g_assert_cmpstr (before, ==, "");
    gst_segment_init (&segment, GST_FORMAT_TIME);
    GST_BUFFER_PTS (empty) = 4 * SECOND;
    GST_BUFFER_DURATION (empty) = SECOND;
    if (i == 0)
      gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
    else if (i == 1)
      gst_harness_set_src_caps (rig->harness, g_steal_pointer (&caps));
    else if (i == 2)
      gst_harness_push_event (rig->harness,
          gst_event_new_tag (gst_tag_list_new (GST_TAG_TITLE, "t", NULL)));
    else if (i == 3)
      gst_harness_push_event (
          rig->harness, gst_event_new_gap (4 * SECOND, SECOND));
    else if (i == 4)
      gst_harness_push_event (rig->harness, gst_event_new_eos ());
    else
      g_assert_cmpint (
          gst_harness_push (rig->harness, g_steal_pointer (&empty)), ==,
          GST_FLOW_OK);
    after = decoder_rig_take (rig);
    g_assert_true (g_str_has_prefix (after,
        "tag en\ngap 0-200\ntext 200-800 one\ngap 800-2000\n"
        "tag de\ngap 2000-2200\ntext 2200-2800 one\ngap 2800-3000\n"
        "text 3000-3600 two\n"));
    if (i == 3 || i == 5)
      g_assert_true (g_str_has_suffix (after, "gap 3990-5000\n"));
    g_clear_pointer (&empty, gst_buffer_unref);
  }
}

/* Windows do not follow the text of those before them. */
static void
test_nobody_is_told (void)
{
  for (guint batch = 1; batch <= 2; batch++) {
    g_autoptr (DecoderRig) rig = decoder_rig_new ("batch", batch, NULL);
    guint n_told = 0;
    GstEvent *event;

    decoder_rig_set_positions (rig, WINDOW);
    for (guint i = 0; i < 4; i++)
      push (rig, i, FALSE);
    gst_harness_push_event (rig->harness, gst_event_new_eos ());
    while ((event = gst_harness_try_pull_upstream_event (rig->harness))) {
      n_told += gst_event_has_name (event, "whisper/advance");
      gst_event_unref (event);
    }
    g_assert_cmpuint (n_told, ==, batch == 1 ? 4 : 0);
  }
}

/* How a cutter of windows answers, by bits. */
static gboolean
answer_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  const guint answer = GPOINTER_TO_UINT (pad->querydata);

  if (!window_event_is_follow_query (query))
    return gst_pad_query_default (pad, parent, query);
  window_event_set_follow (query, &(WindowFollow){.follows = answer & 1,
                                      .overlap = answer & 2 ? SECOND : 0});
  return TRUE;
}

/* What a window leaves comes again where windows follow, which they do not at
 * once; what overlaps is heard twice. */
static void
test_what_comes_again (void)
{
  for (guint i = 0; i < 8; i++) {
    const guint batch = 1 + i / 4, answer = i % 4;
    g_autoptr (DecoderRig) rig = decoder_rig_new ("batch", batch, NULL);
    ScriptSeen seen;

    decoder_rig_set_positions (rig, WINDOW);
    gst_pad_set_query_function_full (
        rig->harness->srcpad, answer_query, GUINT_TO_POINTER (answer), NULL);
    push (rig, 0, FALSE);
    script_get_seen (&seen);
    g_assert_cmpint (seen.is_followed, ==, (answer & 1) != 0 && batch == 1);
    g_assert_cmpuint (seen.overlap, ==, answer & 2 ? SECOND : 0);
  }
}

/* Text that waits for a window which overlaps with its own is given where none
 * comes: before digital silence, a jump, and what ends a stream. */
static void
test_what_waits (void)
{
  for (guint i = 0; i < 7; i++) {
    g_autoptr (DecoderRig) rig = decoder_rig_new ("batch", 1, NULL);
    ScriptSeen before, seen;
    GstSegment segment;

    decoder_rig_set_positions (rig, WINDOW);
    gst_pad_set_query_function_full (
        rig->harness->srcpad, answer_query, GUINT_TO_POINTER (2), NULL);
    push (rig, 0, FALSE);
    script_get_seen (&before);
    gst_segment_init (&segment, GST_FORMAT_TIME);
    set_window (1);
    if (i < 3) /* the next one, a jump, silence */
      gst_harness_push (rig->harness,
          decoder_states (WINDOW, (i == 1 ? 5 : 1) * SECOND, 2 * SECOND));
    if (i == 2)
      push (rig, 1, TRUE);
    if (i == 3)
      gst_harness_push_event (rig->harness, gst_event_new_eos ());
    if (i == 4)
      gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
    if (i == 5)
      gst_harness_push_event (
          rig->harness, gst_event_new_gap (2 * SECOND, SECOND));
    if (i == 6)
      gst_harness_push_event (rig->harness,
          gst_event_new_tag (gst_tag_list_new (GST_TAG_TITLE, "t", NULL)));
    script_get_seen (&seen);
    g_assert_cmpuint (
        seen.n_finished - before.n_finished, ==, i != 0 && i != 6);
  }
}

/* A flush and a stop forget windows that were begun. */
static void
test_flush (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("batch", 8, NULL);
  g_autofree char *text = NULL;
  GstSegment segment;

  decoder_rig_set_positions (rig, WINDOW);
  for (guint i = 0; i < 5; i++)
    push (rig, i, FALSE);
  gst_harness_push_event (rig->harness, gst_event_new_flush_start ());
  gst_harness_push_event (rig->harness, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
  push (rig, 6, FALSE);
  gst_harness_push_event (rig->harness, gst_event_new_eos ());
  text = decoder_rig_take (rig);
  g_assert_cmpstr (text, ==,
      "tag en\ngap 12000-12200\ntext 12200-12800 one\ngap 12800-13940\n");

  gst_element_set_state (rig->element, GST_STATE_READY);
  gst_element_set_state (rig->element, GST_STATE_PLAYING);
}

/* An error ends all windows of its step. */
static void
test_error (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("batch", 3, NULL);
  const ScriptedWindow bad = {.domain = NPU_ERROR, .error = NPU_ERROR_LAUNCH};

  decoder_rig_set_positions (rig, WINDOW);
  push (rig, 0, FALSE);
  push (rig, 1, FALSE);
  script_set_window (&bad);
  g_assert_cmpint (gst_harness_push (rig->harness,
                       decoder_states (WINDOW, 4 * SECOND, 2 * SECOND)),
      ==, GST_FLOW_ERROR);
  decoder_check_error (
      rig->bus, GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE, "as scripted", NULL);
  g_assert_cmpint (push (rig, 6, FALSE), ==, GST_FLOW_OK);
}

/* Text that waits for the end of the stream, and then for a pad that leads
 * nowhere: nobody would know. */
static void
test_not_linked (void)
{
  static const GstEventType ends[] = {GST_EVENT_EOS, GST_EVENT_SEGMENT_DONE};

  for (guint i = 0; i < G_N_ELEMENTS (ends); i++) {
    g_autoptr (DecoderRig) rig = decoder_rig_new ("batch", 3, NULL);
    g_autoptr (GstPad) src = gst_element_get_static_pad (rig->element, "src");
    g_autoptr (GstPad) peer = gst_pad_get_peer (src);

    decoder_rig_set_positions (rig, WINDOW);
    push (rig, 0, FALSE);
    g_assert_true (gst_pad_unlink (src, peer));
    gst_harness_push_event (rig->harness,
        ends[i] == GST_EVENT_EOS
            ? gst_event_new_eos ()
            : gst_event_new_segment_done (GST_FORMAT_TIME, 2 * SECOND));
    decoder_check_error (
        rig->bus, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, NULL);
    g_assert_cmpint (gst_pad_link (src, peer), ==, GST_PAD_LINK_OK);
  }
}

/* --- the language -------------------------------------------------------- */

/* In the streaming thread, when windows are decoded and none of their text is
 * pushed. */
static GstBusSyncReply
flush_on_stats (GstBus *bus, GstMessage *message, gpointer data)
{
  GstHarness *harness = data;

  if (gst_message_has_name (message, "whisperdecoder-stats"))
    gst_harness_push_event (harness, gst_event_new_flush_start ());
  return GST_BUS_PASS;
}

static void
test_tag_and_flush (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("batch", 2, NULL);
  g_autofree char *lost = NULL;
  g_autofree char *text = NULL;
  GstSegment segment;

  decoder_rig_set_positions (rig, WINDOW);
  gst_bus_set_sync_handler (rig->bus, flush_on_stats, rig->harness, NULL);
  push (rig, 0, FALSE); /* English */
  push (rig, 1, FALSE); /* German */
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
  gst_bus_set_sync_handler (rig->bus, NULL, NULL, NULL);
  lost = decoder_rig_take (rig);
  g_assert_null (strstr (lost, "text"));
  gst_harness_push_event (rig->harness, gst_event_new_flush_stop (TRUE));
  gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
  push (rig, 1, FALSE);
  gst_harness_push_event (rig->harness, gst_event_new_eos ());
  text = decoder_rig_take (rig);
  g_assert_true (g_str_has_suffix (text,
      "tag de\ngap 2000-2200\ntext 2200-2800 one\ngap 2800-3000\n"
      "text 3000-3600 two\ngap 3600-3990\n"));
}

static void
test_settings (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("hot-words", "Kowloon, Sintra",
      "initial-prompt", "A talk.", "language-interval", 30 * SECOND, NULL);
  ScriptSeen seen;

  decoder_rig_set_positions (rig, WINDOW);
  script_get_seen (&seen);
  g_assert_cmpstr (seen.hot_words, ==, "Kowloon, Sintra");
  g_assert_cmpstr (seen.prompt, ==, "A talk.");
  g_assert_cmpuint (seen.language_interval, ==, 30 * SECOND);
}

int
main (int argc, char **argv)
{
  decoder_test_init (&argc, &argv);
#define ADD(path, test) g_test_add_func ("/whisperdecoder/batch/" path, test)
  ADD ("same-text", test_same_text);
  ADD ("soon", test_soon);
  ADD ("events", test_events);
  ADD ("nobody-is-told", test_nobody_is_told);
  ADD ("what-comes-again", test_what_comes_again);
  ADD ("what-waits", test_what_waits);
  ADD ("flush", test_flush);
  ADD ("error", test_error);
  ADD ("not-linked", test_not_linked);
  ADD ("tag-and-flush", test_tag_and_flush);
  ADD ("settings", test_settings);
  return g_test_run ();
}
