/* What flows through npuencoder: states, timestamps, flags, metas, events, and
 * buffers that are no windows.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#ifdef HAVE_GST_ANALYTICS
#include <gst/analytics/gsttensormeta.h>
#endif

#include "encoder-rig.h"
#include "compare.h"
#include "ref-encoder.h"
#include "test-data.h"

static void
test_states_are_those_of_a_float64_encoder (void)
{
  static const guint n_frames[] = {2, 64, 130, 400};
  g_autoptr (NpuModel) model = npu_model_open (TINY, NULL);
  g_autoptr (RefEncoder) reference = ref_encoder_new (model);
  g_autoptr (EncoderRig) rig = encoder_rig_new ("precision", 2, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (n_frames); i++) {
    g_autofree float *mel = test_data_new_mel (TINY_N_MELS, n_frames[i], i);
    g_autofree float *expected =
        ref_encoder_encode (reference, mel, n_frames[i]);
    g_autofree char *what = g_strdup_printf ("%u frames", n_frames[i]);
    g_autoptr (GBytes) states = NULL;

    encoder_rig_set_frames (rig, n_frames[i]);
    states = encoder_rig_encode (rig, n_frames[i], i);
    compare_check (what, g_bytes_get_data (states, NULL), expected,
        n_frames[i] / 2, TINY_D, 0.999999, 0.99999, NULL);
  }
}

static double
value_of_half (guint16 half)
{
  int exponent = (half >> 10) & 31;
  double value = exponent == 0 ? ldexp (half & 0x3ff, -24)
                               : ldexp (0x400 + (half & 0x3ff), exponent - 25);

  return half & 0x8000 ? -value : value;
}

static void
test_float16_is_float32_rounded (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (EncoderRig) half_rig = encoder_rig_new ("output-type", 1, NULL);
  g_autoptr (GBytes) full = NULL;
  g_autoptr (GBytes) half = NULL;
  const gsize n = 100 * TINY_D;
  const float *x;
  const guint16 *y;

  encoder_rig_set_frames (rig, 200);
  encoder_rig_set_frames (half_rig, 200);
  full = encoder_rig_encode (rig, 200, 1);
  half = encoder_rig_encode (half_rig, 200, 1);
  g_assert_cmpuint (g_bytes_get_size (half), ==, n * sizeof *y);
  x = g_bytes_get_data (full, NULL);
  y = g_bytes_get_data (half, NULL);
  for (gsize i = 0; i < n; i++)
    g_assert_cmpfloat_with_epsilon (
        value_of_half (y[i]), x[i], fabs (x[i]) * 0x1p-11 + 0x1p-25);
}

static void
test_metadata_is_copied (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  GstBuffer *in = encoder_mel_buffer (20, 1, 7 * GST_SECOND);
  g_autoptr (GstCaps) reference = gst_caps_new_empty_simple ("timestamp/test");
  g_autoptr (GstBuffer) out = NULL;

  encoder_rig_set_frames (rig, 20);
  GST_BUFFER_DTS (in) = 6 * GST_SECOND;
  GST_BUFFER_DURATION (in) = 150 * GST_MSECOND;
  GST_BUFFER_OFFSET (in) = 112000;
  GST_BUFFER_OFFSET_END (in) = 114400;
  GST_BUFFER_FLAG_SET (in, GST_BUFFER_FLAG_DISCONT);
  GST_BUFFER_FLAG_SET (in, GST_BUFFER_FLAG_MARKER);
  gst_buffer_add_reference_timestamp_meta (
      in, reference, 42, GST_CLOCK_TIME_NONE);
  gst_harness_push (rig->harness, in);

  out = gst_harness_pull (rig->harness);
  g_assert_cmpuint (GST_BUFFER_PTS (out), ==, 7 * GST_SECOND);
  g_assert_cmpuint (GST_BUFFER_DTS (out), ==, 6 * GST_SECOND);
  g_assert_cmpuint (GST_BUFFER_DURATION (out), ==, 150 * GST_MSECOND);
  g_assert_cmpuint (GST_BUFFER_OFFSET (out), ==, 112000);
  g_assert_cmpuint (GST_BUFFER_OFFSET_END (out), ==, 114400);
  g_assert_true (GST_BUFFER_IS_DISCONT (out));
  g_assert_true (GST_BUFFER_FLAG_IS_SET (out, GST_BUFFER_FLAG_MARKER));
  g_assert_false (GST_BUFFER_FLAG_IS_SET (out, GST_BUFFER_FLAG_GAP));
  g_assert_cmpuint (
      gst_buffer_get_reference_timestamp_meta (out, reference)->timestamp, ==,
      42);
}

static void
test_tensor_meta (void)
{
#ifdef HAVE_GST_ANALYTICS
  for (int half = 0; half <= 1; half++) {
    g_autoptr (EncoderRig) rig = encoder_rig_new ("output-type", half, NULL);
    GstBuffer *in = encoder_mel_buffer (20, 1, 0);
    g_autoptr (GstBuffer) out = NULL;
    GstTensor **tensors = g_new (GstTensor *, 1);
    gsize mel_dims[] = {1, TINY_N_MELS, 20};
    GstTensorMeta *meta;
    const GstTensor *tensor;
    GstMapInfo map, tensor_map;

    /* The mel's own tensor does not get through. */
    tensors[0] = gst_tensor_new_simple (g_quark_from_string ("mel"),
        GST_TENSOR_DATA_TYPE_FLOAT32, gst_buffer_copy_deep (in),
        GST_TENSOR_DIM_ORDER_ROW_MAJOR, 3, mel_dims);
    gst_tensor_meta_set (gst_buffer_add_tensor_meta (in), 1, tensors);

    encoder_rig_set_frames (rig, 20);
    gst_harness_push (rig->harness, in);
    out = gst_harness_pull (rig->harness);
    g_assert_cmpuint (
        gst_buffer_get_n_meta (out, GST_TENSOR_META_API_TYPE), ==, 1);
    meta = gst_buffer_get_tensor_meta (out);
    g_assert_cmpuint (meta->num_tensors, ==, 1);
    tensor = gst_tensor_meta_get (meta, 0);
    g_assert_cmpstr (
        g_quark_to_string (tensor->id), ==, "whisper-encoder-states");
    g_assert_cmpint (tensor->data_type, ==,
        half ? GST_TENSOR_DATA_TYPE_FLOAT16 : GST_TENSOR_DATA_TYPE_FLOAT32);
    g_assert_cmpint (tensor->dims_order, ==, GST_TENSOR_DIM_ORDER_ROW_MAJOR);
    g_assert_cmpuint (tensor->num_dims, ==, 3);
    g_assert_cmpuint (tensor->dims[0], ==, 1);
    g_assert_cmpuint (tensor->dims[1], ==, 10);
    g_assert_cmpuint (tensor->dims[2], ==, TINY_D);

    /* The same memory, not a copy. */
    g_assert_true (gst_buffer_map (out, &map, GST_MAP_READ));
    g_assert_true (gst_buffer_map (tensor->data, &tensor_map, GST_MAP_READ));
    g_assert_true (map.data == tensor_map.data);
    g_assert_cmpuint (map.size, ==, tensor_map.size);
    gst_buffer_unmap (tensor->data, &tensor_map);
    gst_buffer_unmap (out, &map);
  }
