/* Attention of one head on one core: 64 query rows against tiles of 64 keys
 * that stream past, with online softmax.
 *
 * NOT YET RUN ON HARDWARE. Compiled for the host it is tested; for the core
 * it wants Peano, which compiles it as C++.
 *
 * The core's 64 KiB of data memory, four banks of 16 KiB:
 *
 *   stack                                   2048
 *   k and v, one buffer after the other    16384   2 x bf16[8][64][8]
 *   q and the bias of 24 key tiles         11264   bf16[64][64], bf16[24][64]
 *   o; until it is done, p                  8192   bf16[64][64]
 *   acc                                    16384   f32[64][64]
 *   state                                   5120   f32[1280]
 *                                          59392 of 65536
 *
 * k and v alternate in one stream with two buffers: while the scores of a
 * tile are computed its v arrives, while v is worked on the next k does. A
 * tile of either takes 2048 cycles to arrive at 4 bytes a cycle, and is worth
 * 2048 products of blocks, of which a core makes one a cycle at best: neither
 * waits much for the other.
 *
 * Blocks are 4x4, 4x8 or 8x4, each by rows; rows of blocks follow each other.
 * The running maximum of a row is kept as an integer: then 2^(old - new) is a
 * power of two, and most tiles change no row's, so that acc needs no scaling.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-aie-programs.h"
#include "npu-aie-math.h"

#define BLOCKS 16      /* of 4 rows, 4 keys or 4 columns, in a tile */
#define STRIPS 8       /* of 8 columns or 8 keys */
#define BLOCK 16       /* elements of a 4x4 block */
#define WIDE 32        /* elements of a 4x8 block */
#define ROWS_SIZE 256  /* elements of 4 rows of 64 */
#define PANEL_SIZE 512 /* elements of a panel of k or v */

/* state: three quantities a row, each for all four columns of a block, and
 * scores of eight rows. */
#define STATE_MAX 0
#define STATE_SUM 256
#define STATE_ALPHA 512
#define STATE_SCORES 768

#define LOWEST -3.3e38f

NPU_CORE_ENTRY void
npu_attention_begin (NpuBf16 *q, float *acc, float *state)
{
  const NpuF32x16 zero = f32_splat (0.0f);

  npu_core_begin ();
  for (int i = 0; i < BLOCKS; i++, q += ROWS_SIZE) {
    NpuBf16x32 block[STRIPS];

    for (int j = 0; j < STRIPS; j++)
      block[j] = block_gather (q + 8 * j, 64);
    for (int j = 0; j < STRIPS; j++)
      block_store (q + WIDE * j, block[j]);
  }
  for (int i = 0; i < NPU_AIE_TILE; i += BLOCK)
    f32_store (acc + i, zero);
  for (int i = 0; i < ROWS_SIZE; i += BLOCK) {
    f32_store (state + STATE_MAX + i, f32_splat (LOWEST));
    f32_store (state + STATE_SUM + i, zero);
  }
}

/* s[2][16][4][4] = q[8][64] k^T: two rows of blocks. */
static inline void
multiply_keys (float *s, const NpuBf16 *q, const NpuBf16 *k)
{
  for (int i = 0; i < BLOCKS; i += 4) {
    NpuAccum upper[4], lower[4];

    for (int j = 0; j < 4; j++)
      upper[j] = lower[j] = accum_of (f32_splat (0.0f));
    for (int strip = 0; strip < STRIPS; strip++) {
      const NpuBf16x32 q0 = block_load (q + strip * WIDE);
      const NpuBf16x32 q1 = block_load (q + ROWS_SIZE + strip * WIDE);
      const NpuBf16 *panel = k + strip * PANEL_SIZE + i * WIDE;

      for (int j = 0; j < 4; j++) {
        const NpuBf16x32 kt = block_transpose (block_load (panel + j * WIDE));
        upper[j] = accum_multiply (upper[j], q0, kt);
        lower[j] = accum_multiply (lower[j], q1, kt);
      }
    }
    for (int j = 0; j < 4; j++) {
      f32_store (s + (i + j) * BLOCK, f32_of (upper[j]));
      f32_store (s + (BLOCKS + i + j) * BLOCK, f32_of (lower[j]));
    }
  }
}

/* s += bias; returns the nearest integer to each row's largest. */
static inline NpuF32x16
largest_of_rows (float *s, const NpuBf16 *bias)
{
  NpuF32x16 largest = f32_splat (LOWEST);

  for (int i = 0; i < BLOCKS; i++) {
    const NpuF32x16 x =
        f32_add (f32_load (s + i * BLOCK), quads_load (bias + 4 * i));
    f32_store (s + i * BLOCK, x);
    largest = f32_max (largest, x);
  }
  largest = f32_add (quads_max (largest), f32_splat (NPU_ROUND_MAGIC));
  return f32_sub (largest, f32_splat (NPU_ROUND_MAGIC));
}

