/* The functions that the cores of an NPU run on their tiles; who calls them
 * when is in the designs (design.py).
 *
 * bfloat16 is uint16_t on the host and bfloat16 on the core. Pointers are
 * 32-byte aligned.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-aie.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NPU_AIE_TILE (64 * 64) /* elements of a tile of q, k, v or o */
#define NPU_AIE_STATE 1280     /* floats of attention's state */

/* Attention of 64 query rows of one head, softmax to base 2, over any number
 * of tiles of 64 keys. For each 64 rows: begin; scores, values for each tile
 * of keys; end.
 *
 * q: bf16[64][64], then bf16[kv tiles][64] of bias (0, or -3.0e38 where a key
 *    is masked); begin reorders the first part in blocks.
 * k, v: bf16[8][64][8]: eight panels of 8 columns each.
 * p: bf16[64][64] of scratch: the output's buffer will do.
 * acc: float[64][64], state: float[NPU_AIE_STATE]: scratch.
 * o: bf16[64][64], by rows. */
void npu_attention_begin (NpuBf16 *q, float *acc, float *state);
void npu_attention_scores (const NpuBf16 *q, const NpuBf16 *k, NpuBf16 *p,
    float *state, int32_t kv_tile);
void npu_attention_values (
    const NpuBf16 *p, const NpuBf16 *v, float *acc, const float *state);
void npu_attention_end (NpuBf16 *o, const float *acc, const float *state);

/* y[rows][n] = (x - mean) / sqrt (variance + 1e-5) * gamma + beta, by row;
 * g is gamma[n], then beta[n]. n is a multiple of 16. */
void npu_layernorm_rows (
    const float *x, const float *g, NpuBf16 *y, int32_t rows, int32_t n);

/* y[n] = x Phi (x); n is a multiple of 16. */
void npu_gelu_row (const NpuBf16 *x, NpuBf16 *y, int32_t n);

#ifdef __cplusplus
}
#endif
