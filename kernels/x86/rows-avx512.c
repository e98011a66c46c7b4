/* Layer normalisation, rotation and 8-bit quantisation with AVX-512.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-rotate.h"
#include "x86/avx512.h"
#include "x86/npu-x86.h"

#include <math.h>

#define LANES 16

/* Mean and 1 / sqrt (variance + eps) of x[d]. */
NPU_INLINE void
moments (const float *x, int d, float eps, __m512 *mean, __m512 *inverse_std)
{
  const float weight = 1.0f / (float) d;
  __m512 sums[4], squares[4];

  for (int i = 0; i < 4; i++)
    sums[i] = squares[i] = _mm512_setzero_ps ();
  for (int j = 0; j < d; j += 4 * LANES)
    for (int i = 0; i < 4; i++) {
      const int left = d - j - i * LANES;
      if (left > 0)
        sums[i] = _mm512_add_ps (sums[i],
            _mm512_maskz_loadu_ps (npu_first_lanes (left), x + j + i * LANES));
    }
  sums[0] = _mm512_add_ps (
      _mm512_add_ps (sums[0], sums[1]), _mm512_add_ps (sums[2], sums[3]));
  *mean = _mm512_set1_ps (_mm512_reduce_add_ps (sums[0]) * weight);

  for (int j = 0; j < d; j += 4 * LANES)
    for (int i = 0; i < 4; i++) {
      const int left = d - j - i * LANES;
      if (left > 0) {
        const __mmask16 lanes = npu_first_lanes (left);
        const __m512 t = _mm512_maskz_sub_ps (
            lanes, _mm512_maskz_loadu_ps (lanes, x + j + i * LANES), *mean);
        squares[i] = _mm512_fmadd_ps (t, t, squares[i]);
      }
    }
  squares[0] = _mm512_add_ps (_mm512_add_ps (squares[0], squares[1]),
      _mm512_add_ps (squares[2], squares[3]));
  *inverse_std = _mm512_set1_ps (
      1.0f / sqrtf (_mm512_reduce_add_ps (squares[0]) * weight + eps));
}

/* 16 columns of a normalised row. */
NPU_INLINE __m512
normalised (const float *x, __m512 mean, __m512 inverse_std, const float *gamma,
    const float *beta, __mmask16 lanes)
{
  const __m512 t = _mm512_mul_ps (
      _mm512_sub_ps (_mm512_maskz_loadu_ps (lanes, x), mean), inverse_std);

  return _mm512_fmadd_ps (t, _mm512_maskz_loadu_ps (lanes, gamma),
      _mm512_maskz_loadu_ps (lanes, beta));
}

static void
layernorm_f32 (float *y, ptrdiff_t y_stride, const float *x, ptrdiff_t x_stride,
    const float *gamma, const float *beta, float eps, int rows, int d)
{
  for (int i = 0; i < rows; i++, x += x_stride, y += y_stride) {
    __m512 mean, inverse_std;

    moments (x, d, eps, &mean, &inverse_std);
    for (int j = 0; j < d; j += LANES) {
      const __mmask16 lanes = npu_first_lanes (d - j);
      _mm512_mask_storeu_ps (y + j, lanes,
          normalised (x + j, mean, inverse_std, gamma + j, beta + j, lanes));
    }
  }
}

/* The scale of a largest magnitude; *inverse is its inverse. */
NPU_INLINE float
scale_of (__m512 max, int levels, __m512 *inverse)
{
  const float largest = _mm512_reduce_max_ps (max);
  const int zero = largest < NPU_Q8_SMALLEST;

  *inverse = _mm512_set1_ps (zero ? 0.0f : (float) levels / largest);
  return zero ? 0.0f : largest / (float) levels;
}

/* One pass of the Hadamard transform, in place: log2 (radix) of its steps, the
 * first between columns @apart. */
NPU_INLINE void
hadamard_pass (float *x, int n, int apart, const int radix)
{
  for (int i = 0; i < n; i += radix * apart)
    for (int j = i; j < i + apart; j += LANES) {
      __m512 t[8];

      for (int k = 0; k < radix; k++)
        t[k] = _mm512_load_ps (x + j + k * apart);
      for (int step = 1; step < radix; step *= 2)
        for (int k = 0; k < radix; k++)
          if (!(k & step)) {
            const __m512 a = t[k], b = t[k + step];
            t[k] = _mm512_add_ps (a, b);
            t[k + step] = _mm512_sub_ps (a, b);
          }
      for (int k = 0; k < radix; k++)
        _mm512_store_ps (x + j + k * apart, t[k]);
    }
}

