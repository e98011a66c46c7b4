/* The states do not depend on how they are computed: depth, batch size,
 * threads, or what surrounds a window. The whole grid of settings is the
 * library's test, encoder-schedule; here they come by the element's properties.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <gst/base/gstadapter.h>

#include "encoder-rig.h"
#include "patience.h"

/* The settings reached the library: the window's statistics have them. */
static void
check_arrived (EncoderRig *rig, guint depth, guint batch_size)
{
  g_autoptr (GstStructure) stats = encoder_pop_stats (rig->bus);
  guint got_depth = 0, got_batch_size = 0;

  g_assert_true (gst_structure_get (stats, "depth", G_TYPE_UINT, &got_depth,
      "batch-size", G_TYPE_UINT, &got_batch_size, NULL));
  g_assert_cmpuint (got_depth, ==, depth);
  g_assert_cmpuint (got_batch_size, ==, batch_size);
}

static void
check_same_bytes (const char *precision)
{
  static const struct {
    guint depth, batch_size, threads;
  } settings[] = {{1, 1, 1}, {2, 2, 2}, {3, 8, 4}, {16, 24, 2}};
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GBytes) expected = NULL;
  GstMessage *message;

  gst_element_set_state (rig->element, GST_STATE_NULL);
  gst_util_set_object_arg (G_OBJECT (rig->element), "precision", precision);
  gst_harness_play (rig->harness);
  encoder_rig_set_frames (rig, 400);
  expected = encoder_rig_encode (rig, 400, 1);

  for (guint i = 0; i < G_N_ELEMENTS (settings); i++) {
    const guint depth = settings[i].depth;
    const guint batch_size = settings[i].batch_size;
    const guint threads = settings[i].threads;
    g_autoptr (GBytes) states = NULL;

    gst_element_set_state (rig->element, GST_STATE_NULL);
    g_object_set (rig->element, "threads", threads, "depth", depth,
        "batch-size", batch_size, NULL);
    gst_harness_play (rig->harness);
    encoder_rig_set_frames (rig, 400);
    while ((message = gst_bus_pop (rig->bus)))
      gst_message_unref (message);
    states = encoder_rig_encode (rig, 400, 1);
    if (!g_bytes_equal (states, expected))
      g_error ("other states at %u threads, depth %u, batch size %u", threads,
          depth, batch_size);
    check_arrived (rig, depth, batch_size);
  }
}

static void
test_same_bytes_f32 (void)
{
  check_same_bytes ("f32");
}

static void
test_same_bytes_int8 (void)
{
  check_same_bytes ("int8");
}

/* A window leaves nothing behind for the next, whatever their sizes. */
static void
test_windows_are_independent (void)
{
  const guint longest = g_test_slow () ? 3000 : 500;
  const guint n_frames[] = {longest, 128, 400, 2, 64, 400, longest};
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (n_frames); i++) {
    g_autoptr (EncoderRig) fresh = encoder_rig_new (NULL, NULL);
    g_autoptr (GBytes) alone = NULL;
    g_autoptr (GBytes) among = NULL;

    encoder_rig_set_frames (fresh, n_frames[i]);
    alone = encoder_rig_encode (fresh, n_frames[i], i);
    encoder_rig_set_frames (rig, n_frames[i]);
    among = encoder_rig_encode (rig, n_frames[i], i);
    g_assert_true (g_bytes_equal (alone, among));
  }
}

static void
append_buffer (GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer list)
{
  g_ptr_array_add (list, gst_buffer_ref (buffer));
}

/* window=5s gives the 250 positions of those 500 frames alone. */
static void
test_short_windows_of_whispermel (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) mels = g_ptr_array_new ();
  g_autoptr (GPtrArray) states = g_ptr_array_new ();
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GstElement) pipeline = gst_parse_launch (
      "audiotestsrc wave=red-noise samplesperbuffer=1600 num-buffers=120 ! "
      "audio/x-raw,format=F32LE,rate=16000,channels=1 ! "
      "whispermel window=5000000000 ! tee name=t "
      "t. ! queue ! fakesink name=mels signal-handoffs=true "
      "t. ! queue ! npuencoder model=" TINY
      " ! fakesink name=states signal-handoffs=true",
      &error);
  g_autoptr (GstElement) mel_sink = NULL;
  g_autoptr (GstElement) state_sink = NULL;
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstMessage) message = NULL;

  g_assert_no_error (error);
  mel_sink = gst_bin_get_by_name (GST_BIN (pipeline), "mels");
  state_sink = gst_bin_get_by_name (GST_BIN (pipeline), "states");
  g_signal_connect (mel_sink, "handoff", G_CALLBACK (append_buffer), mels);
  g_signal_connect (state_sink, "handoff", G_CALLBACK (append_buffer), states);
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message =
      encoder_pop_message (bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR, PATIENCE);
  g_assert_nonnull (message);
  g_assert_cmpint (GST_MESSAGE_TYPE (message), ==, GST_MESSAGE_EOS);
  gst_element_set_state (pipeline, GST_STATE_NULL);

  /* 12 s: 5, 5 and 2 of them. */
  g_assert_cmpuint (mels->len, ==, 3);
  g_assert_cmpuint (states->len, ==, 3);
  encoder_rig_set_frames (rig, 500);
  for (guint i = 0; i < 3; i++) {
    g_autoptr (GBytes) alone = NULL;
    g_autoptr (GBytes) streamed = NULL;

    g_assert_cmpint (
        gst_harness_push (rig->harness, g_ptr_array_index (mels, i)), ==,
        GST_FLOW_OK);
    alone = encoder_take_bytes (gst_harness_pull (rig->harness));
    streamed = encoder_take_bytes (g_ptr_array_index (states, i));
    g_assert_cmpuint (
        g_bytes_get_size (streamed), ==, 250 * TINY_D * sizeof (float));
    g_assert_true (g_bytes_equal (alone, streamed));
  }
}

int
main (int argc, char **argv)
{
  encoder_test_init (&argc, &argv);
  encoder_test_keep_weights ("auto");
  g_test_add_func ("/npuencoder/same/at-every-depth-batch-and-threads-f32",
      test_same_bytes_f32);
  g_test_add_func ("/npuencoder/same/at-every-depth-batch-and-threads-int8",
      test_same_bytes_int8);
  g_test_add_func (
      "/npuencoder/same/whatever-came-before", test_windows_are_independent);
  g_test_add_func ("/npuencoder/same/short-windows-of-whispermel-and-alone",
      test_short_windows_of_whispermel);
  return g_test_run ();
}
