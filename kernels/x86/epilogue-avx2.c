/* What follows a matrix product, with AVX2: one pass over the tile.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "x86/avx2.h"
#include "x86/npu-x86.h"

#define LANES 8

static void
gelu_f32 (float *y, const float *x, size_t n)
{
  size_t i = 0;

  for (; i + LANES <= n; i += LANES)
    _mm256_storeu_ps (y + i, npu_gelu_avx2 (_mm256_loadu_ps (x + i)));
  if (i < n) {
    const int rest = (int) (n - i);
    npu_store_first (y + i, npu_gelu_avx2 (npu_load_first (x + i, rest)), rest);
  }
}

/* One register of a row, whose product is t. */
NPU_INLINE void
finish (float *y, __m256 t, int n, const float *bias, const float *residual,
    int gelu)
{
  if (bias)
    t = _mm256_add_ps (t, npu_load_first (bias, n));
  if (gelu)
    t = npu_gelu_avx2 (t);
  if (residual)
    t = _mm256_add_ps (t, npu_load_first (residual, n));
  npu_store_first (y, t, n);
}

/* n floats or integers. */
NPU_INLINE __m256i
load_ints (const void *x, int n)
{
  return _mm256_castps_si256 (npu_load_first (x, n));
}

/* acc is f32 where row_scale is NULL. */
NPU_INLINE void
epilogue_rows (float *y, ptrdiff_t y_stride, const void *acc,
    ptrdiff_t acc_stride, const float *row_scale, const float *weight_scale,
    const int32_t *zero_sum, const NpuEpilogue *epilogue, int rows, int n,
    const int gelu)
{
  for (int i = 0; i < rows; i++) {
    const char *acc_row = (const char *) acc + i * acc_stride * 4;
    const float *residual =
        epilogue->residual ? epilogue->residual + i * epilogue->residual_stride
                           : NULL;

    for (int j = 0; j < n; j += LANES) {
      const int left = n - j;
      const __m256i sum = load_ints (acc_row + j * 4, left);
      __m256 t = _mm256_castsi256_ps (sum);

      if (row_scale)
        t = _mm256_mul_ps (
            _mm256_mul_ps (_mm256_cvtepi32_ps (_mm256_sub_epi32 (
                               sum, load_ints (zero_sum + j, left))),
                _mm256_set1_ps (row_scale[i])),
            npu_load_first (weight_scale + j, left));
      finish (y + i * y_stride + j, t, left,
          epilogue->bias ? epilogue->bias + j : NULL,
          residual ? residual + j : NULL, gelu);
    }
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
npu_epilogue_init_avx2 (NpuKernels *kernels)
{
  kernels->gelu_f32 = gelu_f32;
  kernels->epilogue_f32 = epilogue_f32;
  kernels->epilogue_s32 = epilogue_s32;
}
