/* encode: Whisper's hidden states of a recording, in an application.
 *
 *   cc encode.c -o encode $(pkg-config --cflags --libs gstreamer-app-1.0) -lm
 *   ./encode --model whisper-tiny.en.safetensors speech.wav
 *
 * Shows how to embed the elements: build the pipeline, take the states from
 * an appsink, read their shape from the caps and the statistics from messages
 * and from the stats property, and end on an error with what GStreamer says.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#define PIPELINE                                                               \
  "filesrc name=source ! decodebin ! audioconvert ! "                          \
  "audioresample ! whispermel ! npuencoder name=encoder ! "                    \
  "appsink name=states sync=false"

/* Reads the shape "D:T:1", innermost first, and whether there is one that this
 * program can read. */
static gboolean
get_shape (GstCaps *caps, guint *n_positions, guint *width)
{
  const GstStructure *structure = gst_caps_get_structure (caps, 0);
  const char *type = gst_structure_get_string (structure, "types");
  const char *dimensions = gst_structure_get_string (structure, "dimensions");

  return g_strcmp0 (type, "float32") == 0 && dimensions != NULL &&
         sscanf (dimensions, "%u:%u", width, n_positions) == 2;
}

/* Shows the states of one window, states[n_positions][width]: here, how large
 * they are on average. Runs in the streaming thread, which waits for it. */
static GstFlowReturn
on_states (GstAppSink *sink, gpointer user_data)
{
  GstSample *sample = gst_app_sink_pull_sample (sink);
  GstFlowReturn flow = GST_FLOW_ERROR;
  guint n_positions, width;
  GstMapInfo map;

  if (sample == NULL)
    return GST_FLOW_EOS;

  GstBuffer *buffer = gst_sample_get_buffer (sample);
  if (!get_shape (gst_sample_get_caps (sample), &n_positions, &width))
    GST_ELEMENT_ERROR (sink, STREAM, FORMAT,
        ("Expected float32 states of a known shape."),
        ("caps: %" GST_PTR_FORMAT, gst_sample_get_caps (sample)));
  else if (gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    const float *states = (const float *) map.data;
    double squares = 0;

    for (gsize i = 0; i < (gsize) n_positions * width; i++)
      squares += (double) states[i] * states[i];
    g_print ("states of %.3f s from %.3f s: [%u][%u], root mean square %.4f\n",
        GST_BUFFER_DURATION (buffer) / (double) GST_SECOND,
        GST_BUFFER_PTS (buffer) / (double) GST_SECOND, n_positions, width,
        sqrt (squares / ((double) n_positions * width)));
    gst_buffer_unmap (buffer, &map);
    flow = GST_FLOW_OK;
  }
  gst_sample_unref (sample);
  return flow;
}

/* Prints an npuencoder-stats structure: of a window, or the totals. */
static void
print_stats (const char *what, const GstStructure *stats)
{
  guint64 tiles = 0, launches = 0, stalls = 0, time = 0;
  double factor = 0;

  gst_structure_get (stats, "tiles", G_TYPE_UINT64, &tiles, "launches",
      G_TYPE_UINT64, &launches, "stalls", G_TYPE_UINT64, &stalls, "total-time",
      G_TYPE_UINT64, &time, "realtime-factor", G_TYPE_DOUBLE, &factor, NULL);
  g_print ("%s: %" G_GUINT64_FORMAT " tiles in %" G_GUINT64_FORMAT
           " launches, %" G_GUINT64_FORMAT " stalls, %.1f ms, %.1f x real "
           "time, on %s in %s\n",
      what, tiles, launches, stalls, time / 1e6, factor,
      gst_structure_get_string (stats, "device"),
      gst_structure_get_string (stats, "precision"));
}

/* Prints messages until the end. Returns whether that came without an error. */
static gboolean
watch (GstBus *bus)
{
  const GstMessageType types = GST_MESSAGE_ELEMENT | GST_MESSAGE_WARNING |
                               GST_MESSAGE_ERROR | GST_MESSAGE_EOS;

  for (;;) {
    GstMessage *message =
        gst_bus_timed_pop_filtered (bus, GST_CLOCK_TIME_NONE, types);
    GstMessageType type = GST_MESSAGE_TYPE (message);
    GError *error = NULL;
    char *debug = NULL;

    if (gst_message_has_name (message, "npuencoder-stats"))
      print_stats ("window", gst_message_get_structure (message));
    else if (type == GST_MESSAGE_WARNING)
      gst_message_parse_warning (message, &error, &debug);
    else if (type == GST_MESSAGE_ERROR)
      gst_message_parse_error (message, &error, &debug);

    if (error != NULL)
      g_printerr ("%s: %s\n%s\n", GST_OBJECT_NAME (GST_MESSAGE_SRC (message)),
          error->message, debug != NULL ? debug : "");
    g_clear_error (&error);
    g_free (debug);
    gst_message_unref (message);
    if (type == GST_MESSAGE_ERROR || type == GST_MESSAGE_EOS)
      return type == GST_MESSAGE_EOS;
  }
}

/* Encodes @audio with @model. Returns whether it all went well. */
static gboolean
encode (const char *audio, const char *model)
{
  GError *error = NULL;
  GstElement *pipeline = gst_parse_launch (PIPELINE, &error);

  if (error != NULL) { /* an element is missing */
    g_printerr ("%s\n", error->message);
    g_clear_error (&error);
    gst_clear_object (&pipeline);
    return FALSE;
  }

  GstElement *source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  GstElement *encoder = gst_bin_get_by_name (GST_BIN (pipeline), "encoder");
  GstElement *sink = gst_bin_get_by_name (GST_BIN (pipeline), "states");
  GstBus *bus = gst_element_get_bus (pipeline);
  GstAppSinkCallbacks callbacks = {.new_sample = on_states};
  GstStructure *totals = NULL;

  g_object_set (source, "location", audio, NULL);
  g_object_set (encoder, "model", model, NULL);
  gst_app_sink_set_callbacks (GST_APP_SINK (sink), &callbacks, NULL, NULL);

  /* Where this fails, an error is on the bus. */
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  gboolean good = watch (bus);

  g_object_get (encoder, "stats", &totals, NULL);
  if (good && totals != NULL)
    print_stats ("in all", totals);
  g_clear_pointer (&totals, gst_structure_free);

  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (sink);
  gst_object_unref (encoder);
  gst_object_unref (source);
  gst_object_unref (pipeline);
  return good;
}

int
main (int argc, char **argv)
{
  char *model = NULL;
  const GOptionEntry options[] = {
      {"model", 'm', 0, G_OPTION_ARG_FILENAME, &model,
          "A Whisper model, or synthetic:tiny for a try", "MODEL"},
      G_OPTION_ENTRY_NULL,
  };
  GOptionContext *context = g_option_context_new ("AUDIO");
  GError *error = NULL;
  gboolean good = FALSE;

  g_option_context_set_summary (
      context, "Encodes a recording into Whisper's hidden states.");
  g_option_context_add_main_entries (context, options, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());

  if (!g_option_context_parse (context, &argc, &argv, &error))
    g_printerr ("%s\n", error->message);
  else if (model == NULL || argc != 2)
    g_printerr ("It takes --model MODEL and a recording; see --help.\n");
  else
    good = encode (argv[1], model);

  g_clear_error (&error);
  g_option_context_free (context);
  g_free (model);
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
