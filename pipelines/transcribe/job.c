/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "job.h"

#include <errno.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <gst/app/gstappsink.h>

#include "missing.h"

#define MESSAGE_DONE "recording-done"
#define MESSAGE_NO_SOUND "recording-has-no-sound"

/* How often a recording that gives no sign is looked at. */
#define POLL (200 * GST_MSECOND)

/* So many buffers without a sample, one after another, are all that comes. */
#define MAX_EMPTY 1000

struct _Job {
  GstElement *pipeline, *transcriber, *sink;
  GstBus *bus;
  TextFile *file; /* of the recording now; its streaming thread */
  gint has_sound; /* of the recording now, atomic */
  guint n_empty;  /* buffers without a sample; its streaming thread */
};

/* --- text --------------------------------------------------------------- */

static GstFlowReturn
take_sample (GstAppSink *sink, gpointer user_data)
{
  Job *job = user_data;
  g_autoptr (GstSample) sample = gst_app_sink_pull_sample (sink);
  const GstSegment *segment;
  guint64 start, end;
  GstBuffer *buffer;
  GstMapInfo map;

  if (!sample)
    return GST_FLOW_OK;
  segment = gst_sample_get_segment (sample);
  buffer = gst_sample_get_buffer (sample);
  start = gst_segment_to_stream_time (
      segment, GST_FORMAT_TIME, GST_BUFFER_PTS (buffer));
  end = gst_segment_to_stream_time (segment, GST_FORMAT_TIME,
      GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer));
  if (gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    text_file_add (job->file, start, end, (const char *) map.data, map.size);
    gst_buffer_unmap (buffer, &map);
  }
  return GST_FLOW_OK;
}

static void
post (Job *job, const char *name)
{
  gst_element_post_message (
      job->pipeline, gst_message_new_application (GST_OBJECT (job->pipeline),
                         gst_structure_new_empty (name)));
}

static void
take_eos (GstAppSink *sink, gpointer user_data)
{
  post (user_data, MESSAGE_DONE);
}

/* GStreamer 1.22 reads a WAV file that ends in the middle of a chunk for ever,
 * and gives buffers of nothing. */
static GstPadProbeReturn
note_sound (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  Job *job = user_data;

  if (gst_buffer_get_size (GST_PAD_PROBE_INFO_BUFFER (info)) > 0) {
    g_atomic_int_set (&job->has_sound, TRUE);
    job->n_empty = 0;
  } else if (++job->n_empty == MAX_EMPTY) {
    post (job, MESSAGE_DONE);
  }
  return GST_PAD_PROBE_OK;
}

/* --- the pipeline ------------------------------------------------------- */

static GstElement *
make (Job *job, const char *factory, const char *package, GError **error)
{
  GstElement *element = gst_element_factory_make (factory, NULL);

  if (element)
    gst_bin_add (GST_BIN (job->pipeline), element);
  else
    g_set_error (error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN,
        "there is no element %s: %s", factory, package);
  return element;
}

/* The first error on the bus; there is one. */
static void
take_bus_error (Job *job, GError **error)
{
  g_autoptr (GstMessage) message =
      gst_bus_pop_filtered (job->bus, GST_MESSAGE_ERROR);

  if (message)
    gst_message_parse_error (message, error, NULL);
  else
    g_set_error (error, GST_CORE_ERROR, GST_CORE_ERROR_STATE_CHANGE,
        "nputranscriber does not start");
}

