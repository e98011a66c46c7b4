/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "encoder-exact.h"

#include <string.h>

static guint
blocks_of_part (const NpuModel *model, guint first, guint weights)
{
  const guint of_block = 12 * model->d * model->d;

  return CLAMP (weights / of_block, 1, model->n_layers - first);
}

static gboolean
run_part (const EncoderPlan *plan, NpuExecutor *executor, guint n_frames,
    GError **error)
{
  g_autofree NpuStage *stages = g_new0 (NpuStage, plan->plan->stages->len);

  encoder_plan_fill (plan, n_frames, 0, stages);
  return npu_executor_run (executor, stages, plan->plan->stages->len, error);
}

gboolean
encoder_exact_encode (const NpuModel *model, NpuDevice *device,
    NpuExecutor *executor, guint weights, EncoderPlan **plan, const float *mel,
    guint n_frames, float *states, GError **error)
{
  const gsize size = (gsize) n_frames / 2 * model->d * sizeof (float);
  PlanOptions options = {
      .precision = NPU_PRECISION_F32,
      .depth = npu_executor_get_depth (executor),
      .n_positions = n_frames / 2,
  };

  /* Between two parts @states has the residual stream. */
  while (options.first_block < model->n_layers) {
    EncoderBuffer out = PLAN_X;

    options.n_blocks = blocks_of_part (model, options.first_block, weights);
    g_clear_pointer (plan, encoder_plan_free);
    *plan = encoder_plan_new (model, device, &options, error);
    if (!*plan)
      return FALSE;
    if (options.first_block == 0) {
      if (!encoder_plan_write_edges (*plan, n_frames, error))
        return FALSE;
      encoder_plan_write_frames (*plan, mel, n_frames, 0, n_frames);
    } else {
      memcpy (npu_plan_get_buffer ((*plan)->plan, PLAN_X)->data, states, size);
    }
    if (!run_part (*plan, executor, n_frames, error))
      return FALSE;
    options.first_block += options.n_blocks;
    if (options.first_block == model->n_layers)
      out = PLAN_STATES;
    memcpy (states, npu_plan_get_buffer ((*plan)->plan, out)->data, size);
  }
  return TRUE;
}