#else
  g_test_skip ("built without gstreamer-analytics-1.0 >= 1.26");
#endif
}

/* The pool takes buffers back although tensors shared their memory. */
static void
test_output_buffers_are_reused (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);

  encoder_rig_set_frames (rig, 20);
  for (guint i = 0; i < 20; i++) {
    GstBuffer *out;

    gst_harness_push (rig->harness, encoder_mel_buffer (20, i, 0));
    out = gst_harness_pull (rig->harness);
    g_hash_table_add (seen, gst_buffer_peek_memory (out, 0));
    gst_buffer_unref (out);
  }
  g_assert_cmpuint (g_hash_table_size (seen), ==, 1);
}

/* --- buffers that are no windows ---------------------------------------- */

static void
test_gap_buffer_is_encoded (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  GstBuffer *in = encoder_mel_buffer (100, 1, 0);
  g_autoptr (GBytes) plain = NULL;
  g_autoptr (GBytes) gap = NULL;
  GstBuffer *out;

  encoder_rig_set_frames (rig, 100);
  plain = encoder_rig_encode (rig, 100, 1);
  GST_BUFFER_FLAG_SET (in, GST_BUFFER_FLAG_GAP);
  gst_harness_push (rig->harness, in);
  out = gst_harness_pull (rig->harness);
  g_assert_true (GST_BUFFER_FLAG_IS_SET (out, GST_BUFFER_FLAG_GAP));
  gap = encoder_take_bytes (out);
  g_assert_true (g_bytes_equal (plain, gap));
}

/* The next event that is not sticky. */
static GstEvent *
pull_event (EncoderRig *rig, GstEventType type)
{
  GstEvent *event;

  while ((event = gst_harness_try_pull_event (rig->harness))) {
    if (GST_EVENT_TYPE (event) == type)
      return event;
    gst_event_unref (event);
  }
  return NULL;
}

