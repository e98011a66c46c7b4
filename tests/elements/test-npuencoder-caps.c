/* npuencoder's caps: what it offers, what it makes of what arrives, what it
 * refuses and how it says so; renegotiation; allocation.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "encoder-rig.h"

#define MEL                                                                    \
  "other/tensors, format=static, num_tensors=1, types=float32, "               \
  "framerate=0/1, "
#define STATES "other/tensors, format=static, num_tensors=1, "

static const char *
first_dimensions (const GstCaps *caps, guint index)
{
  const GstStructure *s = gst_caps_get_structure (caps, index);
  const GValue *value = gst_structure_get_value (s, "dimensions");

  if (value && GST_VALUE_HOLDS_LIST (value))
    value = gst_value_list_get_value (value, 0);
  return value ? g_value_get_string (value) : NULL;
}

static GstCaps *
query_sink (EncoderRig *rig, const char *filter)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "sink");
  g_autoptr (GstCaps) caps = filter ? gst_caps_from_string (filter) : NULL;

  return gst_pad_query_caps (pad, caps);
}

static void
test_query_names_bands_first (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GstCaps) caps = query_sink (rig, NULL);

  g_assert_cmpuint (gst_caps_get_size (caps), ==, 2);
  g_assert_cmpstr (first_dimensions (caps, 0), ==, "3000:80:1");
  /* And then any other number of frames. */
  g_assert_cmpstr (first_dimensions (caps, 1), ==, NULL);
}

static void
test_query_filters_what_is_no_mel (void)
{
  static const struct {
    const char *filter, *expected;
  } cases[] = {
      {"500:80:1", "500:80:1"},
      {"500:80", "500:80"},
      {"500:128:1", NULL},
      {"80:500:1", NULL},
      {"501:80:1", NULL},
  };
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *filter =
        g_strdup_printf (MEL "dimensions=(string)%s", cases[i].filter);
    g_autoptr (GstCaps) caps = query_sink (rig, filter);

    g_assert_cmpint (gst_caps_is_empty (caps), ==, !cases[i].expected);
    if (cases[i].expected)
      g_assert_cmpstr (first_dimensions (caps, 0), ==, cases[i].expected);
  }
}

static void
test_query_follows_downstream (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GstCaps) caps = NULL;

  gst_harness_set_sink_caps_str (rig->harness,
      STATES "types=float32, framerate=0/1, dimensions=(string)384:250:1");
  caps = query_sink (rig, NULL);
  g_assert_cmpuint (gst_caps_get_size (caps), ==, 1);
  g_assert_cmpstr (first_dimensions (caps, 0), ==, "500:80:1");

  gst_harness_set_sink_caps_str (rig->harness,
      STATES "types=float32, framerate=0/1, dimensions=(string)512:250:1");
  gst_caps_unref (caps);
  caps = query_sink (rig, NULL);
  g_assert_true (gst_caps_is_empty (caps));

  gst_harness_set_sink_caps_str (
      rig->harness, STATES "types=float16, framerate=0/1");
  gst_caps_unref (caps);
  caps = query_sink (rig, NULL);
  g_assert_true (gst_caps_is_empty (caps));
}

static void
check_output (EncoderRig *rig, const char *dimensions, const char *type)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  g_autofree char *text =
      g_strdup_printf (STATES "types=%s, dimensions=(string)%s, framerate=0/1",
          type, dimensions);
  g_autoptr (GstCaps) expected = gst_caps_from_string (text);

  if (!gst_caps_is_strictly_equal (caps, expected)) {
    g_autofree char *actual = gst_caps_to_string (caps);

    g_error ("%s are not %s", actual, text);
  }
}

static void
test_output_has_half_the_frames (void)
{
  static const struct {
    const char *mel, *states;
  } cases[] = {
      {"3000:80:1", "384:1500:1"},
      {"500:80:1", "384:250:1"},
      {"500:80", "384:250:1"},
      {"2:80:1:1", "384:1:1"},
      {"80:80:1", "384:40:1"},
      {"128:80:1:1:1:1:1:1", "384:64:1"},
  };
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    gst_harness_set_src_caps (
        rig->harness, encoder_mel_caps_from_dimensions (cases[i].mel));
    check_output (rig, cases[i].states, "float32");
  }
}

