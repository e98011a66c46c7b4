/* Nothing is left of whispermel after use, as GStreamer's leaks tracer counts.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define GST_USE_UNSTABLE_API
#include "mel-rig.h"

static void
check_nothing_is_alive (void)
{
  GList *tracers = gst_tracing_get_active_tracers ();
  GstStructure *live = NULL;
  const GValue *list;
  guint n;

  if (!tracers) {
    g_test_skip ("this GStreamer has no leaks tracer");
    return;
  }
  /* A task's thread lets go of the task after its element has stopped. */
  gst_task_cleanup_all ();
  g_signal_emit_by_name (tracers->data, "get-live-objects", &live);
  g_list_free_full (tracers, gst_object_unref);

  list = gst_structure_get_value (live, "live-objects-list");
  n = gst_value_list_get_size (list);
  for (guint i = 0; i < n; i++) {
    const GstStructure *object =
        gst_value_get_structure (gst_value_list_get_value (list, i));
    g_autofree char *text = gst_structure_to_string (object);

    g_test_message ("%s", text);
  }
  gst_structure_free (live);
  g_assert_cmpuint (n, ==, 0);
}

static void
test_windows (void)
{
  MelRig *rig = mel_rig_new ("hop", GST_SECOND / 2, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, NULL, 5 * RATE + 100, 0);
  mel_rig_send (rig, gst_event_new_gap (5 * GST_SECOND, 3 * GST_SECOND));
  gst_harness_push_upstream_event (rig->harness, gst_event_new_reconfigure ());
  mel_rig_push (rig, NULL, 5000, 20 * GST_SECOND);
  mel_rig_send (rig, gst_event_new_eos ());
  mel_rig_free (rig);
  check_nothing_is_alive ();
}

static void
test_no_caps (void)
{
  MelRig *rig = mel_rig_new (NULL, NULL);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  mel_rig_send (rig, gst_event_new_segment (&segment));
  mel_rig_push (rig, NULL, 100, 0);
  mel_rig_free (rig);
  check_nothing_is_alive ();
}

static void
test_errors (void)
{
  MelRig *rig = mel_rig_new (NULL, NULL);
  GstSegment segment;

  mel_rig_start (rig);
  gst_harness_push (rig->harness, gst_buffer_new_allocate (NULL, 3, NULL));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.rate = -1;
  segment.stop = GST_SECOND;
  mel_rig_send (rig, gst_event_new_segment (&segment));
  gst_harness_push_upstream_event (
      rig->harness, gst_event_new_seek (-1, GST_FORMAT_TIME, 0,
                        GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_SET, GST_SECOND));
  gst_harness_set_sink_caps_str (rig->harness, "audio/x-raw");
  gst_harness_push_upstream_event (rig->harness, gst_event_new_reconfigure ());
  mel_rig_push (rig, NULL, 2 * RATE, 0);
  mel_rig_free (rig);
  check_nothing_is_alive ();
}

static void
test_stopped_in_the_middle (void)
{
  MelRig *rig = mel_rig_new (NULL, NULL);

  mel_rig_start (rig);
  mel_rig_push (rig, NULL, RATE + 5000, 0);
  mel_rig_send (rig, gst_event_new_flush_start ());
  mel_rig_send (rig, gst_event_new_flush_stop (TRUE));
  gst_element_set_state (rig->element, GST_STATE_NULL);
  mel_rig_free (rig);
  check_nothing_is_alive ();
}

int
main (int argc, char **argv)
{
  g_setenv ("GST_TRACERS", "leaks", TRUE);
  mel_test_init (&argc, &argv);
  g_test_add_func ("/whispermel/leaks/windows", test_windows);
  g_test_add_func ("/whispermel/leaks/no-caps", test_no_caps);
  g_test_add_func ("/whispermel/leaks/errors", test_errors);
  g_test_add_func (
      "/whispermel/leaks/stopped-in-the-middle", test_stopped_in_the_middle);
  return g_test_run ();
}
