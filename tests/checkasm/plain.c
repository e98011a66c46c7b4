/* The operations as plain f32 loops.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "plain.h"

#include <math.h>
#include <string.h>

#define DIM NPU_HEAD_DIM

/* --- attention ---------------------------------------------------------- */

void
plain_attention (float *restrict o, const float *restrict q,
    const float *restrict k_transposed, const float *restrict v, int q_rows,
    int kv_rows, float scale, float *restrict score)
{
  for (int i = 0; i < q_rows; i++) {
    float max = -INFINITY, sum = 0, acc[DIM] = {0};

    for (int j = 0; j < kv_rows; j++)
      score[j] = 0;
    for (int d = 0; d < DIM; d++)
      for (int j = 0; j < kv_rows; j++)
        score[j] += q[i * DIM + d] * k_transposed[d * kv_rows + j];

    for (int j = 0; j < kv_rows; j++)
      max = score[j] > max ? score[j] : max;
    for (int j = 0; j < kv_rows; j++) {
      score[j] = expf (scale * (score[j] - max));
      sum += score[j];
    }

    for (int j = 0; j < kv_rows; j++)
      for (int d = 0; d < DIM; d++)
        acc[d] += score[j] * v[j * DIM + d];
    for (int d = 0; d < DIM; d++)
      o[i * DIM + d] = acc[d] / sum;
  }
}

void
plain_pack (
    float *restrict y, const float *restrict x, ptrdiff_t stride, int rows)
{
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d++)
      y[i * DIM + d] = x[i * stride + d];
}

void
plain_pack_transposed (
    float *restrict y, const float *restrict x, ptrdiff_t stride, int rows)
{
  for (int d = 0; d < DIM; d++)
    for (int i = 0; i < rows; i++)
      y[d * rows + i] = x[i * stride + d];
}

/* Columns apart, 2 apart, 4 apart, … up to n meet. */
static void
hadamard (float *x, int n, int apart)
{
  for (; apart < n; apart *= 2)
    for (int i = 0; i < n; i += 2 * apart)
      for (int j = i; j < i + apart; j++) {
        const float a = x[j], b = x[j + apart];

        x[j] = a + b;
        x[j + apart] = a - b;
      }
}

static float
largest_magnitude (const float *x, int n)
{
  float max = 0;

  for (int j = 0; j < n; j++)
    max = fabsf (x[j]) > max ? fabsf (x[j]) : max;
  return max;
}

/* y = x H / 8, where H is the Hadamard matrix. */
static void
pack_rotated (float *y, const float *x, ptrdiff_t stride, int rows)
{
  plain_pack (y, x, stride, rows);
  for (int i = 0; i < rows; i++)
    hadamard (y + i * DIM, DIM, 1);
  for (int i = 0; i < rows * DIM; i++)
    y[i] /= 8;
}

void
plain_pack_q_s8 (
    float *y, float *scale, const float *x, ptrdiff_t stride, int rows)
{
  pack_rotated (y, x, stride, rows);
  for (int i = 0; i < rows; i++, y += DIM) {
    scale[i] = largest_magnitude (y, DIM) / 127;
    for (int d = 0; d < DIM; d++)
      y[d] = (float) lrintf (y[d] / scale[i]);
  }
}

void
plain_pack_k_s8 (float *y, float *scale, float *mean, const float *x,
    ptrdiff_t stride, int rows)
{
  pack_rotated (y, x, stride, rows);
  for (int d = 0; d < DIM; d++)
    mean[d] = 0;
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d++)
      mean[d] += y[i * DIM + d] / (float) rows;
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d++)
      y[i * DIM + d] -= mean[d];
  *scale = largest_magnitude (y, rows * DIM) / 127;
  for (int i = 0; i < rows * DIM; i++)
    y[i] = (float) lrintf (y[i] / *scale);
}

void
plain_pack_v_s8 (
    float *restrict y, const float *restrict x, ptrdiff_t stride, int rows)
{
  for (int i = 0; i < rows; i++)
    for (int d = 0; d < DIM; d++) {
      uint32_t bits;

      memcpy (&bits, &x[i * stride + d], sizeof bits);
      bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
      memcpy (&y[i * DIM + d], &bits, sizeof bits);
    }
}

/* --- rows --------------------------------------------------------------- */

void
plain_layernorm_f32 (float *restrict y, ptrdiff_t y_stride,
    const float *restrict x, ptrdiff_t x_stride, const float *gamma,
    const float *beta, float eps, int rows, int d)
{
  for (int i = 0; i < rows; i++, x += x_stride, y += y_stride) {
    float mean = 0, variance = 0, inverse_std;

    for (int j = 0; j < d; j++)
      mean += x[j];
    mean /= (float) d;
    for (int j = 0; j < d; j++)
      variance += (x[j] - mean) * (x[j] - mean);
    inverse_std = 1 / sqrtf (variance / (float) d + eps);
    for (int j = 0; j < d; j++)
      y[j] = (x[j] - mean) * inverse_std * gamma[j] + beta[j];
  }
}