/* p[8] blocks of 4x8 from the scores of four rows. */
static inline void
softmax_rows (NpuBf16 *p, float *s, const NpuBf16 *bias, float *state)
{
  const NpuF32x16 old = f32_load (state + STATE_MAX);
  const NpuF32x16 top = f32_max (old, largest_of_rows (s, bias));
  const NpuF32x16 alpha = f32_widen (npu_exp2_bf16 (f32_sub (old, top)));
  NpuF32x16 sum = f32_mul (f32_load (state + STATE_SUM), alpha);

  f32_store (state + STATE_MAX, top);
  f32_store (state + STATE_ALPHA, alpha);
  for (int i = 0; i < STRIPS; i++) {
    const float *pair = s + 2 * i * BLOCK;
    const NpuBf16x16 a = npu_exp2_bf16 (f32_sub (f32_load (pair), top));
    const NpuBf16x16 b = npu_exp2_bf16 (f32_sub (f32_load (pair + BLOCK), top));

    sum = f32_add (sum, f32_add (f32_widen (a), f32_widen (b)));
    block_store (p + i * WIDE, block_join (a, b));
  }
  f32_store (state + STATE_SUM, sum);
}

NPU_CORE_ENTRY void
npu_attention_scores (const NpuBf16 *q, const NpuBf16 *k, NpuBf16 *p,
    float *state, int32_t kv_tile)
{
  const NpuBf16 *bias = q + NPU_AIE_TILE + 64 * kv_tile;
  float *s = state + STATE_SCORES;

  npu_core_begin ();
  for (int i = 0; i < BLOCKS; i += 2) {
    multiply_keys (s, q + i * ROWS_SIZE, k);
    for (int j = 0; j < 2; j++)
      softmax_rows (p + (i + j) * ROWS_SIZE, s + j * BLOCKS * BLOCK, bias,
          state + (i + j) * BLOCK);
  }
}

static inline NpuAccum
load_scaled (const float *acc, NpuF32x16 alpha, int scaled)
{
  const NpuF32x16 x = f32_load (acc);
  return accum_of (scaled ? f32_mul (x, alpha) : x);
}

NPU_CORE_ENTRY void
npu_attention_values (
    const NpuBf16 *p, const NpuBf16 *v, float *acc, const float *state)
{
  npu_core_begin ();
  for (int i = 0; i < BLOCKS; i++, p += ROWS_SIZE) {
    const NpuF32x16 alpha = f32_load (state + STATE_ALPHA + i * BLOCK);
    const int scaled = !f32_equal (alpha, f32_splat (1.0f));

    for (int j = 0; j < BLOCKS; j += 8, acc += 8 * BLOCK) {
      NpuAccum c[8];

      for (int n = 0; n < 8; n++)
        c[n] = load_scaled (acc + n * BLOCK, alpha, scaled);
      for (int strip = 0; strip < STRIPS; strip++) {
        const NpuBf16x32 a = block_load (p + strip * WIDE);
        const NpuBf16 *panel = v + j / 2 * PANEL_SIZE + strip * 2 * WIDE;

        for (int n = 0; n < 8; n += 2, panel += PANEL_SIZE) {
          NpuBf16x32 b0, b1;

          block_split (block_load (panel), block_load (panel + WIDE), &b0, &b1);
          c[n] = accum_multiply (c[n], a, b0);
          c[n + 1] = accum_multiply (c[n + 1], a, b1);
        }
      }
      for (int n = 0; n < 8; n++)
        f32_store (acc + n * BLOCK, f32_of (c[n]));
    }
  }
}

NPU_CORE_ENTRY void
npu_attention_end (NpuBf16 *o, const float *acc, const float *state)
{
  npu_core_begin ();
  for (int i = 0; i < BLOCKS; i++, o += ROWS_SIZE) {
    const NpuF32x16 sum = quads_sum (f32_load (state + STATE_SUM + i * BLOCK));
    const NpuF32x16 scale = npu_inverse (sum);

    for (int j = 0; j < STRIPS; j++, acc += 2 * BLOCK) {
      const NpuBf16x16 a = bf16_round (f32_mul (f32_load (acc), scale));
      const NpuBf16x16 b = bf16_round (f32_mul (f32_load (acc + BLOCK), scale));
      block_scatter (o + 8 * j, 64, block_join (a, b));
    }
  }
}
