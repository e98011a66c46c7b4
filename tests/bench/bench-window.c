/* An encoder and noise for it, in windows of any length.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "bench.h"

#define TIMEOUT ((guint64) 60000000000)

gboolean
bench_window_open (BenchWindow *window, const Bench *bench,
    const NpuModel *model, NpuDevice *device, guint n_frames, GError **error)
{
  const NpuEncoderOptions options = {
      .depth = 3, .precision = bench->options.precision, .timeout = TIMEOUT};
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);

  window->mel = g_new (float, (gsize) model->n_mels *n_frames);
  window->states = g_new (float, (gsize) model->d *n_frames / 2);
  for (guint i = 0; i < model->n_mels * n_frames; i++)
    window->mel[i] = (float) g_rand_double_range (rand, -1, 1.5);
  window->n_frames = n_frames;
  window->encoder = npu_encoder_new (model, device, &options, error);
  return window->encoder != NULL;
}

gboolean
bench_window_run (gpointer object, GError **error)
{
  BenchWindow *window = object;

  return npu_encoder_encode (window->encoder, window->mel, window->n_frames,
      window->states, NULL, error);
}

void
bench_window_clear (BenchWindow *window)
{
  npu_encoder_free (window->encoder);
  g_free (window->mel);
  g_free (window->states);
}
