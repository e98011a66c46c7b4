/* Memory of packed weights: read from end to end in every window.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CpuWeightsBlock CpuWeightsBlock;

/* A piece of a block that others have pieces of too. */
typedef struct {
  guint8 *data; /* 64-byte aligned, content undefined */
  gsize size;
  CpuWeightsBlock *block; /* NULL: its own */
} CpuWeights;

/* Any thread may call both. FALSE without memory: @weights is then empty. */
gboolean cpu_weights_init (CpuWeights *weights, gsize size);
/* Nothing where it is empty. */
void cpu_weights_clear (CpuWeights *weights);

G_END_DECLS
