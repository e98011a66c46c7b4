/* Whisper's log-mel in float64, in plain loops over its definition.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "ref-logmel.h"

#include <math.h>

#define RATE 16000.0
#define N_FFT 400
#define HOP 160
#define N_BINS (N_FFT / 2 + 1)

/* What torch.stft (center=True, pad_mode="reflect") sees at @i. */
static double
padded (const float *samples, gsize n_samples, gssize size, gssize i)
{
  if (i < 0)
    i = -i;
  if (i > size - 1)
    i = 2 * (size - 1) - i;
  return i < (gssize) n_samples ? samples[i] : 0;
}

static void
power_spectrum (const double *frame, double *power)
{
  double cosine[N_FFT], sine[N_FFT];

  for (int i = 0; i < N_FFT; i++) {
    cosine[i] = cos (2 * G_PI * i / N_FFT);
    sine[i] = sin (2 * G_PI * i / N_FFT);
  }
  for (int k = 0; k < N_BINS; k++) {
    double re = 0, im = 0;

    for (int n = 0; n < N_FFT; n++) {
      double hann = 0.5 * (1 - cosine[n]);

      re += hann * frame[n] * cosine[k * n % N_FFT];
      im -= hann * frame[n] * sine[k * n % N_FFT];
    }
    power[k] = re * re + im * im;
  }
}

/* Slaney's mel: 3 mels are 200 Hz up to 1 kHz, then 27 mels are a factor of
 * 6.4. */
static double
frequency_of_mel (double mel)
{
  return mel < 15 ? mel * 200 / 3 : 1000 * pow (6.4, (mel - 15) / 27);
}

static double
mel_of_frequency (double hz)
{
  return hz < 1000 ? hz * 3 / 200 : 15 + 27 * log (hz / 1000) / log (6.4);
}

/* The weight of bin @k in band @m of @n_mels: a triangle of area 1 Hz. */
static double
weight (guint m, guint n_mels, int k)
{
  double mels = mel_of_frequency (RATE / 2) / (n_mels + 1);
  double left = frequency_of_mel (m * mels);
  double top = frequency_of_mel ((m + 1) * mels);
  double right = frequency_of_mel ((m + 2) * mels);
  double hz = k * RATE / N_FFT;
  double height = 2 / (right - left);

  if (hz <= left || hz >= right)
    return 0;
  return hz < top ? height * (hz - left) / (top - left)
                  : height * (right - hz) / (right - top);
}

float *
ref_log_mel (
    const float *samples, gsize n_samples, guint n_mels, guint n_frames)
{
  gsize n = (gsize) n_mels * n_frames;
  gssize size = (gssize) n_frames * HOP;
  g_autofree double *log_mel = g_new (double, n);
  g_autofree double *weights = g_new (double, n_mels *N_BINS);
  float *result = g_new (float, n);
  double max = -INFINITY;

  g_assert_cmpint (size, >, N_FFT / 2);
  g_assert_cmpuint (n_samples, <=, size);

  for (guint m = 0; m < n_mels; m++)
    for (int k = 0; k < N_BINS; k++)
      weights[m * N_BINS + k] = weight (m, n_mels, k);

  for (guint t = 0; t < n_frames; t++) {
    double frame[N_FFT], power[N_BINS];

    for (int i = 0; i < N_FFT; i++)
      frame[i] =
          padded (samples, n_samples, size, (gssize) t * HOP + i - N_FFT / 2);
    power_spectrum (frame, power);

    for (guint m = 0; m < n_mels; m++) {
      double sum = 0;

      for (int k = 0; k < N_BINS; k++)
        sum += weights[m * N_BINS + k] * power[k];
      sum = log10 (MAX (sum, 1e-10));
      log_mel[(gsize) m * n_frames + t] = sum;
      max = MAX (max, sum);
    }
  }

  for (gsize i = 0; i < n; i++)
    result[i] = (float) ((MAX (log_mel[i], max - 8) + 4) / 4);
  return result;
}
