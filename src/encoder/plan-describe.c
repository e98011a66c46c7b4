/* Which stages of a plan run where, in words.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "encoder-plan.h"

/* "attention" of "block 3 attention": what the stages of all blocks have in
 * common. */
static const char *
kind_of (const PlanStage *stage)
{
  const char *space;

  if (!g_str_has_prefix (stage->name, "block "))
    return stage->name;
  space = strchr (stage->name + strlen ("block "), ' ');
  return space ? space + 1 : stage->name;
}

/* Stages of the kind on @device, or on any where that is NULL. */
static guint
count_kind (const EncoderPlan *plan, const char *kind, const NpuDevice *device)
{
  guint n = 0;

  for (guint i = 0; i < plan->stages->len; i++) {
    const PlanStage *stage = &g_array_index (plan->stages, PlanStage, i);

    n += strcmp (kind_of (stage), kind) == 0 &&
         (!device || stage->kernel->device == device);
  }
  return n;
}

static void
add_name (GString *text, GHashTable *seen, const char *name)
{
  if (!g_hash_table_add (seen, (gpointer) name))
    return;
  if (text->len > 0)
    g_string_append (text, ", ");
  g_string_append (text, name);
}

char *
encoder_plan_describe (const EncoderPlan *plan)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  GString *text = g_string_new (NULL);
  guint n_on_host = 0;

  for (guint i = 0; i < plan->stages->len; i++) {
    const PlanStage *stage = &g_array_index (plan->stages, PlanStage, i);
    const char *kind = kind_of (stage);

    if (stage->kernel->device != plan->host)
      continue;
    n_on_host++;
    if (count_kind (plan, kind, plan->host) == count_kind (plan, kind, NULL))
      add_name (text, seen, kind);
    else
      add_name (text, seen, stage->name);
  }

  if (n_on_host == plan->stages->len)
    g_string_assign (text, npu_device_get_name (plan->host));
  else if (n_on_host == 0)
    g_string_assign (text, npu_device_get_name (plan->device));
  else
    g_string_append_printf (text, ": %s; %u stages: %s",
        npu_device_get_name (plan->host), plan->stages->len - n_on_host,
        npu_device_get_name (plan->device));
  return g_string_free (text, FALSE);
}
