/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "melpause.h"

/* Longer than the stop of a consonant, shorter than most pauses. */
#define STEP 160 /* 10 ms */
#define N_STEPS 25
#define PAUSE (N_STEPS * STEP)

static double
energy (const float *samples)
{
  double sum = 0;

  for (guint i = 0; i < STEP; i++)
    sum += (double) samples[i] * samples[i];
  return sum;
}

gsize
mel_pause_find (const float *samples, gsize n)
{
  const gsize first = (n - n / 3 + STEP - 1) / STEP;
  const gsize end = n / STEP;
  g_autofree double *steps = NULL;
  double least = G_MAXDOUBLE;
  gsize quietest = 0;

  if (end < first + N_STEPS)
    return n;
  steps = g_new (double, end - first);
  for (gsize i = first; i < end; i++)
    steps[i - first] = energy (samples + i * STEP);
  for (gsize i = first; i + N_STEPS <= end; i++) {
    double sum = 0;

    for (guint j = 0; j < N_STEPS; j++)
      sum += steps[i - first + j];
    if (sum <= least) {
      least = sum;
      quietest = i;
    }
  }
  return quietest * STEP + PAUSE / 2;
}
