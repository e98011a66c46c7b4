/* What follows a matrix product, in C: scale, bias, GELU, residual.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "npu-kernels-internal.h"
#include "npu-math.h"

#define BLOCK 64 /* columns at a time, on the stack */

static void
gelu_f32 (float *y, const float *x, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] = npu_gelu (x[i]);
}

/* Columns [first, first + n) of a row: y = residual + gelu (t + bias). The
 * residual may be y, so y is written last. */
static void
finish (
    float *y, float *t, const NpuEpilogue *epilogue, int row, int first, int n)
{
  if (epilogue->bias)
    for (int j = 0; j < n; j++)
      t[j] += epilogue->bias[first + j];
  if (epilogue->gelu)
    gelu_f32 (t, t, (size_t) n);
  if (epilogue->residual) {
    const float *residual =
        epilogue->residual + row * epilogue->residual_stride + first;
    for (int j = 0; j < n; j++)
      t[j] += residual[j];
  }
  for (int j = 0; j < n; j++)
    y[j] = t[j];
}

static void
epilogue_f32 (float *y, ptrdiff_t y_stride, const float *acc,
    ptrdiff_t acc_stride, const NpuEpilogue *epilogue, int rows, int n)
{
  for (int i = 0; i < rows; i++, y += y_stride, acc += acc_stride)
    for (int first = 0; first < n; first += BLOCK) {
      const int block = npu_min_int (n - first, BLOCK);
      float t[BLOCK];

      for (int j = 0; j < block; j++)
        t[j] = acc[first + j];
      finish (y + first, t, epilogue, i, first, block);
    }
}

static void
epilogue_s32 (float *y, ptrdiff_t y_stride, const int32_t *acc,
    ptrdiff_t acc_stride, const float *row_scale, const float *weight_scale,
    const int32_t *zero_sum, const NpuEpilogue *epilogue, int rows, int n)
{
  for (int i = 0; i < rows; i++, y += y_stride, acc += acc_stride)
    for (int first = 0; first < n; first += BLOCK) {
      const int block = npu_min_int (n - first, BLOCK);
      float t[BLOCK];

      for (int j = 0; j < block; j++)
        t[j] = (float) (acc[first + j] - zero_sum[first + j]) * row_scale[i] *
               weight_scale[first + j];
      finish (y + first, t, epilogue, i, first, block);
    }
}

void
npu_epilogue_init_c (NpuKernels *kernels)
{
  kernels->gelu_f32 = gelu_f32;
  kernels->epilogue_f32 = epilogue_f32;
  kernels->epilogue_s32 = epilogue_s32;
}
