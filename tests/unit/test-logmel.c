/* The log-mel spectrogram against float64 references.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <string.h>

#include "mel/logmel.h"

#include "compare.h"
#include "ref-logmel.h"
#include "test-audio.h"
#include "test-data.h"

/* What users are promised is 1e-3 and 1e-5; float arithmetic does better. */
#define MAX_ERROR 1e-4
#define MEAN_ERROR 1e-6
/* Bands far below a pure tone keep few digits of their floats. */
#define TONE_SLACK 5.0

#define N_FRAMES 3000 /* 30 s */

static float *
new_mel (guint n_mels, const float *samples, gsize n_samples, guint n_frames,
    gboolean baseline)
{
  g_autoptr (LogMel) log_mel = log_mel_new (n_mels);
  gsize n = (gsize) n_mels * n_frames;
  float *mel = g_new (float, n);

  /* What is left out shows. */
  for (gsize i = 0; i < n; i++)
    mel[i] = NAN;
  if (baseline)
    log_mel_use_baseline (log_mel);
  log_mel_compute (log_mel, samples, n_samples, n_frames, mel);
  return mel;
}

static void
check_close (const char *what, const float *mel, const float *expected,
    guint n_mels, guint n_frames, double slack)
{
  Comparison result;

  compare_arrays (mel, expected, n_mels, n_frames, &result);
  compare_print (what, &result);
  g_assert_cmpfloat (result.max_error, <=, MAX_ERROR * slack);
  g_assert_cmpfloat (result.mean_error, <=, MEAN_ERROR * slack);
}

/* Both for this CPU and for one without AVX2. */
static void
check_samples (const char *what, const float *samples, gsize n_samples,
    guint n_mels, guint n_frames, double slack)
{
  g_autofree float *expected =
      ref_log_mel (samples, n_samples, n_mels, n_frames);

  for (int baseline = 0; baseline < 2; baseline++) {
    g_autofree float *mel =
        new_mel (n_mels, samples, n_samples, n_frames, baseline);
    g_autofree char *name = g_strdup_printf ("%s, %u bands, %u frames%s", what,
        n_mels, n_frames, baseline ? ", baseline CPU" : "");

    check_close (name, mel, expected, n_mels, n_frames, slack);
  }
}

static void
test_clip (gconstpointer name)
{
  g_autofree char *audio = g_strdup_printf ("audio/%s.wav", (char *) name);
  g_autofree char *reference =
      g_strdup_printf ("reference/%s.mel.80x3000.f32", (char *) name);
  g_autofree char *audio_path = test_data_path (audio);
  g_autofree char *reference_path =
      audio_path ? test_data_path (reference) : NULL;
  g_autofree float *samples = NULL;
  g_autofree float *expected = NULL;
  gsize n_samples;

  if (!reference_path)
    return;
  samples = test_audio_read_wav (audio_path, &n_samples);
  expected = test_data_read_f32 (reference_path, 80 * N_FRAMES);

  for (int baseline = 0; baseline < 2; baseline++) {
    g_autofree float *mel =
        new_mel (80, samples, n_samples, N_FRAMES, baseline);

    check_close (name, mel, expected, 80, N_FRAMES, 1);
  }
}

static void
test_speech (gconstpointer n_mels)
{
  static const guint lengths[] = {2, 4, 6, 16, 18, 100, 500, 502, N_FRAMES};

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++) {
    gsize n = (gsize) lengths[i] * LOG_MEL_HOP;
    g_autofree float *samples = test_audio_new_speech (n, i);

    check_samples (
        "speech", samples, n, GPOINTER_TO_UINT (n_mels), lengths[i], 1);
  }
}

static void
test_short_speech (gconstpointer n_mels)
{
  static const gsize lengths[] = {1, 159, 160, 200, 201, 1000, 1120, 1281,
      15799, 15959, 15960, 15999, 16000};
  g_autofree float *samples = test_audio_new_speech (16000, 1);

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++)
    check_samples (
        "short", samples, lengths[i], GPOINTER_TO_UINT (n_mels), 100, 1);
}

/* A click is the same at every distance: what the reference and the reflected
 * ends make of it depends on its place to the sample. */
static void
test_click (void)
{
  static const gsize places[] = {0, 1, 40, 199, 200, 201, 7777, 15759, 15760,
      15800, 15959, 15960, 15961, 15998, 15999};

  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autofree float *samples = g_new0 (float, 16000);
    g_autofree char *what = g_strdup_printf ("click at %zu", places[i]);

    samples[places[i]] = 1;
    check_samples (what, samples, 16000, 80, 100, 1);
  }
}