/* The reflection across blocks. */
NPU_INLINE void
reflect (float *x, int n, int block)
{
  const __m512 weight = _mm512_set1_ps (2.0f / (float) (n / block));

  for (int j = 0; j < block; j += LANES) {
    __m512 mean = _mm512_setzero_ps ();

    for (int i = j; i < n; i += block)
      mean = _mm512_add_ps (mean, _mm512_load_ps (x + i));
    mean = _mm512_mul_ps (mean, weight);
    for (int i = j; i < n; i += block)
      _mm512_store_ps (x + i, _mm512_sub_ps (_mm512_load_ps (x + i), mean));
  }
}

/* Rotates the row x[n] in place and quantises it to y[n]; returns its
 * scale. */
NPU_INLINE float
rotate_and_quantise (uint8_t *y, float *x, int n, int levels)
{
  const __m512i order =
      _mm512_set_epi32 (15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  const __m512i zero = _mm512_set1_epi8 ((char) NPU_Q8_ZERO (levels));
  const int block = npu_rotation_block (n);
  __m512 inverse, max = _mm512_setzero_ps ();
  int apart = NPU_ROTATE_LANES;
  float scale;

  for (; 8 * apart <= block; apart *= 8)
    hadamard_pass (x, n, apart, 8);
  if (4 * apart == block)
    hadamard_pass (x, n, apart, 4);
  else if (2 * apart == block)
    hadamard_pass (x, n, apart, 2);
  if (block < n)
    reflect (x, n, block);

  for (int j = 0; j < n; j += LANES)
    max = _mm512_max_ps (max, _mm512_abs_ps (_mm512_load_ps (x + j)));
  scale = scale_of (max, levels, &inverse);
  for (int j = 0; j < n; j += 4 * LANES) {
    __m512i q[4], bytes;

    for (int i = 0; i < 4; i++)
      q[i] = _mm512_cvtps_epi32 (
          _mm512_mul_ps (_mm512_load_ps (x + j + i * LANES), inverse));
    bytes = _mm512_packs_epi16 (
        _mm512_packs_epi32 (q[0], q[1]), _mm512_packs_epi32 (q[2], q[3]));
    bytes = _mm512_permutexvar_epi32 (order, bytes);
    _mm512_storeu_si512 (y + j, _mm512_add_epi8 (bytes, zero));
  }
  return scale;
}

static void
layernorm_q8 (uint8_t *y, float *scale, const float *x, ptrdiff_t x_stride,
    const float *gamma, const float *beta, float eps, int rows, int d,
    int levels)
{
  float t[NPU_Q8_COLUMNS] __attribute__ ((aligned (64)));

  for (int i = 0; i < rows; i++, x += x_stride, y += d) {
    __m512 mean, inverse_std;

    moments (x, d, eps, &mean, &inverse_std);
    for (int j = 0; j < d; j += LANES)
      _mm512_store_ps (t + j,
          normalised (x + j, mean, inverse_std, gamma + j, beta + j, 0xffff));
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
      _mm512_store_ps (t + j, _mm512_mul_ps (_mm512_loadu_ps (x + j),
                                  _mm512_loadu_ps (column_scale + j)));
    scale[i] = rotate_and_quantise (y, t, k, levels);
  }
}

/* 16 floats rounded to bfloat16, ties to even, in 32 bits each. */
NPU_INLINE __m512i
round_bf16 (__m512 x)
{
  const __m512i bits = _mm512_castps_si512 (x);
  const __m512i odd =
      _mm512_and_si512 (_mm512_srli_epi32 (bits, 16), _mm512_set1_epi32 (1));

  return _mm512_srli_epi32 (
      _mm512_add_epi32 (
          _mm512_add_epi32 (bits, _mm512_set1_epi32 (0x7fff)), odd),
      16);
}

static void
convert_bf16 (uint16_t *y, const float *x, size_t n)
{
  size_t i = 0;

  for (; i + LANES <= n; i += LANES)
    _mm256_storeu_si256 ((__m256i *) (y + i),
        _mm512_cvtepi32_epi16 (round_bf16 (_mm512_loadu_ps (x + i))));
  if (i < n) {
    const __mmask16 rest = npu_first_lanes ((int) (n - i));
    _mm512_mask_cvtepi32_storeu_epi16 (
        y + i, rest, round_bf16 (_mm512_maskz_loadu_ps (rest, x + i)));
  }
}

void
npu_rows_init_avx512 (NpuKernels *kernels)
{
  kernels->layernorm_f32 = layernorm_f32;
  kernels->layernorm_q8 = layernorm_q8;
  kernels->quantize_q8 = quantize_q8;
  kernels->convert_bf16 = convert_bf16;
}
