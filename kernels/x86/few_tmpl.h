/* What the kernels of few rows share, for vectors of any width. The file that
 * includes this one includes that of the floats' vectors.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "x86/npu-x86.h"

#include <math.h>
#include <string.h>

#define DIM NPU_HEAD_DIM
#define COLUMNS 4 /* of weights at once, whose sums over lanes share work */

/* Scores and weights of a run, in whole vectors. */
#define KEYS NPU_FEW_KEYS

/* Weights are read once and come from memory: they are asked for this many
 * bytes before they are needed, which on Zen 3 is twice as fast as leaving it
 * to the processor. Past the weights' end nothing is read, and nothing faults.
 */
#define AHEAD 4096

/* The same of blocks of columns, which are read side by side: the bytes of
 * whole blocks. */
NPU_INLINE size_t
ahead_of_block (size_t size)
{
  return (AHEAD + size - 1) / size * size;
}

/* Asks for @size bytes. */
NPU_INLINE void
prefetch (const void *from, size_t offset, const int size)
{
  for (int i = 0; i < size; i += 64)
    _mm_prefetch ((const char *) from + offset + i, _MM_HINT_T0);
}

NPU_INLINE void
prefetch_ahead (const void *from, size_t offset, const int size)
{
  prefetch (from, AHEAD + offset, size);
}

#if LANES == 16
NPU_INLINE __m256
fold_floats (__m512 v)
{
  return _mm256_add_ps (
      _mm512_castps512_ps256 (v), _mm512_extractf32x8_ps (v, 1));
}

NPU_INLINE Vector
max_vector (Vector a, Vector b)
{
  return _mm512_max_ps (a, b);
}

NPU_INLINE Vector
exp2_vector (Vector v)
{
  return npu_exp2_avx512 (_mm512_max_ps (splat (NPU_EXP2_MIN), v));
}
#else
NPU_INLINE __m256
fold_floats (__m256 v)
{
  return v;
}

NPU_INLINE Vector
max_vector (Vector a, Vector b)
{
  return _mm256_max_ps (a, b);
}

NPU_INLINE Vector
exp2_vector (Vector v)
{
  return npu_exp2_avx2 (_mm256_max_ps (splat (NPU_EXP2_MIN), v));
}
#endif

/* The sums of four vectors' lanes, each in the same order. */
NPU_INLINE __m128
sum_four_floats (const Vector v[4])
{
  const __m256 t =
      _mm256_hadd_ps (_mm256_hadd_ps (fold_floats (v[0]), fold_floats (v[1])),
          _mm256_hadd_ps (fold_floats (v[2]), fold_floats (v[3])));

  return _mm_add_ps (_mm256_castps256_ps128 (t), _mm256_extractf128_ps (t, 1));
}

/* Scores become weights, whose sum and largest score are noted. score[n] has
 * room for whole vectors; what is behind n becomes zeros. */
NPU_INLINE void
softmax_of_run (NpuAttended *to, float *score, int n)
{
  Vector max = splat (-INFINITY), sum = {0}, largest;

  for (int i = n; i % LANES; i++)
    score[i] = -INFINITY;
  for (int i = 0; i < n; i += LANES)
    max = max_vector (load_vector (score + i), max);
  to->max = max_lanes (max);
  largest = splat (to->max);
  for (int i = 0; i < n; i += LANES) {
    const Vector weight =
        first_lanes (exp2_vector (load_vector (score + i) - largest), n - i);

    store_vector (score + i, weight);
    sum += weight;
  }
  to->sum = sum_lanes (sum);
}
