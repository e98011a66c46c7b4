/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "growing-rig.h"

#include <math.h>

/* Voice is loud. */
static gboolean
detect (gpointer detector, const float *block)
{
  return fabsf (block[GROWING_BLOCK / 2]) > 0.1f;
}

static void
forget (gpointer detector)
{
  ((GrowingRig *) detector)->n_forgotten++;
}

void
growing_rig_init_at (GrowingRig *rig, GstClockTime window, GstClockTime start)
{
  const GrowingSettings settings = {
      .step = 500 * MS,
      .window = window,
      .silence = 500 * MS,
      .detect = detect,
      .forget = forget,
      .detector = rig,
  };

  *rig = (GrowingRig){.told = start};
  rig->outputs = g_array_new (FALSE, FALSE, sizeof (GrowingOutput));
  rig->samples = g_array_new (FALSE, FALSE, sizeof (float));
  growing_window_init (&rig->window, &settings);
  growing_window_restart (&rig->window, start);
}

void
growing_rig_init (GrowingRig *rig)
{
  growing_rig_init_at (rig, 4 * GST_SECOND, 0);
}

void
growing_rig_clear (GrowingRig *rig)
{
  growing_window_clear (&rig->window);
  g_array_unref (rig->outputs);
  g_array_unref (rig->samples);
}

static void
check_output (GrowingRig *rig, const GrowingOutput *output)
{
  const GstClockTime end = output->start + output->duration;

  g_assert_cmpuint (output->duration, >, 0);
  if (output->kind == GROWING_GAP) {
    g_assert_cmpuint (output->start, ==, rig->told);
    rig->told = end;
    return;
  }
  g_assert_cmpuint (output->duration, ==, output->n_samples * SAMPLE);
  g_assert_cmpuint (
      output->duration, <=, rig->window.settings.window + GROWING_SLACK);
  /* Not over what is final, and no hole after it. */
  g_assert_cmpuint (output->start, >=, rig->told);
  g_assert_cmpuint (output->start, <=, MAX (rig->told, rig->final) + SKEW);
  if (output->marker)
    rig->told = end;
  else
    g_assert_cmpuint (output->duration, >=, GROWING_SHORTEST);
  rig->told = MAX (rig->told, output->start); /* an advance may be */
}

void
growing_rig_collect (GrowingRig *rig)
{
  GrowingOutput output;

  while (growing_window_pop (&rig->window, rig->lag, &output)) {
    check_output (rig, &output);
    g_array_append_vals (rig->samples, output.samples, output.n_samples);
    output.samples = NULL;
    g_array_append_val (rig->outputs, output);
  }
}

void
growing_rig_add (GrowingRig *rig, const float *samples, gsize n, gsize chunk)
{
  guint64 n_invalid = 0;

  while (n > 0) {
    gsize part = MIN (n, chunk);

    n -= part;
    while (part > 0) {
      const gsize taken = growing_window_add (&rig->window,
          (const guint8 *) samples, part, GROWING_VOICE_ASK, &n_invalid);

      g_assert_cmpuint (taken, >, 0);
      samples += taken;
      part -= taken;
      growing_rig_collect (rig);
    }
  }
  g_assert_cmpuint (n_invalid, ==, 0);
}

void
growing_rig_add_level (GrowingRig *rig, float level, GstClockTime time)
{
  const gsize n = time / SAMPLE;
  g_autofree float *samples = g_new (float, n);

  for (gsize i = 0; i < n; i++)
    samples[i] = level * (1 + (float) i / n / 8);
  growing_rig_add (rig, samples, n, 320);
}

void
growing_rig_speak (GrowingRig *rig, GstClockTime time)
{
  growing_rig_add_level (rig, 0.5f, time);
}

void
growing_rig_hush (GrowingRig *rig, GstClockTime time)
{
  growing_rig_add_level (rig, 0.01f, time);
}

void
growing_rig_pass (GrowingRig *rig, GstClockTime time)
{
  guint64 n = time / SAMPLE;

  while (n > 0) {
    n -= growing_window_pass (&rig->window, n);
    growing_rig_collect (rig);
  }
}

void
growing_rig_drain (GrowingRig *rig)
{
  const GstClockTime head = rig->window.head;

  growing_window_drain (&rig->window);
  growing_rig_collect (rig);
  /* All of the time is told of, but for what is too short to tell. */
  g_assert_cmpuint (rig->told + SKEW, >=, head);
}

gboolean
growing_rig_advance (GrowingRig *rig, GstClockTime until, GstClockTime sentence)
{
  const gboolean taken = growing_window_advance (&rig->window, until, sentence);

  if (taken)
    rig->final = rig->window.until;
  return taken;
}

const GrowingOutput *
growing_rig_get (const GrowingRig *rig, guint i)
{
  g_assert_cmpuint (i, <, rig->outputs->len);
  return &g_array_index (rig->outputs, GrowingOutput, i);
}

const GrowingOutput *
growing_rig_get_window (const GrowingRig *rig, guint *i)
{
  while (growing_rig_get (rig, *i)->kind != GROWING_WINDOW)
    ++*i;
  return growing_rig_get (rig, (*i)++);
}

const GrowingOutput *
growing_rig_get_last (const GrowingRig *rig)
{
  return growing_rig_get (rig, rig->outputs->len - 1);
}

guint
growing_rig_count_windows (const GrowingRig *rig, gboolean markers_only)
{
  guint n = 0;

  for (guint i = 0; i < rig->outputs->len; i++)
    n += growing_rig_get (rig, i)->kind == GROWING_WINDOW &&
         (!markers_only || growing_rig_get (rig, i)->marker);
  return n;
}
