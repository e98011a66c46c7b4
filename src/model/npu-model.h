/* A Whisper encoder's weights: hyper-parameters and named tensors.
 *
 * Files are mapped, not copied; a tensor is converted to float row by row as
 * a reader asks for it.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-api.h"

G_BEGIN_DECLS

/* Storage types of a tensor. The block types are ggml's: 32 weights a block
 * along the innermost dimension (ggml/src/ggml-common.h). */
typedef enum {
  NPU_DTYPE_F32,
  NPU_DTYPE_F16,
  NPU_DTYPE_BF16,
  NPU_DTYPE_Q8_0,
  NPU_DTYPE_Q5_0,
  NPU_DTYPE_Q5_1,
  NPU_DTYPE_Q4_0,
  NPU_DTYPE_Q4_1,
} NpuDtype;

/* A tensor inside the model's mapping; shape[] is in C order, outermost
 * first. data need not be aligned: read it with npu_tensor_read(). Owned by
 * the model. */
typedef struct {
  const char *name; /* as the file spells it, for messages */
  NpuDtype dtype;
  guint n_dims;
  guint64 shape[4];
  const guint8 *data;
  gsize size;   /* bytes */
  gsize offset; /* of data in the file, for messages */

  /*< private >*/
  const char *file;                      /* as messages name it */
  const struct _NpuGenerator *generator; /* a synthetic tensor has no data */
  gboolean is_mapped;                    /* data is in the mapping of a file */
} NpuTensor;

/* The linear maps and norms of one encoder block, as Whisper has them
 * (openai/whisper, model.py, ResidualAttentionBlock). Weights are [out][in]. */
typedef struct {
  const NpuTensor *attn_ln_weight, *attn_ln_bias; /* [d] */
  const NpuTensor *query_weight, *query_bias;     /* [d][d], [d] */
  const NpuTensor *key_weight;                    /* [d][d], no bias */
  const NpuTensor *value_weight, *value_bias;     /* [d][d], [d] */
  const NpuTensor *out_weight, *out_bias;         /* [d][d], [d] */
  const NpuTensor *mlp_ln_weight, *mlp_ln_bias;   /* [d] */
  const NpuTensor *fc1_weight, *fc1_bias;         /* [4d][d], [4d] */
  const NpuTensor *fc2_weight, *fc2_bias;         /* [d][4d], [d] */
} NpuModelBlock;

typedef struct _NpuModel NpuModel;

/* Read-only view of a loaded model. */
struct _NpuModel {
  char *name;         /* file base name, or "synthetic:tiny" */
  gboolean synthetic; /* weights are random: states mean nothing */
  guint n_mels;       /* 80 or 128 */
  guint d;            /* n_audio_state: width of the hidden states */
  guint n_heads;      /* d / 64 */
  guint n_layers;
  guint n_positions; /* rows of positional_embedding: 1500 */

  const NpuTensor *conv1_weight, *conv1_bias;     /* [d][n_mels][3], [d] */
  const NpuTensor *conv2_weight, *conv2_bias;     /* [d][d][3], [d] */
  const NpuTensor *positional_embedding;          /* [n_positions][d] */
  const NpuTensor *ln_post_weight, *ln_post_bias; /* [d] */
  NpuModelBlock *blocks;                          /* [n_layers] */

  /*< private >*/
  gpointer priv;
};

/**
 * npu_model_open:
 * @location: path of a safetensors or ggml file, or `synthetic:SIZE` with
 *   SIZE one of tiny, base, small, medium, large-v3
 *
 * The format is told by the file's content, not by its name. The file is
 * mapped: as long as the model is open it must not be shortened or rewritten
 * in place; replacing it by another file of its name is fine.
 *
 * Returns: (transfer full): the model, or %NULL with @error set:
 *   NOT_FOUND, OPEN, WRONG_TYPE or FORMAT, naming the file, and where it
 *   applies the tensor, its byte offset, what was found and what was expected.
 */
NPU_API NpuModel *npu_model_open (const char *location, GError **error);
NPU_API void npu_model_free (NpuModel *model);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuModel, npu_model_free)

/**
 * npu_tensor_read:
 * @first: index of the first element, in C order; a multiple of 32 for the
 *   block types
 * @n: number of elements; likewise
 * @out: (out caller-allocates): n floats
 *
 * Converts elements to float. A NaN or infinity is an error (FORMAT) that
 * names the tensor and the byte offset of the first one.
 */
NPU_API gboolean npu_tensor_read (
    const NpuTensor *tensor, gsize first, gsize n, float *out, GError **error);

/* Gives back the memory that reading took: pages of a mapped file leave this
 * process, and come again when they are read again. */
NPU_API void npu_tensor_drop (const NpuTensor *tensor);

/* Elements in @tensor: the product of its shape. */
NPU_API gsize npu_tensor_n_elements (const NpuTensor *tensor);

G_END_DECLS
