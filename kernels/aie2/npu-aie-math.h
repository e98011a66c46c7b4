/* Elementary functions on the core's vectors.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-aie.h"
#include "../npu-math.h"

/* x + FLOOR_MAGIC holds, in units of 1/128, x + 1/2 in the lowest 16 bits;
 * with the last 7 cleared it is FLOOR_BASE + the integer nearest to x, and
 * those 16 bits are that integer << 7: where bfloat16 has its exponent. For
 * -256 <= x < 256. */
#define FLOOR_BASE 98304.0f /* 0x1.8p16 */
#define FLOOR_MAGIC (FLOOR_BASE + 0.5f)
#define FLOOR_MASK 0xffffff80u

/* 2^x as *p * *power: p in [0.70, 1.42] with a relative error of 4e-4, 0.2 of
 * bfloat16's half step; power a power of two, and 0 for x < -127.5. For
 * x < 127, of any size below. */
static inline void
npu_exp2_parts (NpuF32x16 x, NpuF32x16 *p, NpuBf16x16 *power)
{
  const NpuF32x16 clamped = f32_max (x, f32_splat (-128.0f));
  const NpuF32x16 fixed =
      f32_and (f32_add (clamped, f32_splat (FLOOR_MAGIC)), FLOOR_MASK);
  const NpuF32x16 f =
      f32_sub (clamped, f32_sub (fixed, f32_splat (FLOOR_BASE)));
  const NpuBf16x16 high = bf16_round (f);
  const NpuBf16x16 low = bf16_round (f32_sub (f, f32_widen (high)));
  NpuF32x16 slope;
  NpuBf16x16 slope_high, slope_low;

  slope = bf16_mul_add (
      f32_splat (NPU_EXP2_SHORT_C2), high, bf16_splat (NPU_EXP2_SHORT_C3));
  slope =
      bf16_mul_add (f32_splat (NPU_EXP2_SHORT_C1), high, bf16_round (slope));
  slope_high = bf16_round (slope);
  slope_low = bf16_round (f32_sub (slope, f32_widen (slope_high)));

  *p = bf16_mul_add (f32_splat (1.0f), high, slope_low);
  *p = bf16_mul_add (*p, low, slope_high);
  *p = bf16_mul_add (*p, high, slope_high);
  *power = bf16_exponent (fixed);
}

/* 2^x rounded to bfloat16; exactly 1 for 0. */
static inline NpuBf16x16
npu_exp2_bf16 (NpuF32x16 x)
{
  NpuF32x16 p;
  NpuBf16x16 power;

  npu_exp2_parts (x, &p, &power);
  return bf16_round (bf16_mul_add (f32_splat (0.0f), bf16_round (p), power));
}

/* 1 / x for x in [1e-37, 1e37], to f32 accuracy. */
static inline NpuF32x16
npu_inverse (NpuF32x16 x)
{
  NpuF32x16 y = f32_seed_inverse (x);

  for (int i = 0; i < 3; i++)
    y = f32_mul (y, f32_sub (f32_splat (2.0f), f32_mul (x, y)));
  return y;
}

/* 1 / sqrt (x) for x in [1e-37, 1e37], to f32 accuracy. */
static inline NpuF32x16
npu_rsqrt (NpuF32x16 x)
{
  const NpuF32x16 half = f32_mul (x, f32_splat (0.5f));
  NpuF32x16 y = f32_seed_rsqrt (x);

  for (int i = 0; i < 3; i++)
    y = f32_mul (y, f32_sub (f32_splat (1.5f), f32_mul (half, f32_mul (y, y))));
  return y;
}
