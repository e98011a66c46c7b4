/* What the encoder's products are, found out by asking, before anything is
 * opened.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include "encoder-plan.h"

G_BEGIN_DECLS

/* The type of weights that stands for int8: Q8 where an NPU does a part of the
 * encoder in it, or where the CPU has such products; else S16. */
NpuType encoder_int8_type (
    const NpuModel *model, NpuDevice *device, guint n_positions);

G_END_DECLS
