/* npuencoder's properties, and the errors and warnings of its start.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "encoder-rig.h"
#include "model-writer.h"
#include "small-model.h"
#include "patience.h"

typedef struct {
  const char *name;
  const char *value; /* default, as gst_value_serialize() has it */
  const char *type;
  gboolean always; /* mutable in PLAYING */
} Property;

static const Property properties[] = {
    {"model", NULL, "gchararray", FALSE},
    {"device", "auto", "gchararray", FALSE},
    {"overlays", NULL, "gchararray", FALSE},
    {"depth", "3", "guint", FALSE},
    {"batch-size", "0", "guint", FALSE},
    {"precision", "auto", "GstNpuEncoderPrecision", FALSE},
    {"threads", "0", "guint", FALSE},
    {"timeout", "10000", "guint", FALSE},
    {"verbosity", "none", "GstNpuEncoderVerbosity", TRUE},
    {"post-messages", "true", "gboolean", TRUE},
    {"trace-location", NULL, "gchararray", FALSE},
    {"output-type", "float32", "GstNpuEncoderOutputType", FALSE},
    {"keep-awake", "30000", "guint", FALSE},
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
  if (G_VALUE_HOLDS_STRING (&value))
    text = g_value_dup_string (&value);
  else
    text = gst_value_serialize (&value);
  g_value_unset (&value);
  return text;
}

static void
test_defaults_and_documentation (void)
{
  g_autoptr (GstElement) element =
      gst_element_factory_make ("npuencoder", NULL);
  GObjectClass *klass = G_OBJECT_GET_CLASS (element);

  g_object_ref_sink (element);
  for (guint i = 0; i < G_N_ELEMENTS (properties); i++) {
    const Property *property = &properties[i];
    GParamSpec *pspec = g_object_class_find_property (klass, property->name);
    g_autofree char *value = NULL;

    g_assert_nonnull (pspec);
    value = get_as_string (element, pspec);
    g_assert_cmpstr (value, ==, property->value);
    g_assert_cmpstr (g_type_name (pspec->value_type), ==, property->type);
    g_assert_cmpint (pspec->flags & MUTABLE, ==,
        property->always ? GST_PARAM_MUTABLE_PLAYING : GST_PARAM_MUTABLE_READY);
    g_assert_nonnull (strstr (g_param_spec_get_blurb (pspec), "(Since: 1.0)"));
  }
}

static void
test_ranges (void)
{
  static const struct {
    const char *name;
    guint min, max;
  } ranges[] = {
      {"depth", 1, 16},
      {"batch-size", 0, 24},
      {"threads", 0, 256},
      {"timeout", 1, G_MAXUINT},
      {"keep-awake", 0, G_MAXUINT},
  };
  g_autoptr (GstElement) element =
      gst_element_factory_make ("npuencoder", NULL);
  GObjectClass *klass = G_OBJECT_GET_CLASS (element);

  g_object_ref_sink (element);
  for (guint i = 0; i < G_N_ELEMENTS (ranges); i++) {
    GParamSpecUInt *spec = G_PARAM_SPEC_UINT (
        g_object_class_find_property (klass, ranges[i].name));

    g_assert_cmpuint (spec->minimum, ==, ranges[i].min);
    g_assert_cmpuint (spec->maximum, ==, ranges[i].max);
  }
}

static void
test_set_and_get (void)
{
  static const struct {
    const char *name, *value;
  } cases[] = {
      {"model", "a.bin"},
      {"device", "xrt:1"},
      {"overlays", "/a/b"},
      {"depth", "16"},
      {"batch-size", "24"},
      {"precision", "f32"},
      {"threads", "7"},
      {"timeout", "4294967295"},
      {"verbosity", "tiles"},
      {"post-messages", "false"},
      {"trace-location", "t.json"},
      {"output-type", "float16"},
      {"keep-awake", "0"},
  };
  g_autoptr (GstElement) element =
      gst_element_factory_make ("npuencoder", NULL);
  GObjectClass *klass = G_OBJECT_GET_CLASS (element);

  g_object_ref_sink (element);
  /* Twice, so that a string is replaced. */
  for (guint i = 0; i < 2 * G_N_ELEMENTS (cases); i++) {
    guint c = i % G_N_ELEMENTS (cases);

    gst_util_set_object_arg (G_OBJECT (element), cases[c].name, cases[c].value);
  }
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *value = get_as_string (
        element, g_object_class_find_property (klass, cases[i].name));

    g_assert_cmpstr (value, ==, cases[i].value);
  }
}

