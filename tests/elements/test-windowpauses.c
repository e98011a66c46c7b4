/* Pauses of a window, found and read.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "windowpauses.h"

#include <math.h>

#define MS GST_MSECOND
#define RATE 16000
#define START (7 * GST_SECOND)

/* A second of a tone, with what is in between at @level of it. */
static GstBuffer *
make_window (double level, guint from_ms, guint to_ms)
{
  GstBuffer *buffer = gst_buffer_new ();
  float samples[RATE];

  for (guint i = 0; i < RATE; i++) {
    samples[i] = (float) (0.3 * sin (0.1 * i));
    if (i >= from_ms * 16 && i < to_ms * 16)
      samples[i] *= (float) level;
  }
  window_pauses_add (buffer, samples, RATE, START);
  return buffer;
}

static void
test_found (void)
{
  g_autoptr (GstBuffer) buffer = make_window (0.01, 400, 600);
  g_autoptr (GstBuffer) copy = gst_buffer_copy (buffer);
  const NpuPause *pauses;
  guint n;

  pauses = window_pauses_get (copy, &n);
  g_assert_cmpuint (n, ==, 1);
  g_assert_cmpuint (pauses[0].start, ==, START + 400 * MS);
  g_assert_cmpuint (pauses[0].end, ==, START + 600 * MS);
}

static void
test_at_ends (void)
{
  g_autoptr (GstBuffer) first = make_window (0, 0, 300);
  g_autoptr (GstBuffer) last = make_window (0, 700, 1000);
  g_autoptr (GstBuffer) uneven = gst_buffer_new ();
  float samples[RATE + 100] = {0};
  const NpuPause *pauses;
  guint n;

  pauses = window_pauses_get (first, &n);
  g_assert_cmpuint (n, ==, 1);
  g_assert_cmpuint (pauses[0].start, ==, START);
  g_assert_cmpuint (pauses[0].end, ==, START + 300 * MS);
  pauses = window_pauses_get (last, &n);
  g_assert_cmpuint (n, ==, 1);
  g_assert_cmpuint (pauses[0].end, ==, START + GST_SECOND);

  for (guint i = 0; i < RATE / 2; i++) /* a hop is not whole */
    samples[i] = (float) (0.3 * sin (0.1 * i));
  window_pauses_add (uneven, samples, RATE + 100, START);
  pauses = window_pauses_get (uneven, &n);
  g_assert_cmpuint (n, ==, 1);
  g_assert_cmpuint (
      pauses[0].end, ==, START + GST_SECOND + 100 * GST_SECOND / RATE);
}

/* A microphone's mean that is not 0 is no sound. */
static void
test_offset (void)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  float samples[RATE];
  const NpuPause *pauses;
  guint n;

  for (guint i = 0; i < RATE; i++)
    samples[i] = 0.3f + (i < 400 * 16 ? (float) (0.1 * sin (0.1 * i)) : 0);
  window_pauses_add (buffer, samples, RATE, START);
  pauses = window_pauses_get (buffer, &n);
  g_assert_cmpuint (n, ==, 1);
  g_assert_cmpuint (pauses[0].start, ==, START + 400 * MS);
}

/* Speech that rises and falls, in noise @depth times as loud as its loudest,
 * and a pause of 300 ms in which there is the noise alone. */
static GstBuffer *
make_noisy (double depth)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (1);
  GstBuffer *buffer = gst_buffer_new ();
  float samples[2 * RATE];

  for (guint i = 0; i < 2 * RATE; i++) {
    const double swell = fabs (sin (0.0015 * i)); /* a syllable is 130 ms */
    const gboolean is_pause = i >= RATE && i < RATE + 3 * RATE / 10;

    samples[i] = (float) (is_pause ? 0 : 0.3 * swell * swell * sin (0.1 * i));
    samples[i] += (float) (0.3 * depth * g_rand_double_range (random, -1, 1));
  }
  window_pauses_add (buffer, samples, 2 * RATE, START);
  return buffer;
}

