/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "soundlevel.h"

#include <math.h>

double
sound_level (const float *samples, gsize n)
{
  double energy = 0;

  for (gsize i = 0; i < n; i++)
    energy += (double) samples[i] * samples[i];
  return 10 * log10 (energy / n + 1e-12);
}
