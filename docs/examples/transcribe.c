/* transcribe: what is said in a recording, with its times, in an application.
 *
 *   cc transcribe.c -o transcribe \
 *     $(pkg-config --cflags --libs gstreamer-app-1.0)
 *   ./transcribe --model ggml-base.bin speech.wav
 *
 * Shows how to embed nputranscriber: take text and its times from an appsink,
 * the language from tags, errors from messages, and end a stream on Ctrl-C so
 * that what was heard until then is still written.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <signal.h>
#include <stdlib.h>
#include <glib-unix.h>
#include <gst/app/gstappsink.h>
#include <gst/gst.h>

/* Of a video only the sound is decoded. An application that shows text when it
 * is spoken leaves sync at its default. */
#define PIPELINE                                                               \
  "filesrc name=source ! decodebin expose-all-streams=false "                  \
  "caps=\"audio/x-raw(ANY)\" ! nputranscriber name=transcriber ! "             \
  "appsink name=text sync=false caps=\"text/x-raw,format=utf8\""

typedef struct {
  GMainLoop *loop;
  GstElement *pipeline;
  guint interrupts;
  gboolean failed;
} App;

/* Prints one segment. Runs in the streaming thread, which waits for it: what
 * takes long belongs in a thread of its own. */
static GstFlowReturn
on_text (GstAppSink *sink, gpointer user_data)
{
  GstSample *sample = gst_app_sink_pull_sample (sink);
  GstFlowReturn flow = GST_FLOW_ERROR;
  GstMapInfo map;

  if (sample == NULL)
    return GST_FLOW_EOS;

  GstBuffer *buffer = gst_sample_get_buffer (sample);
  const GstSegment *segment = gst_sample_get_segment (sample);
  /* The buffer's own time is relative to where the stream was cut or seeked;
   * this is the place in the recording. */
  const GstClockTime begin = gst_segment_to_stream_time (
      segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));

  if (gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    /* The bytes are UTF-8 and not ended by a 0. */
    g_print ("%8.2f %8.2f  %.*s\n", begin / (double) GST_SECOND,
        (begin + GST_BUFFER_DURATION (buffer)) / (double) GST_SECOND,
        (int) map.size, (const char *) map.data);
    gst_buffer_unmap (buffer, &map);
    flow = GST_FLOW_OK;
  }
  gst_sample_unref (sample);
  return flow;
}

static void
print_language (GstMessage *message)
{
  GstTagList *tags = NULL;
  char *language = NULL;

  gst_message_parse_tag (message, &tags);
  if (gst_tag_list_get_string (tags, GST_TAG_LANGUAGE_CODE, &language))
    g_print ("language: %s\n", language);
  g_free (language);
  gst_tag_list_unref (tags);
}

/* Prints an error or a warning; what it says is for people, the second line for
 * those who look into it. */
static void
print_problem (GstMessage *message)
{
  GError *error = NULL;
  char *debug = NULL;

  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR)
    gst_message_parse_error (message, &error, &debug);
  else
    gst_message_parse_warning (message, &error, &debug);
  g_printerr ("%s: %s\n%s\n", GST_OBJECT_NAME (GST_MESSAGE_SRC (message)),
      error->message, debug != NULL ? debug : "");
  g_error_free (error);
  g_free (debug);
}

static gboolean
on_message (GstBus *bus, GstMessage *message, gpointer user_data)
{
  App *app = user_data;

  switch (GST_MESSAGE_TYPE (message)) {
    case GST_MESSAGE_TAG: {
      /* The recording's own tags come too, from the parsers before. */
      char *from = gst_object_get_name (GST_MESSAGE_SRC (message));
      if (g_str_equal (from, "text"))
        print_language (message);
      g_free (from);
      break;
    }
    case GST_MESSAGE_WARNING:
      print_problem (message);
      break;
    case GST_MESSAGE_ERROR:
      print_problem (message);
      app->failed = TRUE;
      g_main_loop_quit (app->loop);
      break;
    case GST_MESSAGE_EOS:
      g_main_loop_quit (app->loop);
      break;
    default:
      break;
  }
  return G_SOURCE_CONTINUE;
}

/* The first Ctrl-C ends the stream, so that text of what was heard comes; the
 * second does not wait for it. */
static gboolean
on_interrupt (gpointer user_data)
{
  App *app = user_data;

  if (app->interrupts++ == 0)
    gst_element_send_event (app->pipeline, gst_event_new_eos ());
  else
    g_main_loop_quit (app->loop);
  return G_SOURCE_CONTINUE;
}

static void
run (App *app)
{
  GstBus *bus = gst_element_get_bus (app->pipeline);
  const guint watch = gst_bus_add_watch (bus, on_message, app);
  const guint interrupt = g_unix_signal_add (SIGINT, on_interrupt, app);

  app->loop = g_main_loop_new (NULL, FALSE);
  /* Where this fails, an error is on the bus. */
  gst_element_set_state (app->pipeline, GST_STATE_PLAYING);
  g_main_loop_run (app->loop);
  gst_element_set_state (app->pipeline, GST_STATE_NULL);

  g_source_remove (interrupt);
  g_source_remove (watch);
  g_main_loop_unref (app->loop);
  gst_object_unref (bus);
}

/* Writes down @audio. Returns whether it all went well. */
static gboolean
transcribe (const char *audio, const char *model, const char *language)
{
  GError *error = NULL;
  App app = {.pipeline = gst_parse_launch (PIPELINE, &error)};

  if (error != NULL) { /* an element is missing */
    g_printerr ("%s\n", error->message);
    g_clear_error (&error);
    gst_clear_object (&app.pipeline);
    return FALSE;
  }

  GstBin *bin = GST_BIN (app.pipeline);
  GstElement *source = gst_bin_get_by_name (bin, "source");
  GstElement *transcriber = gst_bin_get_by_name (bin, "transcriber");
  GstElement *sink = gst_bin_get_by_name (bin, "text");
  GstAppSinkCallbacks callbacks = {.new_sample = on_text};

  g_object_set (source, "location", audio, NULL);
  g_object_set (transcriber, "model", model, "language-code", language, NULL);
  gst_app_sink_set_callbacks (GST_APP_SINK (sink), &callbacks, NULL, NULL);
  run (&app);

  gst_object_unref (sink);
  gst_object_unref (transcriber);
  gst_object_unref (source);
  gst_object_unref (app.pipeline);
  return !app.failed;
}

int
main (int argc, char **argv)
{
  char *model = NULL, *language = NULL;
  const GOptionEntry options[] = {
      {"model", 'm', 0, G_OPTION_ARG_FILENAME, &model,
          "A whole Whisper model: safetensors or ggml", "MODEL"},
      {"language", 'l', 0, G_OPTION_ARG_STRING, &language,
          "Language spoken, such as de; default: found out", "CODE"},
      G_OPTION_ENTRY_NULL,
  };
  GOptionContext *context = g_option_context_new ("AUDIO");
  GError *error = NULL;
  gboolean good = FALSE;

  g_option_context_set_summary (
      context, "Prints what is said in a recording, with its times.");
  g_option_context_add_main_entries (context, options, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());

  if (!g_option_context_parse (context, &argc, &argv, &error))
    g_printerr ("%s\n", error->message);
  else if (model == NULL || argc != 2)
    g_printerr ("It takes --model MODEL and a recording; see --help.\n");
  else
    good = transcribe (argv[1], model, language != NULL ? language : "auto");

  g_clear_error (&error);
  g_option_context_free (context);
  g_free (model);
  g_free (language);
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
