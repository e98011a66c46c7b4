/* What converters of elements share.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <string.h>

#include "tensors-private.h"

G_BEGIN_DECLS

/* ggml's K types: 256 weights a block. */
gboolean npu_convert_q2_k (const guint8 *in, float *out);
gboolean npu_convert_q3_k (const guint8 *in, float *out);
gboolean npu_convert_q4_k (const guint8 *in, float *out);
gboolean npu_convert_q5_k (const guint8 *in, float *out);
gboolean npu_convert_q6_k (const guint8 *in, float *out);

static inline guint16
load16 (const guint8 *p)
{
  guint16 value;

  memcpy (&value, p, sizeof value);
  return GUINT16_FROM_LE (value);
}

static inline guint32
load32 (const guint8 *p)
{
  guint32 value;

  memcpy (&value, p, sizeof value);
  return GUINT32_FROM_LE (value);
}

static inline float
bits_to_float (guint32 bits)
{
  float value;

  memcpy (&value, &bits, sizeof value);
  return value;
}

static inline gboolean
half_is_finite (guint16 half)
{
  return (half & 0x7c00) != 0x7c00;
}

/* Of a finite half. A subnormal one is made from its integer mantissa, so no
 * subnormal float is computed with: flush-to-zero modes change nothing. Masks,
 * not conditions: compilers vectorise them as they are. */
static inline float
half_to_float (guint16 half)
{
  const guint32 sign = (guint32) (half & 0x8000) << 16;
  const gint32 magnitude = half & 0x7fff;
  const guint32 is_subnormal = (guint32) ((magnitude - 0x0400) >> 31);
  const guint32 normal = ((guint32) magnitude << 13) + (112u << 23);
  const float subnormal = (float) magnitude * 0x1p-24f;
  guint32 bits;

  memcpy (&bits, &subnormal, sizeof bits);
  return bits_to_float (
      sign | (bits & is_subnormal) | (normal & ~is_subnormal));
}

G_END_DECLS
