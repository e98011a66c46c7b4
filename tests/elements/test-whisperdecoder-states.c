/* whisperdecoder over a scripted library in the hands of an application:
 * flushes and state changes at any time, and nothing left of it after use.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "decoder-rig.h"

#define WINDOW 10
#define LONG (60 * G_USEC_PER_SEC) /* a window that must be cut short */
#define SOON (30 * G_USEC_PER_SEC) /* far below that, far above need */

static const ScriptedSegment words[] = {
    {0, 50 * MS, "one"}, {100 * MS, 150 * MS, "two"}};

static void
set_wait (guint64 wait)
{
  const ScriptedWindow window = {
      .segments = words, .n_segments = 2, .wait = wait};

  script_set_window (&window);
}

static gpointer
push_thread (gpointer data)
{
  DecoderRig *rig = data;
  GstFlowReturn flow = gst_harness_push (
      rig->harness, decoder_states (WINDOW, 0, WINDOW * 20 * MS));

  return GINT_TO_POINTER (flow);
}

static void
wait_for_window (guint n)
{
  ScriptSeen seen;

  do {
    g_usleep (1000);
    script_get_seen (&seen);
  } while (seen.n_windows < n);
}

static void
begin_anew (DecoderRig *rig)
{
  GstSegment segment;

  gst_harness_push_event (rig->harness, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
}

static void
test_flush_in_a_window (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);

  decoder_rig_set_positions (rig, WINDOW);
  for (guint i = 0; i < 5; i++) {
    ScriptSeen before, after;
    g_autofree char *left = NULL;
    g_autofree char *text = NULL;
    GThread *thread;
    gint64 start;

    script_get_seen (&before);
    set_wait (LONG);
    thread = g_thread_new ("push", push_thread, rig);
    wait_for_window (before.n_windows + 1);
    start = g_get_monotonic_time ();
    gst_harness_push_event (rig->harness, gst_event_new_flush_start ());
    g_assert_cmpint (
        GPOINTER_TO_INT (g_thread_join (thread)), ==, GST_FLOW_FLUSHING);
    g_assert_cmpint (g_get_monotonic_time () - start, <, SOON);
    begin_anew (rig);
    script_get_seen (&after);
    g_assert_cmpuint (after.n_resets, >, before.n_resets);

    /* And the next window is as if nothing had been. */
    left = decoder_rig_take (rig);
    set_wait (0);
    g_assert_cmpint (GPOINTER_TO_INT (push_thread (rig)), ==, GST_FLOW_OK);
    text = decoder_rig_take (rig);
    g_assert_true (g_str_has_suffix (
        text, "text 0-50 one\ngap 50-100\ntext 100-150 two\ngap 150-200\n"));
  }
  g_assert_null (gst_bus_pop_filtered (rig->bus, GST_MESSAGE_ERROR));
}

static void
test_stop_in_a_window (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  GThread *thread;
  gint64 start;

  decoder_rig_set_positions (rig, WINDOW);
  set_wait (LONG);
  thread = g_thread_new ("push", push_thread, rig);
  wait_for_window (1);
  start = g_get_monotonic_time ();
  gst_element_set_state (rig->element, GST_STATE_READY);
  g_assert_cmpint (
      GPOINTER_TO_INT (g_thread_join (thread)), ==, GST_FLOW_FLUSHING);
  g_assert_cmpint (g_get_monotonic_time () - start, <, SOON);
}

/* --- storms ------------------------------------------------------------- */

typedef struct {
  DecoderRig *rig;
  gboolean done;
} Storm;

static gpointer
storm_thread (gpointer data)
{
  Storm *storm = data;
  g_autoptr (GstPad) pad =
      gst_element_get_static_pad (storm->rig->element, "sink");
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  for (guint i = 0; !g_atomic_int_get (&storm->done); i++) {
    switch (i % 7) {
      case 0:
        gst_pad_send_event (pad, gst_event_new_stream_start ("s"));
        break;
      case 1: {
        g_autoptr (GstCaps) caps = decoder_caps ("64:10:1", "float32");

        gst_pad_send_event (pad, gst_event_new_caps (caps));
        break;
      }
      case 2:
        gst_pad_send_event (pad, gst_event_new_segment (&segment));
        break;
      case 3:
        gst_pad_send_event (
            pad, gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY,
                     gst_structure_new ("npuencoder/model", "location",
                         G_TYPE_STRING, i % 2 ? "a" : "b", NULL)));
        break;
      case 4:
        gst_pad_send_event (pad, gst_event_new_gap (0, 10 * MS));
        break;
      default:
        gst_pad_chain (pad, decoder_states (10, i * 200 * MS, 200 * MS));
        break;
    }
  }
  return NULL;
}