static void
test_empty_buffer_is_a_gap (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  GstBuffer *in = gst_buffer_new ();
  g_autoptr (GstEvent) gap = NULL;
  g_autoptr (GstBuffer) out = NULL;
  GstClockTime timestamp, duration;

  encoder_rig_set_frames (rig, 100);
  GST_BUFFER_PTS (in) = 3 * GST_SECOND;
  GST_BUFFER_DURATION (in) = GST_SECOND;
  g_assert_cmpint (gst_harness_push (rig->harness, in), ==, GST_FLOW_OK);
  gap = pull_event (rig, GST_EVENT_GAP);
  g_assert_nonnull (gap);
  gst_event_parse_gap (gap, &timestamp, &duration);
  g_assert_cmpuint (timestamp, ==, 3 * GST_SECOND);
  g_assert_cmpuint (duration, ==, GST_SECOND);

  /* Nor is it counted or a discontinuity. */
  g_assert_cmpint (
      gst_harness_push (rig->harness, gst_buffer_new ()), ==, GST_FLOW_OK);
  g_assert_null (pull_event (rig, GST_EVENT_GAP));
  gst_harness_push (rig->harness, encoder_mel_buffer (100, 1, 0));
  out = gst_harness_pull (rig->harness);
  g_assert_false (GST_BUFFER_IS_DISCONT (out));
  g_assert_cmpuint (gst_harness_buffers_received (rig->harness), ==, 1);
}

static void
test_wrong_size (void)
{
  static const gssize delta[] = {-4, 4, -1, 1};
  const gsize size = 100 * TINY_N_MELS * sizeof (float);

  for (guint i = 0; i < G_N_ELEMENTS (delta); i++) {
    g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
    GstBuffer *in = gst_buffer_new_allocate (NULL, size + delta[i], NULL);
    g_autofree char *expected = g_strdup_printf ("%" G_GSIZE_FORMAT, size);
    g_autofree char *actual =
        g_strdup_printf ("%" G_GSIZE_FORMAT, size + delta[i]);

    gst_buffer_memset (in, 0, 0, size + delta[i]);
    encoder_rig_set_frames (rig, 100);
    g_assert_cmpint (gst_harness_push (rig->harness, in), ==, GST_FLOW_ERROR);
    encoder_check_error (rig->bus, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        expected, actual, NULL);
  }
}

static void
test_values_that_are_no_numbers (void)
{
  static const float bad[] = {NAN, INFINITY, -INFINITY};

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
    GstBuffer *in = encoder_mel_buffer (100, 1, 0);

    encoder_rig_set_frames (rig, 100);
    gst_buffer_fill (in, (7 * 100 + 31) * sizeof (float), &bad[i], 4);
    g_assert_cmpint (gst_harness_push (rig->harness, in), ==, GST_FLOW_ERROR);
    encoder_check_error (rig->bus, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "index 731", "band 7", "frame 31", NULL);
    g_assert_cmpuint (gst_harness_buffers_in_queue (rig->harness), ==, 0);
  }
}

/* Finite, and no mel: the states are not finite, at any precision. */
static void
test_values_that_overflow (void)
{
  static const char *const precisions[] = {"f32", "int8", "bf16"};

  for (guint i = 0; i < G_N_ELEMENTS (precisions); i++) {
    g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
    float *mel = g_new (float, 100 * TINY_N_MELS);
    GstBuffer *in =
        gst_buffer_new_wrapped (mel, 100 * TINY_N_MELS * sizeof (float));

    gst_element_set_state (rig->element, GST_STATE_READY);
    gst_util_set_object_arg (
        G_OBJECT (rig->element), "precision", precisions[i]);
    gst_element_set_state (rig->element, GST_STATE_PLAYING);
    for (guint j = 0; j < 100 * TINY_N_MELS; j++)
      mel[j] = 1e37f * (j % 3 ? 1 : -1);
    GST_BUFFER_PTS (in) = 30 * GST_SECOND;
    encoder_rig_set_frames (rig, 100);
    g_assert_cmpint (gst_harness_push (rig->harness, in), ==, GST_FLOW_ERROR);
    encoder_check_error (rig->bus, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE,
        "window 1 at 0:00:30", "NaN", "1e+37", NULL);
    g_assert_cmpuint (gst_harness_buffers_in_queue (rig->harness), ==, 0);
  }
}