static void
test_noise (void)
{
  static const double depths[] = {0, 0.01, 0.03, 0.1};
  guint n;

  for (guint i = 0; i < G_N_ELEMENTS (depths); i++) {
    g_autoptr (GstBuffer) buffer = make_noisy (depths[i]);
    const NpuPause *pauses = window_pauses_get (buffer, &n);
    const GstClockTime begin = START + GST_SECOND;

    g_assert_cmpuint (n, ==, 1);
    g_assert_cmpuint (pauses[0].start, >=, begin - 50 * MS);
    g_assert_cmpuint (pauses[0].start, <=, begin);
    g_assert_cmpuint (pauses[0].end, >=, begin + 300 * MS);
    g_assert_cmpuint (pauses[0].end, <=, begin + 350 * MS);
  }
}

/* Somebody says a word in a window of silence that is not digital. */
static void
test_sparse (void)
{
  const guint n = 10 * RATE;
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  g_autofree float *samples = g_new (float, n);
  const NpuPause *pauses;
  guint n_pauses;

  for (guint i = 0; i < n; i++)
    samples[i] = (i / RATE == 6 && i % RATE < RATE / 2 ? 0.3f : 1e-4f) *
                 (float) sin (0.1 * i);
  window_pauses_add (buffer, samples, n, START);
  pauses = window_pauses_get (buffer, &n_pauses);
  g_assert_cmpuint (n_pauses, ==, 2);
  g_assert_cmpuint (pauses[0].end, ==, START + 6000 * MS);
  g_assert_cmpuint (pauses[1].start, ==, START + 6500 * MS);
}

static void
assert_none (GstBuffer *buffer)
{
  guint n;

  window_pauses_get (buffer, &n);
  g_assert_cmpuint (n, ==, 0);
  gst_buffer_unref (buffer);
}

static void
test_none (void)
{
  assert_none (make_window (1, 0, 0));
  assert_none (make_window (0, 0, 1000));     /* nobody speaks */
  assert_none (make_window (0.3, 400, 600));  /* not so quiet: noise */
  assert_none (make_window (0.1, 400, 550));  /* too short for noise */
  assert_none (make_window (0.01, 400, 480)); /* too short */
  assert_none (make_noisy (0.5));
  assert_none (gst_buffer_new ());
}

/* As an application or another plugin would make it. */
static void
test_others (void)
{
  g_autoptr (GstBuffer) buffer = make_window (0.01, 400, 600);
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, WINDOW_PAUSES_META);
  GstStructure *structure = gst_custom_meta_get_structure (meta);
  static const guint64 data[4] = {0};
  guint n;

  for (gsize size = 0; size < sizeof data - 1; size++) {
    g_autoptr (GBytes) bytes =
        g_bytes_new_static ((const char *) data + 1, size);

    gst_structure_set (structure, "pauses", G_TYPE_BYTES, bytes, NULL);
    window_pauses_get (buffer, &n);
    g_assert_cmpuint (n, ==, 0);
  }
  gst_structure_set (structure, "pauses", G_TYPE_BYTES, NULL, NULL);
  window_pauses_get (buffer, &n);
  g_assert_cmpuint (n, ==, 0);
  gst_structure_set (structure, "pauses", G_TYPE_INT, 5, NULL);
  window_pauses_get (buffer, &n);
  g_assert_cmpuint (n, ==, 0);
  gst_structure_remove_all_fields (structure);
  window_pauses_get (buffer, &n);
  g_assert_cmpuint (n, ==, 0);
}

int
main (int argc, char **argv)
{
  gst_init (&argc, &argv);
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/windowpauses/found", test_found);
  g_test_add_func ("/windowpauses/at-ends", test_at_ends);
  g_test_add_func ("/windowpauses/sparse", test_sparse);
  g_test_add_func ("/windowpauses/offset", test_offset);
  g_test_add_func ("/windowpauses/noise", test_noise);
  g_test_add_func ("/windowpauses/none", test_none);
  g_test_add_func ("/windowpauses/others", test_others);

  return g_test_run ();
}
