/* whisperdecoder over a scripted library: properties, models, caps, and what
 * is said of mistakes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "decoder-rig.h"
#include "npu-error.h"

#define WINDOW 10

/* --- properties --------------------------------------------------------- */

static const struct {
  const char *name, *value; /* default, as gst_value_serialize() has it */
  gboolean always;          /* mutable in PLAYING */
} properties[] = {
    {"model", NULL, FALSE},
    {"vocabulary", NULL, FALSE},
    {"device", "auto", FALSE},
    {"threads", "0", FALSE},
    {"timeout", "10000", FALSE},
    {"precision", "auto", FALSE},
    {"verbosity", "none", TRUE},
    {"post-messages", "true", TRUE},
    {"language-code", "auto", TRUE},
    {"task", "transcribe", FALSE},
    {"timestamps", "segments", FALSE},
    {"beam-size", "1", FALSE},
    {"best-of", "5", FALSE},
    {"patience", "1", FALSE},
    {"length-penalty", "-1", FALSE},
    {"temperature", "0", FALSE},
    {"temperature-increment", "0.20000000000000001", FALSE},
    {"compression-ratio-threshold", "2.3999999999999999", FALSE},
    {"logprob-threshold", "-1", FALSE},
    {"no-speech-threshold", "0.59999999999999998", FALSE},
    {"condition-on-previous-text", "false", FALSE},
    {"initial-prompt", NULL, FALSE},
    {"suppress-blank", "true", FALSE},
    {"suppress-tokens", "-1", FALSE},
    {"max-initial-timestamp", "1000000000", FALSE},
    {"seed", "0", FALSE},
    {"commit", "all", TRUE},
    {"margin", "500000000", TRUE},
    {"latency", "2500", TRUE},
    {"lateness", "0", TRUE},
};

#define MUTABLE                                                                \
  (GST_PARAM_MUTABLE_READY | GST_PARAM_MUTABLE_PAUSED |                        \
      GST_PARAM_MUTABLE_PLAYING)

static char *
get_as_string (GstElement *element, GParamSpec *pspec)
{
  GValue value = G_VALUE_INIT;
  char *text;

  g_object_get_property (G_OBJECT (element), pspec->name, &value);
  text = G_VALUE_HOLDS_STRING (&value) ? g_value_dup_string (&value)
                                       : gst_value_serialize (&value);
  g_value_unset (&value);
  return text;
}

static void
test_defaults (void)
{
  g_autoptr (GstElement) element =
      gst_element_factory_make ("whisperdecoder", NULL);

  g_object_ref_sink (element);
  for (guint i = 0; i < G_N_ELEMENTS (properties); i++) {
    GParamSpec *pspec = g_object_class_find_property (
        G_OBJECT_GET_CLASS (element), properties[i].name);
    g_autofree char *value = NULL;

    g_assert_nonnull (pspec);
    value = get_as_string (element, pspec);
    g_assert_cmpstr (value, ==, properties[i].value);
    g_assert_cmpint (pspec->flags & MUTABLE, ==,
        properties[i].always ? GST_PARAM_MUTABLE_PLAYING
                             : GST_PARAM_MUTABLE_READY);
    g_assert_nonnull (strstr (g_param_spec_get_blurb (pspec), "(Since: 1.0)"));
  }
}

static void
test_settings_arrive (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("language-code", "de-AT",
      "timestamps", 0, "beam-size", 3, "best-of", 4, "patience", 2.0,
      "length-penalty", 0.5, "temperature", 0.25, "temperature-increment", 0.5,
      "compression-ratio-threshold", 3.0, "logprob-threshold", -2.0,
      "no-speech-threshold", 0.5, "initial-prompt", "Ahoy", "suppress-blank",
      FALSE, "suppress-tokens", " -1, 50", "max-initial-timestamp",
      (guint64) 500 * MS, "seed", (guint64) 42, NULL);
  NpuDecodingOptions *options;
  ScriptSeen seen;

  g_assert_nonnull (rig);
  script_get_seen (&seen);
  options = &seen.options;
  g_assert_cmpint (options->language, ==, 2);
  g_assert_false (options->timestamps);
  g_assert_cmpuint (options->beam_size, ==, 3);
  g_assert_cmpuint (options->best_of, ==, 4);
  g_assert_cmpfloat (options->patience, ==, 2);
  g_assert_cmpfloat (options->length_penalty, ==, 0.5);
  g_assert_cmpfloat (options->temperature, ==, 0.25);
  g_assert_cmpfloat (options->temperature_increment, ==, 0.5);
  g_assert_cmpfloat (options->compression_ratio_threshold, ==, 3);
  g_assert_cmpfloat (options->logprob_threshold, ==, -2);
  g_assert_cmpfloat (options->no_speech_threshold, ==, 0.5);
  g_assert_false (options->suppress_blank);
  g_assert_cmpuint (options->max_initial_timestamp, ==, 25);
  g_assert_cmpuint (options->seed, ==, 42);
  g_assert_cmpuint (seen.n_suppress, ==, 4);
  g_assert_cmpuint (seen.last_suppressed, ==, 50);
  g_assert_cmpstr (seen.prompt, ==, "Ahoy");
}

