/* states: Whisper's hidden states by the library, without GStreamer.
 *
 *   cc states.c -o states $(pkg-config --cflags --libs npuenc-1.0)
 *   ./states whisper-tiny.en.safetensors
 *
 * Shows a model, a device and an encoder, which types it computes in, a window
 * and what that took. Without an argument the model is made up.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */

#include <npuenc.h>
#include <stdlib.h>

#define N_FRAMES 300 /* 3 s of mel, 100 frames a second */

/* Where real programs have the log-mel of sound, as whispermel makes it. */
static float *
new_mel (guint n_mels)
{
  float *mel = g_new (float, n_mels *N_FRAMES);

  for (guint i = 0; i < n_mels * N_FRAMES; i++)
    mel[i] = (float) g_random_double_range (-0.75, 1.0);
  return mel;
}

static int
fail (const GError *error)
{
  g_printerr ("%s\n", error->message);
  return EXIT_FAILURE;
}

int
main (int argc, char **argv)
{
  const NpuEncoderOptions options = {
      .depth = 3,
      .precision = NPU_PRECISION_AUTO,
      .timeout = 10 * (guint64) 1000000000, /* ns a launch */
  };
  g_autoptr (GError) error = NULL;
  NpuStats stats;

  g_autoptr (NpuModel) model =
      npu_model_open (argc > 1 ? argv[1] : "synthetic:tiny", &error);
  if (model == NULL)
    return fail (error);
  g_autoptr (NpuDevice) device = npu_device_open ("auto", NULL, &error);
  if (device == NULL)
    return fail (error);
  g_autoptr (NpuEncoder) encoder =
      npu_encoder_new (model, device, &options, &error);
  if (encoder == NULL)
    return fail (error);

  const guint d = npu_encoder_get_d (encoder), n_positions = N_FRAMES / 2;
  g_autofree char *table = npu_encoder_describe (encoder);
  g_autofree float *mel = new_mel (npu_encoder_get_n_mels (encoder));
  g_autofree float *states = g_new (float, n_positions *d);

  g_print ("%s on %s\n%s", npu_encoder_get_precision (encoder),
      npu_encoder_get_placement (encoder), table);
  if (!npu_encoder_encode (encoder, mel, N_FRAMES, states, &stats, &error))
    return fail (error);
  g_print ("%u positions of %u floats, the first %g\n", n_positions, d,
      (double) states[0]);
  g_print ("%" G_GUINT64_FORMAT " tiles in %" G_GUINT64_FORMAT
           " launches, %.3f ms\n",
      stats.tiles, stats.launches, (double) stats.total_time / 1e6);
  return EXIT_SUCCESS;
}