static void
test_only_two_are_mutable_while_open (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new ("depth", 2, NULL);
  g_autofree char *model = NULL;
  guint depth = 0;
  int verbosity = 0;

  g_object_set (rig->element, "depth", 5, "model", "other", "verbosity", 1,
      "post-messages", FALSE, NULL);
  g_object_get (rig->element, "depth", &depth, "model", &model, "verbosity",
      &verbosity, NULL);
  g_assert_cmpuint (depth, ==, 2);
  g_assert_cmpstr (model, ==, TINY);
  g_assert_cmpint (verbosity, ==, 1);

  gst_element_set_state (rig->element, GST_STATE_READY);
  g_object_set (rig->element, "depth", 5, NULL);
  g_object_get (rig->element, "depth", &depth, NULL);
  g_assert_cmpuint (depth, ==, 5);
}

/* The value asked for is the one that the statistics say was used. */
static void
test_effects_are_seen_in_stats (void)
{
  static const struct {
    guint depth, batch_size;
    const char *precision;
  } cases[] = {{1, 1, "f32"}, {16, 24, "int8"}, {4, 8, "f32"}};

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (EncoderRig) rig = encoder_rig_new ("depth", cases[i].depth,
        "batch-size", cases[i].batch_size, "device", "cpu", "threads", 1, NULL);
    g_autoptr (GstStructure) stats = NULL;
    guint depth, batch_size;

    gst_element_set_state (rig->element, GST_STATE_NULL);
    gst_util_set_object_arg (
        G_OBJECT (rig->element), "precision", cases[i].precision);
    gst_harness_play (rig->harness);
    encoder_rig_set_frames (rig, 20);
    g_bytes_unref (encoder_rig_encode (rig, 20, 1));

    stats = encoder_pop_stats (rig->bus);
    g_assert_true (gst_structure_get (stats, "depth", G_TYPE_UINT, &depth,
        "batch-size", G_TYPE_UINT, &batch_size, NULL));
    g_assert_cmpuint (depth, ==, cases[i].depth);
    g_assert_cmpuint (batch_size, ==, cases[i].batch_size);
    g_assert_cmpstr (
        gst_structure_get_string (stats, "precision"), ==, cases[i].precision);
    g_assert_cmpstr (gst_structure_get_string (stats, "device"), ==, "cpu");
    g_assert_cmpstr (gst_structure_get_string (stats, "model"), ==, TINY);
  }
}

/* --- starting ----------------------------------------------------------- */

/* An element with a bus, as an application has it in a pipeline. */
static GstElement *
new_element (GstBus **bus)
{
  GstElement *element = gst_element_factory_make ("npuencoder", NULL);

  *bus = gst_bus_new ();
  gst_element_set_bus (element, *bus);
  return g_object_ref_sink (element);
}

static void
check_start_fails (const char *properties_text, GQuark domain, int code,
    const char *part, const char *remedy)
{
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstElement) element = new_element (&bus);
  g_auto (GStrv) pairs = g_strsplit (properties_text, " ", -1);

  for (guint i = 0; pairs[i] && *pairs[i]; i++) {
    g_auto (GStrv) pair = g_strsplit (pairs[i], "=", 2);

    gst_util_set_object_arg (G_OBJECT (element), pair[0], pair[1]);
  }
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
      GST_STATE_CHANGE_FAILURE);
  encoder_check_error (bus, domain, code, part, remedy, NULL);

  /* And it can be mended and started. */
  g_object_set (element, "model", TINY, "device", "cpu", "threads", 1,
      "trace-location", NULL, NULL);
  gst_element_set_state (element, GST_STATE_NULL);
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
      GST_STATE_CHANGE_SUCCESS);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
}