static void
test_output_speaks_downstreams_spelling (void)
{
  static const char *const spellings[] = {"384:50", "384:50:1", "384:50:1:1"};

  for (guint i = 0; i < G_N_ELEMENTS (spellings); i++) {
    g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
    g_autofree char *caps = g_strdup_printf (STATES
        "types=float32, framerate=0/1, dimensions=(string)%s",
        spellings[i]);

    gst_harness_set_sink_caps_str (rig->harness, caps);
    encoder_rig_set_frames (rig, 100);
    check_output (rig, spellings[i], "float32");
  }
}

static void
test_output_type_float16 (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new ("output-type", 1, NULL);

  encoder_rig_set_frames (rig, 100);
  check_output (rig, "384:50:1", "float16");
}

/* Caps from an appsrc that says nothing about a rate. */
static void
test_framerate_is_optional_and_kept (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  GstCaps *caps = encoder_mel_caps (100);
  g_autoptr (GstCaps) out = NULL;
  int numerator = 0, denominator = 0;

  gst_structure_remove_field (gst_caps_get_structure (caps, 0), "framerate");
  gst_harness_set_src_caps (rig->harness, caps);
  check_output (rig, "384:50:1", "float32");

  caps = encoder_mel_caps (100);
  gst_caps_set_simple (caps, "framerate", GST_TYPE_FRACTION, 1, 30, NULL);
  gst_harness_set_src_caps (rig->harness, caps);
  out = gst_pad_get_current_caps (pad);
  g_assert_true (gst_structure_get_fraction (
      gst_caps_get_structure (out, 0), "framerate", &numerator, &denominator));
  g_assert_cmpint (numerator, ==, 1);
  g_assert_cmpint (denominator, ==, 30);
}

static void
test_refusals_are_errors_with_reasons (void)
{
  static const struct {
    const char *dimensions, *part1, *part2;
  } cases[] = {
      {"80:3000:1", "time-major", "3000:80:1"},
      {"3000:128:1", "128 mel bands", "takes 80"},
      {"3001:80:1", "3001 frames", "from 2 to 3000"},
      {"3002:80:1", "3002 frames", "from 2 to 3000"},
      {"3000:80:7", "3000:80:7", "FRAMES:80:1"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
    GstFlowReturn flow;

    gst_harness_set_src_caps (
        rig->harness, encoder_mel_caps_from_dimensions (cases[i].dimensions));
    encoder_check_error (rig->bus, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        cases[i].dimensions, cases[i].part1, cases[i].part2, NULL);
    flow = gst_harness_push (rig->harness, encoder_mel_buffer (100, 1, 0));
    g_assert_cmpint (flow, ==, GST_FLOW_NOT_NEGOTIATED);
  }
}

static void
test_other_types_are_refused (void)
{
  static const char *const cases[] = {
      "other/tensors, format=static, num_tensors=1, types=float16, "
      "dimensions=(string)100:80:1, framerate=0/1",
      "other/tensors, format=static, num_tensors=2, types=float32, "
      "dimensions=(string)100:80:1, framerate=0/1",
      "other/tensors, format=flexible, framerate=0/1",
      "audio/x-raw, format=F32LE, rate=16000, channels=1, layout=interleaved",
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
    GstFlowReturn flow;

    gst_harness_set_src_caps_str (rig->harness, cases[i]);
    flow = gst_harness_push (rig->harness, encoder_mel_buffer (100, 1, 0));
    g_assert_cmpint (flow, ==, GST_FLOW_NOT_NEGOTIATED);
    g_assert_cmpuint (gst_harness_buffers_in_queue (rig->harness), ==, 0);
  }
}

static void
test_frames_change_between_windows (void)
{
  static const guint n_frames[] = {200, 2, 130, 200, 64, 200};
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GBytes) first = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (n_frames); i++) {
    g_autoptr (GBytes) states = NULL;

    encoder_rig_set_frames (rig, n_frames[i]);
    states = encoder_rig_encode (rig, n_frames[i], 1);
    g_assert_cmpuint (g_bytes_get_size (states), ==,
        n_frames[i] / 2 * TINY_D * sizeof (float));
    /* What was encoded in between leaves nothing behind. */
    if (n_frames[i] == 200) {
      if (!first)
        first = g_bytes_ref (states);
      g_assert_true (g_bytes_equal (first, states));
    }
  }
}

