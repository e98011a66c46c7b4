/* The table that tells people what is computed where and in what types: of a
 * plan's stages, and of a decoder's operations.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Types as npu_storage_to_string() and npu_product_to_string() call them; "-"
 * where there are none. */
typedef struct {
  const char *device;
  const char *reads, *weights, *product, *writes;
} PlanTypes;

/* The line above the others. */
void plan_table_begin (GString *text);
void plan_table_add (GString *text, const char *stages, const PlanTypes *types);
/* "block 0 qkv", "blocks 0-5 qkv". (transfer full) */
char *plan_table_name (guint first_layer, guint last_layer, const char *kind);

G_END_DECLS