static void
test_kept_while_open (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  guint threads = 9;
  int verbosity = 0;

  g_object_set (rig->element, "threads", 5, "verbosity", 3, NULL);
  g_object_get (
      rig->element, "threads", &threads, "verbosity", &verbosity, NULL);
  g_assert_cmpuint (threads, ==, 0);
  g_assert_cmpint (verbosity, ==, 3);
}

/* Of those that may change while it runs, too: it says so, and they stay. */
static void
test_out_of_range_while_open (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) warning = NULL;
  guint latency = 9;

  g_object_set (rig->element, "latency", 60001, NULL);
  g_object_get (rig->element, "latency", &latency, NULL);
  g_assert_cmpuint (latency, ==, 2500);
  message = gst_bus_pop_filtered (rig->bus, GST_MESSAGE_WARNING);
  g_assert_nonnull (message);
  gst_message_parse_warning (message, &warning, NULL);
  g_assert_error (warning, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
  g_assert_nonnull (strstr (warning->message, "latency is 60001"));
  g_assert_nonnull (strstr (warning->message, "from 0 to 60000"));
}

/* --- starting ----------------------------------------------------------- */

static void
check_start (const char *property, const char *value, GQuark domain, int code,
    const char *named, const char *remedy)
{
  g_autoptr (GstElement) element =
      gst_element_factory_make ("whisperdecoder", NULL);
  g_autoptr (GstBus) bus = gst_bus_new ();

  g_object_ref_sink (element);
  gst_element_set_bus (element, bus);
  g_object_set (element, "model", "en:m", NULL);
  if (strcmp (property, "suppress-tokens") == 0 ||
      strcmp (value, "klingon") == 0)
    g_object_set (element, "model", "m", NULL);
  if (g_utf8_validate (value, -1, NULL))
    gst_util_set_object_arg (G_OBJECT (element), property, value);
  else
    g_object_set (element, property, value, NULL); /* of strings only */
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
      GST_STATE_CHANGE_FAILURE);
  decoder_check_error (bus, domain, code, named, remedy, NULL);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
}

static void
test_start_errors (void)
{
  check_start ("model", "none", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_NOT_FOUND, "'none'", "property model");
  check_start ("vocabulary", "none", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_NOT_FOUND, "'none'", "vocabulary");
  check_start ("device", "gpu", GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "'gpu'", "properties device");
  check_start ("task", "translate", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_SETTINGS, "English only", "transcribe");
  check_start ("language-code", "de", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_SETTINGS, "'de'", "English only");
  check_start ("language-code", "enm", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_SETTINGS, "'enm'", "English only");
  check_start ("language-code", "klingon", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_SETTINGS, "'klingon'", "auto");
  check_start ("suppress-tokens", "5,x", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_SETTINGS, "'x'", "suppress-tokens");
  check_start ("suppress-tokens", "51865", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_SETTINGS, "'51865'", "0 to 51864");
}

/* Set when it is made, as gst-launch-1.0 does it, or later: the message names
 * the property and its range, and what it was set to. */
