/* libFuzzer on the content of model files: whatever opens can be read.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "model/model-private.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* A piece of a tensor at a time, as an encoder reads it. */
static void
read_tensor (const NpuTensor *tensor)
{
  const gsize n = npu_tensor_n_elements (tensor);
  float values[1024];

  for (gsize first = 0; first < n; first += G_N_ELEMENTS (values)) {
    const gsize length = MIN (n - first, G_N_ELEMENTS (values));

    if (!npu_tensor_read (tensor, first, length, values, NULL))
      return;
    for (gsize i = 0; i < length; i++) {
      if (!isfinite (values[i]))
        abort ();
    }
  }
}

static void
read_model (const NpuModel *model)
{
  for (guint i = 0; i < NPU_N_MODEL_SPECS; i++)
    read_tensor (
        G_STRUCT_MEMBER (const NpuTensor *, model, npu_model_specs[i].field));
  for (guint layer = 0; layer < model->n_layers; layer++) {
    for (guint i = 0; i < NPU_N_BLOCK_SPECS; i++)
      read_tensor (G_STRUCT_MEMBER (
          const NpuTensor *, &model->blocks[layer], npu_block_specs[i].field));
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (NpuModel) model = npu_model_open_bytes (bytes, "input", &error);

  if (model)
    read_model (model);
  else if (!error || !g_utf8_validate (error->message, -1, NULL))
    abort ();
  return 0;
}
