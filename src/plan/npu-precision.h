/* How exact a client of a plan wants what it computes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

#include "npu-api.h"

G_BEGIN_DECLS

typedef enum {
  NPU_PRECISION_AUTO, /* on an NPU that has its products bf16; else int8 where
                       * its quality holds, else int16 where the CPU has its
                       * products, else f32 */
  NPU_PRECISION_INT8,
  NPU_PRECISION_F32,
  NPU_PRECISION_BF16,  /* products, attention tiles and what is between stages
                        * in bfloat16; sums and the residual in float */
  NPU_PRECISION_INT16, /* linear maps of 16-bit integers, the rest in float;
                        * on CPUs where those are faster than float's */
} NpuPrecision;

/* "auto", "int8", "f32", "bf16", "int16". */
NPU_API const char *npu_precision_to_string (NpuPrecision precision);
/* The one of that name in @precision; %FALSE where there is none. */
NPU_API gboolean npu_precision_from_string (
    const char *name, NpuPrecision *precision);
/* %FALSE with SETTINGS in @error for a number that is none of them. */
NPU_API gboolean npu_precision_check (NpuPrecision precision, GError **error);

G_END_DECLS
