/* The operations as plain f32 loops: the arithmetic as anyone would write it,
 * in an order that compilers vectorise, built as kernels/c is. Kernels are
 * tested against them, and the C table is to take less than twice their time.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-kernels.h"

/* o[q_rows][64] = softmax (scale * q k^T) v, of dense q and v and of
 * k_transposed[64][kv_rows]; score[kv_rows] is scratch. */
void plain_attention (float *o, const float *q, const float *k_transposed,
    const float *v, int q_rows, int kv_rows, float scale, float *score);

/* Attention's operands are made dense: y[rows][64]; k: y[64][rows]. */
void plain_pack (float *y, const float *x, ptrdiff_t stride, int rows);
void plain_pack_transposed (
    float *y, const float *x, ptrdiff_t stride, int rows);

/* What int8 does to them: q and k are rotated by a Hadamard matrix and become
 * integers times scale[rows] and scale[1], k less its mean[64]; v is rounded
 * to bfloat16. */
void plain_pack_q_s8 (
    float *y, float *scale, const float *x, ptrdiff_t stride, int rows);
void plain_pack_k_s8 (float *y, float *scale, float *mean, const float *x,
    ptrdiff_t stride, int rows);
void plain_pack_v_s8 (float *y, const float *x, ptrdiff_t stride, int rows);

/* As in the table. */
void plain_layernorm_f32 (float *y, ptrdiff_t y_stride, const float *x,
    ptrdiff_t x_stride, const float *gamma, const float *beta, float eps,
    int rows, int d);
void plain_gelu_f32 (float *y, const float *x, size_t n);
void plain_quantize_q8 (uint8_t *y, float *scale, const float *x,
    ptrdiff_t x_stride, const float *column_scale, int rows, int k);
float plain_quantize_s8 (int8_t *y, const float *x, int k);
/* Of dense rows. */
void plain_quantize_s16 (
    int16_t *y, float *scale, const float *x, int rows, int k);
void plain_convert_bf16 (uint16_t *y, const float *x, size_t n);

/* y[n] = x[k] weight[k][n]: the weights lie as a row wants them. */
void plain_product (
    float *y, const float *x, const float *weight, int n, int k);

float plain_log_sum_exp (const float *x, int n);
int plain_argmax (const float *x, int n);

/* Epilogues of dense acc[rows][n]. */
void plain_epilogue_gelu (
    float *y, const float *acc, const float *bias, int rows, int n);
void plain_epilogue_f32 (float *y, const float *acc, const float *bias,
    const float *residual, int rows, int n);
void plain_epilogue_s32 (float *y, const int32_t *acc, const float *row_scale,
    const float *weight_scale, const int32_t *zero_sum, const float *bias,
    const float *residual, int rows, int n);
