/* Random numbers that depend on nothing but their seed: SplitMix64 (Steele, Lea
 * and Flood 2014). The same window gives the same text in any process.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  guint64 state;
} NpuRandom;

static inline guint64
npu_random_mix (guint64 x)
{
  x = (x ^ (x >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return x ^ (x >> 31);
}

/* A seed of its own for @index under @seed. */
static inline guint64
npu_random_seed (guint64 seed, guint64 index)
{
  return npu_random_mix (
      npu_random_mix (seed + G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)) + index);
}

/* In [0, 1), of 53 bits. */
static inline double
npu_random_next (NpuRandom *random)
{
  random->state += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  return (double) (npu_random_mix (random->state) >> 11) * 0x1p-53;
}

G_END_DECLS
