/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mel-rig.h"

#include <string.h>

#include "mel/logmel.h"

void
mel_test_init (int *argc, char ***argv)
{
  g_autoptr (GstElementFactory) factory = NULL;

  g_test_init (argc, argv, NULL);
  gst_init (argc, argv);
  factory = gst_element_factory_find ("whispermel");
  if (!factory)
    g_error ("there is no whispermel in GST_PLUGIN_PATH_1_0=%s",
        g_getenv ("GST_PLUGIN_PATH_1_0"));
}

static GstPadProbeReturn
record (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  MelRig *rig = user_data;

  g_queue_push_tail (
      &rig->pushed, gst_mini_object_ref (GST_PAD_PROBE_INFO_DATA (info)));
  return GST_PAD_PROBE_OK;
}

MelRig *
mel_rig_new (const char *first_property, ...)
{
  MelRig *rig = g_new0 (MelRig, 1);
  g_autoptr (GstPad) pad = NULL;
  va_list args;

  g_queue_init (&rig->pushed);
  rig->element = gst_element_factory_make ("whispermel", NULL);
  rig->bus = gst_bus_new ();
  gst_element_set_bus (rig->element, rig->bus);
  g_object_set (rig->element, "window", GST_SECOND, NULL);
  if (first_property) {
    va_start (args, first_property);
    g_object_set_valist (G_OBJECT (rig->element), first_property, args);
    va_end (args);
  }

  pad = gst_element_get_static_pad (rig->element, "src");
  gst_pad_add_probe (pad,
      GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM |
          GST_PAD_PROBE_TYPE_EVENT_FLUSH,
      record, rig, NULL);
  rig->harness = gst_harness_new_with_element (rig->element, "sink", "src");
  gst_harness_set_drop_buffers (rig->harness, TRUE);
  return rig;
}

void
mel_rig_free (MelRig *rig)
{
  gst_element_set_bus (rig->element, NULL);
  gst_object_unref (rig->element);
  gst_harness_teardown (rig->harness);
  gst_object_unref (rig->bus);
  mel_rig_forget (rig);
  g_free (rig);
}

void
mel_rig_start (MelRig *rig)
{
  gst_harness_set_src_caps_str (rig->harness, AUDIO_CAPS);
}

GstBuffer *
mel_buffer_new (const float *samples, gsize n, GstClockTime pts)
{
  gsize size = n * sizeof (float);
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, size, NULL);

  if (samples)
    gst_buffer_fill (buffer, 0, samples, size);
  else
    gst_buffer_memset (buffer, 0, 0, size);
  GST_BUFFER_PTS (buffer) = pts;
  GST_BUFFER_DURATION (buffer) = n * SAMPLE;
  return buffer;
}

GstFlowReturn
mel_rig_push (MelRig *rig, const float *samples, gsize n, GstClockTime pts)
{
  return gst_harness_push (rig->harness, mel_buffer_new (samples, n, pts));
}

gboolean
mel_rig_send (MelRig *rig, GstEvent *event)
{
  return gst_harness_push_event (rig->harness, event);
}

GstBuffer *
mel_rig_pop_window (MelRig *rig)
{
  GstMiniObject *object;

  while ((object = g_queue_pop_head (&rig->pushed))) {
    if (GST_IS_BUFFER (object))
      return GST_BUFFER_CAST (object);
    gst_mini_object_unref (object);
  }
  return NULL;
}

GstEvent *
mel_rig_pop_event (MelRig *rig)
{
  GstMiniObject *object = g_queue_peek_head (&rig->pushed);

  if (!object || !GST_IS_EVENT (object))
    return NULL;
  return GST_EVENT_CAST (g_queue_pop_head (&rig->pushed));
}

void
mel_rig_check_event (MelRig *rig, GstEventType type)
{
  g_autoptr (GstEvent) event = mel_rig_pop_event (rig);

  g_assert_nonnull (event);
  g_assert_cmpstr (
      GST_EVENT_TYPE_NAME (event), ==, gst_event_type_get_name (type));
}

void
mel_rig_forget (MelRig *rig)
{
  g_queue_clear_full (&rig->pushed, (GDestroyNotify) gst_mini_object_unref);
}

void
mel_rig_check_window (
    MelRig *rig, GstClockTime pts, const float *samples, gsize n_samples)
{
  g_autoptr (GstBuffer) buffer = mel_rig_pop_window (rig);
  g_autoptr (LogMel) log_mel = log_mel_new (80);
  g_autofree float *expected = NULL;
  GstClockTime window;
  guint n_frames;
  gsize size;

  g_object_get (rig->element, "window", &window, NULL);
  n_frames = window / (LOG_MEL_HOP * SAMPLE);
  size = (gsize) n_frames * 80 * sizeof (float);
  expected = g_malloc (size);
  log_mel_compute (log_mel, samples, n_samples, n_frames, expected);

  g_assert_nonnull (buffer);
  g_assert_cmpuint (GST_BUFFER_PTS (buffer), ==, pts);
  g_assert_cmpuint (GST_BUFFER_DURATION (buffer), ==, n_samples * SAMPLE);
  g_assert_cmpuint (GST_BUFFER_OFFSET (buffer), ==, pts / SAMPLE);
  g_assert_cmpuint (
      GST_BUFFER_OFFSET_END (buffer), ==, pts / SAMPLE + n_samples);
  g_assert_cmpuint (gst_buffer_get_size (buffer), ==, size);
  g_assert_cmpint (gst_buffer_memcmp (buffer, 0, expected, size), ==, 0);
}

void
mel_rig_check_no_window (MelRig *rig)
{
  g_assert_null (mel_rig_pop_window (rig));
}

void
mel_rig_check_message (
    MelRig *rig, GstMessageType type, GQuark domain, int code, ...)
{
  g_autoptr (GstMessage) message = gst_bus_pop_filtered (rig->bus, type);
  g_autoptr (GError) error = NULL;
  const char *part;
  va_list args;

  g_assert_nonnull (message);
  if (type == GST_MESSAGE_WARNING)
    gst_message_parse_warning (message, &error, NULL);
  else
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
