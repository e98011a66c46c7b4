/* What follows a matrix product, with AVX-512: one pass over the tile.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "x86/avx512.h"
#include "x86/npu-x86.h"

#define LANES 16

static void
gelu_f32 (float *y, const float *x, size_t n)
{
  size_t i = 0;

  for (; i + LANES <= n; i += LANES)
    _mm512_storeu_ps (y + i, npu_gelu_avx512 (_mm512_loadu_ps (x + i)));
  if (i < n) {
    const __mmask16 rest = npu_first_lanes ((int) (n - i));
    _mm512_mask_storeu_ps (
        y + i, rest, npu_gelu_avx512 (_mm512_maskz_loadu_ps (rest, x + i)));
  }
}

/* What belongs to 16 columns of a row; NULL where there is none. The sums are
 * int32 where there are weight_scale and zero_sum, else floats. */
typedef struct {
  const void *acc;
  const float *weight_scale;
  const int32_t *zero_sum;
  const float *bias, *residual;
} Columns;

/* The first n columns on, or so many of them. */
NPU_INLINE Columns
columns_at (Columns columns, int n)
{
  columns.acc = (const char *) columns.acc + n * sizeof (float);
  if (columns.weight_scale) {
    columns.weight_scale += n;
    columns.zero_sum += n;
  }
  if (columns.bias)
    columns.bias += n;
  if (columns.residual)
    columns.residual += n;
  return columns;
}

NPU_INLINE void
finish (float *y, Columns x, __m512 row_scale, const __mmask16 lanes,
    const int gelu)
{
  __m512 t;

  if (x.weight_scale) {
    const __m512 scale = _mm512_maskz_loadu_ps (lanes, x.weight_scale);

    t = _mm512_mul_ps (_mm512_cvtepi32_ps (_mm512_sub_epi32 (
                           _mm512_maskz_loadu_epi32 (lanes, x.acc),
                           _mm512_maskz_loadu_epi32 (lanes, x.zero_sum))),
        row_scale);
    t = x.bias
            ? _mm512_fmadd_ps (t, scale, _mm512_maskz_loadu_ps (lanes, x.bias))
            : _mm512_mul_ps (t, scale);
  } else {
    t = _mm512_maskz_loadu_ps (lanes, x.acc);
    if (x.bias)
      t = _mm512_add_ps (t, _mm512_maskz_loadu_ps (lanes, x.bias));
  }
  if (gelu)
    t = npu_gelu_avx512 (t);
  if (x.residual)
    t = _mm512_add_ps (t, _mm512_maskz_loadu_ps (lanes, x.residual));
  _mm512_mask_storeu_ps (y, lanes, t);
}

NPU_INLINE void
finish_row (float *y, Columns row, float row_scale, int n, const int gelu)
{
  const __m512 scale = _mm512_set1_ps (row_scale);
  int j = 0;

  for (; j + LANES <= n; j += LANES)
    finish (y + j, columns_at (row, j), scale, 0xffff, gelu);
  if (j < n)
    finish (y + j, columns_at (row, j), scale, npu_first_lanes (n - j), gelu);
}

/* acc is f32 where row_scale is NULL. */
NPU_INLINE void
epilogue_rows (float *y, ptrdiff_t y_stride, const void *acc,
    ptrdiff_t acc_stride, const float *row_scale, const float *weight_scale,
    const int32_t *zero_sum, const NpuEpilogue *epilogue, int rows, int n,
    const int gelu)
{
  for (int i = 0; i < rows; i++, y += y_stride) {
    const Columns row = {
        .acc = (const char *) acc + i * acc_stride * 4,
        .weight_scale = weight_scale,
        .zero_sum = zero_sum,
        .bias = epilogue->bias,
        .residual = epilogue->residual
                        ? epilogue->residual + i * epilogue->residual_stride
                        : NULL,
    };

    finish_row (y, row, row_scale ? row_scale[i] : 0.0f, n, gelu);
  }
}

static void
epilogue_f32 (float *y, ptrdiff_t y_stride, const float *acc,
    ptrdiff_t acc_stride, const NpuEpilogue *epilogue, int rows, int n)
{
  if (epilogue->gelu)
    epilogue_rows (
        y, y_stride, acc, acc_stride, NULL, NULL, NULL, epilogue, rows, n, 1);
  else
    epilogue_rows (
        y, y_stride, acc, acc_stride, NULL, NULL, NULL, epilogue, rows, n, 0);
}

static void
epilogue_s32 (float *y, ptrdiff_t y_stride, const int32_t *acc,
    ptrdiff_t acc_stride, const float *row_scale, const float *weight_scale,
    const int32_t *zero_sum, const NpuEpilogue *epilogue, int rows, int n)
{
  if (epilogue->gelu)
    epilogue_rows (y, y_stride, acc, acc_stride, row_scale, weight_scale,
        zero_sum, epilogue, rows, n, 1);
  else
    epilogue_rows (y, y_stride, acc, acc_stride, row_scale, weight_scale,
        zero_sum, epilogue, rows, n, 0);
}

void
npu_epilogue_init_avx512 (NpuKernels *kernels)
{
  kernels->gelu_f32 = gelu_f32;
  kernels->epilogue_f32 = epilogue_f32;
  kernels->epilogue_s32 = epilogue_s32;
}
