/* decode-clips MODEL PRECISION TAIL LANGUAGE FILE...: what whisperdecoder makes
 * of clips of at most 30 s, window by window, greedy, without fallback. Prints,
 * for each segment, the clip's number from 0, how it was decoded (greedy,
 * greedy-without-timestamps, translate) and its JSON, with tabs between.
 *
 * All clips go through one pipeline, a minute apart, so that the model is
 * loaded once and a window of states is used by all decoders.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <stdio.h>
#include <string.h>

#define RATE 16000
#define APART (60 * GST_SECOND)

/* The samples of a file, 16 kHz mono, as bytes; fails the program. */
static GstBuffer *
read_clip (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (
      "filesrc name=file ! decodebin ! audioconvert ! audioresample ! "
      "audio/x-raw,format=F32LE,rate=16000,channels=1 ! "
      "appsink name=sink sync=false",
      &error);
  g_autoptr (GstElement) file =
      gst_bin_get_by_name (GST_BIN (pipeline), "file");
  g_autoptr (GstElement) sink =
      gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  GstBuffer *all = gst_buffer_new ();
  GstSample *sample;

  g_object_set (file, "location", path, NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  while ((sample = gst_app_sink_pull_sample (GST_APP_SINK (sink)))) {
    all = gst_buffer_append (
        all, gst_buffer_copy (gst_sample_get_buffer (sample)));
    gst_sample_unref (sample);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  if (gst_buffer_get_size (all) == 0)
    g_error ("there is no sound in %s", path);
  return all;
}

static void
push_clip (GstElement *source, const char *path, guint number)
{
  GstBuffer *clip = read_clip (path);

  clip = gst_buffer_make_writable (clip);
  GST_BUFFER_PTS (clip) = number * APART;
  GST_BUFFER_DURATION (clip) = gst_util_uint64_scale (
      gst_buffer_get_size (clip) / sizeof (float), GST_SECOND, RATE);
  GST_BUFFER_FLAG_SET (clip, GST_BUFFER_FLAG_DISCONT);
  gst_app_src_push_buffer (GST_APP_SRC (source), clip);
}

static GstFlowReturn
print_segment (GstAppSink *sink, gpointer user_data)
{
  g_autoptr (GstSample) sample = gst_app_sink_pull_sample (sink);
  GstBuffer *buffer;
  GstMapInfo map;

  if (!sample)
    return GST_FLOW_OK;
  buffer = gst_sample_get_buffer (sample);
  gst_buffer_map (buffer, &map, GST_MAP_READ);
  printf ("%u\t%s\t%.*s", (guint) (GST_BUFFER_PTS (buffer) / APART),
      (const char *) user_data, (int) map.size, (const char *) map.data);
  gst_buffer_unmap (buffer, &map);
  return GST_FLOW_OK;
}

static void
print_from (GstElement *pipeline, const char *name)
{
  GstAppSinkCallbacks callbacks = {.new_sample = print_segment};
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), name);

  gst_app_sink_set_callbacks (
      GST_APP_SINK (sink), &callbacks, (gpointer) name, NULL);
}

/* Says that a window begins where the text of the one before it ended, as in
 * OpenAI's loop: what an answer leaves behind its last pair of timestamps is
 * not decoded on in this window. */
static GstPadProbeReturn
answer_follow (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);
  const GstStructure *structure = gst_query_get_structure (query);

  if (!structure || !gst_structure_has_name (structure, "whisper/follow"))
    return GST_PAD_PROBE_OK;
  gst_structure_set (gst_query_writable_structure (query), "follows",
      G_TYPE_BOOLEAN, TRUE, "overlaps", G_TYPE_BOOLEAN, FALSE, NULL);
  return GST_PAD_PROBE_HANDLED;
}

static void
let_windows_follow (GstElement *encoder)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (encoder, "src");

  gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_QUERY_UPSTREAM, answer_follow, NULL, NULL);
}

#define DECODER                                                                \
  "whisperdecoder language-code=%s precision=%s temperature-increment=0 "      \
  "no-speech-threshold=1 timeout=600000 "
#define SINK " ! application/x-json ! appsink sync=false async=false name="

/* English-only models do not translate. */
static char *
describe (const char *precision, const char *tail, const char *language,
    gboolean is_english)
{
  g_autofree char *rest = g_strdup_printf (
      "t. ! " DECODER "task=translate" SINK "translate", language, precision);

  return g_strdup_printf (
      "appsrc name=source format=time max-bytes=0 "
      "caps=audio/x-raw,format=F32LE,rate=16000,channels=1,"
      "layout=interleaved ! whispermel tail=%s ! "
      "npuencoder name=encoder precision=%s timeout=600000 ! tee name=t "
      "t. ! " DECODER SINK "greedy "
      "t. ! " DECODER "timestamps=none" SINK "greedy-without-timestamps %s",
      tail, precision, language, precision, language, precision,
      is_english ? "" : rest);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GstElement) source = NULL;
  g_autoptr (GstElement) encoder = NULL;
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstMessage) message = NULL;
  g_autofree char *description = NULL;
  gboolean is_english;

  gst_init (&argc, &argv);
  if (argc < 6)
    g_error ("usage: decode-clips MODEL PRECISION TAIL LANGUAGE FILE...");
  is_english = strstr (argv[1], ".en") != NULL;
  description = describe (argv[2], argv[3], argv[4], is_english);
  pipeline = gst_parse_launch (description, &error);
  if (error)
    g_error ("%s", error->message);
  encoder = gst_bin_get_by_name (GST_BIN (pipeline), "encoder");
  g_object_set (encoder, "model", argv[1], NULL);
  let_windows_follow (encoder);
  print_from (pipeline, "greedy");
  print_from (pipeline, "greedy-without-timestamps");
  if (!is_english)
    print_from (pipeline, "translate");

  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (int i = 5; i < argc; i++)
    push_clip (source, argv[i], i - 5);
  gst_app_src_end_of_stream (GST_APP_SRC (source));

  bus = gst_element_get_bus (pipeline);
  message = gst_bus_timed_pop_filtered (
      bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    gst_message_parse_error (message, &error, NULL);
    g_error ("%s", error->message);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return 0;
}
