/* nputranscriber as transcriberbin of gst-plugins-rs expects a transcriber:
 * pads, latency before any data, properties of a known type, errors on the bus,
 * upstream that is never held up; and text of a live source.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <gst/check/gstharness.h>
#include <gst/gst.h>
#include <string.h>

#include "test-audio.h"
#include "test-data.h"

#define MS GST_MSECOND
#define RATE 16000

static GstElement *
new_element (void)
{
  GstElement *element = gst_element_factory_make ("nputranscriber", NULL);

  g_assert_nonnull (element);
  gst_object_ref_sink (element);
  g_object_set (
      element, "model", "synthetic:tiny", "post-messages", FALSE, NULL);
  return element;
}

static gboolean
query_latency (GstElement *element, gboolean *is_live, GstClockTime *min)
{
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  g_autoptr (GstPad) pad = gst_element_get_static_pad (element, "src");
  GstClockTime max;

  if (!gst_pad_query (pad, query))
    return FALSE;
  gst_query_parse_latency (query, is_live, min, &max);
  g_assert_cmpuint (max, >=, *min);
  return TRUE;
}

/* --- the contract ------------------------------------------------------- */

static void
test_pads (void)
{
  g_autoptr (GstElement) element = new_element ();
  const char *const names[] = {"sink", "src", "unsynced_src"};

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (GstPad) pad = gst_element_get_static_pad (element, names[i]);

    g_assert_nonnull (pad);
  }
  /* it writes one language */
  g_assert_null (gst_element_class_get_pad_template (
      GST_ELEMENT_GET_CLASS (element), "translate_src_%u"));
}

/* Linked to a live source of any caps, in PAUSED, again and again. */
static void
test_latency_without_data (void)
{
  g_autoptr (GstElement) element = new_element ();
  g_autoptr (GstElement) pipeline = gst_pipeline_new (NULL);
  GstElement *source = gst_element_factory_make ("fakesrc", NULL);
  gboolean is_live;
  GstClockTime min;

  gst_object_ref_sink (pipeline);
  g_object_set (source, "is-live", TRUE, NULL);
  gst_bin_add_many (
      GST_BIN (pipeline), source, GST_ELEMENT (gst_object_ref (element)), NULL);
  g_assert_true (gst_element_link (source, element));
  for (guint i = 0; i < 3; i++) {
    g_object_set (element, "latency", 4000 + i, NULL);
    g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PAUSED), !=,
        GST_STATE_CHANGE_FAILURE);
    g_assert_true (query_latency (element, &is_live, &min));
    g_assert_true (is_live);
    g_assert_cmpuint (min, ==, (4000 + i) * MS);
    gst_element_set_state (pipeline, GST_STATE_NULL);
  }
  gst_bin_remove (GST_BIN (pipeline), element);
}

static void
test_not_live (void)
{
  g_autoptr (GstElement) element = new_element ();
  g_autoptr (GstElement) pipeline = gst_pipeline_new (NULL);
  GstElement *source = gst_element_factory_make ("fakesrc", NULL);
  GstElement *mel;
  gboolean is_live;
  GstClockTime min;
  int mode;

  gst_object_ref_sink (pipeline);
  gst_bin_add_many (
      GST_BIN (pipeline), source, GST_ELEMENT (gst_object_ref (element)), NULL);
  g_assert_true (gst_element_link (source, element));
  gst_element_set_state (pipeline, GST_STATE_PAUSED);
  g_assert_true (query_latency (element, &is_live, &min));
  g_assert_false (is_live);
  mel = gst_bin_get_by_name (GST_BIN (element), "whispermel");
  g_object_get (mel, "mode", &mode, NULL);
  g_assert_cmpint (mode, ==, 1); /* follow */
  gst_object_unref (mel);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_bin_remove (GST_BIN (pipeline), element);
}

