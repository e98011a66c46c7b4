/* Layer normalisation, rotation and 8-bit quantisation with AVX2.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-rotate.h"
#include "x86/avx2.h"
#include "x86/npu-x86.h"

#include <math.h>

#define LANES 8

/* Mean and 1 / sqrt (variance + eps) of x[d]. */
NPU_INLINE void
moments (const float *x, int d, float eps, __m256 *mean, __m256 *inverse_std)
{
  const float weight = 1.0f / (float) d;
  __m256 sums[4], squares[4];

  for (int i = 0; i < 4; i++)
    sums[i] = squares[i] = _mm256_setzero_ps ();
  for (int j = 0; j < d; j += 4 * LANES)
    for (int i = 0; i < 4; i++) {
      const int left = d - j - i * LANES;
      if (left > 0)
        sums[i] =
            _mm256_add_ps (sums[i], npu_load_first (x + j + i * LANES, left));
    }
  sums[0] = _mm256_add_ps (
      _mm256_add_ps (sums[0], sums[1]), _mm256_add_ps (sums[2], sums[3]));
  *mean = _mm256_set1_ps (npu_reduce_add_avx2 (sums[0]) * weight);

  for (int j = 0; j < d; j += 4 * LANES)
    for (int i = 0; i < 4; i++) {
      const int left = d - j - i * LANES;
      if (left > 0) {
        __m256 t =
            _mm256_sub_ps (npu_load_first (x + j + i * LANES, left), *mean);
        if (left < LANES)
          t = _mm256_and_ps (t, _mm256_castsi256_ps (npu_first_lanes (left)));
        squares[i] = _mm256_fmadd_ps (t, t, squares[i]);
      }
    }
  squares[0] = _mm256_add_ps (_mm256_add_ps (squares[0], squares[1]),
      _mm256_add_ps (squares[2], squares[3]));
  *inverse_std = _mm256_set1_ps (
      1.0f / sqrtf (npu_reduce_add_avx2 (squares[0]) * weight + eps));
}

/* n columns of a normalised row. */
NPU_INLINE __m256
normalised (const float *x, __m256 mean, __m256 inverse_std, const float *gamma,
    const float *beta, int n)
{
  const __m256 t =
      _mm256_mul_ps (_mm256_sub_ps (npu_load_first (x, n), mean), inverse_std);

  return _mm256_fmadd_ps (
      t, npu_load_first (gamma, n), npu_load_first (beta, n));
}

static void
layernorm_f32 (float *y, ptrdiff_t y_stride, const float *x, ptrdiff_t x_stride,
    const float *gamma, const float *beta, float eps, int rows, int d)
{
  for (int i = 0; i < rows; i++, x += x_stride, y += y_stride) {
    __m256 mean, inverse_std;

    moments (x, d, eps, &mean, &inverse_std);
    for (int j = 0; j < d; j += LANES)
      npu_store_first (y + j,
          normalised (x + j, mean, inverse_std, gamma + j, beta + j, d - j),
          d - j);
  }
}

/* One pass of the Hadamard transform, in place: log2 (radix) of its steps, the
 * first between columns @apart. */
NPU_INLINE void
hadamard_pass (float *x, int n, int apart, const int radix)
{
  for (int i = 0; i < n; i += radix * apart)
    for (int j = i; j < i + apart; j += LANES) {
      __m256 t[8];

      for (int k = 0; k < radix; k++)
        t[k] = _mm256_load_ps (x + j + k * apart);
      for (int step = 1; step < radix; step *= 2)
        for (int k = 0; k < radix; k++)
          if (!(k & step)) {
            const __m256 a = t[k], b = t[k + step];
            t[k] = _mm256_add_ps (a, b);
            t[k + step] = _mm256_sub_ps (a, b);
          }
      for (int k = 0; k < radix; k++)
        _mm256_store_ps (x + j + k * apart, t[k]);
    }
}

/* The reflection across blocks. */
NPU_INLINE void
reflect (float *x, int n, int block)
{
  const __m256 weight = _mm256_set1_ps (2.0f / (float) (n / block));

  for (int j = 0; j < block; j += LANES) {
    __m256 mean = _mm256_setzero_ps ();

    for (int i = j; i < n; i += block)
      mean = _mm256_add_ps (mean, _mm256_load_ps (x + i));
    mean = _mm256_mul_ps (mean, weight);
    for (int i = j; i < n; i += block)
      _mm256_store_ps (x + i, _mm256_sub_ps (_mm256_load_ps (x + i), mean));
  }
}

/* Rotates the row x[n] in place and quantises it to y[n]; returns its
 * scale. */
