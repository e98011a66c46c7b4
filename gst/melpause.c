/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "melpause.h"

#define STEP 160 /* 10 ms */

static double
energy (const float *samples)
{
  double sum = 0;

  for (guint i = 0; i < STEP; i++)
    sum += (double) samples[i] * samples[i];
  return sum;
}

gsize
mel_pause_find (const float *samples, gsize first, gsize end, gsize length)
{
  const gsize n = end > first ? (end - first) / STEP : 0;
  const gsize n_piece = length / STEP;
  g_autofree double *steps = NULL;
  double least = G_MAXDOUBLE;
  gsize quietest = 0;

  if (n < n_piece)
    return end;
  steps = g_new (double, n);
  for (gsize i = 0; i < n; i++)
    steps[i] = energy (samples + first + i * STEP);
  for (gsize i = 0; i + n_piece <= n; i++) {
    double sum = 0;

    for (gsize j = 0; j < n_piece; j++)
      sum += steps[i + j];
    if (sum <= least) {
      least = sum;
      quietest = i;
    }
  }
  return first + quietest * STEP + length / 2;
}