/* What transcriberbin looks for, by type. */
static void
test_properties (void)
{
  g_autoptr (GstElement) element = new_element ();
  static const struct {
    const char *name;
    GType type;
  } expected[] = {
      {"latency", G_TYPE_UINT},
      {"lateness", G_TYPE_UINT},
      {"max-observed-delay", G_TYPE_UINT},
      {"language-code", G_TYPE_STRING},
      {"load", G_TYPE_DOUBLE},
      {"max-lag", G_TYPE_UINT64},
  };
  g_autofree char *code = NULL;
  guint latency;

  for (guint i = 0; i < G_N_ELEMENTS (expected); i++) {
    GParamSpec *spec = g_object_class_find_property (
        G_OBJECT_GET_CLASS (element), expected[i].name);

    g_assert_nonnull (spec);
    g_assert_true (spec->value_type == expected[i].type);
  }
  g_object_get (element, "latency", &latency, NULL);
  g_assert_cmpuint (latency, ==, 3000);
  g_object_set (element, "language-code", "en-US", NULL);
  g_object_get (element, "language-code", &code, NULL);
  g_assert_cmpstr (code, ==, "en-US");
  g_object_set (element, "language-code", NULL, NULL);
}

/* The pad has its stream and tags before there is any data. */
static void
test_unsynced_events (void)
{
  g_autoptr (GstElement) element = new_element ();
  g_autoptr (GstPad) pad = gst_element_get_static_pad (element, "unsynced_src");
  const GstEventType types[] = {
      GST_EVENT_STREAM_START, GST_EVENT_CAPS, GST_EVENT_SEGMENT, GST_EVENT_TAG};

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_autoptr (GstEvent) event = gst_pad_get_sticky_event (pad, types[i], 0);

    g_assert_nonnull (event);
  }
}

static void
test_errors_are_posted (void)
{
  g_autoptr (GstElement) element = new_element ();
  g_autoptr (GstBus) bus = gst_bus_new ();
  g_autoptr (GstMessage) message = NULL;

  gst_element_set_bus (element, bus);
  g_object_set (element, "model", "/none/such", NULL);
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
      GST_STATE_CHANGE_FAILURE);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
}

/* Its own properties, and those of the elements inside. */
static void
test_out_of_range (void)
{
  static const char *const settings[][2] = {
      {"latency=60001", "from 0 to 60000"},
      {"max-lag=5", "from 1000000000 to"},
      {"depth=17", "from 1 to 16"},
      {"timeout=0", "from 1 to 4294967295"},
      {"beam-size=17", "from 1 to 16"},
      {"temperature=nan", "from 0 to 2"},
      {"margin=99999999999", "to 10000000000 ns"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (settings); i++) {
    g_autofree char *line = g_strdup_printf (
        "nputranscriber model=synthetic:tiny %s", settings[i][0]);
    g_autoptr (GstElement) element = gst_parse_launch (line, NULL);
    g_auto (GStrv) pair = g_strsplit (settings[i][0], "=", 2);
    g_autofree char *is = g_strdup_printf ("%s is %s", pair[0], pair[1]);
    g_autoptr (GstBus) bus = gst_bus_new ();
    g_autoptr (GstMessage) message = NULL;
    g_autoptr (GError) error = NULL;

    gst_object_ref_sink (element);
    gst_element_set_bus (element, bus);
    g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
        GST_STATE_CHANGE_FAILURE);
    message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
    g_assert_nonnull (message);
    gst_message_parse_error (message, &error, NULL);
    g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
    g_assert_nonnull (strstr (error->message, is));
    g_assert_nonnull (strstr (error->message, settings[i][1]));
    gst_element_set_state (element, GST_STATE_NULL);
    gst_element_set_bus (element, NULL);
  }
}

/* --- a live source ------------------------------------------------------ */

typedef struct {
  GstElement *element;
  GstHarness *harness;
  GstBus *bus;
  GstClockTime next; /* PTS */
} Rig;

static Rig *
rig_new (const char *model)
{
  Rig *rig = g_new0 (Rig, 1);

  rig->element = new_element ();
  rig->bus = gst_bus_new ();
  gst_element_set_bus (rig->element, rig->bus);
  if (model)
    g_object_set (rig->element, "model", model, NULL);
  rig->harness = gst_harness_new_with_element (rig->element, "sink", "src");
  gst_harness_set_src_caps_str (rig->harness,
      "audio/x-raw, format=F32LE, rate=16000, channels=1, layout=interleaved");
  return rig;
}

static void
rig_free (Rig *rig)
{
  gst_harness_teardown (rig->harness);
  gst_element_set_state (rig->element, GST_STATE_NULL);
  gst_element_set_bus (rig->element, NULL);
  gst_object_unref (rig->element);
  gst_object_unref (rig->bus);
  g_free (rig);
}

