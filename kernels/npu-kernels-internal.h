/* What the files of the kernels share: how the tables are filled.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-kernels.h"

/* The name of a function that is not inline: npu_<name>_<instruction set>, so
 * that a profile or a trace tells whose it is; the name begins with its
 * subject. A file defines NPU_ISA before it includes anything. What a file
 * calls itself it calls by a macro that is the short name. */
#define NPU_KERNEL(name) NPU_KERNEL_OF (name, NPU_ISA)
#define NPU_KERNEL_OF(name, isa) NPU_KERNEL_PASTE (name, isa)
#define NPU_KERNEL_PASTE(name, isa) npu_##name##_##isa

/* Before a loop of products: steps in one have fewer instructions. Of integers,
 * whose products are two instructions, four no longer fit where decoded ones
 * are kept. NPU_UNROLLED: all steps of a constant number. */
#ifdef __clang__
#define NPU_TWICE _Pragma ("clang loop unroll_count(2)")
#define NPU_FOUR_TIMES _Pragma ("clang loop unroll_count(4)")
#define NPU_UNROLLED _Pragma ("clang loop unroll(full)")
#else
#define NPU_TWICE _Pragma ("GCC unroll 2")
#define NPU_FOUR_TIMES _Pragma ("GCC unroll 4")
#define NPU_UNROLLED _Pragma ("GCC unroll 16")
#endif

/* Softmax runs in powers of two: exp (x) = exp2 (x * NPU_LOG2E). */
#define NPU_LOG2E 1.44269504088896340736f

/* Attention's operands are clamped to these when they are packed, so that no
 * finite input overflows to an infinity, and then to a NaN, on the way:
 * scores stay below 2^126, and so do sums of 65536 values with weights up to
 * 2^30. */
#define NPU_QK_LIMIT 0x1p60f
#define NPU_V_LIMIT 0x1p80f

/* A row whose largest magnitude is below this is quantised as zeros: the
 * reciprocal of its scale would overflow. */
#define NPU_Q8_SMALLEST 0x1p-119f
#define NPU_S16_SMALLEST 0x1p-110f
#define NPU_GROUPED_SMALLEST 0x1p-102f

/* Attention's values in 8 bits: the distance to a column's mean is as many
 * steps, and half a one more to the integer that stands for it; which is small
 * enough for a float as long as a step is not much finer than the mean. */
#define NPU_V8_LEVELS 126.5f
#define NPU_V8_FINEST 0x1p-16f

static inline int
npu_min_int (int a, int b)
{
  return a < b ? a : b;
}

/* 0 for x[n] of numbers, NaN where one is a NaN or an infinity. */
static inline float
npu_zero_of (const float *x, int n)
{
  float zero = 0.0f;

  for (int i = 0; i < n; i++)
    zero += x[i] * 0.0f;
  return zero;
}

/* The scale of a 16-bit row x[n] whose Euclidean norm is largest times norm;
 * *inverse is 1 / scale, or 0 where the row becomes zeros: it is too small, or
 * has a NaN or an infinity, and then the scale is NaN. */
static inline float
npu_s16_scale (const float *x, int n, float largest, float norm, float *inverse)
{
  *inverse = 0.0f;
  /* NaNs are not the largest of anything. */
  if (largest < NPU_S16_SMALLEST)
    return npu_zero_of (x, n);
  /* The norm is a NaN, or 0 where the largest is so large that its reciprocal
   * is subnormal and this thread makes zeros of such, as libraries built for
   * fast arithmetic set it. */
  if (!(norm > 0.0f))
    return __builtin_nanf ("");
  *inverse = NPU_S16_NORM / norm / largest;
  return largest / NPU_S16_NORM * norm;
}

static inline float
npu_clamp (float x, float limit)
{
  return x > limit ? limit : x < -limit ? -limit : x;
}

/* The C reference. */
void npu_attention_init_c (NpuKernels *kernels);
void npu_attention_init_s8_c_int8 (NpuKernels *kernels);
void npu_rows_init_c (NpuKernels *kernels);
void npu_epilogue_init_c (NpuKernels *kernels);
