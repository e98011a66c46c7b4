/* GELU of bfloat16 rows on one core: x Phi (x) with the normal distribution's
 * Phi, not an approximation by tanh.
 *
 * NOT YET RUN ON HARDWARE. Compiled for the host it is tested, on every
 * bfloat16 there is; for the core it wants Peano, which compiles it as C++.
 *
 * The core's 64 KiB of data memory, 4096 elements at a time:
 *
 *   stack                       2048
 *   x, double-buffered         16384   2 x bf16[4096]
 *   y, double-buffered         16384   2 x bf16[4096]
 *                              34816 of 65536
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-aie-programs.h"
#include "npu-aie-math.h"

/* log2 Phi (-a) = -1 + a P (a): minimax on [0, 5.6] with an error of 1.2e-4
 * (8e-5 of a Phi (-a), a twentieth of bfloat16's half step), 6e-4 up to 7,
 * falling below -128 before LIMIT. */
#define P0 -1.150063395500183f
#define P1 -0.4619530141353607f
#define P2 -0.050504159182310104f
#define P3 0.00692865252494812f
#define P4 -0.0005655651330016553f
#define P5 2.0163526642136276e-05f
#define LIMIT 14.0f

static inline NpuF32x16
horner (NpuF32x16 p, NpuF32x16 a, float next)
{
  return f32_add (f32_mul (p, a), f32_splat (next));
}

NPU_CORE_ENTRY void
npu_gelu_row (const NpuBf16 *x, NpuBf16 *y, int32_t n)
{
  npu_core_begin ();
  for (int i = 0; i < n; i += 16) {
    const NpuF32x16 value = f32_widen (bf16_load (x + i));
    const NpuF32x16 magnitude = f32_and (value, 0x7fffffff);
    const NpuF32x16 a = f32_min (magnitude, f32_splat (LIMIT));
    NpuF32x16 p = f32_splat (P5), tail;
    NpuBf16x16 power;

    p = horner (p, a, P4);
    p = horner (p, a, P3);
    p = horner (p, a, P2);
    p = horner (p, a, P1);
    p = horner (p, a, P0);
    p = horner (p, a, -1.0f);
    npu_exp2_parts (p, &p, &power);
    tail = f32_mul (p, bf16_mul_add (f32_splat (0.0f), bf16_round (a), power));
    p = f32_sub (f32_max (value, f32_splat (0.0f)), tail);
    bf16_store (y + i, bf16_round (p));
  }
}
