/* ggml's K types to float: 256 weights a block, in groups of 16 or 32 with
 * small integer scales under one or two halves for the block. Written after
 * the block layouts in ggml/src/ggml-common.h.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tensor-convert.h"

#define N NPU_MAX_BLOCK

/* Q4_K and Q5_K: eight scales and eight minimums of 6 bits in 12 bytes. The
 * first four of each are the low bits of bytes 0-3 and 4-7; of the others the
 * low four bits are in bytes 8-11 and the high two on top of the first. */
static void
unpack_scales (const guint8 *in, guint8 *scales, guint8 *minimums)
{
  for (guint i = 0; i < 4; i++) {
    scales[i] = in[i] & 63;
    minimums[i] = in[4 + i] & 63;
    scales[4 + i] = (guint8) ((in[8 + i] & 15) | (in[i] >> 6) << 4);
    minimums[4 + i] = (guint8) (in[8 + i] >> 4 | (in[4 + i] >> 6) << 4);
  }
}

/* u8 [16]: scale and minimum of 16 weights in 4 bits each; 2-bit quants [64];
 * half scale, half minimum. Byte b of each half of the quants holds weights b,
 * 32 + b, 64 + b and 96 + b of that half. */
gboolean
npu_convert_q2_k (const guint8 *in, float *out)
{
  const guint8 *quants = in + 16;
  const guint16 d = load16 (in + 80), m = load16 (in + 82);
  const float scale = half_to_float (d), minimum = half_to_float (m);

  for (guint i = 0; i < N; i++) {
    const guint half = i / 128, shift = i % 128 / 32 * 2;
    const guint q = quants[32 * half + i % 32] >> shift & 3;
    const guint8 group = in[i / 16];

    out[i] = scale * (float) (group & 15) * (float) q -
             minimum * (float) (group >> 4);
  }
  return half_is_finite (d) && half_is_finite (m);
}

/* Third bits [32], bit k of byte b being that of weight 32 k + b; the lower two
 * as in Q2_K [64]; sixteen scales of 6 bits, 32 being 0, in 12 bytes: low four
 * bits in bytes 0-7, high two in bytes 8-11; half scale. A weight whose third
 * bit is not set is 4 less. */
gboolean
npu_convert_q3_k (const guint8 *in, float *out)
{
  const guint8 *quants = in + 32, *packed = in + 96;
  const guint16 d = load16 (in + 108);
  const float scale = half_to_float (d);
  float scales[16];

  for (guint i = 0; i < 16; i++) {
    const guint low = i < 8 ? packed[i] & 15 : packed[i - 8] >> 4;
    const guint high = packed[8 + i % 4] >> (i / 4 * 2) & 3;

    scales[i] = scale * (float) ((gint) (low | high << 4) - 32);
  }
  for (guint i = 0; i < N; i++) {
    const guint half = i / 128, shift = i % 128 / 32 * 2;
    const gint low = quants[32 * half + i % 32] >> shift & 3;
    const gint high = in[i % 32] >> (i / 32) & 1;

    out[i] = scales[i / 16] * (float) (low + 4 * high - 4);
  }
  return half_is_finite (d);
}

/* Half scale, half minimum; 12 bytes of scales; nibbles [128]: each 32 bytes
 * hold 32 weights in their low and the 32 after them in their high halves. */
gboolean
npu_convert_q4_k (const guint8 *in, float *out)
{
  const guint8 *quants = in + 16;
  const guint16 d = load16 (in), m = load16 (in + 2);
  const float scale = half_to_float (d), minimum = half_to_float (m);
  guint8 scales[8], minimums[8];

  unpack_scales (in + 4, scales, minimums);
  for (guint i = 0; i < N; i++) {
    const guint q = quants[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;

    out[i] = scale * (float) scales[i / 32] * (float) q -
             minimum * (float) minimums[i / 32];
  }
  return half_is_finite (d) && half_is_finite (m);
}

/* As Q4_K, with fifth bits [32] before the nibbles: bit k of byte b is that of
 * weight 32 k + b. */
gboolean
npu_convert_q5_k (const guint8 *in, float *out)
{
  const guint8 *fifth = in + 16, *quants = in + 48;
  const guint16 d = load16 (in), m = load16 (in + 2);
  const float scale = half_to_float (d), minimum = half_to_float (m);
  guint8 scales[8], minimums[8];

  unpack_scales (in + 4, scales, minimums);
  for (guint i = 0; i < N; i++) {
    const guint low = quants[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
    const guint q = low | (fifth[i % 32] >> (i / 32) & 1u) << 4;

    out[i] = scale * (float) scales[i / 32] * (float) q -
             minimum * (float) minimums[i / 32];
  }
  return half_is_finite (d) && half_is_finite (m);
}

/* Low nibbles [128]: of each half, bytes 0-63 hold weights 0-63 low and 64-127
 * high; upper two bits [64], as the quants of Q2_K; int8 scales [16]; half
 * scale. 32 is 0. */
gboolean
npu_convert_q6_k (const guint8 *in, float *out)
{
  const guint8 *low = in, *high = in + 128, *scales = in + 192;
  const guint16 d = load16 (in + 208);
  const float scale = half_to_float (d);

  for (guint i = 0; i < N; i++) {
    const guint half = i / 128, shift = i % 128 / 32 * 2;
    const guint l = low[64 * half + i % 64] >> (i % 128 / 64 * 4) & 15;
    const guint h = high[32 * half + i % 32] >> shift & 3;

    out[i] = scale * (float) (gint8) scales[i / 16] *
             (float) ((gint) (l | h << 4) - 32);
  }
  return half_is_finite (d);
}
