/* The few vector operations that the NPU programs are written in.
 *
 * A program is one C file that compiles twice: for the AIE2 core, as C++ with
 * the vendor's aie_api (npu-aie-core.h), and for the host, as C with plain
 * loops (npu-aie-host.h), where it is tested. Both files define:
 *
 *   NpuF32x16, NpuBf16x16, NpuBf16x32     vectors
 *   NpuAccum                              16 floats that products add up in
 *
 *   f32_load, f32_store, bf16_load, bf16_store   16 elements, 32-byte aligned
 *   block_load, block_store                      32 bf16, 32-byte aligned
 *   block_gather, block_scatter   4 rows of 8 bf16, 16-byte aligned, row
 *                                 stride in elements
 *   f32_splat, f32_add, f32_sub, f32_mul, f32_max, f32_min
 *   f32_and (x, bits)             each float's bits & bits
 *   f32_seed_inverse, f32_seed_rsqrt   first guesses, for Newton's method
 *   f32_sum                       the sum of all 16, in every element
 *   f32_equal                     1 if all 16 are equal
 *   f32_widen (bf16x16), bf16_round (f32x16): to the nearest, ties to even
 *   bf16_splat
 *   bf16_mul_add (c, a, b)        c + a b, the product exact
 *   bf16_exponent (x)             2^k where the lowest 16 bits of each
 *                                 float's bits hold k << 7; 0 for k < -127
 *   quads_load (bf16 *)           4 elements, widened, four times over
 *   quads_max, quads_sum          over each 4 elements, in all 4 of them
 *   block_join (a, b)             4x4 and 4x4 side by side: 4x8
 *   block_split (lo, hi, &a, &b)  8x8 in two halves of rows: 8x4 and 8x4
 *   block_transpose (a)           4x8 to 8x4
 *   accum_of (f32x16), f32_of (accum)
 *   accum_multiply (c, a, b)      c[4][4] + a[4][8] b[8][4], summed in f32
 *   npu_core_begin ()             at the head of each program: rounding modes
 *
 * Names carry no prefix: the header is for kernels/aie2 alone.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <stdint.h>

#if defined __AIE_ARCH__ || defined __AIEARCH__
#include "npu-aie-core.h"
#else
#include "npu-aie-host.h"
#endif
