/* A Whisper model: hyper-parameters, and the named tensors of its encoder and
 * decoder, as parts of one open file.
 *
 * A file is opened once in a process, however many use it; a tensor is read
 * and converted to float when somebody asks for it. Immutable, any thread.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-api.h"
#include "tensors/npu-tensor.h"

G_BEGIN_DECLS

/* --- sizes ---------------------------------------------------------------- */

typedef struct {
  guint d;       /* width of the hidden states */
  guint n_heads; /* d / 64 */
  guint n_layers;
  guint n_positions; /* encoder: 1500; decoder: 448 */
} NpuTransformerConfig;

typedef struct {
  guint n_mels;  /* 80 or 128 */
  guint n_vocab; /* rows of the token embedding; 0: there is no decoder */
  NpuTransformerConfig encoder, decoder; /* of no decoder all is 0 */
  gboolean is_multilingual; /* by n_vocab: all but 51864 and less */
} NpuModelConfig;

/* --- weights -------------------------------------------------------------- */

/* The linear maps and norms of one encoder block, as Whisper has them
 * (openai/whisper, model.py, ResidualAttentionBlock). */
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

typedef struct {
  const NpuTensor *ln_weight, *ln_bias;       /* [d]: before the maps */
  const NpuTensor *query_weight, *query_bias; /* [d][d], [d] */
  const NpuTensor *key_weight;                /* [d][d], no bias */
  const NpuTensor *value_weight, *value_bias; /* [d][d], [d] */
  const NpuTensor *out_weight, *out_bias;     /* [d][d], [d] */
} NpuAttentionWeights;

typedef struct {
  const NpuTensor *ln_weight, *ln_bias;   /* [d] */
  const NpuTensor *fc1_weight, *fc1_bias; /* [4d][d], [4d] */
  const NpuTensor *fc2_weight, *fc2_bias; /* [d][4d], [d] */
} NpuMlpWeights;

typedef struct {
  NpuAttentionWeights self, cross;
  NpuMlpWeights mlp;
} NpuDecoderBlock;

typedef struct {
  const NpuTensor *token_embedding;      /* [n_vocab][d], the output map too */
  const NpuTensor *positional_embedding; /* [n_positions][d] */
  const NpuTensor *ln_weight, *ln_bias;  /* [d]: before the output map */
  NpuDecoderBlock *blocks;               /* [n_layers] */
} NpuDecoderWeights;

/* --- models --------------------------------------------------------------- */

typedef struct _NpuModel NpuModel;

/* Read-only view of a model's encoder. */
struct _NpuModel {
  char *name;         /* file base name, or "synthetic:tiny" */
  gboolean synthetic; /* weights are random: states mean nothing */
  guint n_mels;       /* 80 or 128 */
  guint d;            /* n_audio_state: width of the hidden states */
  guint n_heads;      /* d / 64 */
  guint n_layers;
  guint n_positions; /* rows of positional_embedding: 1500 or fewer */

  const NpuTensor *conv1_weight, *conv1_bias;     /* [d][n_mels][3], [d] */
  const NpuTensor *conv2_weight, *conv2_bias;     /* [d][d][3], [d] */
  const NpuTensor *positional_embedding;          /* [n_positions][d] */
  const NpuTensor *ln_post_weight, *ln_post_bias; /* [d] */
  NpuModelBlock *blocks;                          /* [n_layers] */

  /*< private >*/
  struct _NpuModelPrivate *priv;
};

/**
 * npu_model_open:
 * @location: path of a safetensors or ggml file, of an index of safetensors
 *   shards, or of a folder that has model.safetensors or such an index; or
 *   `synthetic:SIZE` with SIZE one of tiny, base, small, medium, large-v3
 *
 * The format is told by the file's content, not by its name. As long as the
 * file is what it was, everybody who opens it gets the same model. Where it is
 * shortened or written to, later reads of tensors fail; replacing it by
 * another file of its name is fine.
 *
 * Returns: (transfer full): the model, or %NULL with @error set:
 *   NOT_FOUND, OPEN, WRONG_TYPE or FORMAT, naming the file, and where it
 *   applies the tensor, its byte offset, what was found and what was expected.
 */
NPU_API NpuModel *npu_model_open (const char *location, GError **error);
NPU_API NpuModel *npu_model_ref (NpuModel *model);
NPU_API void npu_model_unref (NpuModel *model);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuModel, npu_model_unref)

/* As it was given to npu_model_open(). */
NPU_API const char *npu_model_get_location (NpuModel *model);

/**
 * npu_model_get_identity:
 *
 * What two models whose tensors of the same names hold the same numbers have in
 * common, though one may have been closed before the other was opened.
 *
 * Returns: (transfer full) (nullable): a text, or %NULL for a model in memory,
 *   which is like no other.
 */
NPU_API char *npu_model_get_identity (const NpuModel *model);

NPU_API const NpuModelConfig *npu_model_get_config (NpuModel *model);

/**
 * npu_model_get_decoder:
 *
 * Returns: (transfer none): the decoder's weights, or %NULL with @error set:
 *   NOT_FOUND where the file has an encoder only; FORMAT that names the first
 *   tensor which is missing or of a wrong shape.
 */
NPU_API const NpuDecoderWeights *npu_model_get_decoder (
    NpuModel *model, GError **error);

/* A head of the decoder's cross-attention. */
typedef struct {
  guint8 layer, head;
} NpuAlignmentHead;

/* The heads that follow the speech in time, as the checkout's
 * generation_config.json names them ("alignment_heads"): of the decoder's, by
 * layer and head, each once. NULL and 0 where it does not say. */
NPU_API const NpuAlignmentHead *npu_model_get_alignment_heads (
    NpuModel *model, guint *n);

/* A ggml file's mel filters [n_mels][201], or NULL. */
NPU_API const float *npu_model_get_mel_filters (NpuModel *model, guint *n_mels);

/* A ggml file's vocabulary, in order of token: 0 words where there is none. A
 * word may be empty, half a character, or hold NUL; it ends with no NUL. */
NPU_API guint npu_model_get_n_words (NpuModel *model);
NPU_API const guint8 *npu_model_get_word (NpuModel *model, guint i, gsize *n);

G_END_DECLS
