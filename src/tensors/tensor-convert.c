/* Elements to float: the float types and ggml's block types
 * (ggml/src/ggml-common.h describes the blocks).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "tensor-convert.h"

#include <string.h>

/* Each takes NPU_BLOCK elements. The constant trip counts let compilers
 * vectorise them. */

static gboolean
convert_f32 (const guint8 *restrict in, float *restrict out)
{
  guint32 bad = 0;

  for (guint i = 0; i < NPU_BLOCK; i++) {
    guint32 bits = load32 (in + 4 * i);

    bad |= (bits & 0x7f800000) == 0x7f800000;
    out[i] = bits_to_float (bits);
  }
  return !bad;
}

static gboolean
convert_f16 (const guint8 *restrict in, float *restrict out)
{
  guint32 bad = 0;

  for (guint i = 0; i < NPU_BLOCK; i++) {
    guint16 half = load16 (in + 2 * i);

    /* The exponent's carry: only of what is not finite. */
    bad |= (half & 0x7c00u) + 0x0400u;
    out[i] = half_to_float (half);
  }
  return !(bad & 0x8000u);
}

static gboolean
convert_bf16 (const guint8 *restrict in, float *restrict out)
{
  guint32 bad = 0;

  for (guint i = 0; i < NPU_BLOCK; i++) {
    guint16 half = load16 (in + 2 * i);

    bad |= (half & 0x7f80) == 0x7f80;
    out[i] = bits_to_float ((guint32) half << 16);
  }
  return !bad;
}

/* half scale, int8 [32] */
static gboolean
convert_q8_0 (const guint8 *restrict in, float *restrict out)
{
  float scale = half_to_float (load16 (in));

  for (guint i = 0; i < NPU_BLOCK; i++)
    out[i] = (float) (gint8) in[2 + i] * scale;
  return half_is_finite (load16 (in));
}

/* The nibbles of qs[16]: low ones are elements 0 to 15, high ones 16 to 31. */
static inline void
unpack_4 (const guint8 *qs, gint32 *q)
{
  for (guint i = 0; i < NPU_BLOCK / 2; i++) {
    q[i] = qs[i] & 15;
    q[i + NPU_BLOCK / 2] = qs[i] >> 4;
  }
}

/* Likewise, bit i of qh being the fifth bit of element i. */
static inline void
unpack_5 (guint32 qh, const guint8 *qs, gint32 *q)
{
  unpack_4 (qs, q);
  for (guint i = 0; i < NPU_BLOCK; i++)
    q[i] |= (qh >> i & 1) << 4;
}

static inline void
scale_block (
    const gint32 *q, gint32 zero, float scale, float minimum, float *out)
{
  for (guint i = 0; i < NPU_BLOCK; i++)
    out[i] = (float) (q[i] - zero) * scale + minimum;
}

/* half scale, nibbles [16] */
static gboolean
convert_q4_0 (const guint8 *restrict in, float *restrict out)
{
  gint32 q[NPU_BLOCK];

  unpack_4 (in + 2, q);
  scale_block (q, 8, half_to_float (load16 (in)), 0, out);
  return half_is_finite (load16 (in));
}

/* half scale, half minimum, nibbles [16] */
static gboolean
convert_q4_1 (const guint8 *restrict in, float *restrict out)
{
  gint32 q[NPU_BLOCK];

  unpack_4 (in + 4, q);
  scale_block (
      q, 0, half_to_float (load16 (in)), half_to_float (load16 (in + 2)), out);
  return half_is_finite (load16 (in)) && half_is_finite (load16 (in + 2));
}

/* half scale, fifth bits u32, nibbles [16] */
static gboolean
convert_q5_0 (const guint8 *restrict in, float *restrict out)
{
  gint32 q[NPU_BLOCK];

  unpack_5 (load32 (in + 2), in + 6, q);
  scale_block (q, 16, half_to_float (load16 (in)), 0, out);
  return half_is_finite (load16 (in));
}

/* half scale, half minimum, fifth bits u32, nibbles [16] */
static gboolean
convert_q5_1 (const guint8 *restrict in, float *restrict out)
{
  gint32 q[NPU_BLOCK];

  unpack_5 (load32 (in + 4), in + 8, q);
  scale_block (
      q, 0, half_to_float (load16 (in)), half_to_float (load16 (in + 2)), out);
  return half_is_finite (load16 (in)) && half_is_finite (load16 (in + 2));
}

#define SUPER NPU_MAX_BLOCK

static const NpuDtypeInfo dtypes[] = {
    [NPU_DTYPE_F32] = {"F32", 1, 4, NPU_BLOCK, convert_f32},
    [NPU_DTYPE_F16] = {"F16", 1, 2, NPU_BLOCK, convert_f16},
    [NPU_DTYPE_BF16] = {"BF16", 1, 2, NPU_BLOCK, convert_bf16},
    [NPU_DTYPE_Q8_0] = {"Q8_0", NPU_BLOCK, 34, NPU_BLOCK, convert_q8_0},
    [NPU_DTYPE_Q5_0] = {"Q5_0", NPU_BLOCK, 22, NPU_BLOCK, convert_q5_0},
    [NPU_DTYPE_Q5_1] = {"Q5_1", NPU_BLOCK, 24, NPU_BLOCK, convert_q5_1},
    [NPU_DTYPE_Q4_0] = {"Q4_0", NPU_BLOCK, 18, NPU_BLOCK, convert_q4_0},
    [NPU_DTYPE_Q4_1] = {"Q4_1", NPU_BLOCK, 20, NPU_BLOCK, convert_q4_1},
    [NPU_DTYPE_Q2_K] = {"Q2_K", SUPER, 84, SUPER, npu_convert_q2_k},
    [NPU_DTYPE_Q3_K] = {"Q3_K", SUPER, 110, SUPER, npu_convert_q3_k},
    [NPU_DTYPE_Q4_K] = {"Q4_K", SUPER, 144, SUPER, npu_convert_q4_k},
    [NPU_DTYPE_Q5_K] = {"Q5_K", SUPER, 176, SUPER, npu_convert_q5_k},
    [NPU_DTYPE_Q6_K] = {"Q6_K", SUPER, 210, SUPER, npu_convert_q6_k},
};

const NpuDtypeInfo *
npu_dtype_get_info (NpuDtype dtype)
{
  return &dtypes[dtype];
}

const char *
npu_dtype_name (NpuDtype dtype)
{
  return dtypes[dtype].name;
}

guint
npu_dtype_block (NpuDtype dtype)
{
  return dtypes[dtype].block;
}

gboolean
npu_dtype_size (NpuDtype dtype, guint64 n, guint64 *size)
{
  return g_uint64_checked_mul (
      size, n / dtypes[dtype].block, dtypes[dtype].size);
}
