/* npu-aie.h for the AIE2 core, on the vendor's aie_api.
 *
 * NOT YET COMPILED OR RUN: no AIE compiler (Peano) was at hand when this was
 * written. Every call was checked against the aie_api headers that mlir-aie
 * of March 2026 pins.
 *
 * An AIE2 core multiplies bfloat16 natively (128 products of a 4x8 by 8x4
 * block a cycle) and adds f32 natively. f32_mul and the f32 comparisons are
 * made of these: about ten instructions each, so the programs keep them out
 * of their inner loops.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <stdint.h>

#include <aie_api/aie.hpp>

typedef aie::vector<float, 16> NpuF32x16;
typedef aie::vector<bfloat16, 16> NpuBf16x16;
typedef aie::vector<bfloat16, 32> NpuBf16x32;
typedef aie::accum<accfloat, 16> NpuAccum;
typedef bfloat16 NpuBf16;

#define NPU_CORE_ENTRY extern "C"

static inline void
npu_core_begin (void)
{
  aie::set_rounding (aie::rounding_mode::conv_even);
  aie::set_saturation (aie::saturation_mode::none);
}

static inline NpuF32x16
f32_load (const float *p)
{
  return aie::load_v<16> (p);
}

static inline void
f32_store (float *p, NpuF32x16 x)
{
  aie::store_v (p, x);
}

static inline NpuBf16x16
bf16_load (const NpuBf16 *p)
{
  return aie::load_v<16> (p);
}

static inline void
bf16_store (NpuBf16 *p, NpuBf16x16 x)
{
  aie::store_v (p, x);
}

static inline NpuBf16x32
block_load (const NpuBf16 *p)
{
  return aie::load_v<32> (p);
}

static inline void
block_store (NpuBf16 *p, NpuBf16x32 x)
{
  aie::store_v (p, x);
}

static inline NpuBf16x32
block_gather (const NpuBf16 *p, int stride)
{
  return aie::concat (aie::load_v<8> (p), aie::load_v<8> (p + stride),
      aie::load_v<8> (p + 2 * stride), aie::load_v<8> (p + 3 * stride));
}

static inline void
block_scatter (NpuBf16 *p, int stride, NpuBf16x32 x)
{
  aie::store_v (p, x.extract<8> (0));
  aie::store_v (p + stride, x.extract<8> (1));
  aie::store_v (p + 2 * stride, x.extract<8> (2));
  aie::store_v (p + 3 * stride, x.extract<8> (3));
}

static inline NpuF32x16
f32_splat (float a)
{
  return aie::broadcast<float, 16> (a);
}

static inline NpuF32x16
f32_add (NpuF32x16 a, NpuF32x16 b)
{
  return aie::add (a, b);
}

static inline NpuF32x16
f32_sub (NpuF32x16 a, NpuF32x16 b)
{
  return aie::sub (a, b);
}

static inline NpuF32x16
f32_mul (NpuF32x16 a, NpuF32x16 b)
{
  return aie::mul (a, b).to_vector<float> ();
}

static inline NpuF32x16
f32_max (NpuF32x16 a, NpuF32x16 b)
{
  return aie::max (a, b);
}

static inline NpuF32x16
f32_min (NpuF32x16 a, NpuF32x16 b)
{
  return aie::min (a, b);
}

static inline NpuF32x16
f32_and (NpuF32x16 x, uint32_t bits)
{
  return aie::bit_and (
      x.cast_to<int32> (), aie::broadcast<int32, 16> ((int32) bits))
      .cast_to<float> ();
}

static inline NpuF32x16
f32_seed_inverse (NpuF32x16 x)
{
  return aie::sub (aie::broadcast<int32, 16> (0x7ef311c7), x.cast_to<int32> ())
      .cast_to<float> ();
}

static inline NpuF32x16
f32_seed_rsqrt (NpuF32x16 x)
{
  return aie::sub (aie::broadcast<int32, 16> (0x5f375a86),
      aie::logical_downshift (x.cast_to<int32> (), 1))
      .cast_to<float> ();
}

static inline NpuF32x16
f32_sum (NpuF32x16 x)
{
  return aie::broadcast<float, 16> (aie::reduce_add (x));
}

static inline int
f32_equal (NpuF32x16 a, NpuF32x16 b)
{
  return aie::equal (a, b);
}

static inline NpuF32x16
f32_widen (NpuBf16x16 x)
{
  return NpuAccum (x).to_vector<float> ();
}

static inline NpuBf16x16
bf16_round (NpuF32x16 x)
{
  return NpuAccum (x).to_vector<bfloat16> ();
}

static inline NpuBf16x16
bf16_splat (float a)
{
  return aie::broadcast<bfloat16, 16> ((bfloat16) a);
}

static inline NpuF32x16
bf16_mul_add (NpuF32x16 c, NpuBf16x16 a, NpuBf16x16 b)
{
  return aie::mac (NpuAccum (c), a, b).to_vector<float> ();
}

static inline NpuBf16x16
bf16_exponent (NpuF32x16 x)
{
  const aie::vector<int16, 16> low = aie::filter_even (x.cast_to<int16> (), 1);
  const aie::vector<int16, 16> bits =
      aie::add (low, aie::broadcast<int16, 16> (0x3f80));
  return aie::max (bits, aie::zeros<int16, 16> ()).cast_to<bfloat16> ();
}

/* Four lanes to all: the quads of a vector whose first quad is given. */
static inline NpuF32x16
quads_load (const NpuBf16 *p)
{
  const bfloat16 quad[4] = {p[0], p[1], p[2], p[3]};
  return f32_widen (aie::broadcast<bfloat16, 16> (quad));
}

