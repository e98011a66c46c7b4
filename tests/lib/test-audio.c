/* Audio for tests: from WAV files, and made on the spot.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "test-audio.h"

#include <math.h>
#include <string.h>

static guint
read_le (const guint8 *bytes, guint n)
{
  guint value = 0;

  for (guint i = 0; i < n; i++)
    value |= (guint) bytes[i] << (8 * i);
  return value;
}

float *
test_audio_read_wav (const char *path, gsize *n_samples)
{
  g_autofree char *contents = NULL;
  g_autoptr (GError) error = NULL;
  const guint8 *bytes;
  gsize size, at = 12; /* past "RIFF", a size, "WAVE" */

  g_file_get_contents (path, &contents, &size, &error);
  g_assert_no_error (error);
  bytes = (const guint8 *) contents;
  g_assert_cmpuint (size, >, 44);
  g_assert_true (memcmp (bytes, "RIFF", 4) == 0);

  while (at + 8 <= size) {
    const guint8 *chunk = bytes + at + 8;
    gsize chunk_size = MIN (read_le (bytes + at + 4, 4), size - at - 8);

    if (memcmp (bytes + at, "fmt ", 4) == 0) {
      g_assert_cmpuint (read_le (chunk, 2), ==, 1); /* PCM */
      g_assert_cmpuint (read_le (chunk + 2, 2), ==, 1);
      g_assert_cmpuint (read_le (chunk + 4, 4), ==, 16000);
      g_assert_cmpuint (read_le (chunk + 14, 2), ==, 16);
    } else if (memcmp (bytes + at, "data", 4) == 0) {
      float *samples = g_new (float, chunk_size / 2);

      for (gsize i = 0; i < chunk_size / 2; i++)
        samples[i] = (gint16) read_le (chunk + 2 * i, 2) / 32768.0f;
      *n_samples = chunk_size / 2;
      return samples;
    }
    at += 8 + (chunk_size + 1) / 2 * 2;
  }
  g_error ("%s has no data chunk", path);
}

float *
test_audio_new_speech (gsize n, guint32 seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  float *samples = g_new (float, n);
  double phase = 0, pitch = 120, loudness = 0.2;

  for (gsize i = 0; i < n; i++) {
    double voice = 0;

    /* A syllable lasts 200 ms. */
    if (i % 3200 == 0) {
      pitch = g_rand_double_range (rand, 90, 250);
      loudness = MAX (0, g_rand_double_range (rand, -0.1, 0.3));
    }
    phase += 2 * G_PI * pitch / 16000;
    for (int harmonic = 1; harmonic <= 20; harmonic++)
      voice += sin (harmonic * phase) / harmonic;
    samples[i] =
        (float) (loudness * voice + g_rand_double_range (rand, -1e-3, 1e-3));
  }
  return samples;
}
