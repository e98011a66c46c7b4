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
  const NpuPause *pauses;
  guint n;

  pauses = window_pauses_get (first, &n);
  g_assert_cmpuint (n, ==, 1);
  g_assert_cmpuint (pauses[0].start, ==, START);
  g_assert_cmpuint (pauses[0].end, ==, START + 300 * MS);
  pauses = window_pauses_get (last, &n);
  g_assert_cmpuint (n, ==, 1);
  g_assert_cmpuint (pauses[0].end, ==, START + GST_SECOND);
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
  assert_none (make_window (0.1, 400, 600));  /* not so quiet: noise */
  assert_none (make_window (0.01, 400, 480)); /* too short */
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
  g_test_add_func ("/windowpauses/none", test_none);
  g_test_add_func ("/windowpauses/others", test_others);

  return g_test_run ();
}
