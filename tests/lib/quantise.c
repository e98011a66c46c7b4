/* Floats to the types of model files.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "quantise.h"

#include <math.h>
#include <string.h>

#define BLOCK 32

static void
append_16 (GByteArray *bytes, guint16 value)
{
  value = GUINT16_TO_LE (value);
  g_byte_array_append (bytes, (const guint8 *) &value, sizeof value);
}

static void
append_32 (GByteArray *bytes, guint32 value)
{
  value = GUINT32_TO_LE (value);
  g_byte_array_append (bytes, (const guint8 *) &value, sizeof value);
}

static guint32
float_bits (float x)
{
  guint32 bits;

  memcpy (&bits, &x, sizeof bits);
  return bits;
}

/* A mantissa that rounds up to the next power of two carries into the
 * exponent by itself. */
guint16
quantise_half (float x)
{
  const guint16 sign = signbit (x) ? 0x8000 : 0;
  const double a = fabs ((double) x);
  int exponent;

  if (a >= 65520)
    return sign | 0x7c00;
  if (a < 0x1p-14)
    return sign | (guint16) rint (a * 0x1p24);
  exponent = ilogb (a);
  return sign | (guint16) (((exponent + 14) << 10) +
                           (int) rint (ldexp (a, 10 - exponent)));
}

guint16
quantise_bfloat16 (float x)
{
  const guint32 bits = float_bits (x);

  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static void
append_q8_0 (GByteArray *bytes, const float *x)
{
  float largest = 0, scale, inverse;

  for (guint i = 0; i < BLOCK; i++)
    largest = fmaxf (largest, fabsf (x[i]));
  scale = largest / 127;
  inverse = scale != 0 ? 1 / scale : 0;
  append_16 (bytes, quantise_half (scale));
  for (guint i = 0; i < BLOCK; i++) {
    gint8 q = (gint8) roundf (x[i] * inverse);

    g_byte_array_append (bytes, (const guint8 *) &q, 1);
  }
}

/* Fifth bits, if there are five, and then nibbles of q[32]. */
static void
append_packed (GByteArray *bytes, const guint8 *q, guint n_bits)
{
  guint32 high = 0;

  for (guint i = 0; i < BLOCK; i++)
    high |= (guint32) (q[i] >> 4 & 1) << i;
  if (n_bits == 5)
    append_32 (bytes, high);
  for (guint i = 0; i < BLOCK / 2; i++) {
    guint8 pair = (q[i] & 15) | (q[i + BLOCK / 2] & 15) << 4;

    g_byte_array_append (bytes, &pair, 1);
  }
}

/* Q4_0 and Q5_0: the value of largest magnitude becomes the lowest quant. */
static void
append_symmetric (GByteArray *bytes, const float *x, guint n_bits)
{
  const int zero = 1 << (n_bits - 1);
  float largest = 0, scale, inverse;
  guint8 q[BLOCK];

  for (guint i = 0; i < BLOCK; i++)
    largest = fabsf (x[i]) > fabsf (largest) ? x[i] : largest;
  scale = largest / (float) -zero;
  inverse = scale != 0 ? 1 / scale : 0;
  append_16 (bytes, quantise_half (scale));
  for (guint i = 0; i < BLOCK; i++)
    q[i] = (guint8) MIN (
        2 * zero - 1, (int) (x[i] * inverse + (float) zero + 0.5f));
  append_packed (bytes, q, n_bits);
}

/* Q4_1 and Q5_1: a minimum, and steps above it. */
static void
append_affine (GByteArray *bytes, const float *x, guint n_bits)
{
  const int last = (1 << n_bits) - 1;
  float min = x[0], max = x[0], scale, inverse;
  guint8 q[BLOCK];

  for (guint i = 0; i < BLOCK; i++) {
    min = fminf (min, x[i]);
    max = fmaxf (max, x[i]);
  }
  scale = (max - min) / (float) last;
  inverse = scale != 0 ? 1 / scale : 0;
  append_16 (bytes, quantise_half (scale));
  append_16 (bytes, quantise_half (min));
  for (guint i = 0; i < BLOCK; i++)
    q[i] = (guint8) MIN (last, (int) ((x[i] - min) * inverse + 0.5f));
  append_packed (bytes, q, n_bits);
}

static void
append_block (GByteArray *bytes, NpuDtype dtype, const float *x)
{
  switch (dtype) {
    case NPU_DTYPE_Q8_0:
      append_q8_0 (bytes, x);
      break;
    case NPU_DTYPE_Q5_0:
      append_symmetric (bytes, x, 5);
      break;
    case NPU_DTYPE_Q4_0:
      append_symmetric (bytes, x, 4);
      break;
    case NPU_DTYPE_Q5_1:
      append_affine (bytes, x, 5);
      break;
    case NPU_DTYPE_Q4_1:
      append_affine (bytes, x, 4);
      break;
    default:
      g_assert_not_reached ();
  }
}

void
quantise_append (GByteArray *bytes, NpuDtype dtype, const float *x, gsize n)
{
  for (gsize i = 0; i < n;) {
    switch (dtype) {
      case NPU_DTYPE_F32:
        append_32 (bytes, float_bits (x[i++]));
        break;
      case NPU_DTYPE_F16:
        append_16 (bytes, quantise_half (x[i++]));
        break;
      case NPU_DTYPE_BF16:
        append_16 (bytes, quantise_bfloat16 (x[i++]));
        break;
      default:
        g_assert_cmpuint (n % BLOCK, ==, 0);
        append_block (bytes, dtype, x + i);
        i += BLOCK;
    }
  }
}
