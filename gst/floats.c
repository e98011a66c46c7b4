/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "floats.h"

#include <string.h>

#define F32_SIGN 0x80000000u
#define F32_INFINITY 0x7f800000u
#define F32_HALF_MIN_NORMAL 0x38800000u /* 2^-14 */
#define F32_ONE_HALF 0x3f000000u
#define F16_INFINITY 0x7c00u
#define F16_NAN 0x7e00u

static inline guint32
bits_of (float x)
{
  guint32 bits;

  memcpy (&bits, &x, sizeof bits);
  return bits;
}

static inline float
float_of (guint32 bits)
{
  float x;

  memcpy (&x, &bits, sizeof x);
  return x;
}

/* All cases are computed and one is selected: no branches, so that the
 * compiler can do several elements at once. */
static inline guint16
to_half (float x)
{
  guint32 bits = bits_of (x);
  guint32 sign = bits & F32_SIGN;
  guint32 magnitude = bits ^ sign;

  /* Rebias the exponent from 127 to 15 and round the 13 bits that go; the
   * carry goes into the exponent where it must. */
  guint32 even = (magnitude >> 13) & 1;
  guint32 normal = (magnitude - ((127u - 15u) << 23) + 0xfff + even) >> 13;

  /* An addition to 0.5, whose last bit is a subnormal's last bit, rounds. */
  guint32 subnormal =
      bits_of (float_of (magnitude) + float_of (F32_ONE_HALF)) - F32_ONE_HALF;

  guint32 half = magnitude < F32_HALF_MIN_NORMAL ? subnormal : normal;
  half = magnitude >= F32_INFINITY || half > F16_INFINITY ? F16_INFINITY : half;
  half = magnitude > F32_INFINITY ? F16_NAN : half;
  return (sign >> 16) | half;
}

void
floats_to_half (void *y, const float *x, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    const guint16 half = to_half (x[i]);

    memcpy ((guint8 *) y + i * sizeof half, &half, sizeof half);
  }
}

/* Subnormals are whole numbers of 2^-24; a float's subnormals are not met, so
 * that processors may be set to take them for zeros. */
static inline float
from_half (guint16 half)
{
  const guint32 sign = (guint32) (half & 0x8000u) << 16;
  const guint32 magnitude = half & 0x7fffu;
  guint32 bits = (magnitude << 13) + ((127u - 15u) << 23);

  bits = magnitude >= F16_INFINITY ? magnitude << 13 | F32_INFINITY : bits;
  bits = magnitude < 0x400u ? bits_of ((float) magnitude * 0x1p-24f) : bits;
  return float_of (sign | bits);
}

void
floats_from_half (float *y, const void *x, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    guint16 half;

    memcpy (&half, (const guint8 *) x + i * sizeof half, sizeof half);
    y[i] = from_half (half);
  }
}

gsize
floats_find_non_finite (const float *x, gsize n)
{
  guint32 found = 0;

  /* The usual answer is none: one pass without an exit in the loop. */
  for (gsize i = 0; i < n; i++)
    found |= (bits_of (x[i]) & F32_INFINITY) == F32_INFINITY;
  if (!found)
    return n;

  for (gsize i = 0; i < n; i++) {
    if ((bits_of (x[i]) & F32_INFINITY) == F32_INFINITY)
      return i;
  }
  return n;
}