static void
test_tone (void)
{
  for (int hz = 50; hz < 8000; hz = hz * 3 / 2) {
    g_autofree float *samples = g_new (float, 16000);
    g_autofree char *what = g_strdup_printf ("tone of %d Hz", hz);

    for (int i = 0; i < 16000; i++)
      samples[i] = 0.5f * sinf (2 * (float) G_PI * hz * i / 16000);
    check_samples (what, samples, 16000, 128, 100, TONE_SLACK);
  }
}

static void
test_padding (void)
{
  g_autofree float *speech = test_audio_new_speech (11 * 16000, 5);
  g_autofree float *padded = g_new0 (float, 30 * 16000);
  g_autofree float *with_padding = NULL;
  g_autofree float *without = NULL;

  memcpy (padded, speech, 11 * 16000 * sizeof (float));
  without = new_mel (80, speech, 11 * 16000, N_FRAMES, FALSE);
  with_padding = new_mel (80, padded, 30 * 16000, N_FRAMES, FALSE);
  compare_check_same ("padding", without, with_padding, 80, N_FRAMES);
}

static void
test_silence (void)
{
  g_autofree float *zeros = g_new0 (float, 16000);

  for (gsize n_samples = 0; n_samples <= 16000; n_samples += 8000) {
    g_autofree float *mel = new_mel (128, zeros, n_samples, 100, FALSE);

    for (gsize i = 0; i < 128 * 100; i++)
      g_assert_cmpfloat (mel[i], ==, -1.5f);
  }
}

/* Audio that repeats every hop: all frames inside are one. */
static void
test_frames_alike (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (3);
  g_autofree float *samples = g_new (float, 1002 * LOG_MEL_HOP);
  g_autofree float *mel = NULL;

  for (gsize i = 0; i < 1002 * LOG_MEL_HOP; i++)
    samples[i] = i < LOG_MEL_HOP ? (float) g_rand_double_range (rand, -1, 1)
                                 : samples[i - LOG_MEL_HOP];
  mel = new_mel (80, samples, 1002 * LOG_MEL_HOP, 1002, FALSE);
  for (guint m = 0; m < 80; m++)
    for (guint t = 3; t < 1000; t++)
      g_assert_cmpfloat (mel[m * 1002 + t], ==, mel[m * 1002 + 2]);
}

static void
test_loudest (void)
{
  g_autofree float *samples = g_new (float, 16000);

  for (int i = 0; i < 16000; i++)
    samples[i] = i / 8 % 2 ? LOG_MEL_MAX_SAMPLE : -LOG_MEL_MAX_SAMPLE;
  check_samples ("loudest", samples, 16000, 80, 100, 1);
}

static void
test_speed (void)
{
  g_autofree float *samples = test_audio_new_speech (30 * 16000, 1);
  g_autofree float *mel = g_new (float, 80 * N_FRAMES);
  g_autoptr (LogMel) log_mel = log_mel_new (80);
  double best = G_MAXDOUBLE;

  if (!g_test_perf ()) {
    g_test_skip ("a measurement; run with -m perf");
    return;
  }
  for (int i = 0; i < 50; i++) {
    g_test_timer_start ();
    log_mel_compute (log_mel, samples, 30 * 16000, N_FRAMES, mel);
    best = MIN (best, g_test_timer_elapsed ());
  }
  g_test_minimized_result (best * 1e3, "30 s, 80 bands: %.2f ms", best * 1e3);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_data_func (
      "/logmel/jfk-equals-float64-reference", "jfk", test_clip);
  g_test_add_data_func ("/logmel/librispeech-equals-float64-reference",
      "1272-128104-0000", test_clip);
  g_test_add_data_func ("/logmel/80-bands-equal-float64-at-any-length",
      GUINT_TO_POINTER (80), test_speech);
  g_test_add_data_func ("/logmel/128-bands-equal-float64-at-any-length",
      GUINT_TO_POINTER (128), test_speech);
  g_test_add_data_func ("/logmel/short-audio-is-padded-before-the-stft-80",
      GUINT_TO_POINTER (80), test_short_speech);
  g_test_add_data_func ("/logmel/short-audio-is-padded-before-the-stft-128",
      GUINT_TO_POINTER (128), test_short_speech);
  g_test_add_func ("/logmel/ends-are-reflected", test_click);
  g_test_add_func ("/logmel/tones-fall-into-their-bands", test_tone);
  g_test_add_func (
      "/logmel/given-and-implied-padding-are-the-same-bits", test_padding);
  g_test_add_func ("/logmel/silence-is-minus-1.5", test_silence);
  g_test_add_func ("/logmel/equal-frames-are-the-same-bits", test_frames_alike);
  g_test_add_func ("/logmel/loudest-samples-stay-finite", test_loudest);
  g_test_add_func ("/logmel/speed", test_speed);
  return g_test_run ();
}
