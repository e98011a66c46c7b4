/* Real speech through the whole pipeline with a real model, compared with
 * reference states computed in float64.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <glib/gstdio.h>

#include "encoder-rig.h"
#include "compare.h"
#include "test-data.h"
#include "patience.h"

#define N_POSITIONS 1500
#define MODEL "models/whisper-tiny.en-encoder-f16.safetensors"

static const char *const clips[] = {"jfk", "1272-128104-0000"};

static void
run (const char *description)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (description, &error);
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstMessage) message = NULL;

  g_assert_no_error (error);
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message =
      encoder_pop_message (bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR, PATIENCE);
  g_assert_nonnull (message);
  if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
    gst_message_parse_error (message, &error, NULL);
    g_assert_no_error (error);
  }
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

static void
check_clip (const char *clip, const char *precision, double min_cosine,
    double min_row_cosine)
{
  g_autofree char *wav_name = g_strdup_printf ("audio/%s.wav", clip);
  g_autofree char *reference_name =
      g_strdup_printf ("reference/%s.tiny.en.1500x384.f32", clip);
  g_autofree char *what = g_strdup_printf ("%s %s", clip, precision);
  g_autofree char *model = test_data_path (MODEL);
  g_autofree char *wav = model ? test_data_path (wav_name) : NULL;
  g_autofree char *reference = wav ? test_data_path (reference_name) : NULL;
  g_autofree char *description = NULL;
  g_autofree char *out = NULL;
  g_autofree float *states = NULL;
  g_autofree float *expected = NULL;

  if (!reference)
    return; /* skipped */

  out = encoder_temp_file ();
  description = g_strdup_printf (
      "filesrc location=\"%s\" ! wavparse ! audioconvert ! audioresample ! "
      "whispermel ! npuencoder model=\"%s\" precision=%s ! "
      "filesink location=\"%s\"",
      wav, model, precision, out);
  run (description);
  states = test_data_read_f32 (out, N_POSITIONS * TINY_D);
  expected = test_data_read_f32 (reference, N_POSITIONS * TINY_D);
  compare_check (what, states, expected, N_POSITIONS, TINY_D, min_cosine,
      min_row_cosine, NULL);
  g_unlink (out);
}

static void
test_f32 (gconstpointer clip)
{
  check_clip (clip, "f32", 0.99999, 0.9999);
}

static void
test_int8 (gconstpointer clip)
{
  check_clip (clip, "int8", 0.9996, 0.995);
}

int
main (int argc, char **argv)
{
  encoder_test_init (&argc, &argv);
  for (guint i = 0; i < (g_test_slow () ? G_N_ELEMENTS (clips) : 1); i++) {
    g_autofree char *f32 =
        g_strdup_printf ("/npuencoder/speech/f32/%s", clips[i]);
    g_autofree char *int8 =
        g_strdup_printf ("/npuencoder/speech/int8/%s", clips[i]);

    g_test_add_data_func (f32, clips[i], test_f32);
    g_test_add_data_func (int8, clips[i], test_int8);
  }
  return g_test_run ();
}
