/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan-table.h"

static void
add_line (GString *text, const char *stages, const char *device,
    const char *reads, const char *weights, const char *product,
    const char *writes)
{
  g_string_append_printf (text, "%-30s %-6s %-6s %-8s %-8s %s\n", stages,
      device, reads, weights, product, writes);
}

void
plan_table_begin (GString *text)
{
  add_line (text, "stages", "device", "reads", "weights", "product", "writes");
}

void
plan_table_add (GString *text, const char *stages, const PlanTypes *types)
{
  add_line (text, stages, types->device, types->reads, types->weights,
      types->product, types->writes);
}

char *
plan_table_name (guint first_layer, guint last_layer, const char *kind)
{
  return first_layer == last_layer
             ? g_strdup_printf ("block %u %s", first_layer, kind)
             : g_strdup_printf (
                   "blocks %u-%u %s", first_layer, last_layer, kind);
}