/* Memory where no float can be read, or split in several parts. */
static void
test_memory_of_any_kind (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GBytes) plain = NULL;
  g_autoptr (GBytes) odd = NULL;
  g_autoptr (GBytes) split = NULL;
  g_autoptr (GstBuffer) whole = NULL;
  GstBuffer *in = encoder_mel_buffer (100, 1, 0);
  gsize size = gst_buffer_get_size (in);
  guint8 *bytes = g_malloc (size + 1);

  encoder_rig_set_frames (rig, 100);
  plain = encoder_rig_encode (rig, 100, 1);

  gst_buffer_extract (in, 0, bytes + 1, size);
  gst_buffer_unref (in);
  in = gst_buffer_new_wrapped_full (0, bytes, size + 1, 1, size, bytes, g_free);
  gst_harness_push (rig->harness, in);
  odd = encoder_take_bytes (gst_harness_pull (rig->harness));
  g_assert_true (g_bytes_equal (plain, odd));

  whole = encoder_mel_buffer (100, 1, 0);
  in = gst_buffer_append (
      gst_buffer_copy_region (whole, GST_BUFFER_COPY_ALL, 0, 1001),
      gst_buffer_copy_region (whole, GST_BUFFER_COPY_ALL, 1001, -1));
  g_assert_cmpuint (gst_buffer_n_memory (in), ==, 2);
  gst_harness_push (rig->harness, in);
  split = encoder_take_bytes (gst_harness_pull (rig->harness));
  g_assert_true (g_bytes_equal (plain, split));
}

static void
test_buffer_without_caps (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (rig->harness, gst_event_new_stream_start ("no-caps"));
  gst_harness_push_event (rig->harness, gst_event_new_segment (&segment));
  g_assert_cmpint (
      gst_harness_push (rig->harness, encoder_mel_buffer (100, 1, 0)), ==,
      GST_FLOW_NOT_NEGOTIATED);
  g_assert_cmpint (gst_harness_push (rig->harness, gst_buffer_new ()), ==,
      GST_FLOW_NOT_NEGOTIATED);
}

/* --- events and queries ------------------------------------------------- */

static GstPadProbeReturn
append_letter (GstPad *pad, GstPadProbeInfo *info, gpointer order)
{
  char letter = '?';

  if (GST_IS_BUFFER (GST_PAD_PROBE_INFO_DATA (info))) {
    letter = 'B';
  } else {
    switch (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info))) {
      case GST_EVENT_STREAM_START:
        letter = 's';
        break;
      case GST_EVENT_CAPS:
        letter = 'c';
        break;
      case GST_EVENT_SEGMENT:
        letter = 'S';
        break;
      case GST_EVENT_TAG:
        letter = 't';
        break;
      case GST_EVENT_GAP:
        letter = 'g';
        break;
      case GST_EVENT_CUSTOM_DOWNSTREAM:
        letter = 'x';
        break;
      case GST_EVENT_CUSTOM_DOWNSTREAM_STICKY:
        letter = 'm';
        break;
      case GST_EVENT_EOS:
        letter = 'E';
        break;
      default:
        break;
    }
  }
  g_string_append_c (order, letter);
  return GST_PAD_PROBE_OK;
}

static void
test_events_stay_in_order (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  GString *order = g_string_new (NULL);
  GstHarness *h = rig->harness;

  gst_pad_add_probe (pad,
      GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
      append_letter, order, NULL);
  encoder_rig_set_frames (rig, 20);
  gst_harness_push_event (
      h, gst_event_new_tag (gst_tag_list_new (GST_TAG_TITLE, "a", NULL)));
  gst_harness_push (h, encoder_mel_buffer (20, 1, 0));
  gst_harness_push_event (h, gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
                                 gst_structure_new_empty ("x")));
  gst_harness_push (h, encoder_mel_buffer (20, 1, 0));
  gst_harness_push_event (h, gst_event_new_gap (0, GST_SECOND));
  gst_harness_push_event (
      h, gst_event_new_tag (gst_tag_list_new (GST_TAG_TITLE, "b", NULL)));
  encoder_rig_set_frames (rig, 40);
  gst_harness_push (h, encoder_mel_buffer (40, 1, 0));
  gst_harness_push_event (h, gst_event_new_eos ());
  g_assert_cmpstr (order->str, ==, "scmStBxBgtcmSBE");
  g_string_free (order, TRUE);
}

/* The location in the model event that @pad keeps. */
static char *
told_model (GstPad *pad)
{
  g_autoptr (GstEvent) event =
      gst_pad_get_sticky_event (pad, GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, 0);
  const GstStructure *structure;

  if (!event)
    return NULL;
  structure = gst_event_get_structure (event);
  g_assert_true (gst_structure_has_name (structure, "npuencoder/model"));
  return g_strdup (gst_structure_get_string (structure, "location"));
}

