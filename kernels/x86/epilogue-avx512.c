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

/* One register of a row, whose product is t. */
NPU_INLINE void
finish (float *y, __m512 t, __mmask16 lanes, const float *bias,
    const float *residual, int gelu)
{
  if (bias)
    t = _mm512_add_ps (t, _mm512_maskz_loadu_ps (lanes, bias));
  if (gelu)
    t = npu_gelu_avx512 (t);
  if (residual)
    t = _mm512_add_ps (t, _mm512_maskz_loadu_ps (lanes, residual));
  _mm512_mask_storeu_ps (y, lanes, t);
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
      const __mmask16 lanes = npu_first_lanes (n - j);
      __m512 t;

      if (row_scale) {
        const __m512i sum =
            _mm512_sub_epi32 (_mm512_maskz_loadu_epi32 (lanes, acc_row + j * 4),
                _mm512_maskz_loadu_epi32 (lanes, zero_sum + j));
        t = _mm512_mul_ps (_mm512_mul_ps (_mm512_cvtepi32_ps (sum),
                               _mm512_set1_ps (row_scale[i])),
            _mm512_maskz_loadu_ps (lanes, weight_scale + j));
      } else {
        t = _mm512_maskz_loadu_ps (lanes, acc_row + j * 4);
      }
      finish (y + i * y_stride + j, t, lanes,
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
npu_epilogue_init_avx512 (NpuKernels *kernels)
{
  kernels->gelu_f32 = gelu_f32;
  kernels->epilogue_f32 = epilogue_f32;
  kernels->epilogue_s32 = epilogue_s32;
}