static void
test_out_of_range (void)
{
  static const struct {
    const char *setting, *range;
  } cases[] = {
      {"timeout=0", "from 1 to 4294967295"},
      {"beam-size=0", "from 1 to 16"},
      {"beam-size=17", "from 1 to 16"},
      {"best-of=99", "from 1 to 16"},
      {"batch=17", "from 1 to 16"},
      {"patience=0", "from 0.1 to 16"},
      {"patience=inf", "from 0.1 to 16"},
      {"length-penalty=20", "from -1 to 16"},
      {"temperature=3", "from 0 to 2"},
      {"temperature=nan", "from 0 to 2"},
      {"temperature-increment=-1", "from 0 to 1"},
      {"compression-ratio-threshold=-1", "from 0 to"},
      {"logprob-threshold=1", "to 0"},
      {"no-speech-threshold=2", "from 0 to 1"},
      {"margin=10000000001", "to 10000000000 ns"},
      {"latency=60001", "from 0 to 60000"},
      {"lateness=4294968", "from 0 to 4294967"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *line =
        g_strdup_printf ("whisperdecoder model=m %s", cases[i].setting);
    g_autoptr (GstElement) element = gst_parse_launch (line, NULL);
    g_autoptr (GstBus) bus = gst_bus_new ();
    g_auto (GStrv) pair = g_strsplit (cases[i].setting, "=", 2);
    g_autofree char *is = g_strdup_printf ("%s is %s", pair[0], pair[1]);
    g_autofree char *name = g_strdup_printf ("(property %s)", pair[0]);

    check_start (pair[0], pair[1], GST_RESOURCE_ERROR,
        GST_RESOURCE_ERROR_SETTINGS, is, cases[i].range);
    g_assert_nonnull (element);
    gst_object_ref_sink (element);
    gst_element_set_bus (element, bus);
    g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
        GST_STATE_CHANGE_FAILURE);
    decoder_check_error (bus, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        is, cases[i].range, name, NULL);
    gst_element_set_bus (element, NULL);
    gst_element_set_state (element, GST_STATE_NULL);
  }
}

/* Messages are UTF-8, which a property need not be. */
static void
test_bytes_that_are_no_text (void)
{
  check_start ("language-code", "a\xff", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_SETTINGS, "'a\xef\xbf\xbd'", "English only");
  check_start ("suppress-tokens", "\xf0\x28", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_SETTINGS, "'\xef\xbf\xbd('", "0 to 51864");
}

/* --- the model ---------------------------------------------------------- */

static GstEvent *
model_event (const char *location)
{
  return gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY,
      gst_structure_new (
          "npuencoder/model", "location", G_TYPE_STRING, location, NULL));
}

static GstFlowReturn
push (DecoderRig *rig)
{
  return gst_harness_push (
      rig->harness, decoder_states (WINDOW, 0, WINDOW * 20 * MS));
}

static void
test_model_by_event (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("model", NULL, NULL);
  ScriptSeen seen;

  decoder_rig_set_positions (rig, WINDOW);
  gst_harness_push_event (rig->harness, model_event ("a"));
  g_assert_cmpint (push (rig), ==, GST_FLOW_OK);
  script_get_seen (&seen);
  g_assert_cmpstr (seen.location, ==, "a");
  /* The same again is no other; another one is. */
  gst_harness_push_event (rig->harness, model_event ("a"));
  gst_harness_push_event (rig->harness, model_event ("b"));
  g_assert_cmpint (push (rig), ==, GST_FLOW_OK);
  script_get_seen (&seen);
  g_assert_cmpuint (seen.n_opened, ==, 2);
  g_assert_cmpuint (seen.n_closed, ==, 1);
  g_assert_cmpstr (seen.location, ==, "b");
}

static void
test_property_model_is_first (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  ScriptSeen seen;

  decoder_rig_set_positions (rig, WINDOW);
  gst_harness_push_event (rig->harness, model_event ("a"));
  g_assert_cmpint (push (rig), ==, GST_FLOW_OK);
  script_get_seen (&seen);
  g_assert_cmpuint (seen.n_opened, ==, 1);
  g_assert_cmpstr (seen.location, ==, "m");
}

static void
test_no_model (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("model", NULL, NULL);

  decoder_rig_set_positions (rig, WINDOW);
  g_assert_cmpint (push (rig), ==, GST_FLOW_ERROR);
  decoder_check_error (rig->bus, GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_NOT_FOUND, "no model is set", "property model", NULL);
  /* Said once. */
  g_assert_cmpint (push (rig), ==, GST_FLOW_ERROR);
  g_assert_null (gst_bus_pop_filtered (rig->bus, GST_MESSAGE_ERROR));
}

static void
test_model_of_the_event_is_bad (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("model", NULL, NULL);

  decoder_rig_set_positions (rig, WINDOW);
  gst_harness_push_event (rig->harness, model_event ("none"));
  decoder_check_error (rig->bus, GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_NOT_FOUND, "'none'", NULL);
  g_assert_cmpint (push (rig), ==, GST_FLOW_ERROR);
  g_assert_null (gst_bus_pop_filtered (rig->bus, GST_MESSAGE_ERROR));
}

/* --- caps and buffers --------------------------------------------------- */

static void
test_caps (void)
{
  static const struct {
    const char *dimensions, *part;
  } cases[] = {{"128:10:1", "another model's"}, {"64:1501:1", "1500"},
      {"64", "dimensions=64"}, {"64:0:1", "dimensions=64:0:1"},
      {"x", "dimensions=x"}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);

    gst_harness_set_src_caps (
        rig->harness, decoder_caps (cases[i].dimensions, "float32"));
    decoder_check_error (rig->bus, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        cases[i].part, NULL);
  }
}

