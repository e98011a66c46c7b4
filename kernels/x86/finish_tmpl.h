/* What becomes of a product's sums, for vectors of any width (vector-avx2.h,
 * vector-avx512.h): scale, bias, GELU, residual.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

/* A row's operands; NULL where there is none. The sums are int32 where there
 * are weight_scale and zero_sum, else floats. */
typedef struct {
  const void *acc;
  float row_scale;
  const float *weight_scale;
  const int32_t *zero_sum;
  const float *bias, *residual;
} Operands;

/* LANES columns from j on, n of which there are. */
NPU_INLINE void
finish (float *y, const Operands *x, int j, int n, const int gelu)
{
  Vector t;

  if (x->weight_scale) {
    const Vector scale = load_first (x->weight_scale + j, n);

    t = load_differences ((const int32_t *) x->acc + j, x->zero_sum + j, n) *
        splat (x->row_scale);
    if (x->bias)
      t = fma_vector (t, scale, load_first (x->bias + j, n));
    else
      t *= scale;
  } else {
    t = load_first ((const float *) x->acc + j, n);
    if (x->bias)
      t += load_first (x->bias + j, n);
  }
  if (gelu == NPU_GELU_EXACT)
    t = gelu_vector (t);
  if (gelu == NPU_GELU_SHORT)
    t = gelu_short_vector (t);
  if (x->residual)
    t += load_first (x->residual + j, n);
  store_first (y + j, t, n);
}

NPU_INLINE void
finish_rows (float *y, ptrdiff_t y_stride, ptrdiff_t acc_stride,
    const float *row_scale, Operands x, const NpuEpilogue *epilogue, int rows,
    int n, const int gelu)
{
  const char *acc = x.acc;

  x.bias = epilogue->bias;
  for (int i = 0; i < rows; i++, y += y_stride) {
    int j = 0;

    x.acc = acc + i * acc_stride * 4;
    if (row_scale)
      x.row_scale = row_scale[i];
    if (epilogue->residual)
      x.residual = epilogue->residual + i * epilogue->residual_stride;
    for (; j + LANES <= n; j += LANES)
      finish (y, &x, j, LANES, gelu);
    if (j < n)
      finish (y, &x, j, n - j, gelu);
  }
}

/* A loop for each kind of GELU. */
NPU_INLINE void
finish_rows_for (float *y, ptrdiff_t y_stride, ptrdiff_t acc_stride,
    const float *row_scale, Operands x, const NpuEpilogue *epilogue, int rows,
    int n)
{
  if (epilogue->gelu == NPU_GELU_EXACT)
    finish_rows (y, y_stride, acc_stride, row_scale, x, epilogue, rows, n,
        NPU_GELU_EXACT);
  else if (epilogue->gelu == NPU_GELU_SHORT)
    finish_rows (y, y_stride, acc_stride, row_scale, x, epilogue, rows, n,
        NPU_GELU_SHORT);
  else
    finish_rows (y, y_stride, acc_stride, row_scale, x, epilogue, rows, n,
        NPU_GELU_NONE);
}
