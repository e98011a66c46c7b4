/* What the readers of model files share: types of elements, values that are
 * made, and the table of tensors that every reader fills.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-tensor.h"
#include "tensor-file.h"

G_BEGIN_DECLS

#define NPU_MODEL_MAX_TENSORS 8192 /* large-v3 has 1259 */
#define NPU_MODEL_MAX_NAME 255     /* bytes of a tensor's name */
#define NPU_MODEL_MAX_D 4096
#define NPU_MODEL_MAX_LAYERS 64
#define NPU_MODEL_POSITIONS 1500
#define NPU_BLOCK 32      /* weights in a block of ggml's block types */
#define NPU_MAX_BLOCK 256 /* in one of its K types */

/* --- element types ---------------------------------------------------- */

/* Converts one step at any alignment and tells whether all elements are
 * finite; where they are not, the output means nothing. */
typedef gboolean (*NpuConvertFunc) (const guint8 *in, float *out);

typedef struct {
  const char *name;
  guint block; /* elements that belong together */
  guint size;  /* bytes of a block */
  guint step;  /* elements that a conversion takes: 32 or 256 */
  NpuConvertFunc convert;
} NpuDtypeInfo;

const NpuDtypeInfo *npu_dtype_get_info (NpuDtype dtype);

const char *npu_dtype_name (NpuDtype dtype);

/* Elements in one block: 1 for the float types, else 32 or 256. */
guint npu_dtype_block (NpuDtype dtype);

/* Bytes of @n elements, a whole number of blocks. FALSE on overflow. */
gboolean npu_dtype_size (NpuDtype dtype, guint64 n, guint64 *size);

/* The product of @shape; FALSE on overflow. */
gboolean npu_shape_product (const guint64 *shape, guint n_dims, guint64 *n);

/* "[384][80][3]"; (transfer full) */
char *npu_shape_to_string (const guint64 *shape, guint n_dims);

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

/* --- names -------------------------------------------------------------- */

/* Names end up in messages and logs: no control characters, no invalid
 * UTF-8. */
gboolean npu_name_is_printable (const char *name, gsize length);

/* --- the table of tensors --------------------------------------------- */

/* Every tensor of a model, by name. */
typedef struct {
  char *name;       /* of the model, as messages have it */
  GPtrArray *files; /* of NpuTensorFile, owned */
  GHashTable *by_name;
  GStringChunk *strings;
} NpuTensorTable;

/* What a table has of one tensor. */
typedef struct {
  NpuTensor tensor;
  const char *foreign_type; /* its type's name if it is no NpuDtype */
} NpuTableEntry;

NpuTensorTable *npu_tensor_table_new (const char *name);
void npu_tensor_table_free (NpuTensorTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NpuTensorTable, npu_tensor_table_free)

/* Adds an empty entry for the name of @length bytes that was found at @offset
 * in @file, or made where that is NULL; the table owns it. NULL with @error
 * set for a name that is bad or taken, or when there are too many tensors. */
NpuTableEntry *npu_tensor_table_add (NpuTensorTable *table, NpuTensorFile *file,
    const char *name, gsize length, guint64 offset, GError **error);

/* Completes an entry from dtype and shape: checks that the size in bytes of
 * such a tensor is @size. */
gboolean npu_tensor_table_check_size (
    const NpuTableEntry *entry, guint64 size, GError **error);

NpuTableEntry *npu_tensor_table_lookup (
    const NpuTensorTable *table, const char *name);

/* What messages call the file that has the tensor. */
const char *npu_tensor_get_file_name (const NpuTensor *tensor);

/* --- readers: each fills a table, and reads no tensor's data ----------- */

gboolean npu_safetensors_read (
    NpuTensorTable *table, NpuTensorFile *file, GError **error);

/* What a whisper.cpp file has besides tensors. */
typedef struct {
  guint n_positions, d, n_heads, n_layers, n_mels; /* of the encoder */
  gint32 n_vocab, n_text_positions, text_d, n_text_heads, n_text_layers;
  float *filters; /* [n_filters][201], or NULL */
  guint n_filters;
  guint8 *words; /* one after the other */
  guint32 *word_ends;
  guint n_words;
} NpuGgmlHeader;

void npu_ggml_header_clear (NpuGgmlHeader *header);

gboolean npu_ggml_read (NpuTensorTable *table, NpuTensorFile *file,
    NpuGgmlHeader *header, GError **error);

/* An index of shards, which are in @folder, and the shards: their files are
 * added to the table's. NULL is no folder, and fails. */
gboolean npu_shards_read (NpuTensorTable *table, NpuTensorFile *file,
    const char *folder, GError **error);

/* The whole of a file of at most @max bytes of UTF-8, with a NUL after it:
 * (transfer full), or NULL. */
char *npu_tensor_file_read_text (
    NpuTensorFile *file, gsize max, GError **error);

/* What a file is, told by its first bytes. */
typedef enum {
  NPU_FORMAT_UNKNOWN,
  NPU_FORMAT_SAFETENSORS,
  NPU_FORMAT_GGML,
  NPU_FORMAT_JSON,
} NpuFormat;

/* UNKNOWN with @error set: WRONG_TYPE that says what the file is and what to
 * use instead. */
NpuFormat npu_tensor_file_tell_format (NpuTensorFile *file, GError **error);

G_END_DECLS
