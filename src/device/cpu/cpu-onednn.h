/* oneDNN's matrix products of rows with packed weights. Its C API for
 * primitives changed between 2.x and 3.x; cpu-onednn.c is the only file that
 * sees either.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <oneapi/dnnl/dnnl.h>

#include "cpu-gemm.h"

G_BEGIN_DECLS

/* For so many rows and columns; all zero where there is none. */
typedef struct {
  guint id; /* never given twice, and never 0 */
  dnnl_primitive_desc_t desc;
  dnnl_primitive_t primitive;
} OnednnProduct;

/* Of A, the weights and C. */
typedef struct {
  dnnl_data_type_t a, b, c;
} OnednnTypes;

/* C[rows][columns] = A[rows][k] * weights. These are laid out as @like wants
 * them, or where that is NULL as oneDNN likes best. To be cleared after a
 * failure, too. */
dnnl_status_t onednn_product_open (OnednnProduct *product, guint rows,
    guint columns, guint k, const OnednnTypes *types,
    const OnednnProduct *like);
void onednn_product_clear (OnednnProduct *product);

/* Of oneDNN's kernel. */
const char *onednn_product_name (const OnednnProduct *product);
gsize onednn_product_weights_size (const OnednnProduct *product);
gsize onednn_product_scratch_size (const OnednnProduct *product);

/* Packs weights [columns][k] as @product wants them. */
dnnl_status_t onednn_product_pack (const OnednnProduct *product, guint columns,
    guint k, const OnednnTypes *types, const void *weight, void *out);

/* All pointers 64-byte aligned. */
void onednn_product_run (const OnednnProduct *product, CpuGemmThread *thread,
    const void *a, const void *packed, void *c, void *scratch);

G_END_DECLS
