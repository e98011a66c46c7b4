/* What can be said of every operation: which arguments it reads and writes and
 * how those hold their numbers; and the same in words.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "npu-op.h"

G_BEGIN_DECLS

/* NPU_ARG_BITs. */
guint npu_op_reads (const NpuOp *op);
guint npu_op_writes (const NpuOp *op);

/* How @arg, which @op reads or writes, holds numbers; of a program F32, as its
 * blocks are its own. */
NpuStorage npu_op_get_storage (const NpuOp *op, guint arg);
/* Whether @arg is attention tiles, in a layout of the device. */
gboolean npu_op_is_tiles (const NpuOp *op, guint arg);

/* Columns of what it writes; 0 of a program. */
guint npu_op_get_columns (const NpuOp *op);

/* @op as a kernel keeps it: what may be left out is said, and what need not
 * live longer, constants and the program's name, is NULL. */
NpuOp npu_op_to_keep (const NpuOp *op);

/* "f32", "bf16", "int8", "int16" */
const char *npu_storage_to_string (NpuStorage storage);
const char *npu_product_to_string (NpuProduct product);
/* "linear with 1536 columns, inner size 512, reads f32, multiplies int8, writes
 * f32". (transfer full) */
char *npu_op_to_string (const NpuOp *op);

G_END_DECLS
