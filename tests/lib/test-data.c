/* Test data: files from outside the project, and inputs made on the spot.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "test-data.h"

#include <math.h>
#include <string.h>

char *
test_data_path (const char *name)
{
  const char *env = g_getenv ("NPUENC_TEST_DATA");
  g_autofree char *folder = NULL;
  g_autofree char *path = NULL;

  if (env && *env)
    folder = g_canonicalize_filename (env, NULL);
  else
    folder = g_canonicalize_filename ("../shared", PROJECT_ROOT);

  path = g_build_filename (folder, name, NULL);
  if (!g_file_test (path, G_FILE_TEST_IS_REGULAR)) {
    g_autofree char *why =
        g_strdup_printf ("test data '%s' not found in %s; "
                         "NPUENC_TEST_DATA can name another folder",
            name, folder);
    g_test_skip (why);
    return NULL;
  }
  return g_steal_pointer (&path);
}

float *
test_data_read_f32 (const char *path, gsize n)
{
  g_autofree char *bytes = NULL;
  g_autoptr (GError) error = NULL;
  gsize size = 0;
  float *values;

  g_file_get_contents (path, &bytes, &size, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (size, ==, n * sizeof (float));

  values = g_new (float, n);
  for (gsize i = 0; i < n; i++) {
    guint32 bits;

    memcpy (&bits, bytes + i * sizeof bits, sizeof bits);
    bits = GUINT32_FROM_LE (bits);
    memcpy (&values[i], &bits, sizeof bits);
  }
  return values;
}

float *
test_data_new_mel (guint n_mels, guint n_frames, guint32 seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  float *mel = g_new (float, (gsize) n_mels *n_frames);
  double loudness = 0.5;

  for (guint t = 0; t < n_frames; t++) {
    /* A syllable lasts some 200 ms, and speech falls off with frequency. */
    if (t % 20 == 0)
      loudness = g_rand_double_range (rand, -0.5, 1.2);

    for (guint m = 0; m < n_mels; m++) {
      double tilt = 0.6 * m / n_mels;
      double ripple = 0.3 * sin (0.4 * m + 0.05 * t);
      double noise = g_rand_double_range (rand, -0.2, 0.2);
      double x = loudness - tilt + ripple + noise;

      mel[(gsize) m * n_frames + t] = (float) CLAMP (x, -0.6, 1.4);
    }
  }
  return mel;
}

float *
test_data_crop_mel (
    const float *mel, guint n_mels, guint all_frames, guint n_frames)
{
  float *cropped = g_new (float, (gsize) n_mels *n_frames);

  g_assert_cmpuint (n_frames, <=, all_frames);
  for (guint m = 0; m < n_mels; m++)
    memcpy (cropped + (gsize) m * n_frames, mel + (gsize) m * all_frames,
        n_frames * sizeof (float));
  return cropped;
}