/* A caps query knows what are no states; another model's are told of when they
 * arrive, since upstream could not say what was wrong. */
static void
test_caps_query (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "sink");
  g_autoptr (GstCaps) good = decoder_caps ("128:1500:1", "float32");
  g_autoptr (GstCaps) bad = decoder_caps ("64:1501:1", "float32");
  g_autoptr (GstCaps) good_answer = gst_pad_query_caps (pad, good);
  g_autoptr (GstCaps) bad_answer = gst_pad_query_caps (pad, bad);

  g_assert_false (gst_caps_is_empty (good_answer));
  g_assert_true (gst_caps_is_empty (bad_answer));
}

static void
test_width_of_a_model_by_event (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new ("model", NULL, NULL);

  gst_harness_set_src_caps (rig->harness, decoder_caps ("128:5:1", "float32"));
  gst_harness_push_event (rig->harness, model_event ("a"));
  g_assert_cmpint (push (rig), ==, GST_FLOW_ERROR);
  decoder_check_error (rig->bus, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
      "128", "64", "property model", NULL);
}

static void
test_buffer_of_another_size (void)
{
  g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);

  decoder_rig_set_positions (rig, WINDOW);
  g_assert_cmpint (
      gst_harness_push (rig->harness, decoder_states (WINDOW + 1, 0, MS)), ==,
      GST_FLOW_ERROR);
  decoder_check_error (rig->bus, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
      "2816 bytes", "make 2560", NULL);
}

static void
test_not_finite (void)
{
  static const float bad[] = {NAN, INFINITY, -INFINITY};

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
    GstBuffer *states = decoder_states (WINDOW, 0, 200 * MS);

    decoder_rig_set_positions (rig, WINDOW);
    gst_buffer_fill (states, 70 * sizeof (float), &bad[i], sizeof (float));
    g_assert_cmpint (
        gst_harness_push (rig->harness, states), ==, GST_FLOW_ERROR);
    decoder_check_error (rig->bus, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "position 1, value 6", NULL);
  }
}

static void
test_decoding_fails (void)
{
  static const struct {
    int error;
    gboolean is_stream;
    int code;
    const char *properties;
  } cases[] = {{NPU_ERROR_LAUNCH, TRUE, GST_STREAM_ERROR_DECODE, "device"},
      {NPU_ERROR_READ, FALSE, GST_RESOURCE_ERROR_OPEN_READ, "property model"},
      {NPU_ERROR_TIMEOUT, FALSE, GST_RESOURCE_ERROR_FAILED, "timeout"},
      {NPU_ERROR_LOST, FALSE, GST_RESOURCE_ERROR_NOT_FOUND, "device"}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (DecoderRig) rig = decoder_rig_new (NULL, NULL);
    const ScriptedWindow window = {
        .domain = NPU_ERROR, .error = cases[i].error};

    decoder_rig_set_positions (rig, WINDOW);
    script_set_window (&window);
    g_assert_cmpint (push (rig), ==, GST_FLOW_ERROR);
    decoder_check_error (rig->bus,
        cases[i].is_stream ? GST_STREAM_ERROR : GST_RESOURCE_ERROR,
        cases[i].code, "as scripted", cases[i].properties, NULL);
  }
}

int
main (int argc, char **argv)
{
  decoder_test_init (&argc, &argv);
#define ADD(path, test) g_test_add_func ("/whisperdecoder/" path, test)
  ADD ("properties/defaults", test_defaults);
  ADD ("properties/arrive", test_settings_arrive);
  ADD ("properties/kept-while-open", test_kept_while_open);
  ADD ("errors/start", test_start_errors);
  ADD ("properties/out-of-range", test_out_of_range);
  ADD ("properties/out-of-range-while-open", test_out_of_range_while_open);
  ADD ("errors/bytes-that-are-no-text", test_bytes_that_are_no_text);
  ADD ("model/by-event", test_model_by_event);
  ADD ("model/property-is-first", test_property_model_is_first);
  ADD ("model/none", test_no_model);
  ADD ("model/bad-by-event", test_model_of_the_event_is_bad);
  ADD ("caps/errors", test_caps);
  ADD ("caps/query", test_caps_query);
  ADD ("caps/width-of-a-model-by-event", test_width_of_a_model_by_event);
  ADD ("errors/size", test_buffer_of_another_size);
  ADD ("errors/not-finite", test_not_finite);
  ADD ("errors/decoding", test_decoding_fails);
  return g_test_run ();
}
