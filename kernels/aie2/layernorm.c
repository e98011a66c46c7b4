/* Layer normalisation of rows on one core.
 *
 * NOT YET RUN ON HARDWARE. Compiled for the host it is tested; for the core
 * it wants Peano, which compiles it as C++.
 *
 * The core's 64 KiB of data memory for the widest rows, n = 768, four at a
 * time:
 *
 *   stack                       2048
 *   x, double-buffered         24576   2 x f32[4][768]
 *   y, double-buffered         12288   2 x bf16[4][768]
 *   gamma and beta              6144   f32[2][768]
 *                              45056 of 65536
 *
 * A row of 768 takes 768 cycles to arrive at 4 bytes a cycle.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-aie-programs.h"
#include "npu-aie-math.h"

#define EPSILON 1e-5f

static inline NpuF32x16
mean_of (const float *x, int n, NpuF32x16 inverse_n)
{
  NpuF32x16 sum = f32_splat (0.0f);

  for (int i = 0; i < n; i += 16)
    sum = f32_add (sum, f32_load (x + i));
  return f32_mul (f32_sum (sum), inverse_n);
}

static inline NpuF32x16
variance_of (const float *x, NpuF32x16 mean, int n, NpuF32x16 inverse_n)
{
  NpuF32x16 sum = f32_splat (0.0f);

  for (int i = 0; i < n; i += 16) {
    const NpuF32x16 d = f32_sub (f32_load (x + i), mean);
    sum = f32_add (sum, f32_mul (d, d));
  }
  return f32_mul (f32_sum (sum), inverse_n);
}

NPU_CORE_ENTRY void
npu_layernorm_rows (
    const float *x, const float *g, NpuBf16 *y, int32_t rows, int32_t n)
{
  npu_core_begin ();

  const NpuF32x16 inverse_n = npu_inverse (f32_splat ((float) n));

  for (int i = 0; i < rows; i++, x += n, y += n) {
    const NpuF32x16 mean = mean_of (x, n, inverse_n);
    const NpuF32x16 variance = variance_of (x, mean, n, inverse_n);
    const NpuF32x16 scale = npu_rsqrt (f32_add (variance, f32_splat (EPSILON)));

    for (int j = 0; j < n; j += 16) {
      const NpuF32x16 d = f32_mul (f32_sub (f32_load (x + j), mean), scale);
      const NpuF32x16 scaled = f32_mul (d, f32_load (g + j));
      bf16_store (y + j, bf16_round (f32_add (scaled, f32_load (g + n + j))));
    }
  }
}
