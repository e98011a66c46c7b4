/* The tile kernels: arithmetic on blocks of at most 64 rows.
 *
 * Plain C, no allocation, no globals but the tables themselves. Every table
 * is filled with the C reference first and then overwritten by what the CPU
 * has. Results depend on the table, never on how work is split into tiles.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NPU_TILE_ROWS 64 /* rows (positions) of a tile */
#define NPU_HEAD_DIM 64  /* columns of an attention tile: every Whisper size */

/* A q8 tile: up to 64 rows of k bytes, dense, each round-to-even (x / scale)
 * + 128, then 64 float scales, one a row; x is the row after a rotation
 * (npu-rotate.h). k is a multiple of 64 and at most NPU_Q8_COLUMNS. Dense rows
 * are what oneDNN's fastest int8 kernels take. A row's largest magnitude is 127
 * steps. */
#define NPU_Q8_LEVELS 127
#define NPU_Q8_ZERO 128
#define NPU_Q8_COLUMNS 8192
#define NPU_Q8_TILE_SCALES(k) (NPU_TILE_ROWS * (size_t) (k))
#define NPU_Q8_TILE_SIZE(k)                                                    \
  (NPU_Q8_TILE_SCALES (k) + NPU_TILE_ROWS * sizeof (float))

/* Rounding adds sqrt (k) / 2 at most to a norm. */
#define NPU_S16_NORM 32600.0f

/* Attention of one head over 64-row tiles, with online softmax (Milakov and
 * Gimelshein 2018; Dao et al. 2022). The packed tile formats are the table's
 * own: whoever packs with one table runs with the same one. */
typedef struct {
  size_t q_tile_size, k_tile_size, v_tile_size; /* bytes, multiples of 64 */
  size_t scratch_size;                          /* bytes, 64-byte aligned */

  /* Packs x[rows][64], row stride in floats, 1 <= rows <= 64, into a tile;
   * missing rows become zeros. Tiles are 64-byte aligned. */
  void (*pack_q) (void *tile, const float *x, ptrdiff_t stride, int rows);
  void (*pack_k) (void *tile, const float *x, ptrdiff_t stride, int rows);
  void (*pack_v) (void *tile, const float *x, ptrdiff_t stride, int rows);

  /* o[q_rows][64] = softmax (scale * q k^T) v, row stride of o in floats.
   * k and v: ceil (kv_rows / 64) packed tiles one after another; keys from
   * kv_rows on are masked exactly. kv_rows >= 1. */
  void (*run) (float *o, ptrdiff_t o_stride, const void *q, const void *k,
      const void *v, int q_rows, int kv_rows, float scale, void *scratch);
} NpuAttentionKernel;

/* Products of a tile with constant weights. */
typedef struct {
  int columns; /* n is a multiple of it, and k of NPU_GEMM_DEPTH */

  /* Packs weight[n][k] to as many bytes, 64-byte aligned. */
  void (*pack) (void *packed, const void *weight, int n, int k);

  /* c[rows][n] = a[rows][k] weight^T; strides in elements. Rows of a may
   * overlap. */
  void (*run) (void *c, ptrdiff_t c_stride, const void *a, ptrdiff_t a_stride,
      const void *packed, int rows, int n, int k);
} NpuGemmKernel;

#define NPU_GEMM_DEPTH 8

/* GELU by erf: exact to f32 accuracy, or with an absolute error of 3e-5 at
 * most, for what becomes bytes. */
typedef enum {
  NPU_GELU_NONE,
  NPU_GELU_EXACT,
  NPU_GELU_SHORT,
} NpuGelu;

/* What follows a matrix product, in this order: scale (int8 only), bias,
 * GELU, residual. */
typedef struct {
  const float *bias; /* [n], or NULL */
  NpuGelu gelu;
  const float *residual; /* [rows][residual_stride], added last, or NULL;
                          * may be the output itself */
  ptrdiff_t residual_stride;
} NpuEpilogue;

/* What turns the sums of products of bytes into floats: of q8 rows and of
 * weights of 8 bits. As in epilogue_s32. */
typedef struct {
  const float *row_scale;    /* [rows] */
  const float *weight_scale; /* [n] */
  const int32_t *zero_sum;   /* [n] */
  NpuEpilogue epilogue;
} NpuLinearS8;

/* A linear map of a q8 tile with constant weights. */
typedef struct {
  /* Packs weight[n][k] to as many bytes, 64-byte aligned. */
  void (*pack) (void *packed, const void *weight, int n, int k);

  /* y[rows][n] = what @linear makes of a[rows][k] weight^T, which are exact:
   * the bits of epilogue_s32. y's stride is in floats, a is dense. */
  void (*run) (float *y, ptrdiff_t y_stride, const uint8_t *a,
      const void *packed, const NpuLinearS8 *linear, int rows, int n, int k);
} NpuLinearKernel;

/* n is a multiple of the first, k of the second. */
#define NPU_LINEAR_COLUMNS 32
#define NPU_LINEAR_DEPTH 16

