/* What the files of this folder share: what a model's parts are called, and
 * how they become a model.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "base/file-error.h"
#include "base/json-reader.h"
#include "npu-model.h"
#include "tensors/tensors-private.h"

G_BEGIN_DECLS

#define NPU_MODEL_TEXT_POSITIONS 448
#define NPU_MODEL_MAX_TEXT_POSITIONS 4096
#define NPU_MODEL_MAX_VOCAB (1 << 20)

typedef struct _NpuModelPrivate {
  gint ref_count;
  gboolean is_cached; /* under the cache's lock */
  char *location;
  NpuModelConfig config;
  NpuTensorTable *table;
  GArray *generators;      /* of NpuGenerator, or NULL */
  NpuGgmlHeader ggml;      /* zeros where it is none */
  GPtrArray *memory;       /* what a model made in memory points to, or NULL */
  GArray *alignment_heads; /* of NpuAlignmentHead, or NULL */

  NpuDecoderWeights decoder;
  GError *decoder_error;   /* why there is none, or NULL */
  const NpuTensor *output; /* Hugging Face's copy of the token embedding */
  GMutex output_lock;
  gboolean output_is_checked;
} NpuModelPrivate;

/* An empty model, called @name, with an empty table. */
NpuModel *npu_model_new (const char *location, const char *name);

/* npu_model_open() for a file's content; @file is what messages call it. */
NpuModel *npu_model_open_bytes (
    GBytes *bytes, const char *file, GError **error);

/* --- the cache ----------------------------------------------------------- */

/* The model that was opened at @location and still is what is there:
 * (transfer full), or NULL. */
NpuModel *npu_model_cache_find (const char *location);
/* Keeps @model, without a reference, until it is freed. Returns it, or, having
 * freed it, the one that somebody else has opened meanwhile. */
NpuModel *npu_model_cache_add (NpuModel *model);
/* Takes a reference away; TRUE if it was the last, whereupon the cache forgets
 * the model. */
gboolean npu_model_cache_release (NpuModel *model);

/* --- names --------------------------------------------------------------- */

/* How a file names its tensors. */
typedef struct {
  char *encoder; /* before every tensor of the encoder: "model.encoder." */
  char *decoder; /* the same of the decoder; NULL: there can be none */
  char *output;  /* Hugging Face's name of the output map, or NULL */
  gboolean hugging_face;
  const char *blocks;  /* "blocks." or "layers." */
  GHashTable *by_name; /* plain name to NpuTableEntry */
} NpuNames;

/* Drops what wrappers of modules add within a name: "_orig_mod." and the like;
 * (transfer full). */
char *npu_plain_name (const char *name);

/* Finds the encoder among the tensors of @table, whatever stands before its
 * names. */
gboolean npu_names_init (
    NpuNames *names, const NpuTensorTable *table, GError **error);
void npu_names_clear (NpuNames *names);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (NpuNames, npu_names_clear)

NpuTableEntry *npu_names_find (
    const NpuNames *names, const char *prefix, const char *name);

/* One more than the highest number in the names that begin with @prefix: a
 * block that is missing below it is found missing later. */
gboolean npu_names_count_blocks (const NpuNames *names,
    const NpuTensorTable *table, const char *prefix, guint *n, GError **error);

/* --- specs --------------------------------------------------------------- */

/* A dimension of a tensor's expected shape. */
typedef enum {
  NPU_DIM_END,
  NPU_DIM_3, /* kernel of both convolutions */
  NPU_DIM_MELS,
  NPU_DIM_POSITIONS,
  NPU_DIM_D,
  NPU_DIM_4D,
  NPU_DIM_VOCAB,
  NPU_DIM_TEXT_POSITIONS,
} NpuDim;

/* One tensor, named after the prefix of the encoder, the decoder or the
 * block. */
typedef struct {
  const char *openai, *hugging_face;
  gsize field; /* offset of its pointer in the struct of its part */
  NpuDim shape[4];
} NpuTensorSpec;

/* Specs that belong together: a part's own, or those that blocks share, with
 * what stands before their names and where their struct is in the block's. */
typedef struct {
  const NpuTensorSpec *specs;
  guint n_specs;
  const char *openai, *hugging_face;
  gsize field;
} NpuSpecGroup;

#define NPU_N_MODEL_SPECS 7
#define NPU_N_BLOCK_SPECS 15
extern const NpuTensorSpec npu_model_specs[NPU_N_MODEL_SPECS];
extern const NpuTensorSpec npu_block_specs[NPU_N_BLOCK_SPECS];

extern const NpuSpecGroup npu_encoder_group, npu_encoder_block_group;
extern const NpuSpecGroup npu_decoder_group;
#define NPU_N_DECODER_BLOCK_GROUPS 3 /* self, cross, mlp */
extern const NpuSpecGroup npu_decoder_block_groups[NPU_N_DECODER_BLOCK_GROUPS];

/* The expected shape; returns its number of dimensions. */
guint npu_dims_to_shape (
    const NpuDim *dims, const NpuModelConfig *config, guint64 shape[4]);
/* The same of a spec of the encoder. */
guint npu_tensor_spec_shape (
    const NpuTensorSpec *spec, const NpuModel *model, guint64 shape[4]);

/* --- from a table to a model ------------------------------------------ */

/* Finds names, hyper-parameters and every tensor of encoder and decoder, and
 * checks their shapes and types. A decoder that is not whole is no error but
 * decoder_error. */
gboolean npu_model_resolve (NpuModel *model, GError **error);

/* Opens a small file that may lie beside the tensors, and notes it as the
 * model's. @file is NULL where there is none; where there is one that cannot be
 * opened, it is an error in a checkout, and no file of this model elsewhere. */
gboolean npu_model_open_beside (NpuModel *model, const char *path,
    gboolean is_checkout, NpuTensorFile **file, GError **error);

/* Reads one of a checkout's small JSON files, which is one object. */
gboolean npu_model_read_object (
    NpuTensorFile *file, NpuJsonMember read, gpointer data, GError **error);

/* What config.json in @folder says, if it is there and about this model, must
 * be what can be computed; in a checkout of Hugging Face it is about it. */
gboolean npu_model_check_config (
    NpuModel *model, const char *folder, gboolean is_checkout, GError **error);

/* The alignment heads that generation_config.json in @folder names, if it is
 * there and they are all heads of this model's decoder; in a checkout it must
 * be JSON. */
gboolean npu_model_read_generation_config (
    NpuModel *model, const char *folder, gboolean is_checkout, GError **error);

/* Fills the model's table and config; @size: "tiny", "base"… */
gboolean npu_synthetic_read (NpuModel *model, const char *size, GError **error);

G_END_DECLS
