/* Writes models as files: safetensors with either library's tensor names, and
 * whisper.cpp's ggml, quantised as ggml's reference quantisers do it.
 *
 * In two steps, so that a test can spoil what lies between: tensors by name,
 * then a file's bytes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "model/npu-model.h"

G_BEGIN_DECLS

typedef enum {
  TEST_MODEL_OPENAI,       /* safetensors, encoder.blocks.0.attn… */
  TEST_MODEL_HUGGING_FACE, /* safetensors, model.encoder.layers.0.self_attn… */
  TEST_MODEL_GGML,         /* whisper.cpp */
} TestModelFormat;

/* One tensor on its way into a file. */
typedef struct {
  char *name;
  NpuDtype dtype;
  const char *type_name; /* not NULL: what safetensors calls its type */
  guint n_dims;
  guint64 shape[8]; /* outermost first */
  GByteArray *data;
} TestTensor;

/* Header fields of a ggml file that tests spoil; the rest is right. */
typedef struct {
  gint32 n_audio_ctx, n_audio_state, n_audio_head, n_audio_layer, n_mels;
  gint32 ftype;
  gint32 n_words; /* of the vocabulary */
  gint32 n_vocab, n_text_ctx, n_text_layer;
} TestGgmlHeader;

/**
 * test_model_write:
 * @dtype: F32, F16 or BF16 for safetensors; any but BF16 for ggml
 *
 * Writes @model to @path as a whole model: other tensors, those of its decoder
 * where it has one, lie between those of the encoder. In a ggml file biases,
 * norms and positions stay F32, and convolutions F16, as whisper.cpp's own
 * tools leave them.
 *
 * Returns: %FALSE with @error set if the file cannot be written or a weight
 * is not finite.
 */
gboolean test_model_write (const NpuModel *model, const char *path,
    TestModelFormat format, NpuDtype dtype, GError **error);

/* The tensors that test_model_write() would write: (element-type TestTensor),
 * freed with the array. */
GPtrArray *test_model_tensors (const NpuModel *model, TestModelFormat format,
    NpuDtype dtype, GError **error);

/* Its header. */
void test_model_ggml_header (
    const NpuModel *model, NpuDtype dtype, TestGgmlHeader *header);

/* (transfer full): a file of @tensors. */
GBytes *test_model_to_safetensors (const GPtrArray *tensors);
GBytes *test_model_to_ggml (
    const GPtrArray *tensors, const TestGgmlHeader *header);

/* (transfer full): the bytes that test_model_write() writes; fails the test
 * where it would fail. */
GBytes *test_model_to_bytes (
    const NpuModel *model, TestModelFormat format, NpuDtype dtype);

/* The tensor of @name, or NULL. */
TestTensor *test_model_find (const GPtrArray *tensors, const char *name);

/* (transfer full): a tensor of zeros. */
TestTensor *test_tensor_new (
    const char *name, NpuDtype dtype, guint n_dims, const guint64 *shape);

void test_tensor_free (gpointer tensor);

/* Replaces the tensor's data by @values[n] as its dtype has them; n is a
 * multiple of 32 for the block types. */
void test_tensor_set (TestTensor *tensor, const float *values, gsize n);

G_END_DECLS