static gboolean
make_elements (Job *job, gboolean wants_json, GError **error)
{
  GstAppSinkCallbacks callbacks = {.new_sample = take_sample, .eos = take_eos};
  g_autoptr (GstPad) sink = NULL;
  g_autoptr (GstCaps) caps = gst_caps_from_string (
      wants_json ? "application/x-json" : "text/x-raw, format=utf8");

  job->transcriber = make (job, "nputranscriber",
      "set GST_PLUGIN_PATH to the folder of libgstnpuencoder.so", error);
  if (!job->transcriber)
    return FALSE;
  job->sink = make (job, "appsink", "install gstreamer1.0-plugins-base", error);
  if (!job->sink)
    return FALSE;
  /* Never waits, neither for a clock nor for the first buffer. */
  g_object_set (job->sink, "sync", FALSE, "async", FALSE, "caps", caps, NULL);
  gst_app_sink_set_callbacks (GST_APP_SINK (job->sink), &callbacks, job, NULL);
  gst_element_link (job->transcriber, job->sink);
  sink = gst_element_get_static_pad (job->transcriber, "sink");
  gst_pad_add_probe (sink, GST_PAD_PROBE_TYPE_BUFFER, note_sound, job, NULL);
  return TRUE;
}

/* gst_util_set_object_arg() leaves a property as it is where it has no such
 * value. It reads strings as gst-launch-1.0 writes them: quotes would be lost,
 * and so would a path that is not UTF-8. */
static gboolean
set (Job *job, const char *property, const char *value, GError **error)
{
  GObject *object = G_OBJECT (job->transcriber);
  GParamSpec *spec =
      g_object_class_find_property (G_OBJECT_GET_CLASS (object), property);
  g_autoptr (GString) names = g_string_new (NULL);
  GEnumClass *values;

  if (G_IS_PARAM_SPEC_ENUM (spec)) {
    values = G_PARAM_SPEC_ENUM (spec)->enum_class;
    for (guint i = 0; i < values->n_values; i++)
      g_string_append_printf (
          names, "%s%s", i > 0 ? ", " : "", values->values[i].value_nick);
    if (!g_enum_get_value_by_nick (values, value)) {
      g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
          "%s is '%s'; it must be one of %s", property, value, names->str);
      return FALSE;
    }
  }
  if (spec && G_IS_PARAM_SPEC_STRING (spec))
    g_object_set (object, property, value, NULL);
  else
    gst_util_set_object_arg (object, property, value);
  return TRUE;
}

static gboolean
start (Job *job, GError **error)
{
  if (gst_element_set_state (job->pipeline, GST_STATE_PLAYING) !=
      GST_STATE_CHANGE_FAILURE)
    return TRUE;
  take_bus_error (job, error);
  return FALSE;
}

Job *
job_new (const char *const *properties, gboolean wants_json, GError **error)
{
  g_autoptr (Job) job = g_new0 (Job, 1);

  job->pipeline = gst_pipeline_new (NULL);
  job->bus = gst_element_get_bus (job->pipeline);
  if (!make_elements (job, wants_json, error))
    return NULL;
  for (; properties[0]; properties += 2) {
    if (!set (job, properties[0], properties[1], error))
      return NULL;
  }
  if (!start (job, error))
    return NULL;
  return g_steal_pointer (&job);
}

void
job_free (Job *job)
{
  gst_element_set_state (job->pipeline, GST_STATE_NULL);
  gst_object_unref (job->bus);
  gst_object_unref (job->pipeline);
  g_free (job);
}

/* --- a recording -------------------------------------------------------- */

static void
link_sound (GstElement *decoder, GstPad *pad, gpointer user_data)
{
  Job *job = user_data;
  g_autoptr (GstPad) sink =
      gst_element_get_static_pad (job->transcriber, "sink");

  if (!gst_pad_is_linked (sink))
    gst_pad_link (pad, sink);
}

static void
check_sound (GstElement *decoder, gpointer user_data)
{
  Job *job = user_data;
  g_autoptr (GstPad) sink =
      gst_element_get_static_pad (job->transcriber, "sink");

  if (!gst_pad_is_linked (sink))
    post (job, MESSAGE_NO_SOUND);
}

/* A bin that reads and decodes the file's sound; what else it has is left
 * alone. @in_order: it does not jump in the file. */
