/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "q8-weights.h"

#include <string.h>

#include "npu-kernels.h"

/* Loops over a block have a constant trip count: compilers vectorise them. */
#define BLOCK 64

/* The bits of |x|, which compare as |x| does. */
static inline gint32
magnitude_bits (float x)
{
  gint32 bits;

  memcpy (&bits, &x, sizeof bits);
  return bits & G_MAXINT32;
}

/* The nearest integer, ties to even, for |x| < 2^22: added to 1.5 * 2^23 it is
 * what the mantissa ends with. */
static inline gint32
round_to_int (float x)
{
  const float magic = 0x1.8p23f, sum = x + magic;
  gint32 bits, magic_bits;

  memcpy (&bits, &sum, sizeof bits);
  memcpy (&magic_bits, &magic, sizeof magic_bits);
  return bits - magic_bits;
}

static inline void
multiply_block (
    float *restrict y, const float *restrict x, const float *restrict factor)
{
  for (guint i = 0; i < BLOCK; i++)
    y[i] = x[i] * factor[i];
}

static inline gint32
largest_bits_of_block (const float *restrict w)
{
  gint32 largest = 0;

  for (guint i = 0; i < BLOCK; i++) {
    const gint32 bits = magnitude_bits (w[i]);
    largest = bits > largest ? bits : largest;
  }
  return largest;
}

/* Returns the sum of what it writes. */
static inline gint32
quantise_block (gint8 *restrict q, const float *restrict w, float largest)
{
  gint32 rounded[BLOCK], sum = 0;

  for (guint i = 0; i < BLOCK; i++)
    rounded[i] = round_to_int (w[i] / largest * NPU_Q8_LEVELS);
  for (guint i = 0; i < BLOCK; i++)
    q[i] = (gint8) rounded[i];
  for (guint i = 0; i < BLOCK; i++)
    sum += rounded[i];
  return sum;
}

/* Quantises w[k] to @q; returns the scale. */
static float
quantise_column (gint8 *q, const float *w, guint k, gint32 *sum)
{
  gint32 bits = 0;
  float largest;

  for (guint j = 0; j < k; j += BLOCK)
    bits = MAX (bits, largest_bits_of_block (w + j));
  memcpy (&largest, &bits, sizeof largest);

  *sum = 0;
  if (largest == 0.0f)
    memset (q, 0, k);
  else
    for (guint j = 0; j < k; j += BLOCK)
      *sum += quantise_block (q + j, w + j, largest);
  return largest / NPU_Q8_LEVELS;
}

void
q8_weights_quantise (
    gint8 *q, float *scale, gint32 *sum, const float *weight, guint n, guint k)
{
  g_autofree float *signs = g_new (float, k);
  g_autofree float *rotated = g_new (float, k);

  npu_rotation_signs (signs, (int) k);
  for (guint i = 0; i < n; i++) {
    for (guint j = 0; j < k; j += BLOCK)
      multiply_block (rotated + j, weight + (gsize) i * k + j, signs + j);
    npu_rotation_apply (rotated, (int) k);
    scale[i] = quantise_column (q + (gsize) i * k, rotated, k, &sum[i]);
  }
}
