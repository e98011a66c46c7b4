/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-tensor.h"

#include <string.h>

#include "tensors-private.h"

/* Bytes that are read at once: few calls, and they stay in the first cache
 * levels until they are converted. */
#define PIECE 32768

gsize
npu_tensor_n_elements (const NpuTensor *tensor)
{
  gsize n = 1;

  for (guint i = 0; i < tensor->n_dims; i++)
    n *= tensor->shape[i];
  return n;
}

const char *
npu_tensor_get_file_name (const NpuTensor *tensor)
{
  return tensor->file ? npu_tensor_file_get_name (tensor->file) : "(memory)";
}

/* Where in @in[n] the first value that is not finite begins, in bytes. */
static gsize
find_not_finite (const NpuDtypeInfo *info, const guint8 *in, gsize n)
{
  guint8 padded[4 * NPU_BLOCK] = {0};
  float out[NPU_BLOCK];
  gsize i;

  if (info->block > 1)
    return 0;
  for (i = 0; i + 1 < n; i++) {
    memcpy (padded, in + i * info->size, info->size);
    if (!info->convert (padded, out))
      break;
  }
  return i * info->size;
}

/* The step of @n elements at @in, which lie at @offset in the file. */
static gboolean
fail_not_finite (const NpuTensor *tensor, guint64 offset, const guint8 *in,
    gsize n, GError **error)
{
  const NpuDtypeInfo *info = npu_dtype_get_info (tensor->dtype);

  return npu_file_fail (error, NPU_ERROR_FORMAT,
      npu_tensor_get_file_name (tensor), tensor->name,
      offset + find_not_finite (info, in, n),
      "the weight there (type %s) is not a finite number; the file is damaged or its training diverged, get another copy",
      info->name);
}

/* @in[n] lies at @offset in the file. */
static gboolean
convert (const NpuTensor *tensor, guint64 offset, const guint8 *in, gsize n,
    float *out, GError **error)
{
  const NpuDtypeInfo *info = npu_dtype_get_info (tensor->dtype);
  const gsize step_size = info->step / info->block * info->size;
  guint8 padded[4 * NPU_BLOCK] = {0};
  float last[NPU_BLOCK];
  gsize i, at = 0;

  for (i = 0; i + info->step <= n; i += info->step, at += step_size) {
    if (!info->convert (in + at, out + i))
      return fail_not_finite (tensor, offset + at, in + at, info->step, error);
  }
  if (i == n)
    return TRUE;
  /* Fewer than a step: only of types whose steps are longer than blocks. */
  memcpy (padded, in + at, (n - i) / info->block * info->size);
  if (!info->convert (padded, last))
    return fail_not_finite (tensor, offset + at, in + at, n - i, error);
  memcpy (out + i, last, (n - i) * sizeof *out);
  return TRUE;
}

/* From the file, a piece at a time. */
static gboolean
read_pieces (const NpuTensor *tensor, guint64 offset, gsize n, float *out,
    GError **error)
{
  const NpuDtypeInfo *info = npu_dtype_get_info (tensor->dtype);
  const gsize step_size = info->step / info->block * info->size;
  const gsize piece = PIECE / step_size * info->step;
  guint8 bytes[PIECE];

  while (n > 0) {
    const gsize n_now = MIN (n, piece);
    const gsize size = n_now / info->block * info->size;

    if (!npu_tensor_file_read (
            tensor->file, offset, size, bytes, tensor->name, error) ||
        !convert (tensor, offset, bytes, n_now, out, error))
      return FALSE;
    offset += size;
    out += n_now;
    n -= n_now;
  }
  return TRUE;
}

gboolean
npu_tensor_read (
    const NpuTensor *tensor, gsize first, gsize n, float *out, GError **error)
{
  const NpuDtypeInfo *info;
  gsize total, at;

  g_return_val_if_fail (tensor != NULL && out != NULL, FALSE);
  total = npu_tensor_n_elements (tensor);
  info = npu_dtype_get_info (tensor->dtype);
  g_return_val_if_fail (first <= total && n <= total - first, FALSE);
  g_return_val_if_fail (
      first % info->block == 0 && n % info->block == 0, FALSE);

  if (tensor->generator) {
    npu_generator_read (tensor->generator, first, n, out);
    return TRUE;
  }
  at = first / info->block * info->size;
  if (tensor->data)
    return convert (
        tensor, tensor->offset + at, tensor->data + at, n, out, error);
  return read_pieces (tensor, tensor->offset + at, n, out, error);
}
