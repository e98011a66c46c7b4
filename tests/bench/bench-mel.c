/* What the mel of a window costs, beside which its encoding is to be seen.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "bench.h"
#include "mel/logmel.h"
#include "npu-clock.h"

#define N_SAMPLES (NPU_MAX_FRAMES * LOG_MEL_HOP)

double
bench_mel_ms (guint n_mels, guint repeat)
{
  g_autoptr (LogMel) log_mel = log_mel_new (n_mels);
  g_autofree float *samples = g_new (float, N_SAMPLES);
  g_autofree float *mel = g_new (float, (gsize) n_mels *NPU_MAX_FRAMES);
  g_autofree double *times = g_new (double, repeat);
  GRand *rand = g_rand_new_with_seed (1);

  for (guint i = 0; i < N_SAMPLES; i++)
    samples[i] = (float) g_rand_double_range (rand, -0.5, 0.5);
  g_rand_free (rand);
  for (guint i = 0; i < BENCH_WARM_UP; i++)
    log_mel_compute (log_mel, samples, N_SAMPLES, NPU_MAX_FRAMES, mel);
  for (guint i = 0; i < repeat; i++) {
    const guint64 start = npu_clock_ns ();

    log_mel_compute (log_mel, samples, N_SAMPLES, NPU_MAX_FRAMES, mel);
    times[i] = (double) (npu_clock_ns () - start) / 1e6;
  }
  return bench_median (times, repeat);
}
