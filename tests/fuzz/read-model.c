/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "read-model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model-private.h"

static void
check_error (const GError *error)
{
  if (!error || !g_utf8_validate (error->message, -1, NULL) ||
      strlen (error->message) > 4096)
    abort ();
}

static void
read_part (const NpuTensor *tensor, gsize first, gsize n)
{
  static float values[8192];

  if (!npu_tensor_read (tensor, first, n, values, NULL))
    return;
  for (gsize i = 0; i < n; i++) {
    if (!isfinite (values[i]))
      abort ();
  }
}

/* All of a small one, else the beginning and the end: what lies between is
 * converted by the same code, and would take most of the time. */
static void
read_tensor (const NpuTensor *tensor)
{
  const gsize n = npu_tensor_n_elements (tensor);

  if (n <= 8192) {
    read_part (tensor, 0, n);
  } else {
    read_part (tensor, 0, 1024);
    /* A multiple of every block before the end. */
    read_part (tensor, n - 1024, 1024);
  }
}

static void
read_group (const NpuSpecGroup *group, gconstpointer part)
{
  for (guint i = 0; i < group->n_specs; i++)
    read_tensor (G_STRUCT_MEMBER (
        const NpuTensor *, part, group->field + group->specs[i].field));
}

static void
read_decoder (NpuModel *model)
{
  const NpuModelConfig *config = npu_model_get_config (model);
  g_autoptr (GError) error = NULL;
  const NpuDecoderWeights *decoder = npu_model_get_decoder (model, &error);

  if (!decoder) {
    check_error (error);
    return;
  }
  if (config->n_vocab == 0 || config->decoder.d != model->d)
    abort ();
  read_group (&npu_decoder_group, decoder);
  for (guint i = 0; i < config->decoder.n_layers; i++) {
    for (guint k = 0; k < NPU_N_DECODER_BLOCK_GROUPS; k++)
      read_group (&npu_decoder_block_groups[k], &decoder->blocks[i]);
  }
}

static void
read_model (NpuModel *model)
{
  guint n_mels = 0;
  const float *filters = npu_model_get_mel_filters (model, &n_mels);

  if (model->d % 64 != 0 || model->n_layers < 1 || model->n_positions < 1)
    abort ();
  read_group (&npu_encoder_group, model);
  for (guint i = 0; i < model->n_layers; i++)
    read_group (&npu_encoder_block_group, &model->blocks[i]);
  read_decoder (model);
  for (guint i = 0; filters && i < n_mels * 201; i++) {
    if (!isfinite (filters[i]))
      abort ();
  }
  for (guint i = 0; i < npu_model_get_n_words (model); i++) {
    gsize n;
    const guint8 *word = npu_model_get_word (model, i, &n);
    volatile guint8 last = n ? word[n - 1] : 0;

    (void) last;
  }
}

void
read_model_bytes (GBytes *bytes)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuModel) model = npu_model_open_bytes (bytes, "input", &error);

  if (model)
    read_model (model);
  else
    check_error (error);
}