static void
test_allocation_query_is_answered (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GstCaps) caps = encoder_mel_caps (200);
  const guint expected = 200 * TINY_N_MELS * sizeof (float);
  GstAllocationParams params;
  GstQuery *query;
  guint size = 0;

  encoder_rig_set_frames (rig, 200);
  for (int need_pool = 0; need_pool <= 1; need_pool++) {
    g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "sink");
    g_autoptr (GstBufferPool) pool = NULL;

    query = gst_query_new_allocation (caps, need_pool);
    g_assert_true (gst_pad_query (pad, query));
    g_assert_cmpuint (gst_query_get_n_allocation_pools (query), >=, 1);
    gst_query_parse_nth_allocation_pool (query, 0, &pool, &size, NULL, NULL);
    g_assert_cmpuint (size, ==, expected);
    g_assert_cmpuint (gst_query_get_n_allocation_params (query), >=, 1);
    gst_query_parse_nth_allocation_param (query, 0, NULL, &params);
    g_assert_cmpuint (params.align, ==, 63);

    g_assert_cmpint (pool != NULL, ==, need_pool);
    if (pool) {
      GstBuffer *buffer = NULL;
      GstMapInfo map;

      g_assert_true (gst_buffer_pool_set_active (pool, TRUE));
      g_assert_cmpint (gst_buffer_pool_acquire_buffer (pool, &buffer, NULL), ==,
          GST_FLOW_OK);
      g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_READ));
      g_assert_cmpuint (map.size, ==, expected);
      g_assert_cmpuint (GPOINTER_TO_SIZE (map.data) % 64, ==, 0);
      gst_buffer_unmap (buffer, &map);
      gst_buffer_unref (buffer);
      gst_buffer_pool_set_active (pool, FALSE);
    }
    gst_query_unref (query);
  }
}

static void
test_allocation_before_caps_or_for_others (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "sink");
  g_autoptr (GstCaps) mel = encoder_mel_caps (200);
  g_autoptr (GstCaps) other = encoder_mel_caps_from_dimensions ("80:3000:1");
  g_autoptr (GstQuery) early = gst_query_new_allocation (mel, TRUE);
  g_autoptr (GstQuery) wrong = gst_query_new_allocation (other, TRUE);

  gst_pad_query (pad, early);
  g_assert_cmpuint (gst_query_get_n_allocation_pools (early), ==, 0);
  encoder_rig_set_frames (rig, 200);
  g_assert_false (gst_pad_query (pad, wrong));
}

static void
test_output_buffers_are_aligned (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);

  encoder_rig_set_frames (rig, 20);
  for (guint i = 0; i < 5; i++) {
    GstBuffer *buffer;
    GstMapInfo map;

    gst_harness_push (rig->harness, encoder_mel_buffer (20, i, 0));
    buffer = gst_harness_pull (rig->harness);
    g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_READ));
    g_assert_cmpuint (map.size, ==, 10 * TINY_D * sizeof (float));
    g_assert_cmpuint (GPOINTER_TO_SIZE (map.data) % 64, ==, 0);
    gst_buffer_unmap (buffer, &map);
    gst_buffer_unref (buffer);
  }
}

static void
test_downstreams_allocator_is_used (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  const GstAllocationParams params = {
      .align = 4095, .prefix = 32, .padding = 32};
  GstBuffer *buffer;

  gst_harness_set_propose_allocator (rig->harness, NULL, &params);
  encoder_rig_set_frames (rig, 20);
  gst_harness_push (rig->harness, encoder_mel_buffer (20, 1, 0));
  buffer = gst_harness_pull (rig->harness);
  g_assert_cmpuint (
      gst_buffer_get_size (buffer), ==, 10 * TINY_D * sizeof (float));
  g_assert_cmpuint (gst_buffer_peek_memory (buffer, 0)->align, ==, 4095);
  g_assert_cmpuint (gst_buffer_peek_memory (buffer, 0)->offset, >=, 32);
  gst_buffer_unref (buffer);
}