/* In buffers of 20 ms. */
static void
rig_push (Rig *rig, const float *samples, gsize n)
{
  const gsize piece = RATE / 50;

  for (gsize i = 0; i + piece <= n; i += piece) {
    GstBuffer *buffer =
        gst_buffer_new_memdup (samples + i, piece * sizeof (float));

    GST_BUFFER_PTS (buffer) = rig->next;
    GST_BUFFER_DURATION (buffer) = 20 * MS;
    rig->next += 20 * MS;
    g_assert_cmpint (gst_harness_push (rig->harness, buffer), ==, GST_FLOW_OK);
  }
}

static GstElement *
find_child (Rig *rig, const char *name)
{
  return gst_bin_get_by_name (GST_BIN (rig->element), name);
}

/* The stream itself says that it is live: windows grow. */
static void
test_mode (void)
{
  Rig *rig = rig_new (NULL);
  GstElement *mel = find_child (rig, "whispermel");
  GstElement *decoder = find_child (rig, "whisperdecoder");
  int mode, commit;
  guint latency;

  g_object_get (mel, "mode", &mode, NULL);
  g_assert_cmpint (mode, ==, 2); /* growing */
  g_object_get (decoder, "commit", &commit, "latency", &latency, NULL);
  g_assert_cmpint (commit, ==, 1);      /* alignatt */
  g_assert_cmpuint (latency, ==, 2500); /* less a step */
  g_object_set (rig->element, "latency", 2000, NULL);
  g_object_get (decoder, "latency", &latency, NULL);
  g_assert_cmpuint (latency, ==, 1500);
  gst_object_unref (mel);
  gst_object_unref (decoder);

  /* and with a file it follows again */
  gst_element_set_state (rig->element, GST_STATE_READY);
  mel = find_child (rig, "whispermel");
  g_object_get (mel, "mode", &mode, NULL);
  g_assert_cmpint (mode, ==, 1);
  gst_object_unref (mel);
  rig_free (rig);
}

/* A source that says what it is once it has caps, as those of sound do. */
static void
test_late_answer (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (
      "audiotestsrc is-live=true num-buffers=30 wave=silence ! "
      "nputranscriber name=speech model=synthetic:tiny ! fakesink sync=false",
      &error);
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message = NULL;
  GstElement *speech = gst_bin_get_by_name (GST_BIN (pipeline), "speech");
  GstElement *mel = gst_bin_get_by_name (GST_BIN (speech), "whispermel");
  int mode;

  g_assert_no_error (error);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (
      bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  g_assert_cmpint (GST_MESSAGE_TYPE (message), ==, GST_MESSAGE_EOS);
  g_object_get (mel, "mode", &mode, NULL);
  g_assert_cmpint (mode, ==, 2); /* growing */
  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (mel);
  gst_object_unref (speech);
}

/* What the user has set stays. */
static void
test_chosen_mode (void)
{
  g_autoptr (GstElement) element = new_element ();
  GstHarness *harness;
  GstElement *mel;
  int mode;

  gst_util_set_object_arg (G_OBJECT (element), "mode", "fixed");
  harness = gst_harness_new_with_element (element, "sink", "src");
  gst_harness_set_src_caps_str (harness,
      "audio/x-raw, format=F32LE, rate=16000, channels=1, layout=interleaved");
  mel = gst_bin_get_by_name (GST_BIN (element), "whispermel");
  g_object_get (mel, "mode", &mode, NULL);
  g_assert_cmpint (mode, ==, 0);
  gst_object_unref (mel);
  gst_harness_teardown (harness);
}

/* What is refused while it runs is no choice: a live source's windows grow. */
static void
test_refused_mode (void)
{
  Rig *rig = rig_new (NULL);
  GstElement *mel = find_child (rig, "whispermel");
  int mode;

  gst_util_set_object_arg (G_OBJECT (rig->element), "mode", "fixed");
  gst_element_set_state (rig->element, GST_STATE_READY);
  gst_element_set_state (rig->element, GST_STATE_PLAYING);
  g_object_get (mel, "mode", &mode, NULL);
  g_assert_cmpint (mode, ==, 2); /* growing */
  gst_object_unref (mel);
  rig_free (rig);
}

typedef struct {
  GMutex lock;
  GCond cond;
  GstClockTime position; /* up to which gaps and text have come */
  gboolean is_behind;    /* something came before that */
} Watch;

static GstPadProbeReturn
watch_output (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  Watch *watch = user_data;
  GstClockTime start = GST_CLOCK_TIME_NONE, duration = 0;

  if (info->type & GST_PAD_PROBE_TYPE_BUFFER) {
    start = GST_BUFFER_PTS (GST_PAD_PROBE_INFO_BUFFER (info));
    duration = GST_BUFFER_DURATION (GST_PAD_PROBE_INFO_BUFFER (info));
  } else if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info)) ==
             GST_EVENT_GAP) {
    gst_event_parse_gap (GST_PAD_PROBE_INFO_EVENT (info), &start, &duration);
  }
  if (!GST_CLOCK_TIME_IS_VALID (start))
    return GST_PAD_PROBE_OK;
  g_mutex_lock (&watch->lock);
  watch->is_behind |= start < watch->position;
  watch->position = start + duration;
  g_cond_broadcast (&watch->cond);
  g_mutex_unlock (&watch->lock);
  return GST_PAD_PROBE_OK;
}