NPU_INLINE float
rotate_and_quantise (uint8_t *y, float *x, int n, int levels)
{
  const __m256i order = _mm256_setr_epi32 (0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i zero = _mm256_set1_epi8 ((char) NPU_Q8_ZERO (levels));
  const int block = npu_rotation_block (n);
  __m256 max = _mm256_setzero_ps (), inverse;
  int apart = NPU_ROTATE_LANES;
  float largest;

  for (; 8 * apart <= block; apart *= 8)
    hadamard_pass (x, n, apart, 8);
  if (4 * apart == block)
    hadamard_pass (x, n, apart, 4);
  else if (2 * apart == block)
    hadamard_pass (x, n, apart, 2);
  if (block < n)
    reflect (x, n, block);

  for (int j = 0; j < n; j += LANES)
    max = _mm256_max_ps (max, npu_abs_avx2 (_mm256_load_ps (x + j)));
  largest = npu_reduce_max_avx2 (max);
  inverse =
      _mm256_set1_ps (largest < NPU_Q8_SMALLEST ? 0 : (float) levels / largest);
  for (int j = 0; j < n; j += 4 * LANES) {
    __m256i q[4], bytes;

    for (int i = 0; i < 4; i++)
      q[i] = _mm256_cvtps_epi32 (
          _mm256_mul_ps (_mm256_load_ps (x + j + i * LANES), inverse));
    bytes = _mm256_packs_epi16 (
        _mm256_packs_epi32 (q[0], q[1]), _mm256_packs_epi32 (q[2], q[3]));
    bytes = _mm256_permutevar8x32_epi32 (bytes, order);
    _mm256_storeu_si256 ((__m256i *) (y + j), _mm256_add_epi8 (bytes, zero));
  }
  return largest < NPU_Q8_SMALLEST ? 0.0f : largest / (float) levels;
}

static void
layernorm_q8 (uint8_t *y, float *scale, const float *x, ptrdiff_t x_stride,
    const float *gamma, const float *beta, float eps, int rows, int d,
    int levels)
{
  float t[NPU_Q8_COLUMNS] __attribute__ ((aligned (64)));

  for (int i = 0; i < rows; i++, x += x_stride, y += d) {
    __m256 mean, inverse_std;

    moments (x, d, eps, &mean, &inverse_std);
    for (int j = 0; j < d; j += LANES)
      _mm256_store_ps (t + j,
          normalised (x + j, mean, inverse_std, gamma + j, beta + j, LANES));
    scale[i] = rotate_and_quantise (y, t, d, levels);
  }
}

static void
quantize_q8 (uint8_t *y, float *scale, const float *x, ptrdiff_t x_stride,
    const float *column_scale, int rows, int k, int levels)
{
  float t[NPU_Q8_COLUMNS] __attribute__ ((aligned (64)));

  for (int i = 0; i < rows; i++, x += x_stride, y += k) {
    for (int j = 0; j < k; j += LANES)
      _mm256_store_ps (t + j, _mm256_mul_ps (_mm256_loadu_ps (x + j),
                                  _mm256_loadu_ps (column_scale + j)));
    scale[i] = rotate_and_quantise (y, t, k, levels);
  }
}

/* 8 floats as bfloat16, in 32 bits each. */
NPU_INLINE __m256i
round_bf16 (const float *x)
{
  const __m256i bits = _mm256_castps_si256 (_mm256_loadu_ps (x));
  const __m256i odd =
      _mm256_and_si256 (_mm256_srli_epi32 (bits, 16), _mm256_set1_epi32 (1));

  return _mm256_srli_epi32 (
      _mm256_add_epi32 (
          _mm256_add_epi32 (bits, _mm256_set1_epi32 (0x7fff)), odd),
      16);
}

static void
convert_bf16 (uint16_t *y, const float *x, size_t n)
{
  size_t i = 0;

  for (; i + 2 * LANES <= n; i += 2 * LANES)
    _mm256_storeu_si256 ((__m256i *) (y + i),
        _mm256_permute4x64_epi64 (_mm256_packus_epi32 (round_bf16 (x + i),
                                      round_bf16 (x + i + LANES)),
            0xd8));
  for (; i < n; i++)
    y[i] = (uint16_t) (npu_bits_of_float (npu_round_bf16 (x[i])) >> 16);
}

void
npu_rows_init_avx2 (NpuKernels *kernels)
{
  kernels->layernorm_f32 = layernorm_f32;
  kernels->layernorm_q8 = layernorm_q8;
  kernels->quantize_q8 = quantize_q8;
  kernels->convert_bf16 = convert_bf16;
}