static void
test_no_model (void)
{
  check_start_fails ("", GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      "no model", "(property model)");
  check_start_fails ("model=", GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      "no model", "synthetic:tiny");
}

static void
test_model_not_found (void)
{
  check_start_fails ("model=/nonexistent/whisper.safetensors",
      GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND,
      "/nonexistent/whisper.safetensors", "(property model)");
}

static void
test_model_unreadable (void)
{
  g_autofree char *name = encoder_temp_file ();
  g_autofree char *text = g_strdup_printf ("model=%s", name);

  if (geteuid () == 0) {
    g_test_skip ("root can read any file");
    g_unlink (name);
    return;
  }
  g_chmod (name, 0);
  check_start_fails (text, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ,
      name, "property model");
  g_unlink (name);
}

static void
check_model_content (const char *content, gssize size, GQuark domain, int code)
{
  g_autofree char *name = encoder_temp_file ();
  g_autofree char *text = g_strdup_printf ("model=%s", name);

  g_file_set_contents (name, content, size, NULL);
  check_start_fails (text, domain, code, name, "property model");
  g_unlink (name);
}

static void
test_model_malformed (void)
{
  /* No model at all, and a safetensors header that ends too early. */
  check_model_content ("This is a text about whispering.", -1, GST_STREAM_ERROR,
      GST_STREAM_ERROR_WRONG_TYPE);
  check_model_content ("\x40\0\0\0\0\0\0\0{\"conv1.weight\":", 23,
      GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT);
}

static void
test_unknown_synthetic (void)
{
  check_start_fails ("model=synthetic:huge", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_NOT_FOUND, "synthetic:huge", "tiny");
}

#ifdef HAVE_XRT
static void
test_xrt_needs_overlays (void)
{
  check_start_fails ("model=" TINY " device=xrt", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_SETTINGS, "overlays", "(properties device");
  check_start_fails ("model=" TINY " device=xrt:1", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_SETTINGS, "overlays", "(properties device");
}
#else
static void
test_no_xrt (void)
{
  check_start_fails ("model=" TINY " device=xrt", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_NOT_FOUND, "XRT", "device=cpu");
  check_start_fails ("model=" TINY " device=xrt:1", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_NOT_FOUND, "xrt:1", "device");
}
#endif

static void
test_unknown_device (void)
{
  check_start_fails ("model=" TINY " device=gpu", GST_RESOURCE_ERROR,
      GST_RESOURCE_ERROR_SETTINGS, "gpu", "(properties device");
}

/* A launch line and g_object_set() keep the value, which is then refused by
 * name. */
static void
test_out_of_range (void)
{
  static const struct {
    const char *name;
    guint value;
    const char *range;
  } cases[] = {
      {"depth", 0, "from 1 to 16"},
      {"depth", 17, "from 1 to 16"},
      {"batch-size", 25, "from 0 to 24"},
      {"threads", 257, "from 0 to 256"},
      {"timeout", 0, "from 1 to 4294967295"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text =
        g_strdup_printf ("model=" TINY " %s=%u", cases[i].name, cases[i].value);
    g_autofree char *line = g_strdup_printf ("npuencoder %s", text);
    g_autofree char *is =
        g_strdup_printf ("%s is %u", cases[i].name, cases[i].value);
    g_autofree char *property =
        g_strdup_printf ("%s (property %s)", cases[i].range, cases[i].name);
    g_autoptr (GstElement) element = gst_parse_launch (line, NULL);
    g_autoptr (GstBus) bus = gst_bus_new ();
    guint value;

    gst_object_ref_sink (element);
    g_object_get (element, cases[i].name, &value, NULL);
    g_assert_cmpuint (value, ==, cases[i].value);
    gst_element_set_bus (element, bus);
    g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
        GST_STATE_CHANGE_FAILURE);
    encoder_check_error (bus, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
        is, property, NULL);
    gst_element_set_state (element, GST_STATE_NULL);
    gst_element_set_bus (element, NULL);
  }
}

