/* Dimension strings and the mapping between caps of mel and of states.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <gst/gst.h>

#include "tensorcaps.h"

static const TensorShapes tiny = {80, 384, "float32"};
static const TensorShapes unknown = {0, 0, "float32"};

static void
test_dims (void)
{
  static const char *const bad[] = {"", "3000", "3000:", ":80", "3000:80:2",
      "3000:80:1:", "3000:80:1:1:2", "3000:0:1", "0:80", "-2:80", " 3000:80",
      "3000:+80", "3000:80x", "3000 80", "4294967296:80",
      "99999999999999999999:80", "abc", "3000::80", "3000:80:"};
  static const char *const good[] = {"3000:80", "3000:80:1", "3000:80:1:1",
      "3000:80:1:1:1:1:1:1:1:1:1:1:1:1:1:1"};
  TensorDims dims;

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    if (tensor_dims_parse (bad[i], &dims))
      g_error ("'%s' was taken for %u:%u", bad[i], dims.inner, dims.outer);
  }
  for (guint i = 0; i < G_N_ELEMENTS (good); i++) {
    g_assert_true (tensor_dims_parse (good[i], &dims));
    g_assert_cmpuint (dims.inner, ==, 3000);
    g_assert_cmpuint (dims.outer, ==, 80);
  }
}

typedef GstCaps *(*Map) (const GstCaps *caps, const TensorShapes *shapes);

#define TENSORS(fields) "other/tensors, format=static, num_tensors=1, " fields

static void
check_map (
    Map map, const TensorShapes *shapes, const char *from, const char *expected)
{
  g_autoptr (GstCaps) caps = gst_caps_from_string (from);
  g_autoptr (GstCaps) wanted = gst_caps_from_string (expected);
  g_autoptr (GstCaps) mapped = map (caps, shapes);

  if (!gst_caps_is_strictly_equal (mapped, wanted)) {
    g_autofree char *text = gst_caps_to_string (mapped);

    g_error ("%s became %s, not %s", from, text, expected);
  }
}

static void
test_mel_to_states (void)
{
  check_map (tensor_caps_mel_to_states, &tiny,
      TENSORS ("types=float32, dimensions=(string)3000:80:1, framerate=0/1"),
      TENSORS ("types=float32, framerate=0/1, "
               "dimensions=(string){384:1500:1, 384:1500, 384:1500:1:1}"));
  check_map (tensor_caps_mel_to_states, &tiny,
      TENSORS ("types=float32, dimensions=(string){500:80, 2:80:1:1}"),
      TENSORS (
          "types=float32, dimensions=(string){384:250:1, 384:250, 384:250:1:1, "
          "384:1:1, 384:1, 384:1:1:1}"));
  /* No mel that this model takes. */
  check_map (tensor_caps_mel_to_states, &tiny,
      TENSORS ("types=float32, dimensions=(string)3000:128:1"), "EMPTY");
  check_map (tensor_caps_mel_to_states, &tiny,
      TENSORS ("types=float32, dimensions=(string)3001:80:1"), "EMPTY");
  check_map (tensor_caps_mel_to_states, &tiny,
      TENSORS ("types=float32, dimensions=(string)3002:80:1"), "EMPTY");
  check_map (tensor_caps_mel_to_states, &tiny,
      TENSORS ("types=float32, dimensions=(string)80:3000:1"), "EMPTY");
  /* Before a model is loaded, the width is open. */
  check_map (tensor_caps_mel_to_states, &unknown,
      TENSORS ("types=float32, dimensions=(string)3000:80:1"),
      TENSORS ("types=float32"));
}

