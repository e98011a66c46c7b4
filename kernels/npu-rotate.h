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

/* All but the first factor, in place: x[n], n a multiple of 32. */
static inline void
npu_rotate (float *x, int n)
{
  const int block = npu_rotation_block (n), n_blocks = n / block;

  for (int apart = NPU_ROTATE_LANES; apart < block; apart *= 2)
    for (int i = 0; i < n; i += 2 * apart)
      for (int j = i; j < i + apart; j++) {
        const float a = x[j], b = x[j + apart];
        x[j] = a + b;
        x[j + apart] = a - b;
      }

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
