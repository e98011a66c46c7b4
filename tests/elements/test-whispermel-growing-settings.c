/* What mode=growing offers downstream, and the values that its properties take.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "mel-rig.h"

static void
test_caps_have_all_lengths (void)
{
  g_autoptr (MelRig) rig = mel_rig_new ("mode", 2 /* growing */, NULL);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  g_autoptr (GstCaps) caps = gst_pad_query_caps (pad, NULL);

  for (guint n_frames = 100; n_frames <= 900; n_frames += 100) {
    g_autofree char *text =
        g_strdup_printf ("other/tensors,dimensions=(string)%u:80:1", n_frames);
    g_autoptr (GstCaps) one = gst_caps_from_string (text);

    /* 1 s and 3 s to spare and 2 s of padding, in seconds; the shortest has
     * audio, too */
    g_assert_cmpint (gst_caps_can_intersect (caps, one), ==,
        n_frames >= 300 && n_frames <= 600);
  }
}

/* Whatever is set, before the start says that it does not go. */
static void
test_caps_before_the_start (void)
{
  static const guint64 values[] = {0, 1, 20 * GST_MSECOND, 110 * GST_MSECOND,
      30 * GST_SECOND, G_MAXINT64, G_MAXUINT64 - 1, G_MAXUINT64};
  static const char *const names[] = {
      "quantum", "padding", "window", "step", "silence", "hop"};

  for (guint i = 0; i < G_N_ELEMENTS (names) * G_N_ELEMENTS (values); i++) {
    g_autoptr (GstElement) element =
        gst_object_ref_sink (gst_element_factory_make ("whispermel", NULL));
    g_autoptr (GstPad) pad = gst_element_get_static_pad (element, "src");
    g_autoptr (GstQuery) query = gst_query_new_latency ();
    g_autoptr (GstCaps) caps = NULL;

    gst_util_set_object_arg (G_OBJECT (element), "mode", "growing");
    g_object_set (element, names[i / G_N_ELEMENTS (values)],
        values[i % G_N_ELEMENTS (values)], NULL);
    caps = gst_pad_query_caps (pad, NULL);
    g_assert_false (gst_caps_is_empty (caps));
    gst_pad_query (pad, query);
  }
}

static void
test_properties_out_of_range (void)
{
  static const struct {
    const char *name;
    guint64 value;
    const char *part;
  } bad[] = {
      {"step", 99 * GST_MSECOND, "100000000"},
      {"step", 500, "5000000000"},
      {"padding", 11 * GST_SECOND, "10000000000"},
      {"quantum", 20 * GST_MSECOND, "100000000"},
      {"quantum", 110 * GST_MSECOND, "is one"},
      {"silence", 0, "100000000"},
      {"silence", G_MAXUINT64, "10000000000"},
      {"window", 26 * GST_SECOND, "25000000000"},
      {"vad", 0, "vad-model"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GstElement) element =
        gst_object_ref_sink (gst_element_factory_make ("whispermel", NULL));
    g_autoptr (GstBus) bus = gst_bus_new ();
    g_autoptr (GstMessage) message = NULL;
    g_autoptr (GError) error = NULL;

    gst_element_set_bus (element, bus);
    gst_util_set_object_arg (G_OBJECT (element), "mode", "growing");
    if (strcmp (bad[i].name, "vad") == 0)
      gst_util_set_object_arg (G_OBJECT (element), "vad", "silero");
    else
      g_object_set (element, bad[i].name, bad[i].value, NULL);
    g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
        GST_STATE_CHANGE_FAILURE);
    message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
    g_assert_nonnull (message);
    gst_message_parse_error (message, &error, NULL);
    g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
    g_assert_nonnull (strstr (error->message, bad[i].name));
    g_assert_nonnull (strstr (error->message, bad[i].part));
    gst_element_set_state (element, GST_STATE_NULL);
    gst_element_set_bus (element, NULL);
  }
}

static void
test_no_network (void)
{
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("whispermel", NULL));
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  gst_element_set_bus (element, bus);
  gst_util_set_object_arg (G_OBJECT (element), "mode", "growing");
  g_object_set (element, "vad-model", "/nowhere/silero.safetensors", NULL);
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
      GST_STATE_CHANGE_FAILURE);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  gst_message_parse_error (message, &error, NULL);
  g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, "/nowhere/silero.safetensors"));
  g_assert_nonnull (strstr (error->message, "vad-model"));
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
}

static void
test_latency (void)
{
  g_autoptr (MelRig) rig =
      mel_rig_new ("mode", 2, "step", 300 * GST_MSECOND, NULL);

  mel_rig_start (rig);
  gst_harness_set_upstream_latency (rig->harness, 40 * GST_MSECOND);
  g_assert_cmpuint (
      gst_harness_query_latency (rig->harness), ==, 340 * GST_MSECOND);
}

static gboolean
answer_nearly_all (GstPad *pad, GstObject *parent, GstQuery *query)
{
  if (GST_QUERY_TYPE (query) != GST_QUERY_LATENCY)
    return gst_pad_query_default (pad, parent, query);
  gst_query_set_latency (query, TRUE, 0, G_MAXUINT64 - 2);
  return TRUE;
}

/* The most that it may be is not less than the least. */
static void
test_greatest_latency (void)
{
  g_autoptr (GstElement) element =
      gst_object_ref_sink (gst_element_factory_make ("whispermel", NULL));
  g_autoptr (GstPad) sink = gst_element_get_static_pad (element, "sink");
  g_autoptr (GstPad) src = gst_element_get_static_pad (element, "src");
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  g_autoptr (GstPad) upstream =
      gst_object_ref_sink (gst_pad_new ("src", GST_PAD_SRC));
  GstClockTime min, max;

  gst_pad_set_query_function (upstream, answer_nearly_all);
  gst_pad_set_active (upstream, TRUE);
  g_assert_cmpint (gst_pad_link (upstream, sink), ==, GST_PAD_LINK_OK);
  g_assert_true (gst_pad_query (src, query));
  gst_query_parse_latency (query, NULL, &min, &max);
  g_assert_cmpuint (min, ==, 30 * GST_SECOND);
  g_assert_cmpuint (max, >=, G_MAXUINT64 - 2);
  gst_pad_unlink (upstream, sink);
}

int
main (int argc, char **argv)
{
  mel_test_init (&argc, &argv);
  g_test_add_func ("/whispermel/growing/caps", test_caps_have_all_lengths);
  g_test_add_func (
      "/whispermel/growing/caps-before-the-start", test_caps_before_the_start);
  g_test_add_func (
      "/whispermel/growing/properties", test_properties_out_of_range);
  g_test_add_func ("/whispermel/growing/no-network", test_no_network);
  g_test_add_func ("/whispermel/growing/latency", test_latency);
  g_test_add_func ("/whispermel/latency/greatest", test_greatest_latency);
  return g_test_run ();
}
