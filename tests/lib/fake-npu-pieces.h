/* Which bytes of its arguments a launch reads and writes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "device/npu-device.h"

G_BEGIN_DECLS

/* n pieces of @size bytes, @step bytes apart. */
typedef struct {
  gsize offset, size, step;
  guint n;
} FakeNpuPieces;

/* Of the argument @arg, from its start, no more than the launch's own valid
 * rows. What it reads whole, an attention's keys and values, belongs to the
 * launch that has its head's first query tile. */
void fake_npu_pieces_of (const NpuOp *op, const NpuKernel *kernel,
    const NpuLaunch *launch, guint arg, FakeNpuPieces *pieces);

G_END_DECLS
