/* Tensor elements to float: the float types and ggml's block types
 * (ggml/src/ggml-common.h describes the blocks).
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-private.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Converters take NPU_BLOCK elements at any alignment and tell whether all
 * are finite; where they are not, the output means nothing. The constant trip
 * counts let compilers vectorise them. */
typedef gboolean (*ConvertFunc) (const guint8 *in, float *out);

static inline guint16
load16 (const guint8 *p)
{
  guint16 value;

  memcpy (&value, p, sizeof value);
  return GUINT16_FROM_LE (value);
}

static inline guint32
load32 (const guint8 *p)
{
  guint32 value;

  memcpy (&value, p, sizeof value);
  return GUINT32_FROM_LE (value);
}

static inline float
bits_to_float (guint32 bits)
{
  float value;

  memcpy (&value, &bits, sizeof value);
  return value;
}

static inline gboolean
half_is_finite (guint16 half)
{
  return (half & 0x7c00) != 0x7c00;
}

/* Of a finite half. A subnormal one is made from its integer mantissa, so no
 * subnormal float is computed with: flush-to-zero modes change nothing. Masks,
 * not conditions: compilers vectorise them as they are. */
static inline float
half_to_float (guint16 half)
{
  const guint32 sign = (guint32) (half & 0x8000) << 16;
  const gint32 magnitude = half & 0x7fff;
  const guint32 is_subnormal = (guint32) ((magnitude - 0x0400) >> 31);
  const guint32 normal = ((guint32) magnitude << 13) + (112u << 23);
  const float subnormal = (float) magnitude * 0x1p-24f;
  guint32 bits;

  memcpy (&bits, &subnormal, sizeof bits);
  return bits_to_float (
      sign | (bits & is_subnormal) | (normal & ~is_subnormal));
}

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

static const struct {
  const char *name;
  guint block; /* elements */
  guint size;  /* bytes of a block */
  ConvertFunc convert;
} dtypes[] = {
    [NPU_DTYPE_F32] = {"F32", 1, 4, convert_f32},
    [NPU_DTYPE_F16] = {"F16", 1, 2, convert_f16},
    [NPU_DTYPE_BF16] = {"BF16", 1, 2, convert_bf16},
    [NPU_DTYPE_Q8_0] = {"Q8_0", NPU_BLOCK, 34, convert_q8_0},
    [NPU_DTYPE_Q5_0] = {"Q5_0", NPU_BLOCK, 22, convert_q5_0},
    [NPU_DTYPE_Q5_1] = {"Q5_1", NPU_BLOCK, 24, convert_q5_1},
    [NPU_DTYPE_Q4_0] = {"Q4_0", NPU_BLOCK, 18, convert_q4_0},
    [NPU_DTYPE_Q4_1] = {"Q4_1", NPU_BLOCK, 20, convert_q4_1},
};

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

gsize
npu_tensor_n_elements (const NpuTensor *tensor)
{
  gsize n = 1;

  for (guint i = 0; i < tensor->n_dims; i++)
    n *= tensor->shape[i];
  return n;
}

/* The byte in the file where the first value that is not finite begins, of
 * the n <= NPU_BLOCK elements whose first is @first. */
static guint64
find_not_finite (const NpuTensor *tensor, gsize first, gsize n)
{
  const guint size = dtypes[tensor->dtype].size;
  guint8 padded[4 * NPU_BLOCK] = {0};
  float out[NPU_BLOCK];
  gsize i;

  if (dtypes[tensor->dtype].block > 1)
    return tensor->offset + first / NPU_BLOCK * size;

  for (i = 0; i + 1 < n; i++) {
    memcpy (padded, tensor->data + (first + i) * size, size);
    if (!dtypes[tensor->dtype].convert (padded, out))
      break;
  }
  return tensor->offset + (first + i) * size;
}

static gboolean
fail_not_finite (const NpuTensor *tensor, gsize first, gsize n, GError **error)
{
  return npu_model_fail (error, NPU_ERROR_FORMAT, tensor->file, tensor->name,
      find_not_finite (tensor, first, n),
      "the weight there (type %s) is not a finite number; the file is damaged "
      "or its training diverged, get another copy",
      npu_dtype_name (tensor->dtype));
}

gboolean
npu_tensor_read (
    const NpuTensor *tensor, gsize first, gsize n, float *out, GError **error)
{
  ConvertFunc convert;
  gsize total, i;
  guint block, size;

  g_return_val_if_fail (tensor != NULL && out != NULL, FALSE);
  total = npu_tensor_n_elements (tensor);
  block = dtypes[tensor->dtype].block;
  size = dtypes[tensor->dtype].size;
  g_return_val_if_fail (first <= total && n <= total - first, FALSE);
  g_return_val_if_fail (first % block == 0 && n % block == 0, FALSE);

  if (tensor->generator) {
    npu_generator_read (tensor->generator, first, n, out);
    return TRUE;
  }

  convert = dtypes[tensor->dtype].convert;
  for (i = 0; i + NPU_BLOCK <= n; i += NPU_BLOCK) {
    if (!convert (tensor->data + (first + i) / block * size, out + i))
      return fail_not_finite (tensor, first + i, NPU_BLOCK, error);
  }
  if (i < n) {
    guint8 padded[4 * NPU_BLOCK] = {0};
    float last[NPU_BLOCK];

    memcpy (padded, tensor->data + (first + i) * size, (n - i) * size);
    if (!convert (padded, last))
      return fail_not_finite (tensor, first + i, n - i, error);
    memcpy (out + i, last, (n - i) * sizeof *out);
  }
  return TRUE;
}

void
npu_drop_pages (const guint8 *data, gsize size)
{
  const gsize page = (gsize) sysconf (_SC_PAGESIZE);
  const gsize before = GPOINTER_TO_SIZE (data) % page;

  /* Only advice: nothing depends on it. */
  (void) madvise ((gpointer) (data - before), before + size, MADV_DONTNEED);
}

void
npu_tensor_drop (const NpuTensor *tensor)
{
  if (tensor->is_mapped && tensor->size > 0)
    npu_drop_pages (tensor->data, tensor->size);
}
