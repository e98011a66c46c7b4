/* A plan in words: which stages run where, and in what types.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <string.h>

#include "device/op-args.h"
#include "plan-private.h"
#include "plan-table.h"

/* --- where ------------------------------------------------------------- */

/* Stages of the kind, in all layers, on @device, or on any where that is
 * NULL. */
static guint
count_kind (const NpuPlan *plan, guint kind, const NpuDevice *device)
{
  guint n = 0;

  for (guint i = 0; i < plan->stages->len; i++) {
    const NpuPlanStage *stage = plan_stage (plan, i);

    n += stage->id.kind == kind && (!device || stage->kernel->device == device);
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
npu_plan_describe_placement (const NpuPlan *plan)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  GString *text = g_string_new (NULL);
  guint n_on_host = 0;

  for (guint i = 0; i < plan->stages->len; i++) {
    const NpuPlanStage *stage = plan_stage (plan, i);
    const guint kind = stage->id.kind;

    if (stage->kernel->device != plan->host)
      continue;
    n_on_host++;
    if (count_kind (plan, kind, plan->host) == count_kind (plan, kind, NULL))
      add_name (text, seen, plan->options.kinds[kind]);
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

/* --- in what types ----------------------------------------------------- */

/* Every operation has its first argument read, and its last one written. */
static const char *
storage_read (const NpuPlanStage *stage)
{
  return npu_storage_to_string (npu_op_get_storage (&stage->op, NPU_ARG_X));
}

static const char *
storage_written (const NpuPlanStage *stage)
{
  const guint arg = (guint) g_bit_nth_lsf (npu_op_writes (&stage->op), -1);

  return npu_storage_to_string (npu_op_get_storage (&stage->op, arg));
}

/* What a linear map was asked to multiply. */
static const char *
product_asked (const NpuPlanStage *stage)
{
  return stage->op.kind == NPU_OP_LINEAR
             ? npu_product_to_string (stage->op.linear.product)
             : "-";
}

static gboolean
are_alike (const NpuPlanStage *a, const NpuPlanStage *b)
{
  return a->id.kind == b->id.kind && a->kernel->device == b->kernel->device &&
         a->product == b->product && product_asked (a) == product_asked (b) &&
         storage_read (a) == storage_read (b) &&
         storage_written (a) == storage_written (b);
}

/* The same of a neighbouring layer where it is alike, or NULL. */
static const NpuPlanStage *
find_alike (const NpuPlan *plan, const NpuPlanStage *stage, gint step)
{
  const NpuStageId id = {stage->id.kind, stage->id.layer + step};
  const NpuPlanStage *other =
      stage->id.layer < 0 ? NULL : npu_plan_find (plan, id);

  return other && are_alike (stage, other) ? other : NULL;
}

/* "blocks 1-5 qkv" for it and those like it that follow. */
static char *
name_of_alike (const NpuPlan *plan, const NpuPlanStage *first)
{
  const NpuPlanStage *last = first, *next;

  while ((next = find_alike (plan, last, 1)))
    last = next;
  if (last == first)
    return g_strdup (first->name);
  return plan_table_name ((guint) first->id.layer, (guint) last->id.layer,
      plan->options.kinds[first->id.kind]);
}

static PlanTypes
types_of (const NpuPlanStage *stage)
{
  const gboolean is_linear = stage->op.kind == NPU_OP_LINEAR;

  return (PlanTypes){npu_device_get_name (stage->kernel->device),
      storage_read (stage), product_asked (stage),
      is_linear ? npu_product_to_string (stage->product) : "-",
      storage_written (stage)};
}

char *
npu_plan_describe (const NpuPlan *plan)
{
  GString *text = g_string_new (NULL);

  plan_table_begin (text);
  for (guint i = 0; i < plan->stages->len; i++) {
    const NpuPlanStage *stage = plan_stage (plan, i);
    const PlanTypes types = types_of (stage);
    g_autofree char *name = NULL;

    if (find_alike (plan, stage, -1))
      continue;
    name = name_of_alike (plan, stage);
    plan_table_add (text, name, &types);
  }
  return g_string_free (text, FALSE);
}