/* Time moves on where nobody speaks. */
static void
test_gaps_in_silence (void)
{
  Rig *rig = rig_new (NULL);
  g_autofree float *silence = g_new0 (float, 3 * RATE);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  Watch watch = {0};

  gst_pad_add_probe (pad,
      GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
      watch_output, &watch, NULL);
  rig_push (rig, silence, 3 * RATE);
  g_mutex_lock (&watch.lock);
  while (watch.position < 2 * GST_SECOND) /* or the test's time is over */
    g_cond_wait (&watch.cond, &watch.lock);
  g_mutex_unlock (&watch.lock);
  g_assert_false (watch.is_behind);
  g_assert_cmpuint (gst_harness_buffers_in_queue (rig->harness), ==, 0);
  rig_free (rig);
}

/* Nobody looks at unsynced_src: that is no error, not even at the end. */
static void
test_unsynced_unlinked (void)
{
  Rig *rig = rig_new (NULL);
  const gsize n = RATE * 6 / 5;
  g_autofree float *speech = test_audio_new_speech (n, 1);
  g_autoptr (GstMessage) error = NULL;
  GstBuffer *buffer;

  rig_push (rig, speech, n);
  g_assert_true (gst_harness_push_event (rig->harness, gst_event_new_eos ()));
  while (gst_harness_pull_until_eos (rig->harness, &buffer) && buffer)
    gst_buffer_unref (buffer);
  gst_element_set_state (rig->element, GST_STATE_READY);
  error = gst_bus_pop_filtered (rig->bus, GST_MESSAGE_ERROR);
  g_assert_null (error);
  rig_free (rig);
}

static GstPadProbeReturn
hold (GstPad *pad, GstPadProbeInfo *info, gpointer user_data)
{
  return GST_PAD_PROBE_OK; /* stays blocked */
}

static GstMessage *
wait_for_element_message (Rig *rig, const char *name)
{
  for (;;) {
    GstMessage *message = gst_bus_timed_pop_filtered (
        rig->bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_ELEMENT);

    if (gst_structure_has_name (gst_message_get_structure (message), name))
      return message;
    gst_message_unref (message);
  }
}

/* Downstream stands still: upstream does not. What is dropped beyond max-lag is
 * told, once time goes on. */
static void
test_never_blocks (void)
{
  Rig *rig = rig_new (NULL);
  g_autofree float *silence = g_new0 (float, 8 * RATE);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  g_autoptr (GstMessage) qos = NULL, overload = NULL;
  double load;
  guint64 processed, dropped, told;
  GstFormat format;
  gulong probe;

  g_object_set (rig->element, "max-lag", (guint64) 2 * GST_SECOND, NULL);
  probe = gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_BLOCK_DOWNSTREAM, hold, NULL, NULL);
  rig_push (rig, silence, 8 * RATE);
  gst_pad_remove_probe (pad, probe);
  rig_push (rig, silence, RATE);

  qos = gst_bus_timed_pop_filtered (
      rig->bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_QOS);
  gst_message_parse_qos_stats (qos, &format, &processed, &dropped);
  g_assert_cmpint (format, ==, GST_FORMAT_DEFAULT);
  g_assert_cmpuint (dropped, >, 0); /* so far */
  g_assert_cmpuint (dropped, <, 8 * RATE);
  overload = wait_for_element_message (rig, "nputranscriber-overload");
  gst_structure_get_uint64 (
      gst_message_get_structure (overload), "dropped", &told);
  g_assert_cmpuint (told, ==, dropped);
  /* There was no voice, and no window that could tell a load. */
  g_assert_true (gst_structure_get_double (
      gst_message_get_structure (overload), "load", &load));
  g_assert_cmpfloat (load, ==, 0);
  rig_free (rig);
}