typedef struct {
  const char *name; /* "c", "avx2", "avx512vnni", … */

  NpuAttentionKernel attention_f32;
  NpuAttentionKernel attention_s8;
  /* Queries, keys, values and weights rounded to bfloat16, sums and softmax in
   * float; attention_f32 where those products are no faster. */
  NpuAttentionKernel attention_bf16;

  /* Of floats; zeros where a library's product is faster. */
  NpuGemmKernel gemm_f32;
  /* int16 a and weight, int32 c, exactly, where rows and columns are as
   * quantize_s16 makes them. Zeros where that is no faster than float. */
  NpuGemmKernel gemm_s16;
  /* bfloat16 a and weight, float c. Zeros where a library's product is
   * faster. */
  NpuGemmKernel gemm_bf16;
  /* Of bytes; zeros without instructions for them. */
  NpuLinearKernel linear_s8;

  /* y[rows][d] = (x - mean) / sqrt (var + eps) * gamma + beta, by row. */
  void (*layernorm_f32) (float *y, ptrdiff_t y_stride, const float *x,
      ptrdiff_t x_stride, const float *gamma, const float *beta, float eps,
      int rows, int d);
  /* The same, each row rotated and quantised: y[rows][d] dense,
   * scale[rows]. The rotation's signs are part of gamma and beta. */
  void (*layernorm_q8) (uint8_t *y, float *scale, const float *x,
      ptrdiff_t x_stride, const float *gamma, const float *beta, float eps,
      int rows, int d);

  /* y = x * Phi (x), exact to f32 accuracy; y may be x. */
  void (*gelu_f32) (float *y, const float *x, size_t n);

  /* Multiplies rows of k floats by column_scale[k], which holds the
   * rotation's signs, rotates and quantises them: y[rows][k] dense,
   * scale[rows]. The scale of a row is max |x| / NPU_Q8_LEVELS; a row of
   * zeros has scale 0. */
  void (*quantize_q8) (uint8_t *y, float *scale, const float *x,
      ptrdiff_t x_stride, const float *column_scale, int rows, int k);

  /* Quantises rows of k floats to 16 bits, y[rows][k] dense, scale[rows]: each
   * round-to-even (x / scale). A row's Euclidean norm is NPU_S16_NORM steps, so
   * that no sum of products of two such rows exceeds 31 bits, by Cauchy and
   * Schwarz. A row of zeros has scale 0, one with a NaN or an infinity zeros
   * and the scale NaN. */
  void (*quantize_s16) (int16_t *y, float *scale, const float *x,
      ptrdiff_t x_stride, int rows, int k);

  /* y[n] = x[n] rounded to bfloat16, ties to even. */
  void (*convert_bf16) (uint16_t *y, const float *x, size_t n);

  /* y[rows][n] = epilogue (acc), strides in floats; y may be acc. */
  void (*epilogue_f32) (float *y, ptrdiff_t y_stride, const float *acc,
      ptrdiff_t acc_stride, const NpuEpilogue *epilogue, int rows, int n);

  /* The same from int32 products of (q8 row) x (int8 weights), or of 16 bits:
   * (acc - zero_sum[n]) * row_scale[rows] * weight_scale[n] first. zero_sum[n]
   * is what the rows' zero makes of a column: zero times its sum of
   * weights. */
  void (*epilogue_s32) (float *y, ptrdiff_t y_stride, const int32_t *acc,
      ptrdiff_t acc_stride, const float *row_scale, const float *weight_scale,
      const int32_t *zero_sum, const NpuEpilogue *epilogue, int rows, int n);
} NpuKernels;

/* Instruction sets. AVX2 is implied by the others, AVX512 by AVX512_*; AVX_VNNI
 * stands alone: CPUs with AVX-512 VNNI need not have it. */
enum {
  NPU_CPU_AVX2 = 1 << 0,        /* AVX2, FMA, F16C */
  NPU_CPU_AVX_VNNI = 1 << 1,    /* VEX-coded vpdpbusd */
  NPU_CPU_AVX512 = 1 << 2,      /* F, BW, DQ, VL */
  NPU_CPU_AVX512_VNNI = 1 << 3, /* vpdpbusd on zmm */
  NPU_CPU_AVX512_BF16 = 1 << 4, /* vdpbf16ps */
  /* vdpbf16ps at the rate of FMAs, so that bfloat16 is twice as fast as float:
   * AMD's. An Intel Xeon was measured at a quarter of that rate. */
  NPU_CPU_FAST_BF16 = 1 << 5,
  /* Of no CPU: int8 attention in C has the integers of AVX-512 VNNI's. */
  NPU_CPU_C_INT8 = 1 << 6,
};

/* What this CPU and its operating system allow. */
unsigned npu_cpu_flags (void);

/* The rotation's signs, and the factor that makes it orthonormal, for rows of
 * n columns: signs[n]. */
void npu_rotation_signs (float *signs, int n);

/* The rest of it, in place: x[n] times its signs, n a multiple of 64. For
 * weights; rows are rotated as they are quantised. */
void npu_rotation_apply (float *x, int n);

/* Fills the table for a CPU with exactly these flags. */
void npu_kernels_init (NpuKernels *kernels, unsigned cpu_flags);

#ifdef __cplusplus
}
#endif
