/* The rotation of a row before it is quantised: a few huge channels, which
 * every Whisper model has, are spread over many columns and no longer set the
 * scale of all (as in QuaRot, Ashkboos et al. 2024). With weights rotated in
 * the same way products stay what they are: (R x) . (R w) = x . w.
 *
 * R is, right to left: signs and a factor, which make it orthonormal; a
 * Hadamard transform over columns 16, 32, 64, … apart, up to the largest power
 * of two in n; a reflection across the blocks of that size, where there are
 * several. Columns next to each other never meet: 16 lanes run side by side.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#define NPU_ROTATE_LANES 16

/* The size of the blocks in which the Hadamard transform stays. */
static inline int
npu_rotation_block (int n)
{
  return n & -n;
}

/* Four lanes. GCC and clang map it to whatever the CPU has. */
typedef float NpuRotateLanes
    __attribute__ ((vector_size (16), aligned (sizeof (float))));

static inline NpuRotateLanes *
npu_rotate_lanes (float *x)
{
  return (NpuRotateLanes *) x;
}

/* The Hadamard transform over columns apart, 2 apart, 4 apart, … of every
 * block of x[n], in place and two steps at a time; apart is a multiple of 4. */
static inline void
npu_hadamard (float *x, int n, int apart, int block)
{
  for (; 2 * apart < block; apart *= 4)
    for (int i = 0; i < n; i += 4 * apart)
      for (int j = i; j < i + apart; j += 4) {
        NpuRotateLanes *t[4], sum[2], difference[2];

        for (int k = 0; k < 4; k++)
          t[k] = npu_rotate_lanes (x + j + k * apart);
        for (int k = 0; k < 2; k++) {
          sum[k] = *t[2 * k] + *t[2 * k + 1];
          difference[k] = *t[2 * k] - *t[2 * k + 1];
        }
        *t[0] = sum[0] + sum[1];
        *t[1] = difference[0] + difference[1];
        *t[2] = sum[0] - sum[1];
        *t[3] = difference[0] - difference[1];
      }

  if (apart < block)
    for (int i = 0; i < n; i += 2 * apart)
      for (int j = i; j < i + apart; j += 4) {
        NpuRotateLanes *a = npu_rotate_lanes (x + j);
        NpuRotateLanes *b = npu_rotate_lanes (x + j + apart);
        const NpuRotateLanes sum = *a + *b, difference = *a - *b;

        *a = sum;
        *b = difference;
      }
}

/* All but the first factor, in place: x[n], n a multiple of 32. */
static inline void
npu_rotate (float *x, int n)
{
  const int block = npu_rotation_block (n), n_blocks = n / block;

  npu_hadamard (x, n, NPU_ROTATE_LANES, block);
  if (n_blocks > 1)
    for (int j = 0; j < block; j += NPU_ROTATE_LANES) {
      float mean[NPU_ROTATE_LANES] = {0};

      for (int i = j; i < n; i += block)
        for (int lane = 0; lane < NPU_ROTATE_LANES; lane++)
          mean[lane] += x[i + lane];
      for (int lane = 0; lane < NPU_ROTATE_LANES; lane++)
        mean[lane] *= 2.0f / (float) n_blocks;
      for (int i = j; i < n; i += block)
        for (int lane = 0; lane < NPU_ROTATE_LANES; lane++)
          x[i + lane] -= mean[lane];
    }
}