static GstElement *
new_reader (Job *job, const char *path, gboolean in_order, GError **error)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string ("audio/x-raw");
  GstElement *reader = gst_bin_new (NULL);
  GstElement *source = gst_element_factory_make ("filesrc", NULL);
  GstElement *decoder = gst_element_factory_make ("decodebin", NULL);
  GstElement *queue = NULL;

  if (in_order) /* whoever is behind a queue cannot pull */
    queue = gst_element_factory_make ("queue", NULL);
  if (!source || !decoder) {
    g_set_error (error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN,
        "there is no element %s: install gstreamer1.0-plugins-base",
        source ? "decodebin" : "filesrc");
    g_clear_object (&source);
    g_clear_object (&queue);
    g_clear_object (&decoder);
    gst_object_unref (reader);
    return NULL;
  }
  g_object_set (source, "location", path, NULL);
  g_object_set (decoder, "caps", caps, "expose-all-streams", FALSE, NULL);
  gst_bin_add_many (GST_BIN (reader), source, decoder, queue, NULL);
  if (queue)
    gst_element_link_many (source, queue, decoder, NULL);
  else
    gst_element_link (source, decoder);
  return reader;
}

/* Pads of decodebin come and go: each has a ghost. */
static void
ghost_pad (GstElement *decoder, GstPad *pad, gpointer user_data)
{
  GstElement *reader = GST_ELEMENT (GST_OBJECT_PARENT (decoder));
  GstPad *ghost = gst_ghost_pad_new (NULL, pad);

  gst_pad_set_active (ghost, TRUE);
  gst_element_add_pad (reader, ghost);
  link_sound (reader, ghost, user_data);
}

static void
connect_reader (Job *job, GstElement *reader)
{
  GstIterator *elements = gst_bin_iterate_sorted (GST_BIN (reader));
  GValue item = G_VALUE_INIT;

  /* decodebin is the one that is not the source. */
  while (gst_iterator_next (elements, &item) == GST_ITERATOR_OK) {
    GstElement *element = g_value_get_object (&item);

    if (GST_IS_BIN (element)) {
      g_signal_connect (element, "pad-added", G_CALLBACK (ghost_pad), job);
      g_signal_connect (element, "no-more-pads", G_CALLBACK (check_sound), job);
    }
    g_value_reset (&item);
  }
  g_value_unset (&item);
  gst_iterator_free (elements);
}

/* After a recording, whatever became of it: nothing of it is left. */
static void
clear_reader (Job *job, GstElement *reader)
{
  g_autoptr (GstPad) sink =
      gst_element_get_static_pad (job->transcriber, "sink");

  gst_pad_send_event (sink, gst_event_new_flush_start ());
  /* The pipeline may be about to set its state: it must be ours alone. */
  gst_object_ref (reader);
  gst_element_set_locked_state (reader, TRUE);
  gst_bin_remove (GST_BIN (job->pipeline), reader);
  gst_element_set_state (reader, GST_STATE_NULL);
  gst_object_unref (reader);
  gst_pad_send_event (sink, gst_event_new_flush_stop (TRUE));
  gst_bus_set_flushing (job->bus, TRUE);
  gst_bus_set_flushing (job->bus, FALSE);
}

static void
take_progress (Job *job, GstMessage *message, GstElement *reader,
    gint64 start_time, JobProgress *progress)
{
  const GstStructure *s = gst_message_get_structure (message);
  GstClockTime begin = 0, length = 0;
  gint64 duration;

  gst_structure_get_clock_time (s, "stream-time", &begin);
  gst_structure_get_clock_time (s, "duration", &length);
  if (GST_CLOCK_TIME_IS_VALID (begin))
    progress->done = MAX (progress->done, begin + length);
  if (gst_element_query_duration (reader, GST_FORMAT_TIME, &duration) &&
      duration > 0)
    progress->duration = duration;
  progress->elapsed = g_get_monotonic_time () - start_time;
}

