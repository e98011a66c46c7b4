/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-precision.h"

#include <string.h>

static const char *const precisions[] = {
    [NPU_PRECISION_AUTO] = "auto",
    [NPU_PRECISION_INT8] = "int8",
    [NPU_PRECISION_F32] = "f32",
    [NPU_PRECISION_BF16] = "bf16",
    [NPU_PRECISION_INT16] = "int16",
};

const char *
npu_precision_to_string (NpuPrecision precision)
{
  g_return_val_if_fail ((guint) precision < G_N_ELEMENTS (precisions), NULL);
  return precisions[precision];
}

gboolean
npu_precision_from_string (const char *name, NpuPrecision *precision)
{
  for (guint i = 0; i < G_N_ELEMENTS (precisions); i++)
    if (strcmp (precisions[i], name) == 0) {
      *precision = (NpuPrecision) i;
      return TRUE;
    }
  return FALSE;
}
