/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "encoder-rig.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test-data.h"
#include "patience.h"

void
encoder_test_init (int *argc, char ***argv)
{
  g_autoptr (GstElementFactory) factory = NULL;

  g_test_init (argc, argv, NULL);
  gst_init (argc, argv);
  factory = gst_element_factory_find ("npuencoder");
  if (!factory)
    g_error ("there is no npuencoder in GST_PLUGIN_PATH_1_0=%s",
        g_getenv ("GST_PLUGIN_PATH_1_0"));
}

static GstElement *keeper;

static void
free_keeper (void)
{
  gst_element_set_state (keeper, GST_STATE_NULL);
  gst_object_unref (keeper);
}

void
encoder_test_keep_weights (const char *precision)
{
  if (g_test_slow ())
    return;
  keeper = gst_element_factory_make ("npuencoder", NULL);
  gst_object_ref_sink (keeper);
  g_object_set (keeper, "model", TINY, "device", "cpu", NULL);
  gst_util_set_object_arg (G_OBJECT (keeper), "precision", precision);
  g_assert_cmpint (gst_element_set_state (keeper, GST_STATE_PAUSED), !=,
      GST_STATE_CHANGE_FAILURE);
  atexit (free_keeper);
}

EncoderRig *
encoder_rig_new (const char *first_property, ...)
{
  EncoderRig *rig = g_new0 (EncoderRig, 1);
  va_list args;

  rig->element = gst_element_factory_make ("npuencoder", NULL);
  rig->bus = gst_bus_new ();
  gst_element_set_bus (rig->element, rig->bus);
  /* Nothing is too slow, under valgrind and on busy machines. */
  g_object_set (rig->element, "model", TINY, "timeout", 600000, NULL);
  if (first_property) {
    va_start (args, first_property);
    g_object_set_valist (G_OBJECT (rig->element), first_property, args);
    va_end (args);
  }
  rig->harness = gst_harness_new_with_element (rig->element, "sink", "src");
  return rig;
}

void
encoder_rig_free (EncoderRig *rig)
{
  gst_element_set_bus (rig->element, NULL);
  gst_object_unref (rig->element);
  gst_harness_teardown (rig->harness);
  gst_object_unref (rig->bus);
  g_free (rig);
}

GstCaps *
encoder_mel_caps_from_dimensions (const char *dimensions)
{
  return gst_caps_new_simple ("other/tensors", "format", G_TYPE_STRING,
      "static", "num_tensors", G_TYPE_INT, 1, "types", G_TYPE_STRING, "float32",
      "dimensions", G_TYPE_STRING, dimensions, "framerate", GST_TYPE_FRACTION,
      0, 1, NULL);
}

GstCaps *
encoder_mel_caps (guint n_frames)
{
  g_autofree char *dimensions =
      g_strdup_printf ("%u:%u:1", n_frames, TINY_N_MELS);

  return encoder_mel_caps_from_dimensions (dimensions);
}

void
encoder_rig_set_frames (EncoderRig *rig, guint n_frames)
{
  gst_harness_set_src_caps (rig->harness, encoder_mel_caps (n_frames));
}

GstBuffer *
encoder_mel_buffer (guint n_frames, guint32 seed, GstClockTime pts)
{
  float *mel = test_data_new_mel (TINY_N_MELS, n_frames, seed);
  gsize size = (gsize) n_frames * TINY_N_MELS * sizeof (float);
  GstBuffer *buffer = gst_buffer_new_wrapped (mel, size);

  GST_BUFFER_PTS (buffer) = pts;
  GST_BUFFER_DURATION (buffer) = n_frames * FRAME;
  return buffer;
}

GBytes *
encoder_take_bytes (GstBuffer *buffer)
{
  gpointer data;
  gsize size;

  gst_buffer_extract_dup (
      buffer, 0, gst_buffer_get_size (buffer), &data, &size);
  gst_buffer_unref (buffer);
  return g_bytes_new_take (data, size);
}

GBytes *
encoder_rig_encode (EncoderRig *rig, guint n_frames, guint32 seed)
{
  GstFlowReturn flow =
      gst_harness_push (rig->harness, encoder_mel_buffer (n_frames, seed, 0));

  g_assert_cmpint (flow, ==, GST_FLOW_OK);
  return encoder_take_bytes (gst_harness_pull (rig->harness));
}

GstMessage *
encoder_pop_message (GstBus *bus, GstMessageType type, GstClockTime timeout)
{
  return gst_bus_timed_pop_filtered (bus, timeout, type);
}

GstStructure *
encoder_pop_stats (GstBus *bus)
{
  g_autoptr (GstMessage) message =
      encoder_pop_message (bus, GST_MESSAGE_ELEMENT, PATIENCE);

  g_assert_nonnull (message);
  g_assert_true (gst_message_has_name (message, "npuencoder-stats"));
  return gst_structure_copy (gst_message_get_structure (message));
}

void
encoder_check_error (GstBus *bus, GQuark domain, int code, ...)
{
  g_autoptr (GstMessage) message =
      encoder_pop_message (bus, GST_MESSAGE_ERROR, PATIENCE);
  g_autoptr (GError) error = NULL;
  const char *part;
  va_list args;

  g_assert_nonnull (message);
  gst_message_parse_error (message, &error, NULL);
  g_test_message ("%s", error->message);
  g_assert_error (error, domain, code);

  va_start (args, code);
  while ((part = va_arg (args, const char *))) {
    if (!strstr (error->message, part))
      g_error ("'%s' is not in '%s'", part, error->message);
  }
  va_end (args);
}

char *
encoder_temp_file (void)
{
  g_autoptr (GError) error = NULL;
  char *name = NULL;
  int fd = g_file_open_tmp ("npuencoder-XXXXXX", &name, &error);

  g_assert_no_error (error);
  close (fd);
  return name;
}