static void
test_states_to_mel (void)
{
  TensorShapes half = {80, 384, "float16"};

  check_map (tensor_caps_states_to_mel, &tiny,
      TENSORS ("types={float32, float16}, dimensions=(string)384:250:1"),
      TENSORS (
          "types=float32, dimensions=(string){500:80:1, 500:80, 500:80:1:1}"));
  /* The first structure names the bands. */
  check_map (tensor_caps_states_to_mel, &tiny, TENSORS ("types=float32"),
      TENSORS ("types=float32, dimensions=(string){3000:80:1, 3000:80, "
               "3000:80:1:1}; ") TENSORS ("types=float32"));
  check_map (tensor_caps_states_to_mel, &unknown, TENSORS ("types=float32"),
      TENSORS ("types=float32"));
  check_map (tensor_caps_states_to_mel, &unknown,
      TENSORS ("types=float32, dimensions=(string)384:250:1"),
      TENSORS (
          "types=float32, dimensions=(string){500:80:1, 500:80, 500:80:1:1, "
          "500:128:1, 500:128, 500:128:1:1}"));
  /* Another width, too many positions, another type. */
  check_map (tensor_caps_states_to_mel, &tiny,
      TENSORS ("types=float32, dimensions=(string)512:250:1"), "EMPTY");
  check_map (tensor_caps_states_to_mel, &tiny,
      TENSORS ("types=float32, dimensions=(string)384:1501:1"), "EMPTY");
  check_map (
      tensor_caps_states_to_mel, &tiny, TENSORS ("types=float16"), "EMPTY");
  check_map (tensor_caps_states_to_mel, &half,
      TENSORS ("types=float16, dimensions=(string)384:1:1"),
      TENSORS ("types=float32, dimensions=(string){2:80:1, 2:80, 2:80:1:1}"));
}

static void
test_keep_mel (void)
{
  GstCaps *caps = gst_caps_from_string (
      TENSORS ("dimensions=(string){3000:80:1, 3000:128:1}; ")
          TENSORS ("dimensions=(string)80:3000:1; ") TENSORS (
              "dimensions=(string){3:80, 4:80};") TENSORS ("types=float32"));
  g_autoptr (GstCaps) wanted =
      gst_caps_from_string (TENSORS ("dimensions=(string)3000:80:1; ")
              TENSORS ("dimensions=(string)4:80; ") TENSORS ("types=float32"));

  caps = tensor_caps_keep_mel (caps, &tiny);
  g_assert_true (gst_caps_is_strictly_equal (caps, wanted));
  gst_caps_unref (caps);
}

static void
check_parse (const char *dimensions, const char *part)
{
  g_autoptr (GstCaps) caps = gst_caps_new_simple (
      "other/tensors", "dimensions", G_TYPE_STRING, dimensions, NULL);
  g_autoptr (GError) error = NULL;
  guint n_frames = 0;

  if (!part) {
    g_assert_true (tensor_caps_parse_mel (caps, 80, &n_frames, &error));
    g_assert_no_error (error);
    g_assert_cmpuint (n_frames, ==, atoi (dimensions));
    return;
  }
  g_assert_false (tensor_caps_parse_mel (caps, 80, &n_frames, &error));
  g_assert_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, dimensions));
  g_assert_nonnull (strstr (error->message, part));
}

static void
test_parse_mel (void)
{
  check_parse ("3000:80:1", NULL);
  check_parse ("2:80", NULL);
  check_parse ("80:80:1", NULL);
  check_parse ("128:80:1", NULL);

  check_parse ("80:3000:1", "time-major");
  check_parse ("80:3000:1", "3000:80:1");
  check_parse ("3000:128:1", "takes 80");
  check_parse ("3000:128:1", "n-mels");
  check_parse ("80:128:1", "128 mel bands");
  check_parse ("3001:80:1", "even number from 2 to 3000");
  check_parse ("3002:80:1", "3002 frames");
  check_parse ("1:80:1", "even number");
  check_parse ("mel", "FRAMES:80:1");
  check_parse ("3000:80:2", "3000:80:1");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  gst_init (&argc, &argv);
  g_test_add_func ("/tensorcaps/dimensions-with-any-number-of-1s", test_dims);
  g_test_add_func ("/tensorcaps/mel-to-states", test_mel_to_states);
  g_test_add_func ("/tensorcaps/states-to-mel", test_states_to_mel);
  g_test_add_func ("/tensorcaps/keep-what-is-mel", test_keep_mel);
  g_test_add_func ("/tensorcaps/refusals-say-what-and-why", test_parse_mel);
  return g_test_run ();
}
