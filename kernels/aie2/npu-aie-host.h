/* npu-aie.h for the host: what the core computes, element by element.
 *
 * Products of bfloat16 are exact in f32 and their sums are rounded once per
 * addition, as on the core; the core adds the eight products of a block
 * before it rounds, so its sums are at least as good as these. f32_mul is
 * exact here; the core makes it of products of bfloat16 parts.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <stdint.h>
#include <string.h>

typedef struct {
  float lane[16];
} NpuF32x16;

typedef NpuF32x16 NpuAccum;

typedef struct {
  uint16_t lane[16];
} NpuBf16x16;

typedef struct {
  uint16_t lane[32];
} NpuBf16x32;

typedef uint16_t NpuBf16;

#define NPU_CORE_ENTRY

static inline void
npu_core_begin (void)
{
}

static inline uint32_t
host_bits (float x)
{
  uint32_t bits;
  memcpy (&bits, &x, sizeof bits);
  return bits;
}

static inline float
host_float (uint32_t bits)
{
  float x;
  memcpy (&x, &bits, sizeof x);
  return x;
}

static inline float
host_widen (uint16_t x)
{
  return host_float ((uint32_t) x << 16);
}

static inline uint16_t
host_round (float x)
{
  const uint32_t bits = host_bits (x);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

static inline NpuF32x16
f32_load (const float *p)
{
  NpuF32x16 x;
  memcpy (&x, p, sizeof x);
  return x;
}

static inline void
f32_store (float *p, NpuF32x16 x)
{
  memcpy (p, &x, sizeof x);
}

static inline NpuBf16x16
bf16_load (const NpuBf16 *p)
{
  NpuBf16x16 x;
  memcpy (&x, p, sizeof x);
  return x;
}

static inline void
bf16_store (NpuBf16 *p, NpuBf16x16 x)
{
  memcpy (p, &x, sizeof x);
}

static inline NpuBf16x32
block_load (const NpuBf16 *p)
{
  NpuBf16x32 x;
  memcpy (&x, p, sizeof x);
  return x;
}

static inline void
block_store (NpuBf16 *p, NpuBf16x32 x)
{
  memcpy (p, &x, sizeof x);
}

static inline NpuBf16x32
block_gather (const NpuBf16 *p, int stride)
{
  NpuBf16x32 x;
  for (int i = 0; i < 4; i++)
    memcpy (x.lane + 8 * i, p + i * stride, 8 * sizeof *p);
  return x;
}

static inline void
block_scatter (NpuBf16 *p, int stride, NpuBf16x32 x)
{
  for (int i = 0; i < 4; i++)
    memcpy (p + i * stride, x.lane + 8 * i, 8 * sizeof *p);
}

#define HOST_EACH(n, expression)                                               \
  for (int i = 0; i < (n); i++)                                                \
  expression

static inline NpuF32x16
f32_splat (float a)
{
  NpuF32x16 y;
  HOST_EACH (16, y.lane[i] = a);
  return y;
}

static inline NpuF32x16
f32_add (NpuF32x16 a, NpuF32x16 b)
{
  HOST_EACH (16, a.lane[i] += b.lane[i]);
  return a;
}

static inline NpuF32x16
f32_sub (NpuF32x16 a, NpuF32x16 b)
{
  HOST_EACH (16, a.lane[i] -= b.lane[i]);
  return a;
}

static inline NpuF32x16
f32_mul (NpuF32x16 a, NpuF32x16 b)
{
  HOST_EACH (16, a.lane[i] *= b.lane[i]);
  return a;
}

static inline NpuF32x16
f32_max (NpuF32x16 a, NpuF32x16 b)
{
  HOST_EACH (16, a.lane[i] = a.lane[i] < b.lane[i] ? b.lane[i] : a.lane[i]);
  return a;
}

static inline NpuF32x16
f32_min (NpuF32x16 a, NpuF32x16 b)
{
  HOST_EACH (16, a.lane[i] = b.lane[i] < a.lane[i] ? b.lane[i] : a.lane[i]);
  return a;
}

static inline NpuF32x16
f32_and (NpuF32x16 x, uint32_t bits)
{
  HOST_EACH (16, x.lane[i] = host_float (host_bits (x.lane[i]) & bits));
  return x;
}

static inline NpuF32x16
f32_seed_inverse (NpuF32x16 x)
{
  HOST_EACH (16, x.lane[i] = host_float (0x7ef311c7u - host_bits (x.lane[i])));
  return x;
}

static inline NpuF32x16
f32_seed_rsqrt (NpuF32x16 x)
{
  HOST_EACH (
      16, x.lane[i] = host_float (0x5f375a86u - (host_bits (x.lane[i]) >> 1)));
  return x;
}

static inline NpuF32x16
f32_sum (NpuF32x16 x)
{
  for (int step = 8; step > 0; step /= 2)
    for (int i = 0; i < step; i++)
      x.lane[i] += x.lane[i + step];
  return f32_splat (x.lane[0]);
}

static inline int
f32_equal (NpuF32x16 a, NpuF32x16 b)
{
  int equal = 1;
  HOST_EACH (16, equal &= a.lane[i] == b.lane[i]);
  return equal;
}

static inline NpuF32x16
f32_widen (NpuBf16x16 x)
{
  NpuF32x16 y;
  HOST_EACH (16, y.lane[i] = host_widen (x.lane[i]));
  return y;
}

static inline NpuBf16x16
bf16_round (NpuF32x16 x)
{
  NpuBf16x16 y;
  HOST_EACH (16, y.lane[i] = host_round (x.lane[i]));
  return y;
}

static inline NpuBf16x16
bf16_splat (float a)
{
  return bf16_round (f32_splat (a));
}

static inline NpuF32x16
bf16_mul_add (NpuF32x16 c, NpuBf16x16 a, NpuBf16x16 b)
{
  HOST_EACH (16, c.lane[i] += host_widen (a.lane[i]) * host_widen (b.lane[i]));
  return c;
}

static inline NpuBf16x16
bf16_exponent (NpuF32x16 x)
{
  NpuBf16x16 y;

  for (int i = 0; i < 16; i++) {
    const int16_t bits = (int16_t) ((host_bits (x.lane[i]) & 0xffff) + 0x3f80);
    y.lane[i] = bits < 0 ? 0 : (uint16_t) bits;
  }
  return y;
}

static inline NpuF32x16
quads_load (const NpuBf16 *p)
{
  NpuF32x16 y;
  HOST_EACH (16, y.lane[i] = host_widen (p[i % 4]));
  return y;
}

static inline NpuF32x16
quads_max (NpuF32x16 x)
{
  for (int q = 0; q < 16; q += 4) {
    float largest = x.lane[q];
    HOST_EACH (4, largest = largest < x.lane[q + i] ? x.lane[q + i] : largest);
    HOST_EACH (4, x.lane[q + i] = largest);
  }
  return x;
}

static inline NpuF32x16
quads_sum (NpuF32x16 x)
{
  for (int q = 0; q < 16; q += 4) {
    const float sum =
        (x.lane[q] + x.lane[q + 1]) + (x.lane[q + 2] + x.lane[q + 3]);
    HOST_EACH (4, x.lane[q + i] = sum);
  }
  return x;
}

static inline NpuBf16x32
block_join (NpuBf16x16 a, NpuBf16x16 b)
{
  NpuBf16x32 y;
  HOST_EACH (16, y.lane[i / 4 * 8 + i % 4] = a.lane[i]);
  HOST_EACH (16, y.lane[i / 4 * 8 + 4 + i % 4] = b.lane[i]);
  return y;
}

static inline void
block_split (NpuBf16x32 lo, NpuBf16x32 hi, NpuBf16x32 *a, NpuBf16x32 *b)
{
  for (int row = 0; row < 8; row++) {
    const uint16_t *from =
        row < 4 ? lo.lane + 8 * row : hi.lane + 8 * (row - 4);
    HOST_EACH (4, a->lane[4 * row + i] = from[i]);
    HOST_EACH (4, b->lane[4 * row + i] = from[4 + i]);
  }
}

static inline NpuBf16x32
block_transpose (NpuBf16x32 a)
{
  NpuBf16x32 y;
  HOST_EACH (32, y.lane[i % 8 * 4 + i / 8] = a.lane[i]);
  return y;
}

static inline NpuAccum
accum_of (NpuF32x16 x)
{
  return x;
}

static inline NpuF32x16
f32_of (NpuAccum x)
{
  return x;
}

static inline NpuAccum
accum_multiply (NpuAccum c, NpuBf16x32 a, NpuBf16x32 b)
{
  float af[32], bf[32];

  HOST_EACH (32, af[i] = host_widen (a.lane[i]));
  HOST_EACH (32, bf[i] = host_widen (b.lane[i]));
  for (int row = 0; row < 4; row++)
    for (int k = 0; k < 8; k++)
      HOST_EACH (4, c.lane[4 * row + i] += af[8 * row + k] * bf[4 * k + i]);
  return c;
}

#undef HOST_EACH
