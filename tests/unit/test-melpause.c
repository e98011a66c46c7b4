/* Where windows of speech are cut.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "melpause.h"

#define RATE 16000

/* Where a window of @n samples ends. */
static gsize
find (const float *samples, gsize n)
{
  return mel_pause_find (samples, n - n / 3, n, RATE / 4);
}

/* Noise, with a quiet piece of @n samples from @at on. */
static float *
make (gsize length, gsize at, gsize n, float level)
{
  float *samples = g_new (float, length);
  guint32 state = 1;

  for (gsize i = 0; i < length; i++) {
    state = state * 1664525u + 1013904223u;
    samples[i] = ((float) (state >> 8) / 0x1p23f - 1) *
                 (i >= at && i < at + n ? level : 0.3f);
  }
  return samples;
}

static void
test_pause (void)
{
  for (gsize length = 3 * RATE; length <= 30 * RATE; length += 9 * RATE) {
    for (guint tenths = 68; tenths < 96; tenths += 9) {
      const gsize at = length * tenths / 100;
      g_autofree float *samples = make (length, at, RATE / 3, 0.01f);
      const gsize cut = find (samples, length);

      if (at + RATE / 3 > length)
        continue;
      g_assert_cmpuint (cut, >, at + 1000);
      g_assert_cmpuint (cut, <, at + RATE / 3 - 1000);
    }
  }
}

/* A pause before the last third is no end: windows would be short. */
static void
test_early_pause (void)
{
  g_autofree float *samples = make (30 * RATE, 10 * RATE, RATE, 0);

  g_assert_cmpuint (find (samples, 30 * RATE), >=, 20 * RATE);
}

/* The later of two. */
static void
test_silence (void)
{
  g_autofree float *samples = make (30 * RATE, 0, 30 * RATE, 0);
  const gsize cut = find (samples, 30 * RATE);

  g_assert_cmpuint (cut, >, 29 * RATE);
  g_assert_cmpuint (cut, <=, 30 * RATE);
}

static void
test_short (void)
{
  g_autofree float *samples = make (RATE, 0, RATE, 0);

  for (gsize n = 0; n <= RATE; n += 1237) {
    const gsize cut = find (samples, n);

    g_assert_cmpuint (cut, <=, n);
    g_assert_true (cut > n / 2 || n < 2);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/melpause/pause", test_pause);
  g_test_add_func ("/melpause/early", test_early_pause);
  g_test_add_func ("/melpause/silence", test_silence);
  g_test_add_func ("/melpause/short", test_short);
  return g_test_run ();
}