static gpointer
flush_thread (gpointer data)
{
  Storm *storm = data;
  g_autoptr (GstPad) pad =
      gst_element_get_static_pad (storm->rig->element, "sink");

  while (!g_atomic_int_get (&storm->done)) {
    gst_pad_send_event (pad, gst_event_new_flush_start ());
    g_usleep (100);
    gst_pad_send_event (pad, gst_event_new_flush_stop (TRUE));
    g_usleep (500);
  }
  return NULL;
}

static void
drop_messages (DecoderRig *rig)
{
  GstMessage *message;

  while ((message = gst_bus_pop (rig->bus)))
    gst_message_unref (message);
}

/* Events, buffers and flushes while states and properties change. */
static void
test_storm (void)
{
  static const GstState states[] = {
      GST_STATE_NULL, GST_STATE_READY, GST_STATE_PAUSED, GST_STATE_PLAYING};
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);

  /* Pads warn of a buffer that comes before its segment, as it may here. */
  g_log_set_always_fatal (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
  for (guint with_model = 0; with_model < 2; with_model++) {
    g_autoptr (DecoderRig) rig = decoder_rig_new (
        "model", with_model ? "m" : NULL, "batch", with_model ? 3 : 1, NULL);
    Storm storm = {rig, FALSE};
    GThread *threads[2];

    set_wait (300);
    threads[0] = g_thread_new ("storm", storm_thread, &storm);
    threads[1] = g_thread_new ("flush", flush_thread, &storm);
    for (guint i = 0; i < 300; i++) {
      g_autoptr (GstStructure) stats = NULL;

      gst_element_set_state (
          rig->element, states[g_rand_int_range (rand, 0, 4)]);
      g_object_set (rig->element, "threads", i, "verbosity", i % 4, "batch",
          1 + i % 4, "language-code", i % 2 ? "de" : "auto", NULL);
      g_object_get (rig->element, "stats", &stats, NULL);
      g_usleep (g_rand_int_range (rand, 0, 2000));
      drop_messages (rig);
    }
    g_atomic_int_set (&storm.done, TRUE);
    gst_element_set_state (rig->element, GST_STATE_NULL);
    g_thread_join (threads[0]);
    g_thread_join (threads[1]);
  }
}

/* --- leaks -------------------------------------------------------------- */

static void
note_end (gpointer data, GObject *object)
{
  *(gboolean *) data = TRUE;
}

static void
test_nothing_is_left (void)
{
  DecoderRig *rig = decoder_rig_new (NULL, NULL);
  gboolean is_gone = FALSE;
  ScriptSeen seen;

  g_object_weak_ref (G_OBJECT (rig->element), note_end, &is_gone);
  decoder_rig_set_positions (rig, WINDOW);
  gst_harness_push_event (rig->harness,
      gst_event_new_tag (gst_tag_list_new (GST_TAG_TITLE, "talk", NULL)));
  set_wait (0);
  g_assert_cmpint (GPOINTER_TO_INT (push_thread (rig)), ==, GST_FLOW_OK);
  gst_harness_push (rig->harness, decoder_states (WINDOW + 1, 0, 0));
  gst_harness_push_event (rig->harness, gst_event_new_eos ());
  decoder_rig_free (rig);
  g_assert_true (is_gone);
  script_get_seen (&seen);
  g_assert_cmpuint (seen.n_opened, ==, seen.n_closed);
}

int
main (int argc, char **argv)
{
  decoder_test_init (&argc, &argv);
#define ADD(path, test) g_test_add_func ("/whisperdecoder/" path, test)
  ADD ("leaks", test_nothing_is_left);
  ADD ("flush/in-a-window", test_flush_in_a_window);
  ADD ("states/stop-in-a-window", test_stop_in_a_window);
  ADD ("states/storm", test_storm);
  return g_test_run ();
}