static void
test_no_folder_of_overlays (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (
      "device", "auto", "overlays", "/nonexistent/overlays", NULL);
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  gst_message_unref (encoder_pop_message (rig->bus, GST_MESSAGE_WARNING, 0));
  message = encoder_pop_message (rig->bus, GST_MESSAGE_WARNING, 0);
  g_assert_nonnull (message);
  gst_message_parse_warning (message, &error, NULL);
  g_assert_nonnull (strstr (error->message, "/nonexistent/overlays"));
  g_assert_nonnull (strstr (error->message, "encoded on the CPU"));
}

static void
test_trace_cannot_be_written (void)
{
  check_start_fails ("model=" TINY
                     " trace-location=/nonexistent/folder/trace.json",
      GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_WRITE,
      "/nonexistent/folder/trace.json", "property trace-location");
}

/* Not a hang. */
static void
test_trace_to_a_fifo_that_nobody_reads (void)
{
  g_autofree char *name = encoder_temp_file ();
  g_autofree char *text =
      g_strdup_printf ("model=" TINY " trace-location=%s", name);

  g_unlink (name);
  g_assert_cmpint (mkfifo (name, 0600), ==, 0);
  check_start_fails (text, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_WRITE,
      "nobody reads", "property trace-location");
  g_unlink (name);
}

static void
test_trace_is_not_the_model (void)
{
  NpuModel *model = small_model_new (TINY_N_MELS, 64, 1, 0);
  g_autofree char *name = encoder_temp_file ();
  g_autofree char *link_name = g_strconcat (name, "-link", NULL);
  g_autofree char *text =
      g_strdup_printf ("model=%s trace-location=%s", name, link_name);
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;
  gsize size, size_after;

  test_model_write (model, name, TEST_MODEL_OPENAI, NPU_DTYPE_F16, NULL);
  small_model_free (model);
  g_assert_true (g_file_get_contents (name, &before, &size, NULL));
  g_assert_cmpint (link (name, link_name), ==, 0);
  check_start_fails (text, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS,
      "itself", "property trace-location");
  g_assert_true (g_file_get_contents (name, &after, &size_after, NULL));
  g_assert_cmpmem (before, size, after, size_after);
  g_unlink (name);
  g_unlink (link_name);
}

/* What cannot be written is told while somebody reads the bus, and once. */
static void
test_trace_on_a_full_disk (void)
{
  g_autoptr (EncoderRig) rig = NULL;
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  if (!g_file_test ("/dev/full", G_FILE_TEST_EXISTS)) {
    g_test_skip ("no /dev/full here to write to");
    return;
  }
  rig = encoder_rig_new ("trace-location", "/dev/full", NULL);
  gst_message_unref (encoder_pop_message (rig->bus, GST_MESSAGE_WARNING, 0));
  encoder_rig_set_frames (rig, 20);
  g_bytes_unref (encoder_rig_encode (rig, 20, 1));
  gst_harness_push_event (rig->harness, gst_event_new_eos ());
  message = encoder_pop_message (rig->bus, GST_MESSAGE_WARNING, 0);
  g_assert_nonnull (message);
  gst_message_parse_warning (message, &error, NULL);
  g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_WRITE);
  g_assert_nonnull (strstr (error->message, "'/dev/full'"));
  g_assert_nonnull (strstr (error->message, "property trace-location"));
  gst_element_set_state (rig->element, GST_STATE_READY);
  g_assert_null (encoder_pop_message (rig->bus, GST_MESSAGE_WARNING, 0));
}

static void
test_synthetic_model_warns (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GstMessage) message =
      encoder_pop_message (rig->bus, GST_MESSAGE_WARNING, 0);
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (message);
  gst_message_parse_warning (message, &error, NULL);
  g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
  g_assert_nonnull (strstr (error->message, "mean nothing"));
  g_assert_nonnull (strstr (error->message, TINY));
  g_assert_nonnull (strstr (error->message, "property model"));
}

