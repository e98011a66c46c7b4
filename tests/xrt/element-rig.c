/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "element-rig.h"

#include <string.h>

EncoderRig *
element_rig_new (const char *device, const char *overlays, int precision)
{
  EncoderRig *rig = encoder_rig_new ("device", device, "overlays", overlays,
      "precision", precision, "threads", 2, NULL);

  encoder_rig_set_frames (rig, N_FRAMES);
  return rig;
}

GBytes *
element_rig_cpu_states (int precision, guint32 seed)
{
  g_autoptr (EncoderRig) rig = element_rig_new ("cpu", NULL, precision);

  return encoder_rig_encode (rig, N_FRAMES, seed);
}

GBytes *
element_rig_push (EncoderRig *rig, guint number, guint32 seed)
{
  const GstClockTime pts = number * N_FRAMES * FRAME;
  GstBuffer *states;

  if (gst_harness_push (rig->harness,
          encoder_mel_buffer (N_FRAMES, seed, pts)) != GST_FLOW_OK) {
    g_assert_null (gst_harness_try_pull (rig->harness));
    return NULL;
  }
  states = gst_harness_try_pull (rig->harness);
  g_assert_nonnull (states);
  g_assert_null (gst_harness_try_pull (rig->harness));
  g_assert_cmpuint (GST_BUFFER_PTS (states), ==, pts);
  return encoder_take_bytes (states);
}

char *
element_rig_take_messages (EncoderRig *rig, GQueue *warnings)
{
  char *device = NULL;
  GstMessage *message;

  while (!device && (message = encoder_pop_message (rig->bus,
                         GST_MESSAGE_ELEMENT | GST_MESSAGE_WARNING, 0))) {
    GError *error = NULL;

    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ELEMENT) {
      device = g_strdup (gst_structure_get_string (
          gst_message_get_structure (message), "device"));
    } else {
      gst_message_parse_warning (message, &error, NULL);
      if (strstr (error->message, "are random"))
        g_error_free (error);
      else
        g_queue_push_tail (warnings, error);
    }
    gst_message_unref (message);
  }
  return device;
}

void
element_rig_check (
    const GError *error, GQuark domain, int code, const char *part)
{
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  g_assert_error (error, domain, code);
  if (!strstr (error->message, part))
    g_error ("'%s' is not in '%s'", part, error->message);
}

void
element_rig_check_near (GBytes *a, GBytes *b, double least)
{
  gsize size_a, size_b;
  const float *x = g_bytes_get_data (a, &size_a);
  const float *y = g_bytes_get_data (b, &size_b);

  g_assert_cmpuint (size_a, ==, size_b);
  for (gsize i = 0; i < size_a / sizeof (float); i += TINY_D)
    g_assert_cmpfloat (rig_cosine (x + i, y + i, TINY_D), >=, least);
}
