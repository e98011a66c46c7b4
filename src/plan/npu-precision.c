/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "npu-precision.h"

#include <string.h>

#include "npu-error.h"

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

gboolean
npu_precision_check (NpuPrecision precision, GError **error)
{
  if ((guint) precision < G_N_ELEMENTS (precisions))
    return TRUE;
  g_set_error (error, NPU_ERROR, NPU_ERROR_SETTINGS,
      "precision is %d; it must be auto, int8, int16, bf16 or f32",
      (int) precision);
  return FALSE;
}
