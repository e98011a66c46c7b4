/* Models in memory: references, and parts as others see them.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "model-private.h"

#include <string.h>

NpuModel *
npu_model_new (const char *location, const char *name)
{
  NpuModel *model = g_new0 (NpuModel, 1);
  NpuModelPrivate *priv = g_new0 (NpuModelPrivate, 1);

  priv->ref_count = 1;
  priv->location = g_strdup (location);
  priv->table = npu_tensor_table_new (name);
  g_mutex_init (&priv->output_lock);
  model->priv = priv;
  model->name = g_path_get_basename (name);
  return model;
}

NpuModel *
npu_model_ref (NpuModel *model)
{
  g_atomic_int_inc (&model->priv->ref_count);
  return model;
}

void
npu_model_unref (NpuModel *model)
{
  NpuModelPrivate *priv;

  if (!model || !npu_model_cache_release (model))
    return;
  priv = model->priv;
  npu_tensor_table_free (priv->table);
  g_clear_pointer (&priv->generators, g_array_unref);
  g_clear_pointer (&priv->memory, g_ptr_array_unref);
  g_clear_pointer (&priv->alignment_heads, g_array_unref);
  g_clear_error (&priv->decoder_error);
  npu_ggml_header_clear (&priv->ggml);
  g_mutex_clear (&priv->output_lock);
  g_free (priv->decoder.blocks);
  g_free (priv->location);
  g_free (priv);
  g_free (model->blocks);
  g_free (model->name);
  g_free (model);
}

/* --- parts ---------------------------------------------------------------- */

const char *
npu_model_get_location (NpuModel *model)
{
  return model->priv->location;
}

char *
npu_model_get_identity (const NpuModel *model)
{
  const GPtrArray *files = model->priv->table->files;
  GString *text;

  if (model->synthetic)
    return g_strdup (model->name);
  if (files->len == 0)
    return NULL;
  text = g_string_new (NULL);
  for (guint i = 0; i < files->len; i++) {
    g_autofree char *file =
        npu_tensor_file_get_identity (g_ptr_array_index (files, i));

    if (!file) {
      g_string_free (text, TRUE);
      return NULL;
    }
    g_string_append_printf (text, "%s;", file);
  }
  return g_string_free (text, FALSE);
}

const NpuModelConfig *
npu_model_get_config (NpuModel *model)
{
  return &model->priv->config;
}

/* Whether two tensors hold the same floats. */
static gboolean
check_same (
    const NpuTensor *a, const NpuTensor *b, gboolean *same, GError **error)
{
  enum { PIECE = 16384 };
  const gsize n = npu_tensor_n_elements (a);
  g_autofree float *x = g_new (float, PIECE), *y = g_new (float, PIECE);

  *same = FALSE;
  if (a->n_dims != b->n_dims ||
      memcmp (a->shape, b->shape, a->n_dims * sizeof *a->shape) != 0)
    return TRUE;
  for (gsize first = 0; first < n; first += PIECE) {
    const gsize length = MIN (n - first, PIECE);

    if (!npu_tensor_read (a, first, length, x, error) ||
        !npu_tensor_read (b, first, length, y, error))
      return FALSE;
    for (gsize i = 0; i < length; i++) {
      if (x[i] != y[i])
        return TRUE;
    }
  }
  *same = TRUE;
  return TRUE;
}

/* Whisper's output map is the token embedding; a copy of it says nothing new,
 * another one would be another model. */
static gboolean
check_output (NpuModel *model, GError **error)
{
  NpuModelPrivate *priv = model->priv;
  gboolean good = TRUE, same;

  if (!priv->output)
    return TRUE;
  g_mutex_lock (&priv->output_lock);
  if (!priv->output_is_checked) {
    good =
        check_same (priv->decoder.token_embedding, priv->output, &same, error);
    if (good && !same)
      good = npu_file_fail (error, NPU_ERROR_FORMAT, priv->table->name,
          priv->output->name, priv->output->offset,
          "it is not the same as '%s', but Whisper's output map is its token embedding; use a model whose embeddings are tied",
          priv->decoder.token_embedding->name);
    priv->output_is_checked = good;
  }
  g_mutex_unlock (&priv->output_lock);
  return good;
}

const NpuDecoderWeights *
npu_model_get_decoder (NpuModel *model, GError **error)
{
  NpuModelPrivate *priv = model->priv;

  if (priv->decoder_error) {
    g_propagate_error (error, g_error_copy (priv->decoder_error));
    return NULL;
  }
  return check_output (model, error) ? &priv->decoder : NULL;
}

const NpuAlignmentHead *
npu_model_get_alignment_heads (NpuModel *model, guint *n)
{
  const GArray *heads = model->priv->alignment_heads;

  *n = heads ? heads->len : 0;
  return heads ? (const NpuAlignmentHead *) heads->data : NULL;
}

const float *
npu_model_get_mel_filters (NpuModel *model, guint *n_mels)
{
  const NpuGgmlHeader *ggml = &model->priv->ggml;

  if (!ggml->filters || ggml->n_filters != model->n_mels)
    return NULL;
  if (n_mels)
    *n_mels = ggml->n_filters;
  return ggml->filters;
}

guint
npu_model_get_n_words (NpuModel *model)
{
  return model->priv->ggml.n_words;
}

const guint8 *
npu_model_get_word (NpuModel *model, guint i, gsize *n)
{
  const NpuGgmlHeader *ggml = &model->priv->ggml;
  guint32 begin;

  g_return_val_if_fail (i < ggml->n_words, NULL);
  begin = i ? ggml->word_ends[i - 1] : 0;
  *n = ggml->word_ends[i] - begin;
  return ggml->words ? ggml->words + begin : (const guint8 *) "";
}