static void
check_told_model (EncoderRig *rig)
{
  g_autofree char *location = told_model (rig->harness->sinkpad);

  g_assert_cmpstr (location, ==, TINY);
}

static void
test_model_is_told_before_the_first_buffer (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GstEvent) event = NULL;
  GstHarness *h = rig->harness;
  GstSegment segment;

  g_assert_null (told_model (h->sinkpad));
  encoder_rig_set_frames (rig, 20);
  check_told_model (rig);
  g_bytes_unref (encoder_rig_encode (rig, 20, 1));

  /* And again after a flush: downstream may have forgotten all. */
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  while (gst_harness_events_in_queue (h))
    gst_event_unref (gst_harness_pull_event (h));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  g_bytes_unref (encoder_rig_encode (rig, 20, 1));
  event = pull_event (rig, GST_EVENT_CUSTOM_DOWNSTREAM_STICKY);
  g_assert_nonnull (event);
  check_told_model (rig);
}

static void
test_model_is_told_anew_after_a_restart (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (rig->element, "src");
  g_autofree char *location = NULL;

  encoder_rig_set_frames (rig, 20);
  gst_element_set_state (rig->element, GST_STATE_READY);
  g_assert_null (told_model (pad));
  g_object_set (rig->element, "model", "synthetic:base", NULL);
  gst_element_set_state (rig->element, GST_STATE_PLAYING);
  encoder_rig_set_frames (rig, 40);
  location = told_model (pad);
  g_assert_cmpstr (location, ==, "synthetic:base");
}

static void
test_latency_is_upstreams (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);

  encoder_rig_set_frames (rig, 20);
  gst_harness_set_upstream_latency (rig->harness, 30 * GST_SECOND);
  g_assert_cmpuint (
      gst_harness_query_latency (rig->harness), ==, 30 * GST_SECOND);
}

static void
test_late_windows_are_not_dropped (void)
{
  g_autoptr (EncoderRig) rig = encoder_rig_new (NULL, NULL);

  encoder_rig_set_frames (rig, 20);
  gst_harness_push_upstream_event (
      rig->harness, gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 100.0,
                        GST_SECOND, 1000 * GST_SECOND));
  gst_harness_push (rig->harness, encoder_mel_buffer (20, 1, 0));
  g_assert_cmpuint (gst_harness_buffers_in_queue (rig->harness), ==, 1);
}

int
main (int argc, char **argv)
{
  encoder_test_init (&argc, &argv);
  encoder_test_keep_weights ("auto");
  g_test_add_func ("/npuencoder/stream/states-of-a-float64-encoder",
      test_states_are_those_of_a_float64_encoder);
  g_test_add_func ("/npuencoder/stream/float16-is-float32-rounded",
      test_float16_is_float32_rounded);
  g_test_add_func ("/npuencoder/stream/times-flags-and-metas-are-copied",
      test_metadata_is_copied);
  g_test_add_func ("/npuencoder/stream/tensor-meta", test_tensor_meta);
  g_test_add_func ("/npuencoder/stream/buffers-go-back-to-the-pool",
      test_output_buffers_are_reused);
  g_test_add_func (
      "/npuencoder/stream/gap-buffer-is-encoded", test_gap_buffer_is_encoded);
  g_test_add_func (
      "/npuencoder/stream/empty-buffer-is-a-gap", test_empty_buffer_is_a_gap);
  g_test_add_func ("/npuencoder/stream/wrong-size-names-both", test_wrong_size);
  g_test_add_func (
      "/npuencoder/stream/nan-is-named", test_values_that_are_no_numbers);
  g_test_add_func (
      "/npuencoder/stream/overflow-is-an-error", test_values_that_overflow);
  g_test_add_func (
      "/npuencoder/stream/memory-of-any-kind", test_memory_of_any_kind);
  g_test_add_func (
      "/npuencoder/stream/buffer-without-caps", test_buffer_without_caps);
  g_test_add_func (
      "/npuencoder/stream/events-stay-in-order", test_events_stay_in_order);
  g_test_add_func ("/npuencoder/stream/model-is-told-before-the-first-buffer",
      test_model_is_told_before_the_first_buffer);
  g_test_add_func ("/npuencoder/stream/model-is-told-anew-after-a-restart",
      test_model_is_told_anew_after_a_restart);
  g_test_add_func (
      "/npuencoder/stream/latency-is-upstreams", test_latency_is_upstreams);
  g_test_add_func ("/npuencoder/stream/late-windows-are-not-dropped",
      test_late_windows_are_not_dropped);
  return g_test_run ();
}