/* x[4] over the quads, as 0 0 0 0 1 1 1 1 2 2 2 2 3 3 3 3. */
static inline NpuF32x16
quads_spread (NpuF32x16 x)
{
  const NpuF32x16 pairs = aie::interleave_zip (x, x, 1).first;
  return aie::interleave_zip (pairs, pairs, 1).first;
}

static inline NpuF32x16
quads_max (NpuF32x16 x)
{
  auto [a, b] = aie::interleave_unzip (x, x, 1);
  const NpuF32x16 pairs = aie::max (a, b);
  auto [c, d] = aie::interleave_unzip (pairs, pairs, 1);
  return quads_spread (aie::max (c, d));
}

static inline NpuF32x16
quads_sum (NpuF32x16 x)
{
  auto [a, b] = aie::interleave_unzip (x, x, 1);
  const NpuF32x16 pairs = aie::add (a, b);
  auto [c, d] = aie::interleave_unzip (pairs, pairs, 1);
  return quads_spread (aie::add (c, d));
}

static inline NpuBf16x32
block_join (NpuBf16x16 a, NpuBf16x16 b)
{
  auto [lo, hi] = aie::interleave_zip (a, b, 4);
  return aie::concat (lo, hi);
}

static inline void
block_split (NpuBf16x32 lo, NpuBf16x32 hi, NpuBf16x32 *a, NpuBf16x32 *b)
{
  auto [even, odd] = aie::interleave_unzip (lo, hi, 4);
  *a = even;
  *b = odd;
}

static inline NpuBf16x32
block_transpose (NpuBf16x32 a)
{
  return aie::transpose (a, 4, 8);
}

static inline NpuAccum
accum_of (NpuF32x16 x)
{
  return NpuAccum (x);
}

static inline NpuF32x16
f32_of (NpuAccum x)
{
  return x.to_vector<float> ();
}

static inline NpuAccum
accum_multiply (NpuAccum c, NpuBf16x32 a, NpuBf16x32 b)
{
  aie::mmul<4, 8, 4, bfloat16, bfloat16, accfloat> block (c);
  block.mac (a, b);
  return block.to_accum ();
}
