/* What the files of this folder share: the table of tensors that every reader
 * fills, and the errors that name a file, a tensor and an offset.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-error.h"
#include "npu-model.h"

G_BEGIN_DECLS

#define NPU_MODEL_MAX_TENSORS 8192 /* large-v3 has 1259 */
#define NPU_MODEL_MAX_NAME 255     /* bytes of a tensor's name */
#define NPU_MODEL_MAX_D 4096
#define NPU_MODEL_MAX_LAYERS 64
#define NPU_MODEL_POSITIONS 1500
#define NPU_BLOCK 32 /* weights in a block of ggml's block types */

#define NPU_NO_OFFSET G_MAXUINT64

/* Sets @error to "FILE: tensor 'NAME' at byte OFFSET: MESSAGE"; @tensor may be
 * NULL and @offset NPU_NO_OFFSET. Always FALSE, to be returned. */
gboolean npu_model_fail (GError **error, NpuError code, const char *file,
    const char *tensor, guint64 offset, const char *format, ...)
    G_GNUC_PRINTF (6, 7);

/* --- element types ---------------------------------------------------- */

const char *npu_dtype_name (NpuDtype dtype);

/* Elements in one block: 1 for the float types, else 32. */
guint npu_dtype_block (NpuDtype dtype);

/* Bytes of @n elements, a whole number of blocks. FALSE on overflow. */
gboolean npu_dtype_size (NpuDtype dtype, guint64 n, guint64 *size);

/* The product of @shape; FALSE on overflow. */
gboolean npu_shape_product (const guint64 *shape, guint n_dims, guint64 *n);

/* "[384][80][3]"; (transfer full) */
char *npu_shape_to_string (const guint64 *shape, guint n_dims);

/* --- memory ------------------------------------------------------------ */

/* The pages of [data, data + size), which belong to the mapping of a file,
 * leave this process until they are read again. */
void npu_drop_pages (const guint8 *data, gsize size);

/* --- values made, not read -------------------------------------------- */

typedef struct _NpuGenerator NpuGenerator;

/* Either sinusoids[..][d], or centre + k * step with k uniform in
 * [-limit, limit]: every value is exact in float and in half precision. */
struct _NpuGenerator {
  guint32 seed;
  gint32 limit; /* at most 2047 */
  float step;   /* a power of two */
  float centre;
  guint sinusoid_d; /* not 0: a positional embedding of this width */
};

void npu_generator_read (
    const NpuGenerator *generator, gsize first, gsize n, float *out);

/* --- the table of tensors --------------------------------------------- */

/* Every tensor of a file, by name. */
typedef struct {
  char *file;         /* as messages name it */
  gboolean is_mapped; /* its tensors' data is */
  GHashTable *by_name;
  GStringChunk *strings;
} NpuTensorTable;

/* What a table has of one tensor. */
typedef struct {
  NpuTensor tensor;
  const char *foreign_type; /* its type's name if it is no NpuDtype */
} NpuTableEntry;

NpuTensorTable *npu_tensor_table_new (const char *file);
void npu_tensor_table_free (NpuTensorTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuTensorTable, npu_tensor_table_free)

/* Checks @name (@length bytes, found at @offset in the file) and adds an empty
 * entry; the table owns it. NULL with @error set for a name that is bad or
 * taken, or when there are too many tensors. */
NpuTableEntry *npu_tensor_table_add (NpuTensorTable *table, const char *name,
    gsize length, guint64 offset, GError **error);

/* Completes an entry from dtype and shape: checks that the size in bytes of
 * such a tensor is @size. */
gboolean npu_tensor_table_check_size (const NpuTensorTable *table,
    const NpuTableEntry *entry, guint64 size, GError **error);

NpuTableEntry *npu_tensor_table_lookup (
    const NpuTensorTable *table, const char *name);

/* --- readers: each fills a table, and touches no tensor's data --------- */

gboolean npu_safetensors_read (
    NpuTensorTable *table, const guint8 *data, gsize size, GError **error);

/* The header of a whisper.cpp file, as far as an encoder needs it. */
typedef struct {
  guint n_positions, d, n_heads, n_layers, n_mels;
} NpuGgmlHeader;

gboolean npu_ggml_read (NpuTensorTable *table, const guint8 *data, gsize size,
    NpuGgmlHeader *header, GError **error);

/* @size: "tiny", "base"…; the generators live as long as @strings does. */
gboolean npu_synthetic_read (NpuTensorTable *table, const char *size,
    GArray **generators, GError **error);

/* --- from a table to a model ------------------------------------------ */

/* A dimension of a tensor's expected shape. */
typedef enum {
  NPU_DIM_END,
  NPU_DIM_3, /* kernel of both convolutions */
  NPU_DIM_MELS,
  NPU_DIM_POSITIONS,
  NPU_DIM_D,
  NPU_DIM_4D,
} NpuDim;

/* One tensor that an encoder has, named after the prefix of the encoder or of
 * the block. */
typedef struct {
  const char *openai, *hugging_face;
  gsize field; /* offset of its pointer in NpuModel or NpuModelBlock */
  NpuDim shape[4];
} NpuTensorSpec;

#define NPU_N_MODEL_SPECS 7
#define NPU_N_BLOCK_SPECS 15
extern const NpuTensorSpec npu_model_specs[NPU_N_MODEL_SPECS];
extern const NpuTensorSpec npu_block_specs[NPU_N_BLOCK_SPECS];

/* The expected shape; returns its number of dimensions. */
guint npu_tensor_spec_shape (
    const NpuTensorSpec *spec, const NpuModel *model, guint64 shape[4]);

/* Finds the naming scheme, the hyper-parameters and every tensor of the
 * encoder, and checks their shapes and types. */
gboolean npu_model_resolve (
    NpuModel *model, const NpuTensorTable *table, GError **error);

/* npu_model_open() for a file's content; @file is what messages call it. */
NpuModel *npu_model_open_bytes (
    GBytes *bytes, const char *file, GError **error);

G_END_DECLS