static GstPadProbeReturn
offer_pool (GstPad *pad, GstPadProbeInfo *info, gpointer pool)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);

  if (GST_QUERY_TYPE (query) != GST_QUERY_ALLOCATION)
    return GST_PAD_PROBE_OK;
  gst_query_add_allocation_pool (query, pool, 7, 2, 4);
  return GST_PAD_PROBE_HANDLED;
}

static void
test_downstreams_pool_is_used (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GstBufferPool) pool = gst_buffer_pool_new ();
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  GstBuffer *buffer;

  gst_pad_add_probe (
      pad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, offer_pool, pool, NULL);
  encoder_rig_set_frames (rig, 20);
  gst_harness_push (rig->harness, encoder_mel_buffer (20, 1, 0));
  buffer = gst_harness_pull (rig->harness);
  g_assert_true (buffer->pool == pool);
  g_assert_cmpuint (
      gst_buffer_get_size (buffer), ==, 10 * TINY_D * sizeof (float));
  gst_buffer_unref (buffer);
}

static void
test_templates (void)
{
  g_autoptr (GstElementFactory) factory =
      gst_element_factory_find ("npuencoder");
  static const char *const spellings[] = {
      "3000:80", "3000:80:1", "3000:128:1:1"};

  for (guint i = 0; i < G_N_ELEMENTS (spellings); i++) {
    g_autoptr (GstCaps) caps = encoder_mel_caps_from_dimensions (spellings[i]);

    g_assert_true (gst_element_factory_can_sink_all_caps (factory, caps));
  }
  g_assert_cmpuint (gst_element_factory_get_num_pad_templates (factory), ==, 2);
}

int
main (int argc, char **argv)
{
  encoder_test_init (&argc, &argv);
  encoder_test_keep_weights ("auto");
  g_test_add_func (
      "/npuencoder/caps/templates-take-every-spelling", test_templates);
  g_test_add_func ("/npuencoder/caps/query-names-the-models-bands-first",
      test_query_names_bands_first);
  g_test_add_func ("/npuencoder/caps/query-filters-what-is-no-mel",
      test_query_filters_what_is_no_mel);
  g_test_add_func ("/npuencoder/caps/query-follows-downstream",
      test_query_follows_downstream);
  g_test_add_func ("/npuencoder/caps/states-have-half-the-frames",
      test_output_has_half_the_frames);
  g_test_add_func ("/npuencoder/caps/states-in-downstreams-spelling",
      test_output_speaks_downstreams_spelling);
  g_test_add_func ("/npuencoder/caps/float16", test_output_type_float16);
  g_test_add_func ("/npuencoder/caps/framerate-is-optional-and-kept",
      test_framerate_is_optional_and_kept);
  g_test_add_func ("/npuencoder/caps/refusals-are-errors-with-reasons",
      test_refusals_are_errors_with_reasons);
  g_test_add_func (
      "/npuencoder/caps/other-types-are-refused", test_other_types_are_refused);
  g_test_add_func ("/npuencoder/caps/frames-change-between-windows",
      test_frames_change_between_windows);
  g_test_add_func ("/npuencoder/allocation/query-is-answered",
      test_allocation_query_is_answered);
  g_test_add_func ("/npuencoder/allocation/not-before-caps-nor-for-no-mel",
      test_allocation_before_caps_or_for_others);
  g_test_add_func ("/npuencoder/allocation/states-are-aligned",
      test_output_buffers_are_aligned);
  g_test_add_func ("/npuencoder/allocation/downstreams-allocator-is-used",
      test_downstreams_allocator_is_used);
  g_test_add_func ("/npuencoder/allocation/downstreams-pool-is-used",
      test_downstreams_pool_is_used);
  return g_test_run ();
}