static void
take_error (Job *job, GstMessage *message, const char *missing, GError **error)
{
  g_autoptr (GError) told = NULL;

  gst_message_parse_error (message, &told, NULL);
  if (missing)
    g_set_error_literal (
        error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN, missing);
  else if (g_error_matches (
               told, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN))
    /* Of streams that are not wanted decodebin says that, too. */
    g_set_error_literal (error, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE,
        "there is no sound in it that can be decoded");
  else
    g_propagate_error (error, g_steal_pointer (&told));
}

/* Follows the bus until the recording is done. */
static gboolean
wait (Job *job, GstElement *reader, JobProgress *progress, JobProgressFunc func,
    gpointer user_data, GError **error)
{
  const GstMessageType types =
      GST_MESSAGE_ERROR | GST_MESSAGE_APPLICATION | GST_MESSAGE_ELEMENT;
  const gint64 start_time = g_get_monotonic_time ();
  g_autofree char *missing = NULL;

  for (;;) {
    g_autoptr (GstMessage) message =
        gst_bus_timed_pop_filtered (job->bus, POLL, types);

    if (!message)
      continue;
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
      take_error (job, message, missing, error);
      return FALSE;
    }
    if (gst_message_has_name (message, MESSAGE_DONE)) {
      progress->elapsed = g_get_monotonic_time () - start_time;
      return TRUE;
    }
    if (gst_message_has_name (message, MESSAGE_NO_SOUND)) {
      if (missing)
        g_set_error_literal (
            error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN, missing);
      else
        g_set_error_literal (error, GST_STREAM_ERROR,
            GST_STREAM_ERROR_WRONG_TYPE, "there is no sound in it");
      return FALSE;
    }
    if (gst_message_has_name (message, "whisperdecoder-stats")) {
      take_progress (job, message, reader, start_time, progress);
      func (progress, user_data);
    } else if (!missing) {
      missing = missing_from_message (message);
    }
  }
}

/* One reading of the file. */
static gboolean
read_file (Job *job, const char *path, gboolean in_order, JobProgress *progress,
    JobProgressFunc func, gpointer user_data, GError **error)
{
  GstElement *reader = new_reader (job, path, in_order, error);
  gboolean done;

  if (!reader)
    return FALSE;
  job->n_empty = 0;
  connect_reader (job, reader);
  gst_bin_add (GST_BIN (job->pipeline), reader);
  gst_element_sync_state_with_parent (reader);
  done = wait (job, reader, progress, func, user_data, error);
  clear_reader (job, reader);
  return done;
}

/* In order. Where there is still no sound, there is none: no error. */
static gboolean
read_again (Job *job, const char *path, JobProgress *progress,
    JobProgressFunc func, gpointer user_data, GError **error)
{
  g_autoptr (GError) cause = NULL;

  if (!read_file (job, path, TRUE, progress, func, user_data, &cause) &&
      g_atomic_int_get (&job->has_sound)) {
    g_propagate_error (error, g_steal_pointer (&cause));
    return FALSE;
  }
  return TRUE;
}

gboolean
job_run (Job *job, const char *path, TextFile *file, JobProgress *progress,
    JobProgressFunc func, gpointer user_data, GError **error)
{
  gboolean done;

  *progress = (JobProgress){0};
  if (g_access (path, R_OK) != 0) {
    g_set_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
        errno == ENOENT ? "there is no such file"
                        : "it cannot be read; check its permissions");
    return FALSE;
  }
  job->file = file;
  g_atomic_int_set (&job->has_sound, FALSE);
  done = read_file (job, path, FALSE, progress, func, user_data, error);
  /* GStreamer 1.22 gives nothing of a WAV file whose samples have an odd number
   * of bytes, where it may jump in the file, and does not call it an error. */
  if (done && !g_atomic_int_get (&job->has_sound))
    done = read_again (job, path, progress, func, user_data, error);
  job->file = NULL;
  return done;
}