/* whispermel takes the number of bands from it, and stats name the file. */
static void
test_model_file_with_128_bands (void)
{
  NpuModel *model = small_model_new (128, 64, 1, 0);
  g_autofree char *name = encoder_temp_file ();
  g_autofree char *base_name = g_path_get_basename (name);
  g_autofree char *description = g_strdup_printf (
      "audiotestsrc num-buffers=20 samplesperbuffer=1600 ! "
      "audio/x-raw,rate=16000 ! audioconvert ! whispermel window=1000000000 ! "
      "npuencoder name=e model=%s ! fakesink",
      name);
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GstElement) encoder = NULL;
  g_autoptr (GstStructure) stats = NULL;
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstPad) sink = NULL;
  g_autoptr (GstCaps) caps = NULL;
  g_autofree char *text = NULL;

  test_model_write (model, name, TEST_MODEL_OPENAI, NPU_DTYPE_F16, &error);
  g_assert_no_error (error);
  small_model_free (model);
  pipeline = gst_parse_launch (description, &error);
  g_assert_no_error (error);
  encoder = gst_bin_get_by_name (GST_BIN (pipeline), "e");
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = encoder_pop_message (
      bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING, PATIENCE);
  g_assert_nonnull (message);
  g_assert_cmpint (GST_MESSAGE_TYPE (message), ==, GST_MESSAGE_EOS);

  sink = gst_element_get_static_pad (encoder, "sink");
  caps = gst_pad_get_current_caps (sink);
  text = gst_caps_to_string (caps);
  g_assert_nonnull (strstr (text, "dimensions=(string)100:128:1"));
  g_object_get (encoder, "stats", &stats, NULL);
  g_assert_cmpstr (gst_structure_get_string (stats, "model"), ==, base_name);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_unlink (name);
}

int
main (int argc, char **argv)
{
  encoder_test_init (&argc, &argv);
  encoder_test_keep_weights ("auto");
  g_test_add_func ("/npuencoder/properties/defaults-flags-and-blurbs",
      test_defaults_and_documentation);
  g_test_add_func ("/npuencoder/properties/ranges", test_ranges);
  g_test_add_func ("/npuencoder/properties/set-and-get", test_set_and_get);
  g_test_add_func ("/npuencoder/properties/only-two-are-mutable-while-open",
      test_only_two_are_mutable_while_open);
  g_test_add_func ("/npuencoder/properties/effects-are-seen-in-stats",
      test_effects_are_seen_in_stats);
  g_test_add_func ("/npuencoder/start/no-model", test_no_model);
  g_test_add_func ("/npuencoder/start/model-not-found", test_model_not_found);
  g_test_add_func ("/npuencoder/start/model-unreadable", test_model_unreadable);
  g_test_add_func ("/npuencoder/start/model-malformed", test_model_malformed);
  g_test_add_func (
      "/npuencoder/start/unknown-synthetic-size", test_unknown_synthetic);
#ifdef HAVE_XRT
  g_test_add_func (
      "/npuencoder/start/xrt-needs-overlays", test_xrt_needs_overlays);
#else
  g_test_add_func ("/npuencoder/start/no-xrt-in-this-build", test_no_xrt);
#endif
  g_test_add_func ("/npuencoder/start/unknown-device", test_unknown_device);
  g_test_add_func ("/npuencoder/start/out-of-range", test_out_of_range);
  g_test_add_func (
      "/npuencoder/start/no-folder-of-overlays", test_no_folder_of_overlays);
  g_test_add_func ("/npuencoder/start/trace-cannot-be-written",
      test_trace_cannot_be_written);
  g_test_add_func ("/npuencoder/start/trace-to-a-fifo-that-nobody-reads",
      test_trace_to_a_fifo_that_nobody_reads);
  g_test_add_func (
      "/npuencoder/start/trace-is-not-the-model", test_trace_is_not_the_model);
  g_test_add_func (
      "/npuencoder/start/trace-on-a-full-disk", test_trace_on_a_full_disk);
  g_test_add_func (
      "/npuencoder/start/synthetic-model-warns", test_synthetic_model_warns);
  g_test_add_func ("/npuencoder/start/model-file-with-128-bands",
      test_model_file_with_128_bands);
  return g_test_run ();
}
