/* Values made from a hash. A value is computed when it is read, so that the
 * largest model takes no memory, and is the same on every machine.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>

#include "tensors-private.h"

/* The 32-bit finaliser of MurmurHash3 (Austin Appleby): a bijection that
 * flips half of the bits for every input bit. */
static inline guint32
mix (guint32 x)
{
  x ^= x >> 16;
  x *= 0x85ebca6b;
  x ^= x >> 13;
  x *= 0xc2b2ae35;
  return x ^ x >> 16;
}

/* Whisper's sinusoids (openai/whisper, model.py), rounded to a grid of 1/1024:
 * coarse enough that no two libraries' sine, exponential or logarithm round
 * differently. */
static float
sinusoid (guint d, gsize position, guint column)
{
  const guint half = d / 2;
  const double rate = exp (-log (10000.0) / (half - 1) * (column % half));
  const double angle = (double) position * rate;
  const double value = column < half ? sin (angle) : cos (angle);

  return (float) (rint (value * 1024) / 1024);
}

/* Two rounds, with the seed between them: else tensors would hold shifted
 * copies of each other. */
static inline float
weight (const NpuGenerator *generator, guint32 index)
{
  const guint32 span = 2 * (guint32) generator->limit + 1;
  const guint32 hash = mix (mix (index) ^ generator->seed);
  const gint32 k = (gint32) ((hash >> 16) * span >> 16) - generator->limit;

  return generator->centre + (float) k * generator->step;
}

/* A constant trip count lets compilers vectorise it. */
static void
read_block (const NpuGenerator *generator, guint32 first, float *out)
{
  const NpuGenerator local = *generator;

  for (guint32 i = 0; i < NPU_BLOCK; i++)
    out[i] = weight (&local, first + i);
}

void
npu_generator_read (
    const NpuGenerator *generator, gsize first, gsize n, float *out)
{
  const guint d = generator->sinusoid_d;
  gsize i;

  if (d) {
    for (i = 0; i < n; i++)
      out[i] = sinusoid (d, (first + i) / d, (first + i) % d);
    return;
  }
  for (i = 0; i + NPU_BLOCK <= n; i += NPU_BLOCK)
    read_block (generator, (guint32) (first + i), out + i);
  for (; i < n; i++)
    out[i] = weight (generator, (guint32) (first + i));
}
