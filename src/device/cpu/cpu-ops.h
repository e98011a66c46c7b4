/* What the files of the CPU's operations share.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "cpu-device.h"

G_BEGIN_DECLS

#define CPU_N_TILES(rows) (((rows) + NPU_TILE_ROWS - 1) / NPU_TILE_ROWS)
#define CPU_ALIGNED(size) (((size) + 63) & ~(gsize) 63)

static inline guint8 *
cpu_arg (const NpuLaunch *launch, guint i)
{
  return launch->args[i]->data + launch->offset[i];
}

static inline guint
cpu_rows_of_tile (const NpuLaunch *launch, guint row_tile)
{
  return MIN (launch->rows - row_tile * NPU_TILE_ROWS, NPU_TILE_ROWS);
}

/* Bytes of whole tiles of @rows rows of n columns. */
gsize cpu_rows_size (NpuStorage storage, guint rows, guint n);

/* Whether rows of @n columns fit q8 tiles. */
gboolean cpu_is_q8_columns (guint n);

/* [n] or NULL: (transfer full). */
float *cpu_copy_floats (const float *x, gsize n);
float *cpu_rotation_signs (guint n);

/* y[n] = x[n], which is bfloat16. */
void cpu_expand_bf16 (float *y, const guint16 *x, gsize n);

/* Packs x[rows][64] as tile number @tile of an attention's argument. */
void cpu_pack_tile (const NpuAttentionKernel *attention, guint arg,
    guint8 *data, gsize tile, const float *x, gsize stride, guint rows);

/* UNSUPPORTED where the storages of @op do not go together on this device. */
gboolean cpu_op_is_supported (const NpuOp *op, GError **error);

/* cpu-linear.c: whether the device does this linear @op; the rest of opening
 * it. */
gboolean cpu_linear_is_supported (const NpuLinearOp *op);
/* cpu-linear-pack.c: whether it has 16-bit products for it. */
gboolean cpu_linear_has_s16 (const CpuDevice *device, const NpuLinearOp *op);
/* cpu-linear-pack.c: packs weight[n][k] into the kernel, and says in it what is
 * multiplied. */
gboolean cpu_linear_pack (
    CpuKernel *kernel, const float *weight, GError **error);
gboolean cpu_linear_open (
    CpuKernel *kernel, const NpuOp *described, GError **error);

G_END_DECLS
