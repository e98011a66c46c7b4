/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "soundlevel.h"

#include <math.h>

double
sound_level (const float *samples, gsize n)
{
  double energy = 0, sum = 0, power;

  for (gsize i = 0; i < n; i++) {
    energy += (double) samples[i] * samples[i];
    sum += samples[i];
  }
  power = energy / n - sum / n * (sum / n);
  return 10 * log10 (MAX (power, 0) + 1e-12);
}
