/* Row by row in C: layer normalisation, rotation, 8-bit quantisation.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA c

#include "npu-kernels-internal.h"
#include "npu-math.h"
#include "npu-rotate.h"

#include <math.h>
#include <string.h>

#define sum_lanes NPU_KERNEL (rows_sum_lanes)
#define moments NPU_KERNEL (rows_moments)
#define scale_of NPU_KERNEL (rows_scale_of)
#define rotate_and_quantise NPU_KERNEL (rows_rotate_and_quantise)
#define relative_norm NPU_KERNEL (rows_relative_norm)

/* Sums run in this many lanes: compilers may not reorder a float sum. */
#define LANES 16

static float
sum_lanes (float lanes[LANES])
{
  for (int n = LANES / 2; n > 0; n /= 2)
    for (int i = 0; i < n; i++)
      lanes[i] += lanes[i + n];
  return lanes[0];
}

/* Mean and 1 / sqrt (variance + eps) of x[d]. */
static void
moments (const float *x, int d, float eps, float *mean, float *inverse_std)
{
  const float weight = 1.0f / (float) d;
  float sums[LANES] = {0}, squares[LANES] = {0};
  const int whole = d - d % LANES;

  for (int j = 0; j < whole; j += LANES)
    for (int i = 0; i < LANES; i++)
      sums[i] += x[j + i];
  for (int j = whole; j < d; j++)
    sums[j - whole] += x[j];
  *mean = sum_lanes (sums) * weight;

  for (int j = 0; j < whole; j += LANES)
    for (int i = 0; i < LANES; i++) {
      const float t = x[j + i] - *mean;
      squares[i] += t * t;
    }
  for (int j = whole; j < d; j++) {
    const float t = x[j] - *mean;
    squares[j - whole] += t * t;
  }
  *inverse_std = 1.0f / sqrtf (sum_lanes (squares) * weight + eps);
}

static void
NPU_KERNEL (layernorm_f32) (float *y, ptrdiff_t y_stride, const float *x,
    ptrdiff_t x_stride, const float *gamma, const float *beta, float eps,
    int rows, int d)
{
  for (int i = 0; i < rows; i++, x += x_stride, y += y_stride) {
    float mean, inverse_std;

    moments (x, d, eps, &mean, &inverse_std);
    for (int j = 0; j < d; j++)
      y[j] = (x[j] - mean) * inverse_std * gamma[j] + beta[j];
  }
}

/* The scale for a largest magnitude, and its inverse. */
static float
scale_of (float max, float *inverse)
{
  if (max < NPU_Q8_SMALLEST) {
    *inverse = 0.0f;
    return 0.0f;
  }
  *inverse = NPU_Q8_LEVELS / max;
  return max / NPU_Q8_LEVELS;
}

/* round (x) + NPU_Q8_ZERO for |x| <= 127, ties to even. */
static inline uint8_t
quantised (float x)
{
  return (uint8_t) (npu_bits_of_float (x + NPU_ROUND_MAGIC) + NPU_Q8_ZERO);
}

/* Rotates x[n] in place and quantises it to y[n]. */
static void
rotate_and_quantise (uint8_t *y, float *scale, float *x, int n)
{
  float inverse;

  npu_rotate (x, n);
  *scale = scale_of (npu_largest_magnitude (x, n), &inverse);
  for (int j = 0; j < n; j++)
    y[j] = quantised (x[j] * inverse);
}

static void
NPU_KERNEL (layernorm_q8) (uint8_t *y, float *scale, const float *x,
    ptrdiff_t x_stride, const float *gamma, const float *beta, float eps,
    int rows, int d)
{
  float t[NPU_Q8_COLUMNS];

  for (int i = 0; i < rows; i++, x += x_stride, y += d) {
    NPU_KERNEL (layernorm_f32) (t, d, x, x_stride, gamma, beta, eps, 1, d);
    rotate_and_quantise (y, &scale[i], t, d);
  }
}

static void
NPU_KERNEL (quantize_q8) (uint8_t *y, float *scale, const float *x,
    ptrdiff_t x_stride, const float *column_scale, int rows, int k)
{
  float t[NPU_Q8_COLUMNS];

  for (int i = 0; i < rows; i++, x += x_stride, y += k) {
    for (int j = 0; j < k; j++)
      t[j] = x[j] * column_scale[j];
    rotate_and_quantise (y, &scale[i], t, k);
  }
}

/* The Euclidean norm of x[n] is *largest, of its magnitudes, times what is
 * returned: so nothing overflows. */
static float
relative_norm (const float *x, int n, float *largest)
{
  const int whole = n - n % LANES;
  float squares[LANES] = {0}, inverse;

  *largest = 0.0f;
  for (int j = 0; j < n; j++)
    *largest = fmaxf (*largest, fabsf (x[j]));
  inverse = 1.0f / *largest;
  for (int j = 0; j < whole; j += LANES)
    for (int i = 0; i < LANES; i++) {
      const float t = x[j + i] * inverse;
      squares[i] += t * t;
    }
  for (int j = whole; j < n; j++) {
    const float t = x[j] * inverse;
    squares[j - whole] += t * t;
  }
  return sqrtf (sum_lanes (squares));
}

static void
NPU_KERNEL (quantize_s16) (int16_t *y, float *scale, const float *x,
    ptrdiff_t x_stride, int rows, int k)
{
  for (int i = 0; i < rows; i++, x += x_stride, y += k) {
    float largest, inverse;
    const float norm = relative_norm (x, k, &largest);

    scale[i] = npu_s16_scale (x, k, largest, norm, &inverse);
    if (inverse == 0.0f)
      memset (y, 0, (size_t) k * sizeof *y);
    else
      for (int j = 0; j < k; j++)
        y[j] = (int16_t) (npu_bits_of_float (x[j] * inverse + NPU_ROUND_MAGIC) -
                          npu_bits_of_float (NPU_ROUND_MAGIC));
  }
}

static void
NPU_KERNEL (convert_bf16) (uint16_t *y, const float *x, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] = (uint16_t) (npu_bits_of_float (npu_round_bf16 (x[i])) >> 16);
}

void
npu_rotation_signs (float *signs, int n)
{
  const float factor =
      1.0f / sqrtf ((float) (npu_rotation_block (n) / NPU_ROTATE_LANES));

  /* The top bit of a multiplicative hash of the column. */
  for (int j = 0; j < n; j++) {
    uint32_t h = (uint32_t) (j + 1) * 0x9e3779b1u;

    h ^= h >> 15;
    h *= 0x85ebca77u;
    signs[j] = h >> 31 ? -factor : factor;
  }
}

void
npu_rotation_apply (float *x, int n)
{
  npu_rotate (x, n);
}

void
npu_rows_init_c (NpuKernels *kernels)
{
  kernels->layernorm_f32 = NPU_KERNEL (layernorm_f32);
  kernels->layernorm_q8 = NPU_KERNEL (layernorm_q8);
  kernels->quantize_q8 = NPU_KERNEL (quantize_q8);
  kernels->quantize_s16 = NPU_KERNEL (quantize_s16);
  kernels->convert_bf16 = NPU_KERNEL (convert_bf16);
}