/* --- text --------------------------------------------------------------- */

/* Words of a live source: each once, in order, and all by the end. */
static void
test_text (void)
{
  g_autofree char *model =
      test_data_path ("models/whisper-tiny.en-f16.safetensors");
  g_autofree char *audio = model ? test_data_path ("audio/jfk.wav") : NULL;
  g_autofree float *samples = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  GstHarness *side;
  GstBuffer *buffer;
  GstClockTime last = 0;
  gboolean is_there = FALSE;
  gsize n;
  Rig *rig;

  if (!audio)
    return;
  samples = test_audio_read_wav (audio, &n);
  rig = rig_new (model);
  /* it comes sooner than it is said */
  g_object_set (rig->element, "max-lag", (guint64) 60 * GST_SECOND, NULL);
  side = gst_harness_new_with_element (rig->element, NULL, "unsynced_src");
  rig_push (rig, samples, n);
  g_assert_true (gst_harness_push_event (rig->harness, gst_event_new_eos ()));
  while (gst_harness_pull_until_eos (rig->harness, &buffer) && buffer) {
    GstMapInfo map;

    g_assert_cmpuint (GST_BUFFER_PTS (buffer), >=, last);
    last = GST_BUFFER_PTS (buffer) + GST_BUFFER_DURATION (buffer);
    gst_buffer_map (buffer, &map, GST_MAP_READ);
    g_assert_null (memchr (map.data, ' ', map.size)); /* one word */
    g_string_append_len (text, (char *) map.data, (gssize) map.size);
    g_string_append_c (text, ' ');
    gst_buffer_unmap (buffer, &map);
    gst_buffer_unref (buffer);
  }
  g_test_message ("%s", text->str);
  g_assert_cmpuint (last, <=, 11 * GST_SECOND + 100 * MS);
  for (char *at = text->str; *at; at++)
    *at = g_ascii_tolower (*at);
  g_assert_nonnull (strstr (text->str, "my fellow americans"));
  g_assert_nonnull (strstr (text->str, "your country can do for you"));
  g_assert_nonnull (strstr (text->str, "what you can do for your country"));
  g_assert_cmpuint (text->len, <, 130); /* once */

  while (gst_harness_pull_until_eos (side, &buffer) && buffer) {
    is_there = TRUE;
    gst_buffer_unref (buffer);
  }
  g_assert_true (is_there);
  gst_harness_teardown (side);
  rig_free (rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  gst_init (&argc, &argv);
  g_test_add_func ("/nputranscriber/pads", test_pads);
  g_test_add_func (
      "/nputranscriber/latency-without-data", test_latency_without_data);
  g_test_add_func ("/nputranscriber/not-live", test_not_live);
  g_test_add_func ("/nputranscriber/properties", test_properties);
  g_test_add_func ("/nputranscriber/unsynced-events", test_unsynced_events);
  g_test_add_func ("/nputranscriber/errors-are-posted", test_errors_are_posted);
  g_test_add_func ("/nputranscriber/out-of-range", test_out_of_range);
  g_test_add_func ("/nputranscriber/mode", test_mode);
  g_test_add_func ("/nputranscriber/late-answer", test_late_answer);
  g_test_add_func ("/nputranscriber/chosen-mode", test_chosen_mode);
  g_test_add_func ("/nputranscriber/refused-mode", test_refused_mode);
  g_test_add_func ("/nputranscriber/gaps-in-silence", test_gaps_in_silence);
  g_test_add_func ("/nputranscriber/unsynced-unlinked", test_unsynced_unlinked);
  g_test_add_func ("/nputranscriber/never-blocks", test_never_blocks);
  g_test_add_func ("/nputranscriber/text", test_text);
  return g_test_run ();
}
