/* Nothing is left of npuencoder after use, as GStreamer's leaks tracer counts.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define GST_USE_UNSTABLE_API
#include "encoder-rig.h"

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
  EncoderRig *rig = encoder_rig_new ("output-type", 1, "verbosity", 3, NULL);

  encoder_rig_set_frames (rig, 100);
  for (guint i = 0; i < 3; i++)
    g_bytes_unref (encoder_rig_encode (rig, 100, i));
  encoder_rig_set_frames (rig, 50);
  g_bytes_unref (encoder_rig_encode (rig, 50, 1));
  encoder_rig_free (rig);
  check_nothing_is_alive ();
}

static void
test_errors (void)
{
  EncoderRig *rig = encoder_rig_new (NULL, NULL);
  GstElement *element = gst_element_factory_make ("npuencoder", NULL);

  encoder_rig_set_frames (rig, 100);
  gst_harness_push (rig->harness, encoder_mel_buffer (98, 1, 0));
  gst_harness_push (rig->harness, gst_buffer_new ());
  gst_harness_set_src_caps (
      rig->harness, encoder_mel_caps_from_dimensions ("80:3000:1"));
  gst_harness_push (rig->harness, encoder_mel_buffer (100, 1, 0));
  encoder_rig_free (rig);

  g_object_ref_sink (element);
  gst_element_set_state (element, GST_STATE_PAUSED);
  g_object_set (element, "model", TINY, "device", "none", NULL);
  gst_element_set_state (element, GST_STATE_PAUSED);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_object_unref (element);
  check_nothing_is_alive ();
}

static void
test_stopped_in_the_middle (void)
{
  for (guint i = 0; i < 5; i++) {
    g_autoptr (GError) error = NULL;
    GstElement *pipeline = gst_parse_launch (
        "audiotestsrc wave=red-noise ! "
        "audio/x-raw,format=F32LE,rate=16000,channels=1 ! whispermel ! "
        "npuencoder model=" TINY " ! fakesink",
        &error);

    g_assert_no_error (error);
    gst_element_set_state (pipeline, GST_STATE_PLAYING);
    g_usleep (50000 * (i + 1));
    gst_element_set_state (pipeline, GST_STATE_NULL);
    gst_object_unref (pipeline);
  }
  check_nothing_is_alive ();
}

int
main (int argc, char **argv)
{
  g_setenv ("GST_TRACERS", "leaks", TRUE);
  encoder_test_init (&argc, &argv);
  g_test_add_func ("/npuencoder/leaks/windows", test_windows);
  g_test_add_func ("/npuencoder/leaks/errors", test_errors);
  g_test_add_func (
      "/npuencoder/leaks/stopped-in-the-middle", test_stopped_in_the_middle);
  return g_test_run ();
}
