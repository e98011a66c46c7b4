/* Named arrays of a model's file, converted to float as they are read.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-api.h"

G_BEGIN_DECLS

/* Storage types of a tensor. The block types are ggml's, along the innermost
 * dimension (ggml/src/ggml-common.h): 32 weights a block, the K types 256. */
typedef enum {
  NPU_DTYPE_F32,
  NPU_DTYPE_F16,
  NPU_DTYPE_BF16,
  NPU_DTYPE_Q8_0,
  NPU_DTYPE_Q5_0,
  NPU_DTYPE_Q5_1,
  NPU_DTYPE_Q4_0,
  NPU_DTYPE_Q4_1,
  NPU_DTYPE_Q2_K,
  NPU_DTYPE_Q3_K,
  NPU_DTYPE_Q4_K,
  NPU_DTYPE_Q5_K,
  NPU_DTYPE_Q6_K,
} NpuDtype;

/* shape[] is in C order, outermost first. Owned by the model. */
typedef struct {
  const char *name; /* as the file spells it, for messages */
  NpuDtype dtype;
  guint n_dims;
  guint64 shape[4];
  const guint8 *data; /* of a tensor in memory, else NULL; any alignment */
  gsize size;         /* bytes */
  gsize offset;       /* of the data in the file */

  /*< private >*/
  struct _NpuTensorFile *file;           /* NULL: in memory, or made */
  const struct _NpuGenerator *generator; /* a synthetic tensor has no data */
} NpuTensor;

/**
 * npu_tensor_read:
 * @first: index of the first element, in C order; a multiple of the type's
 *   block (32 or 256) for the block types
 * @n: number of elements; likewise
 * @out: (out caller-allocates): n floats
 *
 * Reads elements from the file and converts them to float. Any thread.
 *
 * Returns: %FALSE with @error set: FORMAT for a NaN or an infinity, with the
 *   tensor and the byte offset of the first; OPEN where the file cannot be
 *   read, or is not the one any more that was opened: it was shortened or
 *   written to.
 */
NPU_API gboolean npu_tensor_read (
    const NpuTensor *tensor, gsize first, gsize n, float *out, GError **error);

/* Elements in @tensor: the product of its shape. */
NPU_API gsize npu_tensor_n_elements (const NpuTensor *tensor);

G_END_DECLS
