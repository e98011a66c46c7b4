/* In what types the encoder computes: one table, found out by asking before
 * anything is opened. Nothing decides it anew.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "device/npu-device.h"
#include "model/npu-model.h"
#include "plan/npu-precision.h"

G_BEGIN_DECLS

/* Linear maps that are alike. */
typedef enum {
  ENCODER_STEM, /* the convolutions, whose rows are floats */
  ENCODER_FIRST_BLOCK,
  ENCODER_BLOCKS, /* the others */
  ENCODER_N_ROLES,
} EncoderRole;

typedef struct {
  struct {
    NpuStorage rows; /* that they read */
    NpuProduct product;
  } maps[ENCODER_N_ROLES];
  /* The attention's queries, keys and values: the first block's, and the
   * others'. */
  NpuStorage first_tiles, tiles;
  NpuStorage attended; /* what it writes, and the map after it reads */
  /* An NPU has nothing as exact. */
  gboolean host_only;
  /* What the CPU multiplies where BF16 is asked for. */
  NpuProduct host_bf16;
} EncoderNumerics;

/**
 * encoder_numerics_resolve:
 * @precision: not AUTO
 * @n_positions: of the longest window
 * @numerics: (out)
 *
 * Returns: %FALSE with @error UNSUPPORTED where the device has no products of
 * @precision.
 */
gboolean encoder_numerics_resolve (const NpuModel *model, NpuDevice *device,
    NpuPrecision precision, guint n_positions, EncoderNumerics *numerics,
    GError **error);

/* Whether @device is more than a CPU, and does the first block's products of
 * queries, keys and values in bfloat16. */
gboolean encoder_numerics_suits_npu (const NpuModel *model, NpuDevice *device);

G_END_DECLS
