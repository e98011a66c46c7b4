/* What follows a matrix product, in C: scale, bias, GELU, residual.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#define NPU_ISA c

#include "npu-kernels-internal.h"
#include "npu-math.h"

/* Columns at a time, on the stack. Whole blocks have a size that the compiler
 * knows: no loop over one has a remainder. */
#define BLOCK 64

static void
NPU_KERNEL (gelu_f32) (float *y, const float *x, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] = npu_gelu (x[i]);
}

static const float zeros[BLOCK];

/* Of a row: what is added to a block of columns from @first on. */
typedef struct {
  const float *bias, *residual;
} Added;

static inline Added
added_to (const NpuEpilogue *epilogue, int row, int first)
{
  return (Added){
      epilogue->bias ? epilogue->bias + first : zeros,
      epilogue->residual
          ? epilogue->residual + row * epilogue->residual_stride + first
          : zeros,
  };
}

/* y[n] = residual + gelu (t). The residual may be y, but overlaps it in no
 * other way. */
static inline __attribute__ ((always_inline)) void
finish (float *y, float *t, const float *residual, NpuGelu gelu, int n)
{
  if (gelu == NPU_GELU_EXACT)
    NPU_KERNEL (gelu_f32) (t, t, (size_t) n);
  else if (gelu == NPU_GELU_SHORT)
    for (int j = 0; j < n; j++)
      t[j] = npu_gelu_short (t[j]);
  if (residual == y)
    for (int j = 0; j < n; j++)
      y[j] += t[j];
  else
    for (int j = 0; j < n; j++)
      y[j] = t[j] + residual[j];
}

static inline __attribute__ ((always_inline)) void
block_f32 (float *y, const float *acc, Added added, NpuGelu gelu, int n)
{
  float t[BLOCK];

  for (int j = 0; j < n; j++)
    t[j] = acc[j] + added.bias[j];
  finish (y, t, added.residual, gelu, n);
}

static void
NPU_KERNEL (epilogue_f32) (float *y, ptrdiff_t y_stride, const float *acc,
    ptrdiff_t acc_stride, const NpuEpilogue *epilogue, int rows, int n)
{
  for (int i = 0; i < rows; i++, y += y_stride, acc += acc_stride)
    for (int first = 0; first < n; first += BLOCK) {
      const Added added = added_to (epilogue, i, first);

      if (n - first >= BLOCK)
        block_f32 (y + first, acc + first, added, epilogue->gelu, BLOCK);
      else
        block_f32 (y + first, acc + first, added, epilogue->gelu, n - first);
    }
}

static inline __attribute__ ((always_inline)) void
block_s32 (float *y, const int32_t *acc, float row_scale,
    const float *weight_scale, const int32_t *zero_sum, Added added,
    NpuGelu gelu, int n)
{
  float t[BLOCK];

  for (int j = 0; j < n; j++)
    t[j] = (float) (acc[j] - zero_sum[j]) * row_scale * weight_scale[j] +
           added.bias[j];
  finish (y, t, added.residual, gelu, n);
}

static void
NPU_KERNEL (epilogue_s32) (float *y, ptrdiff_t y_stride, const int32_t *acc,
    ptrdiff_t acc_stride, const float *row_scale, const float *weight_scale,
    const int32_t *zero_sum, const NpuEpilogue *epilogue, int rows, int n)
{
  for (int i = 0; i < rows; i++, y += y_stride, acc += acc_stride)
    for (int first = 0; first < n; first += BLOCK) {
      const Added added = added_to (epilogue, i, first);
      const float *scale = weight_scale + first;
      const int32_t *sum = zero_sum + first;

      if (n - first >= BLOCK)
        block_s32 (y + first, acc + first, row_scale[i], scale, sum, added,
            epilogue->gelu, BLOCK);
      else
        block_s32 (y + first, acc + first, row_scale[i], scale, sum, added,
            epilogue->gelu, n - first);
    }
}

void
npu_epilogue_init_c (NpuKernels *kernels)
{
  kernels->gelu_f32 = NPU_KERNEL (gelu_f32);
  kernels->epilogue_f32 = NPU_KERNEL (epilogue_f32);
  kernels->epilogue_s32 = NPU_KERNEL (epilogue_s32);
}
