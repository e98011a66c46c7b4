/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "windowpauses.h"

#include "audiowindow.h"
#include "soundlevel.h"

#define HOP 160 /* 10 ms */
#define HOP_TIME (10 * GST_MSECOND)
#define SHORTEST 10 /* hops; a plosive is silent for less, mostly */
#define DEPTH 25.0  /* dB */
#define LOUD 0.9    /* the level that so much of a window is below */

/* Where somebody speaks for less than that, so much is below it, and this is as
 * loud as his voice mostly is. */
#define LOUDEST 0.995
#define ABOVE 10.0 /* dB */

/* Noise: so long a time of nearly the same level, so far below the loud parts.
 * Nobody speaks where it is no louder than that, and this much. */
#define STEADY 20        /* hops */
#define STEADY_RANGE 6.0 /* dB */
#define LEAST_DEPTH 14.0 /* dB */
#define OVER_NOISE 4.0   /* dB */

#define FIELD "pauses" /* bytes of NpuPause */

static int
compare (gconstpointer a, gconstpointer b)
{
  const double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

/* The mean of levels[%STEADY], or G_MAXDOUBLE where they differ. */
static double
measure_steady (const double *levels)
{
  double least = levels[0], most = levels[0], sum = 0;

  for (guint i = 0; i < STEADY; i++) {
    least = MIN (least, levels[i]);
    most = MAX (most, levels[i]);
    sum += levels[i];
  }
  return most - least <= STEADY_RANGE ? sum / STEADY : G_MAXDOUBLE;
}

/* Below it, nobody speaks. */
static double
find_quiet (const double *levels, guint n)
{
  g_autofree double *sorted = g_memdup2 (levels, n * sizeof (double));
  double loud, noise = G_MAXDOUBLE;

  qsort (sorted, n, sizeof (double), compare);
  loud = MAX (sorted[(guint) (LOUD * (n - 1))],
      sorted[(guint) (LOUDEST * (n - 1))] - ABOVE);
  for (guint i = 0; i + STEADY <= n; i++)
    noise = MIN (noise, measure_steady (levels + i));
  if (noise > loud - LEAST_DEPTH)
    return loud - DEPTH;
  return MAX (loud - DEPTH, noise + OVER_NOISE);
}

/* @end: of the audio; the last of it is less than a hop. */
static GArray *
find_pauses (
    const double *levels, guint n, GstClockTime start, GstClockTime end)
{
  GArray *pauses = g_array_new (FALSE, FALSE, sizeof (NpuPause));
  const double quiet = find_quiet (levels, n);
  guint first = 0;

  for (guint i = 0; i <= n; i++) {
    if (i < n && levels[i] < quiet)
      continue;
    if (i - first >= SHORTEST) {
      const NpuPause pause = {
          start + first * HOP_TIME, i < n ? start + i * HOP_TIME : end};

      g_array_append_val (pauses, pause);
    }
    first = i + 1;
  }
  return pauses;
}

static void
register_meta (void)
{
  static gsize once;
  static const char *tags[] = {NULL};

  if (!g_once_init_enter (&once))
    return;
  gst_meta_register_custom (WINDOW_PAUSES_META, tags, NULL, NULL, NULL);
  g_once_init_leave (&once, TRUE);
}

void
window_pauses_add (
    GstBuffer *buffer, const float *samples, gsize n, GstClockTime start)
{
  const guint n_levels = n / HOP;
  g_autofree double *levels = NULL;
  g_autoptr (GArray) pauses = NULL;
  g_autoptr (GBytes) bytes = NULL;
  GstCustomMeta *meta;

  if (n_levels == 0)
    return;
  levels = g_new (double, n_levels);
  for (guint i = 0; i < n_levels; i++)
    levels[i] = sound_level (samples + i * HOP, HOP);
  pauses = find_pauses (levels, n_levels, start,
      start + gst_util_uint64_scale (n, GST_SECOND, AUDIO_WINDOW_RATE));
  if (pauses->len == 0)
    return;
  register_meta ();
  bytes = g_bytes_new (pauses->data, pauses->len * sizeof (NpuPause));
  meta = gst_buffer_add_custom_meta (buffer, WINDOW_PAUSES_META);
  gst_structure_set (
      gst_custom_meta_get_structure (meta), FIELD, G_TYPE_BYTES, bytes, NULL);
}

const NpuPause *
window_pauses_get (GstBuffer *buffer, guint *n)
{
  GstCustomMeta *meta;
  const GValue *value;
  gconstpointer data;
  gsize size;

  *n = 0;
  register_meta ();
  meta = gst_buffer_get_custom_meta (buffer, WINDOW_PAUSES_META);
  value = meta ? gst_structure_get_value (
                     gst_custom_meta_get_structure (meta), FIELD)
               : NULL;
  if (!value || !G_VALUE_HOLDS (value, G_TYPE_BYTES) ||
      !g_value_get_boxed (value))
    return NULL;
  data = g_bytes_get_data (g_value_get_boxed (value), &size);
  if (GPOINTER_TO_SIZE (data) % sizeof (guint64) != 0) /* not ours */
    return NULL;
  *n = size / sizeof (NpuPause);
  return data;
}
