/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decoder-rig.h"

#include <string.h>

#include "whisperdecoder/gstwhisperdecoder.h"
#include "patience.h"

void
decoder_test_init (int *argc, char ***argv)
{
  g_test_init (argc, argv, NULL);
  gst_init (argc, argv);
  g_assert_true (GST_ELEMENT_REGISTER (whisperdecoder, NULL));
}

/* --- what came out ------------------------------------------------------ */

/* Kept on the harness's element: events and buffers in their order. */
static GstPadProbeReturn
note_item (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GAsyncQueue *items = user_data;
  GstMiniObject *item = GST_PAD_PROBE_INFO_DATA (info);

  g_async_queue_push (items, gst_mini_object_ref (item));
  return GST_PAD_PROBE_OK;
}

static void
append_gap (GString *text, GstEvent *event)
{
  GstClockTime start, duration;

  gst_event_parse_gap (event, &start, &duration);
  g_string_append_printf (text,
      "gap %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "\n", start / MS,
      (start + duration) / MS);
}

static void
append_tag (GString *text, GstEvent *event)
{
  GstTagList *tags;
  g_autofree char *code = NULL;

  gst_event_parse_tag (event, &tags);
  if (gst_tag_list_get_string (tags, GST_TAG_LANGUAGE_CODE, &code))
    g_string_append_printf (text, "tag %s\n", code);
}

static void
append_buffer (GString *text, GstBuffer *buffer)
{
  GstMapInfo map;

  g_assert_true (GST_BUFFER_PTS_IS_VALID (buffer));
  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_READ));
  g_assert_cmpuint (map.size, >, 0);
  g_assert_true (g_utf8_validate ((char *) map.data, map.size, NULL));
  g_string_append_printf (text,
      "text %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT " %.*s\n",
      GST_BUFFER_PTS (buffer) / MS,
      (GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer)) / MS,
      (int) map.size, (char *) map.data);
  gst_buffer_unmap (buffer, &map);
}

char *
decoder_rig_take (DecoderRig *rig)
{
  GAsyncQueue *items = g_object_get_data (G_OBJECT (rig->element), "items");
  GString *text = g_string_new (NULL);
  GstMiniObject *item;
  GstBuffer *buffer;

  while ((item = g_async_queue_try_pop (items))) {
    if (GST_IS_BUFFER (item))
      append_buffer (text, GST_BUFFER_CAST (item));
    else if (GST_EVENT_TYPE (item) == GST_EVENT_GAP)
      append_gap (text, GST_EVENT_CAST (item));
    else if (GST_EVENT_TYPE (item) == GST_EVENT_TAG)
      append_tag (text, GST_EVENT_CAST (item));
    else if (GST_EVENT_TYPE (item) == GST_EVENT_CUSTOM_DOWNSTREAM)
      g_string_append_printf (text, "event %s\n",
          gst_structure_get_name (
              gst_event_get_structure (GST_EVENT_CAST (item))));
    gst_mini_object_unref (item);
  }
  while ((buffer = gst_harness_try_pull (rig->harness)))
    gst_buffer_unref (buffer);
  return g_string_free (text, FALSE);
}

static void
free_items (gpointer items)
{
  GstMiniObject *item;

  while ((item = g_async_queue_try_pop (items)))
    gst_mini_object_unref (item);
  g_async_queue_unref (items);
}

/* --- the rig ------------------------------------------------------------ */

DecoderRig *
decoder_rig_new (const char *first_property, ...)
{
  DecoderRig *rig = g_new0 (DecoderRig, 1);
  g_autoptr (GstPad) pad = NULL;
  GAsyncQueue *items = g_async_queue_new ();
  va_list args;

  script_forget ();
  rig->element = gst_element_factory_make ("whisperdecoder", NULL);
  rig->bus = gst_bus_new ();
  gst_element_set_bus (rig->element, rig->bus);
  g_object_set (rig->element, "model", "m", NULL);
  if (first_property) {
    va_start (args, first_property);
    g_object_set_valist (G_OBJECT (rig->element), first_property, args);
    va_end (args);
  }
  g_object_set_data_full (G_OBJECT (rig->element), "items", items, free_items);
  pad = gst_element_get_static_pad (rig->element, "src");
  gst_pad_add_probe (pad,
      GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
      note_item, items, NULL);
  rig->harness = gst_harness_new_with_element (rig->element, "sink", "src");
  return rig;
}

void
decoder_rig_free (DecoderRig *rig)
{
  gst_harness_teardown (rig->harness);
  gst_element_set_state (rig->element, GST_STATE_NULL);
  gst_element_set_bus (rig->element, NULL);
  gst_object_unref (rig->element);
  gst_object_unref (rig->bus);
  g_free (rig);
}

GstCaps *
decoder_caps (const char *dimensions, const char *type)
{
  return gst_caps_new_simple ("other/tensors", "format", G_TYPE_STRING,
      "static", "num_tensors", G_TYPE_INT, 1, "types", G_TYPE_STRING, type,
      "dimensions", G_TYPE_STRING, dimensions, "framerate", GST_TYPE_FRACTION,
      0, 1, NULL);
}

void
decoder_rig_set_positions (DecoderRig *rig, guint n_positions)
{
  g_autofree char *dimensions =
      g_strdup_printf ("%d:%u:1", SCRIPT_D, n_positions);

  gst_harness_set_src_caps (rig->harness, decoder_caps (dimensions, "float32"));
}

GstBuffer *
decoder_states (guint n_positions, GstClockTime pts, GstClockTime duration)
{
  const gsize n = (gsize) n_positions * SCRIPT_D;
  float *states = g_new (float, n);
  GstBuffer *buffer;

  for (gsize i = 0; i < n; i++)
    states[i] = (float) i / SCRIPT_D;
  buffer = gst_buffer_new_wrapped (states, n * sizeof (float));
  GST_BUFFER_PTS (buffer) = pts;
  GST_BUFFER_DURATION (buffer) = duration;
  return buffer;
}

void
decoder_check_error (GstBus *bus, GQuark domain, int code, ...)
{
  g_autoptr (GstMessage) message =
      gst_bus_timed_pop_filtered (bus, PATIENCE, GST_MESSAGE_ERROR);
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
