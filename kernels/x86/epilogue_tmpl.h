/* What follows a matrix product, for vectors of any width (vector-avx2.h,
 * vector-avx512.h): one pass over the tile.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

static void
NPU_KERNEL (gelu_f32) (float *y, const float *x, size_t n)
{
  size_t i = 0;

  for (; i + LANES <= n; i += LANES)
    store_vector (y + i, gelu_vector (load_vector (x + i)));
  if (i < n) {
    const int rest = (int) (n - i);

    store_first (y + i, gelu_vector (load_first (x + i, rest)), rest);
  }
}

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
  if (gelu)
    t = gelu_vector (t);
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

static void
NPU_KERNEL (epilogue_f32) (float *y, ptrdiff_t y_stride, const float *acc,
    ptrdiff_t acc_stride, const NpuEpilogue *epilogue, int rows, int n)
{
  const Operands x = {.acc = acc};

  if (epilogue->gelu)
    finish_rows (y, y_stride, acc_stride, NULL, x, epilogue, rows, n, 1);
  else
    finish_rows (y, y_stride, acc_stride, NULL, x, epilogue, rows, n, 0);
}

static void
NPU_KERNEL (epilogue_s32) (float *y, ptrdiff_t y_stride, const int32_t *acc,
    ptrdiff_t acc_stride, const float *row_scale, const float *weight_scale,
    const int32_t *zero_sum, const NpuEpilogue *epilogue, int rows, int n)
{
  const Operands x = {
      .acc = acc, .weight_scale = weight_scale, .zero_sum = zero_sum};

  if (epilogue->gelu)
    finish_rows (y, y_stride, acc_stride, row_scale, x, epilogue, rows, n, 1);
  else
    finish_rows (y, y_stride, acc_stride, row_scale, x, epilogue, rows, n, 0);
}