/* The rotation of npu-rotate.h. */
static void
rotate (float *x, int n)
{
  const int block = n & -n, n_blocks = n / block;
  float sum[NPU_Q8_COLUMNS] = {0};

  for (int b = 0; b < n; b += block)
    hadamard (x + b, block, 16);
  if (n_blocks == 1)
    return;
  for (int b = 0; b < n; b += block)
    for (int j = 0; j < block; j++)
      sum[j] += x[b + j];
  for (int b = 0; b < n; b += block)
    for (int j = 0; j < block; j++)
      x[b + j] -= sum[j] * 2 / (float) n_blocks;
}

void
plain_quantize_q8 (uint8_t *restrict y, float *scale, const float *restrict x,
    ptrdiff_t x_stride, const float *column_scale, int rows, int k)
{
  float t[NPU_Q8_COLUMNS];

  for (int i = 0; i < rows; i++, x += x_stride, y += k) {
    float inverse;

    for (int j = 0; j < k; j++)
      t[j] = x[j] * column_scale[j];
    rotate (t, k);
    scale[i] = largest_magnitude (t, k) / 127;
    inverse = 1 / scale[i];
    for (int j = 0; j < k; j++)
      y[j] = (uint8_t) (lrintf (t[j] * inverse) + 128);
  }
}

float
plain_quantize_s8 (int8_t *restrict y, const float *restrict x, int k)
{
  float most = 0;

  for (int j = 0; j < k; j++)
    most = fmaxf (most, fabsf (x[j]));
  for (int j = 0; j < k; j++)
    y[j] = (int8_t) lrintf (x[j] * (NPU_Q8_LEVELS / most));
  return most / NPU_Q8_LEVELS;
}

void
plain_quantize_s16 (
    int16_t *restrict y, float *scale, const float *restrict x, int rows, int k)
{
  for (int i = 0; i < rows; i++, x += k, y += k) {
    float sum = 0, inverse;

    for (int j = 0; j < k; j++)
      sum += x[j] * x[j];
    scale[i] = sqrtf (sum) / NPU_S16_NORM;
    inverse = 1 / scale[i];
    for (int j = 0; j < k; j++)
      y[j] = (int16_t) lrintf (x[j] * inverse);
  }
}

void
plain_convert_bf16 (uint16_t *restrict y, const float *restrict x, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;

    memcpy (&bits, &x[i], sizeof bits);
    y[i] = (uint16_t) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
}

/* --- element by element ------------------------------------------------- */

static float
gelu (float x)
{
  return 0.5f * x * (1 + erff (x * (float) M_SQRT1_2));
}

void
plain_gelu_f32 (float *y, const float *x, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] = gelu (x[i]);
}

void
plain_epilogue_gelu (float *restrict y, const float *restrict acc,
    const float *bias, int rows, int n)
{
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < n; j++)
      y[i * n + j] = gelu (acc[i * n + j] + bias[j]);
}

void
plain_epilogue_f32 (float *restrict y, const float *restrict acc,
    const float *bias, const float *residual, int rows, int n)
{
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < n; j++)
      y[i * n + j] = acc[i * n + j] + bias[j] + residual[i * n + j];
}

void
plain_epilogue_s32 (float *restrict y, const int32_t *restrict acc,
    const float *row_scale, const float *weight_scale, const int32_t *zero_sum,
    const float *bias, const float *residual, int rows, int n)
{
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < n; j++)
      y[i * n + j] = (float) (acc[i * n + j] - zero_sum[j]) * row_scale[i] *
                         weight_scale[j] +
                     bias[j] + residual[i * n + j];
}

void
plain_product (float *y, const float *x, const float *weight, int n, int k)
{
  memset (y, 0, (size_t) n * sizeof *y);
  for (int j = 0; j < k; j++)
    for (int i = 0; i < n; i++)
      y[i] += x[j] * weight[(size_t) j * n + i];
}

int
plain_argmax (const float *x, int n)
{
  int at = 0;

  for (int i = 1; i < n; i++)
    if (x[i] > x[at])
      at = i;
  return at;
}

float
plain_log_sum_exp (const float *x, int n)
{
  const float max = x[plain_argmax (x, n)];
  float sum = 0;

  for (int i = 0; i < n; i++)
    sum += expf (x[i] - max);
  return max + logf (sum);
}
